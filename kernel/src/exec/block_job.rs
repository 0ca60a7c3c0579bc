//! One block behind the miss protocol.

use alloy_primitives::{B256, Bloom, Bytes};
use rayon::prelude::*;

use super::access_list::{pack_list, read_list};
use super::cache::CacheView;
use super::exchange::Exchange;
use super::need::{Keys, RawValues};
use super::protocol;
use super::receipts::{self, Receipt};
use super::schedule::{Counts, Running, Runs, Schedule};
use super::sequential::{self, BlockInvalid, Committed, Pass, Plan};
use super::state::{GUESSED_KEYS_MAX, JobState};
use super::write_set::WriteSet;
use crate::error::{InputError, InputResult};
use crate::evm;
use crate::header::{Attached, BlockEnv, Header};
use crate::spec::{Fork, Spec};
use crate::trie::ordered_root;
use crate::tx::{TxBatch, TxError};

/// Rounds of questions that a block may take.
pub const ROUNDS_MAX: u32 = 64;
/// While building: rounds of the whole block, after which it is closed with what it has.
const BUILDING_ROUNDS_MAX: u32 = 4 * ROUNDS_MAX;
/// While building: gas limits of runs that a miss ended without coming much further, of one transaction and of all, in
/// gas limits of the block. Who computes long before reading what nobody could foresee costs a builder that again each
/// round, and pays nothing when left out.
const MISSED_GAS_OF_ONE: u64 = 2;
const MISSED_GAS: u64 = 8;
/// Such rounds that a transaction has whatever its gas.
const ROUNDS_OF_ONE_MIN: u32 = 8;
/// Work of one step in gas: about 100 ms of usual code, and well above what a fast round needs.
pub const STEP_WORK: u64 = 16_000_000;
/// Keys that the protocol itself reads, with room to spare.
const KEYS_OF_PROTOCOL: usize = 1_000;
/// Block hashes that code can ask for (BLOCKHASH).
const BLOCK_HASHES: u64 = 256;

/// Parameters of a [`BlockJob`].
#[derive(Debug)]
pub struct BlockRequest {
    pub spec: Spec,
    pub env: BlockEnv,
    pub batch: TxBatch,
    /// Ommers and withdrawals.
    pub attached: Attached,
    pub cache: Option<CacheView>,
    /// Drop invalid transactions instead of failing.
    pub building: bool,
    /// What the proposer says the block reads; ignored when malformed.
    pub hints: Vec<u8>,
    pub system_calls: bool,
    pub rounds_max: u32,
    pub running: Running,
}

/// Numbers beside the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub rounds: u32,
    pub misses: u64,
    pub reexecutions: u64,
    pub steps: u64,
    pub hints_ignored: u64,
    /// 1 if the hints say what transactions write and are not the list that execution gives: their maker's fault.
    pub hints_wrong: u64,
    /// Of what ran at once.
    pub parallel: Counts,
}

/// An executed block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockResult {
    pub gas_used: u64,
    pub receipts: Vec<u8>,
    pub write_set: WriteSet,
    pub transactions_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: Bloom,
    pub ommers_hash: B256,
    pub requests_hash: Option<B256>,
    /// EIP-7685, in the order of their types, each beginning with its type; those without data are left out.
    pub requests: Vec<Bytes>,
    pub withdrawals_root: Option<B256>,
    pub blob_gas_used: Option<u64>,
    pub included: Vec<usize>,
    pub dropped: Vec<(usize, TxError)>,
    pub access_list: Vec<u8>,
    pub account_updates: Vec<u8>,
    /// Before Byzantium: what has changed since the parent block after each transaction. Its receipts hold the root of
    /// the state after it, which the kernel cannot know here: `receipts` is empty and `receipts_root` zero until
    /// [`BlockResult::with_state_roots`] is given them.
    pub states: Vec<WriteSet>,
    /// Receipts that wait for roots.
    pub rootless: Vec<Receipt>,
    pub stats: Stats,
}

impl BlockResult {
    /// The result with its receipts, from the state root after each transaction.
    ///
    /// # Errors
    /// Names `roots` when there is not one for each of `states`.
    pub fn with_state_roots(mut self, roots: &[B256]) -> InputResult<Self> {
        if roots.len() != self.states.len() {
            return Err(InputError::new("roots", format!("{} roots", self.states.len()), roots.len()));
        }
        for (receipt, root) in self.rootless.iter_mut().zip(roots) {
            receipt.state_root = Some(*root);
        }
        if !roots.is_empty() {
            let summary = receipts::summarize(&self.rootless);
            self.receipts = summary.rlp;
            self.receipts_root = summary.root;
        }
        self.states.clear();
        self.rootless.clear();
        Ok(self)
    }
}

