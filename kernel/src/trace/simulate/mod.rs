//! `eth_simulateV1`: blocks of calls on top of a block, as geth's `simulator` makes them, behind the miss protocol.
//!
//! The state root of each block is computed by the caller, who has the trie: a step hands out the write set, [`SimulateJob::seal`]
//! takes the root.

mod block;
mod options;
mod render;

use std::cmp::Ordering;

use alloy_primitives::{B256, Bytes};
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use thiserror::Error;

pub use options::{Options, SimulatedBlock};

use self::block::{Building, Shown};
use super::config::{CallOptions, Tracer};
use super::job::OUTPUT_BYTES_MAX;
use super::recorder::Recorder;
use crate::error::{InputError, InputResult};
use crate::evm::system::SystemCall;
use crate::evm::{self, CancelFlag, Outcome, Purpose, Tx};
use crate::exec::block_job::STEP_WORK;
use crate::exec::cache::CacheView;
use crate::exec::call_job::CALL_ROUNDS_MAX;
use crate::exec::exchange::Exchange;
use crate::exec::need::{Keys, RawValues};
use crate::exec::overrides::StateOverrides;
use crate::exec::protocol::Action;
use crate::exec::state::JobState;
use crate::exec::write_set::WriteSet;
use crate::header::Header;
use crate::spec::Spec;

/// Keys that a simulation may read whatever its gas.
const KEYS_MIN: usize = 20_000;

/// Error codes of `eth_simulateV1`.
pub mod code {
    pub const NONCE_TOO_LOW: i32 = -38_010;
    pub const NONCE_TOO_HIGH: i32 = -38_011;
    pub const BASE_FEE_TOO_LOW: i32 = -38_012;
    pub const INTRINSIC_GAS: i32 = -38_013;
    pub const INSUFFICIENT_FUNDS: i32 = -38_014;
    pub const BLOCK_GAS_LIMIT: i32 = -38_015;
    pub const BLOCK_NUMBER: i32 = -38_020;
    pub const BLOCK_TIMESTAMP: i32 = -38_021;
    pub const INITCODE_SIZE: i32 = -38_025;
    pub const CLIENT_LIMIT: i32 = -38_026;
    pub const INTERNAL: i32 = -32_603;
    pub const INVALID_PARAMS: i32 = -32_602;
    pub const SERVER: i32 = -32_000;
    pub const VM: i32 = -32_015;
    pub const REVERTED: i32 = 3;
}

/// Parameters of a [`SimulateJob`].
#[derive(Debug)]
pub struct SimulateRequest {
    pub spec: Spec,
    /// The block simulated upon.
    pub base: Header,
    pub options: Options,
    /// Most gas of all calls together.
    pub gas_max: u64,
    pub cache: Option<CacheView>,
}

/// What a step comes back with.
#[derive(Debug)]
pub enum SimulateStep {
    Need(Keys),
    Progress,
    /// A block has been run: give its state root. Everything written since the base block.
    Seal(WriteSet),
    /// The JSON array of blocks.
    Done(Vec<u8>),
}

/// Why a step fails.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SimulateError {
    #[error("{0}")]
    Input(#[from] InputError),
    #[error("cancelled")]
    Cancelled,
    /// A JSON-RPC error with geth's code and text.
    #[error("{message}")]
    Refused { code: i32, message: String },
    #[error("the simulation needs more than {0} bytes")]
    TooLarge(usize),
}

fn refused(code: i32, message: impl Into<String>) -> SimulateError {
    SimulateError::Refused { code, message: message.into() }
}

/// One simulation.
#[derive(Debug)]
pub struct SimulateJob {
    spec: Spec,
    options: Options,
    parent: Header,
    state: JobState,
    exchange: Exchange,
    /// The block under work, and how many are done.
    building: Option<Building>,
    next: usize,
    sealing: bool,
    gas_pool: u64,
    out: Vec<u8>,
    rounds: u32,
    cancel: CancelFlag,
}

impl SimulateJob {
    /// Prepare; nothing runs yet.
    ///
    /// # Errors
    /// Blocks that are out of order, or too many.
    pub fn new(request: SimulateRequest, cancel: CancelFlag) -> Result<Self, SimulateError> {
        let SimulateRequest { spec, base, mut options, gas_max, cache } = request;
        options.complete(&base)?;
        let first = options.blocks.first().map_or((base.inner.number, base.inner.timestamp), |b| (b.number, b.time));
        let reads = spec.fork(first.0, first.1).reads_max(gas_max);
        let mut state = JobState::new(spec.spec_id(first.0, first.1), cache, reads.saturating_add(KEYS_MIN));
        state.set_parent(base.inner.number, base.hash);
        Ok(Self {
            spec,
            options,
            parent: base,
            state,
            exchange: Exchange::default(),
            building: None,
            next: 0,
            sealing: false,
            gas_pool: gas_max,
            out: Vec::new(),
            rounds: 0,
            cancel,
        })
    }

