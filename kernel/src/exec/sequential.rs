//! The reference runner: everything in order, one after the other, on the job's state. Transactions that ran ahead are
//! folded in by the same loop, in their place.

use std::ops::Range;

use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256, Bytes};
use revm::context::result::{ExecutionResult, InvalidTransaction};
use revm::state::Account;

use super::commit::{self, Ahead, Run};
use super::growth::{Growth, Refusal};
use super::prefetch::prefetch_tx;
use super::protocol::Action;
use super::receipts::{FailureReason, Receipt};
use super::schedule::Runs;
use super::state::{JobState, Mark};
use super::write_set::WriteSet;
use crate::error::InputError;
use crate::evm::system::{self, SystemCall};
use crate::evm::{self, Outcome, Purpose};
use crate::header::BlockEnv;
use crate::spec::blob::GAS_PER_BLOB;
use crate::spec::{Fork, Spec};
use crate::tx::{Entry, TxBatch, TxCode, TxError};

/// Most gas of a guessed run of a transaction that has not been tried yet.
pub const GUESSED_GAS_MAX: u64 = 5_000_000;
/// What a transaction costs a step beside its gas: set-up of revm and folding in.
pub const WORK_PER_TX: u64 = 10_000;

/// A block that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInvalid {
    /// The transaction's place in the batch, if it is a transaction's fault.
    pub index: Option<usize>,
    /// Stable name in `snake_case`.
    pub code: &'static str,
    pub message: String,
}

impl BlockInvalid {
    #[must_use]
    pub fn new(index: Option<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Self { index, code, message: message.into() }
    }
}

/// What stays the same over a job.
#[derive(Debug)]
pub struct Plan {
    pub spec: Spec,
    pub env: BlockEnv,
    pub fork: Fork,
    pub batch: TxBatch,
    /// One per entry of the batch; `None` where the entry is refused.
    pub txs: Vec<Option<evm::Tx>>,
    pub before: Vec<Action>,
    pub after: Vec<Action>,
    pub building: bool,
}

/// What has been executed so far, in order. Never rolled back.
#[derive(Debug, Default)]
pub struct Committed {
    /// Position in before, transactions, after.
    pub next: usize,
    pub gas_used: u64,
    pub blob_gas_used: u64,
    pub receipts: Vec<Receipt>,
    pub included: Vec<usize>,
    pub dropped: Vec<(usize, TxError)>,
    pub requests: Vec<Bytes>,
    /// Before Byzantium: what has changed since the parent block after each transaction.
    pub states: Vec<WriteSet>,
    /// What has been added to the state, where the chain bounds it.
    growth: Growth,
    /// Senders whose later transactions cannot be built in.
    blocked: AddressSet,
}

/// How a pass over the block ended.
#[derive(Debug)]
pub enum Pass {
    /// Everything is executed.
    Done,
    /// A value is missing at `Committed::next`.
    Missed,
    /// The work limit of a step is reached.
    Limit,
    /// The runs are folded in.
    Until,
    Invalid(BlockInvalid),
    Fault(InputError),
}

enum Item<'p> {
    Protocol(&'p Action),
    Tx(usize),
}

impl Plan {
    fn item(&self, position: usize) -> Option<Item<'_>> {
        if let Some(action) = self.before.get(position) {
            return Some(Item::Protocol(action));
        }
        let position = position - self.before.len();
        if position < self.txs.len() {
            return Some(Item::Tx(position));
        }
        self.after.get(position - self.txs.len()).map(Item::Protocol)
    }

    /// The transaction at a position of `Committed::next`, if it is one.
    #[must_use]
    pub fn tx_at(&self, position: usize) -> Option<usize> {
        match self.item(position) {
            Some(Item::Tx(index)) => Some(index),
            _ => None,
        }
    }

    /// Transactions that are not executed yet when `position` is next.
    #[must_use]
    pub fn transactions_from(&self, position: usize) -> Range<usize> {
        position.saturating_sub(self.before.len()).min(self.txs.len())..self.txs.len()
    }

    /// The position of a transaction.
    #[must_use]
    pub fn position_of(&self, index: usize) -> usize {
        self.before.len() + index
    }

    fn sender(&self, index: usize) -> Option<Address> {
        self.txs.get(index)?.as_ref().map(|tx| tx.caller)
    }

    /// Every key that is known before anything runs: asked for in the first round.
    pub fn prefetch(&self, state: &mut JobState) {
        state.prefetch_account(self.env.beneficiary);
        if !(self.before.is_empty() && self.after.is_empty()) {
            for action in self.before.iter().chain(&self.after) {
                if let (true, Action::Call(call)) = (action.prefetch(state), action) {
                    state.prefetch_code_of(call.address);
                }
            }
            for (address, slot) in system::slots(&self.env, self.fork) {
                state.prefetch_slot(address, slot);
            }
        }
        for tx in self.txs.iter().flatten() {
            prefetch_tx(state, tx);
        }
    }
}

