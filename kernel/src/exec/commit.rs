//! Folding runs in, in order, when they read what they would have read in order.
//!
//! The check is by value: a run is a function of what it read, so if the state before its place holds the same values, the
//! run is what sequential execution gives, whatever the schedule was, and whether a proposer's list, a guess or an earlier
//! version supplied them. Everything else runs again in its place. Schedulers only decide how often that happens.
//!
//! A run whose code never looked at a balance ([`Aside`]) reads the balances of others only to add to them, and its
//! sender's only to see whether it suffices. Then what it adds and takes is folded into the balances as they are, and the
//! nonces of others stay as they are.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason};
use revm::context_interface::Transaction;
use revm::state::{Account, EvmState};

use super::sequential::Plan;
use super::state::{Fields, JobState, new_slots};
use super::view::{AccountRead, Reads, SlotRead, View};
use crate::evm::{self, Aside, Evm, Outcome};
use crate::spec::Fork;

/// A transaction that ran apart from those before it: what it read, what it left, and nothing else of what revm held, so
/// that little has to go from the thread that ran it to the one that folds it in.
#[derive(Debug)]
pub struct Run {
    pub result: ExecutionResult,
    pub accounts: Vec<AccountRun>,
    pub slots: Vec<SlotRun>,
    /// Slots that it held without reading them: those of accounts that it created.
    pub unread: Vec<Unread>,
    pub codes: Vec<B256>,
    pub blocks: Vec<u64>,
    pub tip: U256,
    /// The outcome hangs on every field that was read.
    pub strict: bool,
}

/// An account that a run read.
#[derive(Debug)]
pub struct AccountRun {
    pub read: AccountRead,
    /// As it left the account; `None` where it did not touch it (EIP-161).
    pub after: Option<After>,
}

#[derive(Debug)]
pub struct After {
    pub fields: Fields,
    /// Code that came with this run.
    pub code: Option<Bytecode>,
    pub created: bool,
    pub destroyed: bool,
    /// Slots that were zero and are not any more.
    pub new_slots: u32,
}

/// A slot that a run held and did not read.
#[derive(Debug, Clone, Copy)]
pub struct Unread {
    pub address: Address,
    pub slot: U256,
    pub after: U256,
    /// Its account was created, and the creation not undone.
    pub created: bool,
}

/// A slot that a run read.
#[derive(Debug)]
pub struct SlotRun {
    pub read: SlotRead,
    pub after: U256,
}

/// What became of a transaction that was to run ahead of its turn.
#[expect(clippy::large_enum_variant, reason = "nearly all ran, and they lie in one vector")]
#[derive(Debug, Default)]
pub enum Ahead {
    /// Its turn came first.
    #[default]
    NotBegun,
    /// It lacked a value, or cannot be in the block on what it read.
    Void,
    Ran(Run),
}

impl Ahead {
    #[must_use]
    pub fn of(run: Option<Run>) -> Self {
        run.map_or(Self::Void, Self::Ran)
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
    Some(condensed(evm::state_of(evm).reads(), &changes, result, aside.tip, strict))
}

fn condensed(reads: &mut Reads, changes: &EvmState, result: ExecutionResult, tip: U256, strict: bool) -> Run {
    let account = |read: AccountRead| {
        let account = changes.get(&read.address).filter(|account| account.is_touched());
        AccountRun { after: account.map(|account| After::of(&read, account)), read }
    };
    let slot = |read: SlotRead| {
        let slot = changes.get(&read.address).and_then(|account| account.storage.get(&read.slot));
        SlotRun { after: slot.map_or(read.value, |slot| slot.present_value), read }
    };
    let held: usize = changes.values().map(|account| account.storage.len()).sum();
    let unread = if held == reads.slots.len() { Vec::new() } else { unread(&reads.slots, changes) };
    Run {
        result,
        accounts: reads.accounts.drain(..).map(account).collect(),
        slots: reads.slots.drain(..).map(slot).collect(),
        unread,
        codes: reads.codes.drain(..).collect(),
        blocks: reads.blocks.drain(..).collect(),
        tip,
        strict,
    }
}

fn unread(read: &[SlotRead], changes: &EvmState) -> Vec<Unread> {
    let slots = changes.iter().flat_map(|(address, account)| {
        let created = account.is_created();
        let slots = account.storage.iter();
        slots.map(move |(slot, value)| Unread { address: *address, slot: *slot, after: value.present_value, created })
    });
    slots.filter(|one| !read.iter().any(|read| read.address == one.address && read.slot == one.slot)).collect()
}

impl After {
    fn of(read: &AccountRead, account: &Account) -> Self {
        let fields = Fields::from(&account.info);
        let new_code =
            fields.code_hash != KECCAK256_EMPTY && read.fields.unwrap_or_default().code_hash != fields.code_hash;
        Self {
            code: if new_code { account.info.code.clone() } else { None },
            fields,
            created: account.is_created(),
            destroyed: account.is_selfdestructed(),
            new_slots: new_slots(account),
        }
    }
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

/// Take a run as the outcome of its transaction at its place: the places of its accounts and slots in the state are noted
/// in it. False when it has to run again; else codes and block hashes that it read are noted in the state.
pub fn settle(state: &mut JobState, tx: &TxEnv, run: &mut Run) -> bool {
    settled(state, tx, run).is_some()
}

fn settled(state: &mut JobState, tx: &TxEnv, run: &mut Run) -> Option<()> {
    for account in &mut run.accounts {
        let now = state.recall_account(&mut account.read)?;
        let read = &account.read;
        if now == read.fields {
            continue;
        }
        if !account_holds(tx, run.strict, read, now) {
            return None;
        }
        if let Some(after) = &mut account.after {
            move_onto(&mut after.fields, tx, read, now.unwrap_or_default())?;
        }
    }
    for slot in &mut run.slots {
        if state.recall_slot(&mut slot.read)? != slot.read.value {
            return None;
        }
    }
    state.note_read(&run.codes, &run.blocks);
    Some(())
}

/// What the run adds to or takes from an account, on the account as it is. `None` if that does not fit.
fn move_onto(after: &mut Fields, tx: &TxEnv, read: &AccountRead, now: Fields) -> Option<()> {
    let before = read.fields.unwrap_or_default().balance;
    after.balance = match after.balance.checked_sub(before) {
        Some(plus) => now.balance.checked_add(plus)?,
        None => now.balance.checked_sub(before - after.balance)?,
    };
    if read.address != tx.caller {
        after.nonce = now.nonce;
    }
    Some(())
}