    /// Go on, with the answer to the last `Need` if there was one.
    ///
    /// # Errors
    /// The answer is not one to what was asked, a call cannot be in its block, or the job was cancelled.
    pub fn step(&mut self, values: Option<&RawValues<'_>>) -> Result<SimulateStep, SimulateError> {
        if self.cancel.is_set() {
            self.exchange.end();
            return Err(SimulateError::Cancelled);
        }
        if self.sealing {
            return Err(InputError::new("step", "the state root of the last block first", "a step").into());
        }
        self.exchange.take_up(&mut self.state, values)?;
        let result = self.advance();
        if matches!(result, Ok(SimulateStep::Done(_)) | Err(_)) {
            self.exchange.end();
        }
        result
    }

    /// The state root of the block that the last step gave the write set of.
    ///
    /// # Errors
    /// When no block waits for one.
    pub fn seal(&mut self, root: B256) -> InputResult<()> {
        let Some(building) = self.building.take().filter(|_| self.sealing) else {
            return Err(InputError::new("seal", "a block that waits for its root", "none"));
        };
        self.sealing = false;
        let header = Header::new(alloy_consensus::Header { state_root: root, ..building.header() });
        self.state.put_block(header.inner.number, header.hash);
        if self.next > 1 {
            self.out.push(b',');
        }
        render::block(&building, &header, self.options.full, &mut self.out);
        self.parent = header;
        Ok(())
    }

    fn advance(&mut self) -> Result<SimulateStep, SimulateError> {
        let mut left = STEP_WORK;
        loop {
            if self.out.len() > OUTPUT_BYTES_MAX {
                return Err(SimulateError::TooLarge(OUTPUT_BYTES_MAX));
            }
            if self.building.is_none() {
                let Some(block) = self.options.blocks.get(self.next) else {
                    let blocks = std::mem::take(&mut self.out);
                    return Ok(SimulateStep::Done([b"[", blocks.as_slice(), b"]"].concat()));
                };
                if !block.prefetch(&mut self.state) {
                    return self.ask();
                }
                let building = Building::begin(&self.spec, &self.parent, block, self.options.validation)?;
                self.next += 1;
                let evm = evm::build(&self.spec, &building.env, &mut self.state, Purpose::Call, None);
                redirect(&block.state, &evm)?;
                block.state.write(&mut self.state);
                self.building = Some(building);
            }
            let Some(mut building) = self.building.take() else { continue };
            let gas = self.item(&mut building);
            let is_done = building.is_done();
            self.building = Some(building);
            match gas? {
                Some(_) if is_done => {
                    self.sealing = true;
                    return Ok(SimulateStep::Seal(self.state.write_set()));
                }
                Some(gas) => {
                    left = left.saturating_sub(gas);
                    if left == 0 {
                        return Ok(SimulateStep::Progress);
                    }
                }
                None if self.state.wants_nothing() => return Ok(SimulateStep::Progress),
                None => return self.ask(),
            }
        }
    }

    fn ask(&mut self) -> Result<SimulateStep, SimulateError> {
        if self.rounds >= CALL_ROUNDS_MAX || self.state.over_keys_max() {
            let got = format!("{} rounds, {} keys", self.rounds, self.state.asked());
            return Err(InputError::new("simulation", "calls that read less state", got).into());
        }
        self.rounds += 1;
        Ok(SimulateStep::Need(self.exchange.ask(&mut self.state)))
    }

    /// Run the next call of the protocol or of the user; gas used, or `None` for a miss.
    fn item(&mut self, building: &mut Building) -> Result<Option<u64>, SimulateError> {
        match building.action().cloned() {
            Some(Action::Call(call)) => return self.system(building, &call),
            Some(action) => {
                if !action.prefetch(&mut self.state) {
                    return Ok(None);
                }
                action.apply(&mut self.state);
                building.after_action(None);
                return Ok(Some(0));
            }
            None => {}
        }
        if let Some(index) = building.next_call() {
            return self.call(building, index);
        }
        Ok(Some(0))
    }

    fn system(&mut self, building: &mut Building, call: &SystemCall) -> Result<Option<u64>, SimulateError> {
        if !self.state.prefetch_account(call.address) {
            return Ok(None);
        }
        if !self.state.has_code(call.address) {
            building.after_action(None);
            return Ok(Some(0));
        }
        let mut evm = evm::build(&self.spec, &building.env, &mut self.state, Purpose::Block, Some(&self.cancel));
        match evm::run_system(&mut evm, call.address, call.data.clone()) {
            Outcome::Done(result, changes) => {
                self.state.commit(changes);
                let gas = result.tx_gas_used();
                let request = call.request.map(|kind| {
                    let mut bytes = vec![kind];
                    bytes.extend_from_slice(result.output().map_or(&[], AsRef::as_ref));
                    Bytes::from(bytes)
                });
                building.after_action(request);
                Ok(Some(gas))
            }
            Outcome::Missed => Ok(None),
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(SimulateError::Cancelled),
            Outcome::Invalid(error) => Err(refused(code::INTERNAL, error.to_string())),
        }
    }

