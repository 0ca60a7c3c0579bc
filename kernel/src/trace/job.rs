//! Tracing behind the miss protocol: earlier transactions of the block are run as they are, the wanted ones under an
//! inspector.

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::state::EvmState;
use revm_inspectors::access_list::AccessListInspector;
use thiserror::Error;

use super::args::CallArgs;
use super::calls::string;
use super::config::Tracer;
use super::flat::Place;
use super::prestate;
use super::recorder::Recorder;
use super::render::{Rendering, error_text};
use crate::error::{InputError, InputResult};
use crate::evm::system::{self, SystemCall};
use crate::evm::{self, CancelFlag, Outcome, Purpose, Tx};
use crate::exec::block_job::STEP_WORK;
use crate::exec::cache::CacheView;
use crate::exec::call_job::CALL_ROUNDS_MAX;
use crate::exec::exchange::Exchange;
use crate::exec::need::{Keys, RawValues};
use crate::exec::overrides::{BlockOverrides, StateOverrides};
use crate::exec::prefetch::prefetch_tx;
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::Spec;
use crate::tx::TxBatch;
use crate::views::{Object, data};

/// Most bytes of all answers of one job, and of what is recorded for one of them: what one message between services
/// holds with room to spare.
pub const OUTPUT_BYTES_MAX: usize = 48 << 20;
/// Calls that one job takes.
pub const CALLS_MAX: usize = 1_000;
/// Runs until an access list names everything that a call with it touches: every run adds to the list, and contracts
/// that hide state behind their own gas left must not hold a worker.
const ACCESS_LIST_RUNS_MAX: u32 = 64;
/// Keys that a job may read whatever its gas.
const KEYS_MIN: usize = 20_000;

/// A call to trace, with its own tracer or the job's.
#[derive(Debug, Clone)]
pub struct TracedCall {
    pub args: CallArgs,
    pub tracer: Option<Tracer>,
}

/// Parameters of a [`TraceJob`].
#[derive(Debug)]
pub struct TraceRequest {
    pub spec: Spec,
    /// Of the block whose transactions run.
    pub env: BlockEnv,
    /// Its hash, for answers that name it.
    pub block_hash: Option<B256>,
    /// Transactions of the block in order, as many as are needed.
    pub batch: TxBatch,
    /// The first that is traced; those before are only run.
    pub first: usize,
    /// The block's own calls before its first transaction are made.
    pub system_calls: bool,
    /// Traced after the transactions, one on the other.
    pub calls: Vec<TracedCall>,
    /// Most gas of a call, and what one gets that names none.
    pub gas_max: u64,
    pub tracer: Tracer,
    /// JSON, of calls; empty for none.
    pub state_overrides: Vec<u8>,
    pub block_overrides: Vec<u8>,
    pub cache: Option<CacheView>,
    pub output_bytes_max: usize,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// JSON in the tracer's shape.
    pub json: Vec<u8>,
    pub gas_used: u64,
}

/// What a step comes back with.
#[derive(Debug)]
pub enum TraceStep {
    Need(Keys),
    Progress,
    /// One answer per traced transaction, then per call.
    Done(Vec<Traced>),
}

/// Why a step fails.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    #[error("{0}")]
    Input(#[from] InputError),
    #[error("cancelled")]
    Cancelled,
    /// The transaction or call cannot begin on this state; the text is geth's.
    #[error("tracing failed: {0}")]
    Invalid(String),
    #[error("the trace needs more than {0} bytes; ask for less, e.g. with limit or disableStack")]
    TooLarge(usize),
}

/// Traces transactions of one block, or calls on top of it.
#[derive(Debug)]
pub struct TraceJob {
    request: TraceRequest,
    call_env: BlockEnv,
    blob_base_fee: Option<u128>,
    overrides: StateOverrides,
    overridden: bool,
    before: Vec<SystemCall>,
    txs: Vec<Tx>,
    state: JobState,
    exchange: Exchange,
    prefetched: bool,
    /// Position in system calls, transactions, calls.
    next: usize,
    done: Vec<Traced>,
    output_bytes: usize,
    /// The access list found so far for the call at `next`.
    listed: Option<(AccessList, u32)>,
    rounds: u32,
    cancel: CancelFlag,
}

enum Item {
    System(SystemCall),
    Tx(usize),
    Call(usize),
}