/// What a step comes back with.
#[derive(Debug)]
pub enum Step {
    Need(Keys),
    Progress,
    Done(Box<BlockResult>),
}

/// Why a step fails.
#[derive(Debug)]
pub enum JobError {
    Input(InputError),
    Invalid(BlockInvalid),
}

/// Why a block that may not ask does not come to its end.
#[derive(Debug)]
pub enum ClosedError {
    /// What it would have asked for.
    Missing(Keys),
    Job(JobError),
}

impl From<InputError> for JobError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

#[derive(Debug)]
enum Phase {
    /// Nothing has run yet.
    New,
    /// Guessing from this position on, then ask.
    Guess(usize),
    Run,
}

/// Misses of exact runs, while building.
#[derive(Debug, Default)]
struct Stuck {
    /// Position of the transaction that missed last.
    at: usize,
    /// Its rounds.
    rounds: u32,
    /// Those that did not come much further, and the gas limits of their runs.
    vain: u32,
    gas: u64,
    /// The same gas of all transactions.
    all_gas: u64,
}

impl Stuck {
    fn count(&mut self, at: usize, gas: u64, came_further: bool) {
        if self.at != at {
            (self.at, self.rounds, self.vain, self.gas) = (at, 0, 0, 0);
        }
        self.rounds += 1;
        if !came_further {
            self.vain += 1;
            self.gas = self.gas.saturating_add(gas);
            self.all_gas = self.all_gas.saturating_add(gas);
        }
    }
}

/// Executes one block. Every step either asks, stops at its work limit, or ends.
#[derive(Debug)]
pub struct BlockJob {
    plan: Plan,
    state: JobState,
    done: Committed,
    phase: Phase,
    exchange: Exchange,
    schedule: Schedule,
    /// Hints that say what transactions write; empty without.
    given: Vec<u8>,
    hints: Keys,
    rounds_max: u32,
    stuck: Stuck,
    ommers_hash: B256,
    withdrawals_root: Option<B256>,
    stats: Stats,
}

impl BlockJob {
    /// Prepare; nothing is executed yet.
    ///
    /// # Errors
    /// Names `ommers` when one is so old or new that no block may have it.
    pub fn new(request: BlockRequest) -> InputResult<Self> {
        let BlockRequest { spec, env, batch, attached, cache, building, hints, system_calls, rounds_max, running } =
            request;
        let fork = env.fork(&spec);
        let txs: Vec<_> = batch
            .entries()
            .par_iter()
            .with_min_len(64)
            .map(|entry| entry.as_ref().ok().map(|decoded| evm::tx_env(decoded)))
            .collect();
        let listed: usize = txs.iter().flatten().map(|tx| tx.access_list.len() + tx.authorization_list.len() * 2).sum();
        let reads = fork.reads_max(env.gas_limit);
        let keys_max = KEYS_OF_PROTOCOL
            .saturating_add(reads)
            .saturating_add(txs.len().saturating_mul(GUESSED_KEYS_MAX + 2))
            .saturating_add(listed)
            .saturating_add(attached.withdrawals.as_ref().map_or(0, Vec::len));
        let mut state = JobState::new(fork.spec_id(), cache, keys_max);
        if let Some(parent) = env.number.checked_sub(1) {
            state.set_parent(parent, env.parent_hash);
        }
        let mut counts = Stats::default();
        let (keys, list) =
            read_list("hints", &hints).ok().filter(|(keys, _)| keys.len() <= keys_max).unwrap_or_else(|| {
                counts.hints_ignored = 1;
                (Keys::default(), None)
            });
        // While building, places differ from those of the block that the list was made for.
        let list = list.filter(|_| !building);
        let given = if list.is_some() { hints } else { Vec::new() };
        let (before, after) = if system_calls {
            (protocol::before(&spec, &env, fork), protocol::after(&spec, &env, fork, &attached)?)
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Self {
            plan: Plan { spec, env, fork, batch, txs, before, after, building },
            state,
            done: Committed::default(),
            phase: Phase::New,
            exchange: Exchange::default(),
            schedule: Schedule::new(running, list),
            given,
            hints: keys,
            rounds_max,
            stuck: Stuck::default(),
            ommers_hash: attached.ommers_hash(),
            withdrawals_root: (fork >= Fork::Shanghai).then(|| attached.withdrawals_root()),
            stats: counts,
        })
    }

