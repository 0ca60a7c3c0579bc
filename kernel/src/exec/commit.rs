//! Folding runs in, in order, when they read what they would have read in order.
//!
//! The check is by value: a run is a function of what it read, so if the state before its place holds the same values, the
//! run is what sequential execution gives, whatever the schedule was, and whether a proposer's list, a guess or an earlier
//! version supplied them. Everything else runs again in its place. Schedulers only decide how often that happens.
//!
//! A run whose code never looked at a balance ([`Aside`]) reads the balances of others only to add to them, and its
//! sender's only to see whether it suffices. Then what it adds and takes is folded into the balances as they are, and the
//! nonces of others stay as they are.

use alloy_primitives::U256;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason};
use revm::context_interface::Transaction;
use revm::state::EvmState;

use super::sequential::Plan;
use super::state::{Fields, JobState};
use super::view::{AccountRead, Reads, View};
use crate::evm::{self, Aside, Evm, Outcome};
use crate::spec::Fork;

/// A transaction that ran apart from those before it.
#[derive(Debug, Clone)]
pub struct Run {
    pub result: ExecutionResult,
    pub changes: EvmState,
    pub reads: Reads,
    pub tip: U256,
    /// The outcome hangs on every field that was read.
    pub strict: bool,
}

/// What became of a transaction that was to run ahead of its turn.
#[derive(Debug, Default)]
pub enum Ahead {
    /// Its turn came first.
    #[default]
    NotBegun,
    /// It lacked a value, or cannot be in the block on what it read.
    Void,
    Ran(Box<Run>),
}

impl Ahead {
    #[must_use]
    pub fn of(run: Option<Run>) -> Self {
        run.map_or(Self::Void, |run| Self::Ran(Box::new(run)))
    }
}

/// Whether the outcome of a transaction may hang on balances and nonces of others.
#[must_use]
pub fn is_strict(plan: &Plan, tx: &TxEnv, result: &ExecutionResult, aside: Aside) -> bool {
    let refused =
        matches!(result, ExecutionResult::Halt { reason: HaltReason::OutOfFunds | HaltReason::OverflowPayment, .. });
    // Before Spurious Dragon it matters whether an account exists; an authorisation's refund hangs on that to this day.
    // Rules after Osaka price account creation.
    aside.balances_seen
        || refused
        || tx.kind.is_create()
        || !tx.authorization_list.is_empty()
        || !(Fork::SpuriousDragon..=Fork::Osaka).contains(&plan.fork)
}

/// Run a transaction apart. `None` when it lacked a value or cannot be in the block on what it read.
pub fn run_apart(plan: &Plan, evm: &mut Evm<'_, View<'_>>, index: usize) -> Option<Run> {
    let tx = plan.txs.get(index)?.as_ref()?;
    let place = u32::try_from(index).ok()?;
    evm::state_of(evm).aim(place, tx.caller, tx.nonce);
    let Outcome::Done(result, changes) = evm::run_in_block(evm, tx.clone()) else { return None };
    let aside = evm::aside(evm);
    let strict = is_strict(plan, tx, &result, aside);
    Some(Run { reads: evm::state_of(evm).take_reads(), tip: aside.tip, strict, result, changes })
}

/// Whether a run that read `read` may stand where the account holds `now`.
#[must_use]
pub fn account_holds(tx: &TxEnv, strict: bool, read: &AccountRead, now: Option<Fields>) -> bool {
    if now == read.fields {
        return true;
    }
    let (then, now) = (read.fields.unwrap_or_default(), now.unwrap_or_default());
    if strict || then.code_hash != now.code_hash {
        return false;
    }
    read.address != tx.caller
        || (then.nonce == now.nonce && tx.max_balance_spending().is_ok_and(|most| now.balance >= most))
}

/// Take a run as the outcome of its transaction at its place. `None` when it has to run again; codes and block hashes that
/// it read are noted in the state.
pub fn settle(state: &mut JobState, tx: &TxEnv, mut run: Run) -> Option<Run> {
    for read in &run.reads.accounts {
        let now = state.recall_account(read.address)?;
        if now == read.fields {
            continue;
        }
        if !account_holds(tx, run.strict, read, now) {
            return None;
        }
        move_onto(&mut run.changes, tx, read, now.unwrap_or_default())?;
    }
    for read in &run.reads.slots {
        let cached = read.cached.then_some(read.value);
        if state.recall_slot(read.address, read.slot, cached)? != read.value {
            return None;
        }
    }
    state.note_read(&run.reads.codes, &run.reads.blocks);
    Some(run)
}

/// What the run adds to or takes from an account, on the account as it is. `None` if that does not fit.
fn move_onto(changes: &mut EvmState, tx: &TxEnv, read: &AccountRead, now: Fields) -> Option<()> {
    let Some(account) = changes.get_mut(&read.address) else { return Some(()) };
    let (before, after) = (read.fields.unwrap_or_default().balance, account.info.balance);
    account.info.balance = match after.checked_sub(before) {
        Some(plus) => now.balance.checked_add(plus)?,
        None => now.balance.checked_sub(before - after)?,
    };
    if read.address != tx.caller {
        account.info.nonce = now.nonce;
    }
    Some(())
}