impl TraceJob {
    /// Prepare; nothing runs yet. `cancel` ends the job soon after it is set.
    ///
    /// # Errors
    /// Names the parameter that is malformed.
    pub fn new(mut request: TraceRequest, cancel: CancelFlag) -> InputResult<Self> {
        let overrides = StateOverrides::parse(&request.state_overrides)?;
        let mut call_env = request.env.clone();
        let block = BlockOverrides::apply(&request.block_overrides, &mut call_env)?;
        if request.calls.len() > CALLS_MAX {
            return Err(InputError::new("calls", format!("at most {CALLS_MAX}"), request.calls.len()));
        }
        let mut txs = Vec::with_capacity(request.batch.len());
        for (index, entry) in request.batch.entries().iter().enumerate() {
            match entry {
                Ok(decoded) => txs.push(evm::tx_env(decoded)),
                Err(refused) => {
                    return Err(InputError::new(
                        format!("batch[{index}]"),
                        "a valid transaction",
                        &refused.error.message,
                    ));
                }
            }
        }
        let fork = request.env.fork(&request.spec);
        let gas = request.calls.iter().map(|call| call.args.gas.unwrap_or(request.gas_max).min(request.gas_max));
        let gas = gas.fold(request.env.gas_limit, u64::saturating_add);
        let keys_max = fork
            .reads_max(gas)
            .saturating_add(KEYS_MIN)
            .saturating_add(overrides.0.len())
            .saturating_add(txs.len().saturating_mul(crate::exec::state::GUESSED_KEYS_MAX));
        let mut state = JobState::new(fork.spec_id(), request.cache.take(), keys_max);
        if let Some(parent) = request.env.number.checked_sub(1)
            && !block.renumbered
        {
            state.set_parent(parent, request.env.parent_hash);
        }
        let before = if request.system_calls { system::before(&request.env, fork) } else { Vec::new() };
        Ok(Self {
            request,
            call_env,
            blob_base_fee: block.blob_base_fee,
            overrides,
            overridden: false,
            before,
            txs,
            state,
            exchange: Exchange::default(),
            prefetched: false,
            next: 0,
            done: Vec::new(),
            output_bytes: 0,
            listed: None,
            rounds: 0,
            cancel,
        })
    }

    /// Go on, with the answer to the last `Need` if there was one.
    ///
    /// # Errors
    /// The answer is not one to what was asked, a transaction cannot run, the answers are too large, or the job was
    /// cancelled.
    pub fn step(&mut self, values: Option<&RawValues<'_>>) -> Result<TraceStep, TraceError> {
        if self.cancel.is_set() {
            self.exchange.end();
            return Err(TraceError::Cancelled);
        }
        self.exchange.take_up(&mut self.state, values)?;
        let result = self.advance();
        if !matches!(result, Ok(TraceStep::Need(_) | TraceStep::Progress)) {
            self.exchange.end();
        }
        result
    }

    fn item(&self) -> Option<Item> {
        if let Some(call) = self.before.get(self.next) {
            return Some(Item::System(call.clone()));
        }
        let position = self.next - self.before.len();
        if position < self.txs.len() {
            return Some(Item::Tx(position));
        }
        let call = position - self.txs.len();
        (call < self.request.calls.len()).then_some(Item::Call(call))
    }

    fn advance(&mut self) -> Result<TraceStep, TraceError> {
        if !std::mem::replace(&mut self.prefetched, true) {
            self.prefetch();
            if !self.state.wants_nothing() {
                return self.ask();
            }
        }
        let mut left = STEP_WORK;
        while let Some(item) = self.item() {
            if left == 0 {
                return Ok(TraceStep::Progress);
            }
            let gas = match item {
                Item::System(call) => self.system(&call)?,
                Item::Tx(index) if index < self.request.first => self.replay(index)?,
                Item::Tx(index) => self.trace_tx(index)?,
                Item::Call(index) => self.trace_call(index)?,
            };
            match gas {
                Some(gas) => left = left.saturating_sub(gas),
                None if self.state.wants_nothing() => return Ok(TraceStep::Progress),
                None => return self.ask(),
            }
        }
        Ok(TraceStep::Done(std::mem::take(&mut self.done)))
    }

    fn ask(&mut self) -> Result<TraceStep, TraceError> {
        if self.rounds >= CALL_ROUNDS_MAX || self.state.over_keys_max() {
            let got = format!("{} rounds, {} keys", self.rounds, self.state.asked());
            return Err(InputError::new("trace", "transactions that read less state", got).into());
        }
        self.rounds += 1;
        Ok(TraceStep::Need(self.exchange.ask(&mut self.state)))
    }

    fn prefetch(&mut self) {
        self.state.prefetch_account(self.request.env.beneficiary);
        self.state.prefetch_account(self.call_env.beneficiary);
        for call in &self.before {
            self.state.prefetch_account(call.address);
        }
        if !self.before.is_empty() {
            let fork = self.request.env.fork(&self.request.spec);
            for (address, slot) in system::slots(&self.request.env, fork) {
                self.state.prefetch_slot(address, slot);
            }
        }
        for tx in &self.txs {
            prefetch_tx(&mut self.state, tx);
        }
        for call in &self.request.calls {
            prefetch_tx(&mut self.state, &call.args.tx_env(0, 0, 0));
        }
        for address in self.overrides.0.keys() {
            self.state.prefetch_account(*address);
        }
    }