    /// Go on, with the answer to the last `Need` if there was one.
    ///
    /// # Errors
    /// The block breaks a rule; or the answer is not one to what was asked, and the right one may still be given.
    pub fn step(&mut self, values: Option<&RawValues<'_>>) -> Result<Step, JobError> {
        self.exchange.take_up(&mut self.state, values)?;
        self.stats.steps += 1;
        let result = self.advance();
        if !matches!(result, Ok(Step::Need(_) | Step::Progress)) {
            self.exchange.end();
        }
        result
    }

    /// Give the job an earlier block's hash, so that it is not asked for.
    pub fn put_block(&mut self, number: u64, hash: B256) {
        self.state.put_block(number, hash);
    }

    /// Execute to the end with what is at hand, asking and guessing nothing. Of a fresh job.
    ///
    /// # Errors
    /// As [`Self::step`], or the keys that the block lacks first.
    pub fn run_closed(mut self) -> Result<Box<BlockResult>, ClosedError> {
        loop {
            let (mut left, mut ahead) = (STEP_WORK, Runs::default());
            match sequential::run(&self.plan, &mut self.state, &mut self.done, &mut left, &mut ahead) {
                Pass::Done => break,
                Pass::Limit | Pass::Until => {}
                Pass::Missed => return Err(ClosedError::Missing(self.state.take_wanted())),
                Pass::Invalid(invalid) => return Err(ClosedError::Job(JobError::Invalid(invalid))),
                Pass::Fault(error) => return Err(ClosedError::Job(error.into())),
            }
        }
        self.finished().map_err(ClosedError::Job)
    }

    fn advance(&mut self) -> Result<Step, JobError> {
        if matches!(self.phase, Phase::New) {
            self.plan.prefetch(&mut self.state);
            let hinted = self.prefetch_hints();
            if !self.state.wants_nothing() {
                if hinted {
                    return self.ask();
                }
                self.phase = Phase::Guess(0);
            }
        }
        loop {
            if let Phase::Guess(from) = self.phase {
                return match sequential::guess(&self.plan, &mut self.state, &self.done, from, STEP_WORK) {
                    Some(position) => {
                        self.phase = Phase::Guess(position);
                        Ok(Step::Progress)
                    }
                    None => self.ask(),
                };
            }
            self.phase = Phase::Run;
            match self.schedule.run(&self.plan, &mut self.state, &mut self.done, STEP_WORK) {
                Pass::Done => return self.finish(),
                Pass::Limit | Pass::Until => return Ok(Step::Progress),
                Pass::Invalid(invalid) => return Err(JobError::Invalid(invalid)),
                Pass::Fault(error) => return Err(error.into()),
                Pass::Missed => {
                    self.stats.reexecutions += 1;
                    self.count_stuck();
                    self.phase = Phase::Guess(self.done.next);
                }
            }
        }
    }

    /// While building, a transaction that asks again and again is left out, and a block that does is closed.
    fn count_stuck(&mut self) {
        if !self.plan.building {
            return;
        }
        let at = self.done.next;
        let tx = self.plan.tx_at(at).and_then(|index| self.plan.txs.get(index)?.as_ref());
        self.stuck.count(at, tx.map_or(0, |tx| tx.gas_limit), self.state.came_further());
        let gas = self.plan.env.gas_limit;
        let in_vain = self.stuck.vain >= ROUNDS_OF_ONE_MIN && self.stuck.gas >= gas.saturating_mul(MISSED_GAS_OF_ONE);
        if self.stats.rounds >= BUILDING_ROUNDS_MAX || self.state.over_keys_max() {
            self.done.close(&self.plan);
        } else if self.stuck.rounds > self.rounds_max || in_vain {
            // Before the block is closed for its gas, or this one would come first in the next block again.
            self.done.give_up(&self.plan);
        } else if self.stuck.all_gas >= gas.saturating_mul(MISSED_GAS) {
            self.done.close(&self.plan);
        }
    }

    fn prefetch_hints(&mut self) -> bool {
        let hints = std::mem::take(&mut self.hints);
        for address in &hints.accounts {
            self.state.prefetch_account(*address);
        }
        for (address, slot) in &hints.slots {
            self.state.prefetch_slot(*address, *slot);
        }
        for hash in &hints.codes {
            self.state.prefetch_code(*hash);
        }
        let number = self.plan.env.number;
        for block in hints.blocks.iter().filter(|block| **block < number && number - **block <= BLOCK_HASHES) {
            self.state.prefetch_block(*block);
        }
        !hints.is_empty()
    }

