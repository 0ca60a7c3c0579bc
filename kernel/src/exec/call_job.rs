//! `eth_call` and `eth_estimateGas` behind the miss protocol.

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rlp::Decodable;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};

use super::cache::CacheView;
use super::estimate::{Next, Search, Trial};
use super::exchange::Exchange;
use super::need::{Keys, RawValues};
use super::overrides::{BlockOverrides, StateOverrides};
use super::prefetch::prefetch_tx;
use super::receipts::encode_logs;
use super::state::JobState;
use crate::error::{InputError, InputResult};
use crate::evm::{self, CancelFlag, Outcome, Purpose, Tx};
use crate::header::BlockEnv;
use crate::spec::Spec;
use crate::spec::blob::GAS_PER_BLOB;
use crate::tx::AddressRanges;
use crate::tx::schemes::SECP256K1;
use crate::tx::sign::scheme_id;

/// Rounds of questions that a call may take: a walk over a linked list takes one per element.
pub const CALL_ROUNDS_MAX: u32 = 4_096;
/// Keys that a call may read whatever its gas.
const KEYS_MIN: usize = 10_000;
/// Runs with other limits read other keys: an estimation may read this many times as many.
const ESTIMATE_KEYS_FACTOR: usize = 4;

/// Parameters of a [`CallJob`].
#[derive(Debug)]
pub struct CallRequest {
    pub spec: Spec,
    pub env: BlockEnv,
    pub sender: Address,
    /// `None` creates a contract.
    pub to: Option<Address>,
    /// Gas limit; for an estimation, the most that may come out (0: the block's gas limit).
    pub gas: u64,
    pub gas_price: Option<u128>,
    pub max_fee_per_gas: Option<u128>,
    pub max_priority_fee_per_gas: Option<u128>,
    /// Versioned hashes of a blob transaction (EIP-4844); `None` is none.
    pub blob_hashes: Option<Vec<B256>>,
    pub max_fee_per_blob_gas: Option<u128>,
    /// Wei.
    pub value: U256,
    pub data: Bytes,
    pub nonce: Option<u64>,
    pub access_list: AccessList,
    /// RLP list as in EIP-7702, empty for none.
    pub authorizations: Vec<u8>,
    /// Addresses that the transaction would promise to stay in: first and last, 40 bytes each.
    pub address_ranges: Vec<u8>,
    /// Scheme that its account would sign with, empty for secp256k1: its price counts.
    pub signature_scheme: String,
    /// JSON, empty for none.
    pub state_overrides: Vec<u8>,
    pub block_overrides: Vec<u8>,
    pub cache: Option<CacheView>,
    pub estimate: bool,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    Success,
    Revert,
    /// An error of the EVM, or the call could not begin.
    Halt,
}

impl CallStatus {
    /// The name at the border.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Revert => "revert",
            Self::Halt => "halt",
        }
    }
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    pub status: CallStatus,
    pub output: Bytes,
    pub gas_used: u64,
    /// geth's text, empty on success.
    pub error: String,
    /// RLP list.
    pub logs: Vec<u8>,
    /// Gas limit found, for an estimation that succeeded.
    pub estimate: Option<u64>,
}

/// What a step comes back with.
#[derive(Debug)]
pub enum CallStep {
    Need(Keys),
    Progress,
    Done(Box<CallResult>),
}

/// Why a step fails.
#[derive(Debug, PartialEq, Eq)]
pub enum CallError {
    Input(InputError),
    Cancelled,
}

impl From<InputError> for CallError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// One call.
#[derive(Debug)]
pub struct CallJob {
    spec: Spec,
    env: BlockEnv,
    tx: Tx,
    /// Wei per gas that the sender is ready to pay; 0 asks for no funds.
    fee_cap: u128,
    state: JobState,
    overrides: StateOverrides,
    overridden: bool,
    blob_base_fee: Option<u128>,
    /// Estimations: whether wanted, the most gas asked for, and the search once it can begin.
    estimate: bool,
    gas: u64,
    search: Option<Search>,
    /// What is known before anything runs has been asked for.
    prefetched: bool,
    exchange: Exchange,
    rounds: u32,
    cancel: CancelFlag,
}

/// What one run of the call showed.
enum Run {
    /// With the undefined opcode that ended it, and the items that it adds to the state.
    Done(ExecutionResult, Option<u8>, u64),
    Invalid(InvalidTransaction),
    Missed,
}