/// Execute from `done.next` on, until the end, a miss, a broken rule, `left` gas, or where `runs` says.
pub fn run(plan: &Plan, state: &mut JobState, done: &mut Committed, left: &mut u64, runs: &mut Runs) -> Pass {
    let mut evm = evm::build(&plan.spec, &plan.env, state, Purpose::Block, None);
    while let Some(item) = plan.item(done.next) {
        if runs.ends_at(done.next) {
            return Pass::Until;
        }
        if *left == 0 && !matches!(item, Item::Tx(index) if runs.has(index)) {
            return Pass::Limit;
        }
        let work = match item {
            Item::Protocol(action) => match run_action(&mut evm, action, done) {
                Ok(work) => work,
                Err(pass) => return pass,
            },
            Item::Tx(index) => match run_tx(plan, &mut evm, index, done, runs) {
                Ok(work) => work,
                Err(pass) => return pass,
            },
        };
        *left = left.saturating_sub(work);
        done.next += 1;
    }
    Pass::Done
}

fn run_action(evm: &mut evm::Evm<'_>, action: &Action, done: &mut Committed) -> Result<u64, Pass> {
    let state = evm::state_of(evm);
    if !action.prefetch(state) {
        return Err(Pass::Missed);
    }
    if let Action::Call(call) = action {
        return run_system_call(evm, call, done);
    }
    action.apply(state);
    Ok(0)
}

fn run_system_call(evm: &mut evm::Evm<'_>, call: &SystemCall, done: &mut Committed) -> Result<u64, Pass> {
    if !evm::state_of(evm).has_code(call.address) {
        return match call.request {
            None => Ok(0),
            Some(_) => Err(Pass::Invalid(BlockInvalid::new(
                None,
                "system_contract_missing",
                format!("no code at system contract {}", call.address),
            ))),
        };
    }
    match evm::run_system(evm, call.address, call.data.clone()) {
        Outcome::Done(result, changes) => {
            let gas = result.tx_gas_used();
            if let Some(request) = call.request {
                let ExecutionResult::Success { output, .. } = result else {
                    return Err(Pass::Invalid(BlockInvalid::new(
                        None,
                        "system_call_failed",
                        format!("call of system contract {} failed", call.address),
                    )));
                };
                let mut bytes = vec![request];
                bytes.extend_from_slice(output.data());
                done.requests.push(bytes.into());
            }
            evm::state_of(evm).commit(changes);
            Ok(gas + WORK_PER_TX)
        }
        Outcome::Missed => Err(Pass::Missed),
        Outcome::Fault(error) => Err(Pass::Fault(error)),
        Outcome::Invalid(_) | Outcome::Cancelled => {
            Err(Pass::Fault(InputError::new("env", "a system call that can run", call.address)))
        }
    }
}