    fn ask(&mut self) -> Result<Step, JobError> {
        if self.state.wants_nothing() {
            // Building went on past what missed.
            self.phase = Phase::Run;
            return Ok(Step::Progress);
        }
        let limit = if self.plan.building { u32::MAX } else { self.rounds_max };
        if self.stats.rounds >= limit {
            let index = self.plan.tx_at(self.done.next);
            let message = format!("needs more than {limit} rounds of state reads");
            return Err(JobError::Invalid(BlockInvalid::new(index, "too_many_rounds", message)));
        }
        if self.state.over_keys_max() && !self.plan.building {
            let index = self.plan.tx_at(self.done.next);
            let message = format!("reads more than {} keys", self.state.asked());
            return Err(JobError::Invalid(BlockInvalid::new(index, "too_many_keys", message)));
        }
        let asked = self.exchange.ask(&mut self.state);
        self.stats.rounds += 1;
        self.stats.misses += asked.len() as u64;
        self.phase = Phase::Run;
        Ok(Step::Need(asked))
    }

    fn finish(&mut self) -> Result<Step, JobError> {
        self.finished().map(Step::Done)
    }

    fn finished(&mut self) -> Result<Box<BlockResult>, JobError> {
        let fork = self.plan.fork;
        let done = std::mem::take(&mut self.done);
        let mut requests = done.requests;
        if fork >= Fork::Prague {
            let deposits = receipts::deposits(&done.receipts, self.plan.spec.deposit_contract())
                .map_err(|text| JobError::Invalid(BlockInvalid::new(None, "invalid_deposit_event", text)))?;
            if let Some(deposits) = deposits {
                requests.insert(0, deposits);
            }
        }
        let entries = self.plan.batch.entries();
        let raws: Vec<&[u8]> =
            done.included.iter().filter_map(|index| entries[*index].as_ref().ok()).map(|tx| &tx.raw[..]).collect();
        let state = &self.state;
        let ((summary, transactions_root), (write_set, (access_list, account_updates))) = rayon::join(
            || (receipts::summarize(&done.receipts), ordered_root(&raws)),
            || (state.write_set(), (pack_list(&state.used_keys(), state.links()), state.account_updates())),
        );
        self.stats.parallel = self.schedule.counts();
        self.stats.hints_wrong = u64::from(!self.given.is_empty() && self.given != access_list);
        let rooted = !done.states.is_empty();
        Ok(Box::new(BlockResult {
            gas_used: done.gas_used,
            receipts: if rooted { Vec::new() } else { summary.rlp },
            write_set,
            transactions_root,
            receipts_root: if rooted { B256::ZERO } else { summary.root },
            logs_bloom: summary.bloom,
            ommers_hash: self.ommers_hash,
            requests_hash: (fork >= Fork::Prague).then(|| receipts::requests_hash(&requests)),
            requests: requests.into_iter().filter(|request| request.len() > 1).collect(),
            withdrawals_root: self.withdrawals_root,
            blob_gas_used: (fork >= Fork::Cancun).then_some(done.blob_gas_used),
            included: done.included,
            dropped: done.dropped,
            access_list,
            account_updates,
            states: done.states,
            rootless: if rooted { done.receipts } else { Vec::new() },
            stats: self.stats,
        }))
    }
}

/// Header of an executed block.
#[must_use]
pub fn build_header(env: &BlockEnv, result: &BlockResult, spec: &Spec, state_root: B256) -> Header {
    let fork = env.fork(spec);
    Header::new(alloy_consensus::Header {
        parent_hash: env.parent_hash,
        ommers_hash: result.ommers_hash,
        beneficiary: env.beneficiary,
        state_root,
        transactions_root: result.transactions_root,
        receipts_root: result.receipts_root,
        logs_bloom: result.logs_bloom,
        difficulty: env.difficulty,
        number: env.number,
        gas_limit: env.gas_limit,
        gas_used: result.gas_used,
        timestamp: env.timestamp,
        extra_data: env.extra_data.clone(),
        mix_hash: env.prev_randao,
        nonce: env.nonce,
        base_fee_per_gas: (fork >= Fork::London).then_some(env.base_fee_per_gas),
        withdrawals_root: result.withdrawals_root,
        blob_gas_used: result.blob_gas_used,
        excess_blob_gas: (fork >= Fork::Cancun).then_some(env.excess_blob_gas),
        parent_beacon_block_root: (fork >= Fork::Cancun).then_some(env.parent_beacon_block_root),
        requests_hash: result.requests_hash,
        ..Default::default()
    })
}