impl CallJob {
    /// Prepare; nothing runs yet. `cancel` ends the job soon after it is set.
    ///
    /// # Errors
    /// Names the parameter that is malformed or contradicts another.
    pub fn new(request: CallRequest, cancel: CancelFlag) -> InputResult<Self> {
        let mut env = request.env;
        let overrides = StateOverrides::parse(&request.state_overrides)?;
        let block = BlockOverrides::apply(&request.block_overrides, &mut env)?;
        let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
        if request.gas_price.is_some() && dynamic {
            let both = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
            return Err(InputError::new("gas_price", "one kind of price", both));
        }
        let fee_cap = request.gas_price.or(request.max_fee_per_gas).unwrap_or_default();
        let tip = request.max_priority_fee_per_gas.unwrap_or_default();
        let free = fee_cap == 0 && tip == 0;
        if free {
            // geth: without a price, the base fee is not checked and reads as 0.
            env.base_fee_per_gas = 0;
        }
        let authorization_list = if request.authorizations.is_empty() {
            Vec::new()
        } else {
            let mut rest = request.authorizations.as_slice();
            let signed: Vec<alloy_eips::eip7702::SignedAuthorization> = Decodable::decode(&mut rest)
                .map_err(|error| InputError::new("authorizations", "an RLP list of authorizations", error))?;
            if !rest.is_empty() {
                return Err(InputError::new("authorizations", "the end after the list", "more bytes"));
            }
            evm::recovered_authorizations(&signed)
        };
        let fork = env.fork(&request.spec);
        let tx_type = match () {
            () if !authorization_list.is_empty() => 4,
            () if request.blob_hashes.is_some() => 3,
            () if dynamic && !free => 2,
            () if !request.access_list.is_empty() => 1,
            () => 0,
        };
        let reads = fork.reads_max(request.gas.max(env.gas_limit));
        let factor = if request.estimate { ESTIMATE_KEYS_FACTOR } else { 1 };
        let keys_max = reads.saturating_mul(factor).saturating_add(KEYS_MIN).saturating_add(overrides.0.len());
        let mut state = JobState::new(fork.spec_id(), request.cache, keys_max);
        if let Some(parent) = env.number.checked_sub(1)
            && !block.renumbered
        {
            state.set_parent(parent, env.parent_hash);
        }
        let (ranges, extra_gas) = envelope(&request.spec, &request.address_ranges, &request.signature_scheme)?;
        let ethereum = TxEnv {
            tx_type,
            caller: request.sender,
            gas_limit: request.gas,
            gas_price: fee_cap,
            kind: request.to.map_or(TxKind::Create, TxKind::Call),
            value: request.value,
            data: request.data,
            nonce: request.nonce.unwrap_or_default(),
            chain_id: Some(request.spec.chain_id()),
            access_list: request.access_list,
            gas_priority_fee: (dynamic && !free).then_some(tip),
            max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
            blob_hashes: request.blob_hashes.unwrap_or_default(),
            authorization_list,
        };
        let tx = Tx::from(evm::Body { envelope_type: ethereum.tx_type, ethereum, extra_gas, ranges });
        // geth: without a price for blobs, theirs reads as 0.
        let blob_base_fee = if tx.tx_type == 3 && tx.max_fee_per_blob_gas == 0 { Some(0) } else { block.blob_base_fee };
        Ok(Self {
            spec: request.spec,
            env,
            tx,
            fee_cap,
            state,
            overrides,
            overridden: false,
            blob_base_fee,
            estimate: request.estimate,
            gas: request.gas,
            search: None,
            prefetched: false,
            exchange: Exchange::default(),
            rounds: 0,
            cancel,
        })
    }

    /// Go on, with the answer to the last `Need` if there was one.
    ///
    /// # Errors
    /// The answer is not one to what was asked; or the job was cancelled.
    pub fn step(&mut self, values: Option<&RawValues<'_>>) -> Result<CallStep, CallError> {
        if self.cancel.is_set() {
            self.exchange.end();
            return Err(CallError::Cancelled);
        }
        self.exchange.take_up(&mut self.state, values)?;
        let result = self.advance();
        if !matches!(result, Ok(CallStep::Need(_) | CallStep::Progress)) {
            self.exchange.end();
        }
        result
    }

    fn advance(&mut self) -> Result<CallStep, CallError> {
        if !std::mem::replace(&mut self.prefetched, true) {
            self.prefetch();
        }
        if !self.overridden {
            let accounts: Vec<Address> = self.overrides.0.keys().copied().collect();
            for address in accounts.into_iter().chain([self.tx.caller, evm::target(&self.tx)]) {
                self.state.prefetch_account(address);
            }
            if !self.state.wants_nothing() {
                return self.ask();
            }
            self.overrides.apply(&mut self.state);
            self.overridden = true;
        }
        if self.estimate { self.advance_search() } else { self.advance_call() }
    }