    fn call(&mut self, building: &mut Building, index: usize) -> Result<Option<u64>, SimulateError> {
        let args = building.calls[index].clone();
        let sender = args.from.unwrap_or_default();
        if !self.state.prefetch_account(sender) {
            return Ok(None);
        }
        let state = self.state.account_now(sender).map_or(0, |(nonce, _)| nonce);
        let nonce = args.nonce.unwrap_or(state);
        let room = building.env.gas_limit - building.gas_used;
        let wanted = args.gas.unwrap_or(room);
        if wanted > room {
            let text = format!("block gas limit reached: remaining: {room}, required: {wanted}");
            return Err(refused(code::BLOCK_GAS_LIMIT, text));
        }
        let gas = wanted.min(self.gas_pool);
        let ethereum = building.tx_env(&args, &self.spec, gas, nonce, self.options.validation);
        let (ranges, extra_gas) = args.envelope(&self.spec)?;
        let tx = Tx::from(evm::Body { envelope_type: ethereum.tx_type, ethereum, extra_gas, ranges });
        let mut recorder = Recorder::new(&Tracer::Calls(CallOptions::default()), OUTPUT_BYTES_MAX);
        let validation = self.options.validation;
        let mut evm = evm::build(&self.spec, &building.env, &mut self.state, Purpose::Call, Some(&self.cancel));
        evm::set_checks(&mut evm, validation, validation || !args.is_free());
        if let Some(fee) = building.blob_base_fee {
            evm::set_blob_base_fee(&mut evm, fee);
        }
        let block = &self.options.blocks[self.next - 1];
        recorder.redirect = redirect(&block.state, &evm)?;
        if validation {
            // geth looks at the nonce before the fees, revm after them.
            let error = match nonce.cmp(&state) {
                Ordering::Less => Some(InvalidTransaction::NonceTooLow { tx: nonce, state }),
                Ordering::Greater => Some(InvalidTransaction::NonceTooHigh { tx: nonce, state }),
                Ordering::Equal => (state == u64::MAX).then_some(InvalidTransaction::NonceOverflowInTransaction),
            };
            if let Some(error) = error {
                return Err(invalid(&error, &tx, &self.spec, state, building.env.base_fee_per_gas));
            }
        }
        let (mut evm, outcome) = evm::run_inspected(evm, tx.clone(), &mut recorder);
        match outcome {
            Outcome::Missed => {
                evm::run_guessing(&mut evm, tx);
                if self.cancel.is_set() { Err(SimulateError::Cancelled) } else { Ok(None) }
            }
            _ if recorder.overflowed() => Err(SimulateError::TooLarge(OUTPUT_BYTES_MAX)),
            Outcome::Done(result, changes) => {
                let gas_used = result.tx_gas_used();
                self.state.commit(changes);
                self.gas_pool = self.gas_pool.saturating_sub(gas_used);
                let calls = recorder.calls.unwrap_or_default();
                let shown = Shown { transfers: self.options.trace_transfers, gas_capped: gas < wanted };
                building.push(&args, &tx, &result, &calls, shown);
                Ok(Some(gas_used))
            }
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(SimulateError::Cancelled),
            Outcome::Invalid(error) => {
                let nonce = self.state.account_now(sender).map_or(0, |(nonce, _)| nonce);
                Err(invalid(&error, &tx, &self.spec, nonce, building.env.base_fee_per_gas))
            }
        }
    }
}

/// Where the precompiles are that a block's overrides name; geth's error where they cannot be moved.
fn redirect(overrides: &StateOverrides, evm: &evm::Evm<'_>) -> Result<evm::Redirect, SimulateError> {
    overrides.redirect(|address| evm::is_precompile(evm, address)).map_err(|error| refused(code::SERVER, error.got))
}

/// geth's `txValidationError`.
fn invalid(error: &InvalidTransaction, tx: &TxEnv, spec: &Spec, nonce: u64, base_fee: u64) -> SimulateError {
    use InvalidTransaction as I;
    let sender = tx.caller;
    let (number, text) = match error {
        I::NonceTooLow { tx, state } => {
            (code::NONCE_TOO_LOW, format!("nonce too low: address {sender}, tx: {tx} state: {state}"))
        }
        I::NonceTooHigh { tx, state } => {
            (code::NONCE_TOO_HIGH, format!("nonce too high: address {sender}, tx: {tx} state: {state}"))
        }
        I::NonceOverflowInTransaction => {
            (code::INTERNAL, format!("nonce has max value: address {sender}, nonce: {nonce}"))
        }
        other => {
            let number = match other {
                I::GasPriceLessThanBasefee => code::BASE_FEE_TOO_LOW,
                I::CallGasCostMoreThanGasLimit { .. } => code::INTRINSIC_GAS,
                I::LackOfFundForMaxFee { .. } | I::OverflowPaymentInTransaction => code::INSUFFICIENT_FUNDS,
                I::PriorityFeeGreaterThanMaxFee => code::INVALID_PARAMS,
                I::CreateInitCodeSizeLimit => code::INITCODE_SIZE,
                _ => code::INTERNAL,
            };
            (number, evm::invalid_call_text(other, tx, spec, base_fee))
        }
    };
    refused(number, format!("err: {text} (supplied gas {})", tx.gas_limit))
}