fn run_tx(
    plan: &Plan,
    evm: &mut evm::Evm<'_>,
    index: usize,
    done: &mut Committed,
    runs: &mut Runs,
) -> Result<u64, Pass> {
    let (decoded, tx) = match (&plan.batch.entries()[index], &plan.txs[index]) {
        (Entry::Ok(decoded), Some(tx)) => (decoded, tx),
        (Entry::Err(refused), _) => return done.refuse(plan, index, refused.error.clone()),
        (Entry::Ok(_), None) => return Ok(WORK_PER_TX),
    };
    if plan.building && done.blocked.contains(&tx.caller) {
        return Ok(WORK_PER_TX);
    }
    let blob_gas = tx.blob_hashes.len() as u64 * GAS_PER_BLOB;
    let blob_gas_max = plan.spec.blob_rules(plan.env.timestamp).map_or(0, |rules| rules.gas_max());
    let fits = done.gas_used.saturating_add(tx.gas_limit) <= plan.env.gas_limit
        && done.blob_gas_used + blob_gas <= blob_gas_max;
    if !fits {
        let never = tx.gas_limit > plan.env.gas_limit || blob_gas > blob_gas_max;
        if plan.building && !never {
            done.blocked.insert(tx.caller);
            return Ok(WORK_PER_TX);
        }
        let left = plan.env.gas_limit.saturating_sub(done.gas_used);
        return done.refuse(plan, index, TxError::exceeds_block_gas_limit(left, tx.gas_limit));
    }
    match runs.take(index) {
        Ahead::NotBegun => {}
        Ahead::Void => runs.again(),
        Ahead::Ran(mut run) => {
            if commit::settle(evm::state_of(evm), tx, &mut run) {
                return fold_ahead(plan, evm, index, tx, run, done, runs);
            }
            runs.again();
        }
    }
    let outcome = evm::run_in_block(evm, tx.clone());
    match outcome {
        Outcome::Done(result, changes) => {
            let aside = evm::aside(evm);
            let strict = commit::is_strict(plan, tx, &result, aside);
            let state = evm::state_of(evm);
            if !state.prefetch_account(plan.env.beneficiary) {
                return Err(Pass::Missed);
            }
            let caps = plan.spec.vm().growth_caps;
            if !caps.are_none()
                && let Err(refusal) = done.growth.admit(caps, tx.caller, state.growth(&changes))
            {
                return done.leave_out(plan, index, refusal, result.tx_gas_used());
            }
            // What is paid to an account that goes in the same transaction goes with it.
            let gone = changes.get(&plan.env.beneficiary).is_some_and(Account::is_selfdestructed);
            let place = done.place();
            state.commit_tx(changes, Mark { index: place, strict });
            if !gone {
                state.reward(plan.env.beneficiary, aside.tip, place);
            }
            Ok(include(plan, state, index, tx, result, done, runs))
        }
        Outcome::Missed => Err(Pass::Missed),
        Outcome::Fault(error) => Err(Pass::Fault(error)),
        Outcome::Cancelled => Err(Pass::Limit),
        Outcome::Invalid(error) => {
            let refusal = evm::invalid_transaction(&error, decoded, plan.env.base_fee_per_gas);
            let stale = matches!(error, InvalidTransaction::NonceTooLow { .. });
            let result = done.refuse(plan, index, refusal);
            if stale {
                // What follows an already executed nonce may well be next.
                done.blocked.remove(&decoded.sender);
            }
            result
        }
    }
}

/// As the end of [`run_tx`], of a run whose reads hold.
fn fold_ahead(
    plan: &Plan,
    evm: &mut evm::Evm<'_>,
    index: usize,
    tx: &evm::Tx,
    mut run: Run,
    done: &mut Committed,
    runs: &mut Runs,
) -> Result<u64, Pass> {
    let state = evm::state_of(evm);
    let beneficiary = plan.env.beneficiary;
    if !state.prefetch_account(beneficiary) {
        return Err(Pass::Missed);
    }
    let caps = plan.spec.vm().growth_caps;
    if !caps.are_none()
        && let Err(refusal) = done.growth.admit(caps, tx.caller, state.growth_of_run(&run))
    {
        return done.leave_out(plan, index, refusal, run.result.tx_gas_used());
    }
    let gone = run.accounts.iter().any(|account| {
        account.read.address == beneficiary && account.after.as_ref().is_some_and(|after| after.destroyed)
    });
    let place = done.place();
    let mark = Mark { index: place, strict: run.strict };
    state.commit_run(&mut run, mark);
    if !gone {
        state.reward(beneficiary, run.tip, place);
    }
    let work = include(plan, state, index, tx, run.result, done, runs);
    Ok(runs.held(work))
}