    fn prefetch(&mut self) {
        self.state.prefetch_account(self.env.beneficiary);
        prefetch_tx(&mut self.state, &self.tx);
    }

    fn ask(&mut self) -> Result<CallStep, CallError> {
        if self.rounds >= CALL_ROUNDS_MAX || self.state.over_keys_max() {
            let got = format!("{} rounds, {} keys", self.rounds, self.state.asked());
            return Err(InputError::new("call", "a call that reads less state", got).into());
        }
        self.rounds += 1;
        Ok(CallStep::Need(self.exchange.ask(&mut self.state)))
    }

    /// Run once with `gas`. After a miss, run on with guesses to find more keys for the same round.
    fn run(&mut self, gas: u64) -> Result<Run, CallError> {
        let mut tx = self.tx.clone();
        tx.gas_limit = gas;
        let mut evm = evm::build(&self.spec, &self.env, &mut self.state, Purpose::Call, Some(&self.cancel));
        if let Some(fee) = self.blob_base_fee {
            evm::set_blob_base_fee(&mut evm, fee);
        }
        let outcome = if self.overrides.names_precompiles(|address| evm::is_precompile(&evm, address)) {
            let mut redirect = self.overrides.redirect(|address| evm::is_precompile(&evm, address))?;
            let (back, outcome) = evm::run_inspected(evm, tx.clone(), &mut redirect);
            evm = back;
            outcome
        } else {
            evm::run_exact(&mut evm, tx.clone())
        };
        match outcome {
            Outcome::Done(result, changes) => {
                let opcode = evm::undefined_opcode(&evm);
                Ok(Run::Done(result, opcode, evm::state_of(&mut evm).growth(&changes)))
            }
            Outcome::Invalid(error) => Ok(Run::Invalid(error)),
            Outcome::Fault(error) => Err(error.into()),
            Outcome::Cancelled => Err(CallError::Cancelled),
            Outcome::Missed => {
                evm::run_guessing(&mut evm, tx);
                if self.cancel.is_set() { Err(CallError::Cancelled) } else { Ok(Run::Missed) }
            }
        }
    }

    fn advance_call(&mut self) -> Result<CallStep, CallError> {
        match self.run(self.gas)? {
            Run::Missed => self.ask(),
            Run::Done(result, opcode, _) => Ok(CallStep::Done(Box::new(result_of(result, opcode)))),
            Run::Invalid(error) => {
                let text = self.invalid_text(&error);
                Ok(halted(format!("err: {text} (supplied gas {})", self.gas)))
            }
        }
    }

    fn invalid_text(&self, error: &InvalidTransaction) -> String {
        evm::invalid_call_text(error, &self.tx, &self.spec, self.env.base_fee_per_gas)
    }

    /// Bounds of the search, once sender and recipient are known; or why there is none.
    fn begin_search(&mut self) -> Result<Search, String> {
        let mut high = if self.gas >= super::estimate::TRANSFER_GAS { self.gas } else { self.env.gas_limit };
        if let Some(cap) = self.spec.tx_gas_limit_cap(self.env.number, self.env.timestamp) {
            high = high.min(cap);
        }
        if self.fee_cap > 0 {
            let (_, balance) = self.state.account_now(self.tx.caller).unwrap_or_default();
            let Some(available) = balance.checked_sub(self.tx.value).filter(|left| !left.is_zero()) else {
                return Err("insufficient funds for transfer".into());
            };
            let blob_gas = U256::from(self.tx.blob_hashes.len() as u64 * GAS_PER_BLOB);
            let blob_fees = blob_gas.saturating_mul(U256::from(self.tx.max_fee_per_blob_gas));
            let Some(available) = available.checked_sub(blob_fees).filter(|left| !left.is_zero()) else {
                return Err("insufficient funds for gas * price + value".into());
            };
            high = high.min((available / U256::from(self.fee_cap)).saturating_to());
        }
        let plain = self.tx.data.is_empty()
            && matches!(self.tx.kind, TxKind::Call(to) if !self.state.has_code(to))
            && self.tx.authorization_list.is_empty();
        Ok(Search::new(high, plain))
    }