    /// Gas used, or `None` for a miss.
    fn system(&mut self, call: &SystemCall) -> Result<Option<u64>, TraceError> {
        if !self.state.prefetch_account(call.address) {
            return Ok(None);
        }
        if !self.state.has_code(call.address) {
            self.next += 1;
            return Ok(Some(0));
        }
        let env = &self.request.env;
        let mut evm = evm::build(&self.request.spec, env, &mut self.state, Purpose::Block, Some(&self.cancel));
        match evm::run_system(&mut evm, call.address, call.data.clone()) {
            Outcome::Done(result, changes) => {
                self.state.commit(changes);
                self.next += 1;
                Ok(Some(result.tx_gas_used()))
            }
            Outcome::Missed => Ok(None),
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(TraceError::Cancelled),
            Outcome::Invalid(error) => Err(TraceError::Invalid(error.to_string())),
        }
    }

    fn replay(&mut self, index: usize) -> Result<Option<u64>, TraceError> {
        let tx = self.txs[index].clone();
        let env = &self.request.env;
        let mut evm = evm::build(&self.request.spec, env, &mut self.state, Purpose::Block, Some(&self.cancel));
        match evm::run_exact(&mut evm, tx.clone()) {
            Outcome::Done(result, changes) => {
                self.state.commit(changes);
                self.next += 1;
                Ok(Some(result.tx_gas_used()))
            }
            Outcome::Missed => {
                evm::run_guessing(&mut evm, tx);
                if self.cancel.is_set() { Err(TraceError::Cancelled) } else { Ok(None) }
            }
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(TraceError::Cancelled),
            Outcome::Invalid(error) => {
                let text = evm::invalid_call_text(&error, &tx, &self.request.spec, env.base_fee_per_gas);
                Err(TraceError::Invalid(format!("transaction {index}: {text}")))
            }
        }
    }

    fn trace_tx(&mut self, index: usize) -> Result<Option<u64>, TraceError> {
        let tx = self.txs[index].clone();
        let tracer = self.request.tracer.clone();
        let env = self.request.env.clone();
        let place = Place {
            block_hash: self.request.block_hash,
            block_number: Some(env.number),
            transaction_hash: self.request.batch.get(index).map(|decoded| decoded.hash),
            transaction_index: Some(index),
        };
        let Some((result, recorder, changes)) = self.run(&tracer, &env, Purpose::Block, tx.clone())? else {
            return Ok(None);
        };
        self.finish(&tracer, &result, recorder, changes, &tx, place)
    }

    fn trace_call(&mut self, index: usize) -> Result<Option<u64>, TraceError> {
        if !self.overridden {
            let accounts: Vec<Address> = self.overrides.0.keys().copied().collect();
            let mut known = true;
            for address in accounts {
                known &= self.state.prefetch_account(address);
            }
            if !known {
                return Ok(None);
            }
            self.overrides.apply(&mut self.state);
            self.overridden = true;
        }
        let call = self.request.calls[index].clone();
        let sender = call.args.from.unwrap_or_default();
        if !self.state.prefetch_account(sender) {
            return Ok(None);
        }
        let nonce = self.state.account_now(sender).map_or(0, |(nonce, _)| nonce);
        let gas = call.args.gas.unwrap_or(self.request.gas_max).min(self.request.gas_max);
        let mut env = self.call_env.clone();
        if call.args.is_free() {
            env.base_fee_per_gas = 0;
        }
        let (ranges, extra_gas) = call.args.envelope(&self.request.spec)?;
        let ethereum = call.args.tx_env(self.request.spec.chain_id(), gas, nonce);
        let tx = Tx::from(evm::Body { envelope_type: ethereum.tx_type, ethereum, extra_gas, ranges });
        let tracer = call.tracer.unwrap_or_else(|| self.request.tracer.clone());
        if tracer == Tracer::AccessList {
            return self.list_access(&env, tx);
        }
        let Some((result, recorder, changes)) = self.run(&tracer, &env, Purpose::Call, tx.clone())? else {
            return Ok(None);
        };
        let place = Place { block_number: Some(env.number), ..Place::default() };
        self.finish(&tracer, &result, recorder, changes, &tx, place)
    }