/// Put the folded transaction into the block. Returns its work.
fn include(
    plan: &Plan,
    state: &JobState,
    index: usize,
    tx: &evm::Tx,
    result: ExecutionResult,
    done: &mut Committed,
    runs: &mut Runs,
) -> u64 {
    let gas = result.tx_gas_used();
    let rooted = plan.fork < Fork::Byzantium;
    if rooted {
        done.states.push(state.write_set());
    }
    if plan.fork < Fork::Cancun && state.destroyed() {
        // Storage is gone as a whole: what ran ahead may have read it.
        runs.drop_rest();
    }
    done.gas_used += gas;
    done.blob_gas_used += tx.blob_hashes.len() as u64 * GAS_PER_BLOB;
    done.receipts.push(Receipt {
        tx_type: tx.envelope_type,
        success: result.is_success(),
        state_root: rooted.then_some(B256::ZERO),
        cumulative_gas_used: done.gas_used,
        reason: FailureReason::of(&result),
        logs: result.into_logs(),
    });
    done.included.push(index);
    gas + WORK_PER_TX
}

impl Committed {
    /// Where the next transaction stands among those that are in the block.
    fn place(&self) -> u32 {
        u32::try_from(self.included.len()).unwrap_or(u32::MAX)
    }

    /// An invalid transaction: dropped, with later ones of its sender left out, while building; else the block is invalid.
    fn refuse(&mut self, plan: &Plan, index: usize, error: TxError) -> Result<u64, Pass> {
        if !plan.building {
            return Err(Pass::Invalid(BlockInvalid::new(Some(index), error.code.as_str(), error.message)));
        }
        self.dropped.push((index, error));
        self.blocked.extend(plan.sender(index));
        Ok(WORK_PER_TX)
    }

    /// Leave out a transaction that has run, and adds more to the state than it may.
    fn leave_out(&mut self, plan: &Plan, index: usize, refusal: Refusal, gas: u64) -> Result<u64, Pass> {
        match refusal {
            Refusal::Later(_) if plan.building => self.blocked.extend(plan.sender(index)),
            Refusal::Later(error) | Refusal::Never(error) => drop(self.refuse(plan, index, error)?),
        }
        if self.growth.waste(gas, plan.env.gas_limit) {
            // The loop goes on after this one.
            self.close(plan);
            self.next -= 1;
        }
        Ok(gas + WORK_PER_TX)
    }

    /// Leave out the transaction at `next`, which asks for too much state, and go on after it.
    pub fn give_up(&mut self, plan: &Plan) {
        let Some(index) = plan.tx_at(self.next) else { return };
        self.dropped.push((index, TxError::new(TxCode::Invalid, "needs too many rounds of state reads")));
        self.blocked.extend(plan.sender(index));
        self.next += 1;
    }

    /// Leave out all transactions from `next` on.
    pub fn close(&mut self, plan: &Plan) {
        self.next = self.next.max(plan.before.len() + plan.txs.len());
    }
}

/// Run what is left on guesses, from position `from` on, to find the keys that it will read. Returns where to go on, or
/// None at the end.
pub fn guess(plan: &Plan, state: &mut JobState, done: &Committed, from: usize, work: u64) -> Option<usize> {
    let mut evm = evm::build(&plan.spec, &plan.env, state, Purpose::Block, None);
    let mut left = work;
    let mut position = from;
    while let Some(item) = plan.item(position) {
        if evm::state_of(&mut evm).over_keys_max() {
            return None;
        }
        if left == 0 {
            return Some(position);
        }
        position += 1;
        let Item::Tx(index) = item else { continue };
        let Some(tx) = &plan.txs[index] else { continue };
        if plan.building && done.blocked.contains(&tx.caller) {
            continue;
        }
        let mut tx = tx.clone();
        // The one that missed is run beyond where it did, however far that is.
        if plan.tx_at(done.next) != Some(index) {
            tx.gas_limit = tx.gas_limit.min(GUESSED_GAS_MAX);
        }
        let gas = evm::run_guessing(&mut evm, tx);
        left = left.saturating_sub(gas + WORK_PER_TX);
    }
    None
}