    fn advance_search(&mut self) -> Result<CallStep, CallError> {
        if self.search.is_none() {
            match self.begin_search() {
                Ok(search) => self.search = Some(search),
                Err(text) => return Ok(halted(text)),
            }
        }
        let Some((limit, at_highest, high)) = self.search.as_ref().map(|s| (s.limit(), s.at_highest(), s.high()))
        else {
            return Ok(CallStep::Progress);
        };
        let growth_max = self.spec.vm().growth_caps.of_transaction();
        let trial = match self.run(limit)? {
            Run::Missed => return self.ask(),
            // No block would take it, whatever its gas limit.
            Run::Done(ExecutionResult::Success { .. }, _, items) if items > growth_max => {
                let text = format!("state growth too large: {items} items, limit of a transaction {growth_max}");
                return Ok(halted(text));
            }
            Run::Done(ExecutionResult::Success { gas, output, logs, .. }, ..) => {
                let trial = Trial::Success {
                    gas_used: gas.tx_gas_used(),
                    gas_peak: gas.total_gas_spent().max(gas.floor_gas()),
                };
                let next = self.search.as_mut().map(|search| search.take(trial));
                return Ok(match next {
                    Some(Next::Found(estimate)) => CallStep::Done(Box::new(CallResult {
                        status: CallStatus::Success,
                        output: output.into_data(),
                        gas_used: gas.tx_gas_used(),
                        error: String::new(),
                        logs: encode_logs(&logs),
                        estimate: Some(estimate),
                    })),
                    _ => CallStep::Progress,
                });
            }
            Run::Done(result, opcode, _) => {
                if at_highest && !matches!(result, ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }) {
                    return Ok(CallStep::Done(Box::new(result_of(result, opcode))));
                }
                Trial::Failure
            }
            // The limit does not cover what is charged before the code runs: raise it.
            Run::Invalid(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            ) => Trial::Failure,
            Run::Invalid(error) => {
                let text = self.invalid_text(&error);
                return Ok(halted(format!("failed with {limit} gas: {text}")));
            }
        };
        match self.search.as_mut().map(|search| search.take(trial)) {
            Some(Next::Hopeless) => Ok(halted(format!("gas required exceeds allowance ({high})"))),
            Some(Next::Found(estimate)) => Ok(CallStep::Done(Box::new(CallResult {
                status: CallStatus::Success,
                output: Bytes::new(),
                gas_used: estimate,
                error: String::new(),
                logs: encode_logs(&[]),
                estimate: Some(estimate),
            }))),
            _ => Ok(CallStep::Progress),
        }
    }
}

/// What the chain's envelope would add to a call: its ranges, and the gas of both.
///
/// # Errors
/// Names what is malformed, or not turned on by the chain spec.
pub fn envelope(spec: &Spec, ranges: &[u8], scheme: &str) -> InputResult<(AddressRanges, u64)> {
    let ranges = AddressRanges::from_packed(ranges)?;
    let vm = spec.vm();
    if !ranges.is_empty() && !vm.address_ranges {
        return Err(InputError::new("address_ranges", "none, since the chain spec turns them off", "some"));
    }
    let id = scheme_id(scheme)?;
    if id != SECP256K1 && vm.schemes.get(id).is_none() {
        return Err(InputError::new("signature_scheme", "one that the chain spec turns on", scheme));
    }
    let gas = vm.schemes.envelope_gas(id, ranges.as_slice().len());
    Ok((ranges, gas))
}

fn halted(error: String) -> CallStep {
    CallStep::Done(Box::new(CallResult {
        status: CallStatus::Halt,
        output: Bytes::new(),
        gas_used: 0,
        error,
        logs: encode_logs(&[]),
        estimate: None,
    }))
}

fn result_of(result: ExecutionResult, undefined: Option<u8>) -> CallResult {
    let gas_used = result.tx_gas_used();
    let (status, error) = match &result {
        ExecutionResult::Success { .. } => (CallStatus::Success, String::new()),
        ExecutionResult::Revert { .. } => (CallStatus::Revert, "execution reverted".to_owned()),
        ExecutionResult::Halt { reason: HaltReason::OpcodeNotFound, .. } => {
            let text = undefined.map_or_else(
                || "invalid opcode".to_owned(),
                |opcode| format!("invalid opcode: opcode {opcode:#x} not defined"),
            );
            (CallStatus::Halt, text)
        }
        ExecutionResult::Halt { reason, .. } => (CallStatus::Halt, evm::halt_text(reason).to_owned()),
    };
    let logs = encode_logs(result.logs());
    CallResult { status, output: result.into_output().unwrap_or_default(), gas_used, error, logs, estimate: None }
}