    /// Run under a recorder; `None` for a miss.
    #[allow(clippy::type_complexity)] // three values that go together once
    fn run(
        &mut self,
        tracer: &Tracer,
        env: &BlockEnv,
        purpose: Purpose,
        tx: impl Into<Tx>,
    ) -> Result<Option<(ExecutionResult, Recorder, EvmState)>, TraceError> {
        let tx = tx.into();
        let bytes_max = self.request.output_bytes_max.saturating_sub(self.output_bytes);
        let mut recorder = Recorder::new(tracer, bytes_max);
        if recorder.touched.is_some() {
            let delegate = prestate::delegate_of(&mut self.state, &tx);
            if let Some(touched) = &mut recorder.touched {
                touched.begin(&tx, env.beneficiary, delegate);
            }
        }
        if let Some((list, _)) = &self.listed {
            recorder.access = Some(AccessListInspector::new(list.clone()));
        }
        let mut evm = evm::build(&self.request.spec, env, &mut self.state, purpose, Some(&self.cancel));
        if purpose == Purpose::Call {
            // geth: without a price for blobs, theirs reads as 0.
            let free = (tx.tx_type == 3 && tx.max_fee_per_blob_gas == 0).then_some(0);
            if let Some(fee) = free.or(self.blob_base_fee) {
                evm::set_blob_base_fee(&mut evm, fee);
            }
        }
        if purpose == Purpose::Call {
            recorder.redirect = self.overrides.redirect(|address| evm::is_precompile(&evm, address))?;
        }
        let (mut evm, outcome) = evm::run_inspected(evm, tx.clone(), &mut recorder);
        match outcome {
            Outcome::Missed => {
                evm::run_guessing(&mut evm, tx);
                if self.cancel.is_set() { Err(TraceError::Cancelled) } else { Ok(None) }
            }
            _ if recorder.overflowed() => Err(TraceError::TooLarge(self.request.output_bytes_max)),
            Outcome::Done(result, changes) => Ok(Some((result, recorder, changes))),
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(TraceError::Cancelled),
            Outcome::Invalid(error) => {
                Err(TraceError::Invalid(evm::invalid_call_text(&error, &tx, &self.request.spec, env.base_fee_per_gas)))
            }
        }
    }

    /// Render, fold the changes in, go on; `None` when rendering needs more of the state.
    fn finish(
        &mut self,
        tracer: &Tracer,
        result: &ExecutionResult,
        mut recorder: Recorder,
        changes: EvmState,
        tx: &TxEnv,
        place: Place,
    ) -> Result<Option<u64>, TraceError> {
        let gas_used = result.tx_gas_used();
        let whole = !matches!(tracer, Tracer::Parity(_));
        if let Some(calls) = recorder.calls.as_mut().filter(|_| whole) {
            calls.set_transaction_gas(tx.gas_limit, gas_used);
        }
        let mut json = Vec::new();
        let mut rendering =
            Rendering { state: &mut self.state, recorder: &mut recorder, result, after: &changes, place };
        if rendering.render(tracer, &mut json).is_none() {
            return Ok(None);
        }
        self.push(json, gas_used)?;
        self.state.commit(changes);
        self.next += 1;
        Ok(Some(gas_used))
    }

    fn push(&mut self, json: Vec<u8>, gas_used: u64) -> Result<(), TraceError> {
        self.output_bytes += json.len();
        if self.output_bytes > self.request.output_bytes_max {
            return Err(TraceError::TooLarge(self.request.output_bytes_max));
        }
        self.done.push(Traced { json, gas_used });
        Ok(())
    }

    /// `eth_createAccessList`: run with the list found so far until a run finds nothing new (geth: `AccessList`).
    fn list_access(&mut self, env: &BlockEnv, mut tx: Tx) -> Result<Option<u64>, TraceError> {
        let (list, runs) = self.listed.take().unwrap_or_else(|| (tx.access_list.clone(), 0));
        tx.access_list = list.clone();
        if tx.tx_type == 0 && !list.is_empty() {
            tx.tx_type = 1;
        }
        self.listed = Some((list.clone(), runs));
        let Some((result, recorder, _)) = self.run(&Tracer::AccessList, env, Purpose::Call, tx)? else {
            return Ok(None);
        };
        let found = recorder.access.map(AccessListInspector::into_access_list).unwrap_or_default();
        if found != list && runs < ACCESS_LIST_RUNS_MAX {
            self.listed = Some((found, runs + 1));
            return Ok(Some(result.tx_gas_used()));
        }
        self.listed = None;
        let mut json = Vec::new();
        Object::write(&mut json, |object| {
            object.array("accessList", found.iter(), |out, item| {
                Object::write(out, |object| {
                    object.data("address", item.address);
                    object.array("storageKeys", &item.storage_keys, |out, key| data(out, key.as_slice()));
                });
            });
            if let Some(error) = error_text(&result) {
                object.value("error", |out| string(out, &error));
            }
            object.quantity("gasUsed", result.tx_gas_used());
        });
        let gas = result.tx_gas_used();
        self.push(json, gas)?;
        self.next += 1;
        Ok(Some(gas))
    }
}
