//! A block while its calls run.

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_primitives::{Address, B64, B256, Bytes, Log, LogData, Signature, TxKind, U256, address, b256, keccak256};
use alloy_rlp::Encodable;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

use super::{SimulateError, SimulatedBlock, code};
use crate::evm::system::{self, SystemCall};
use crate::exec::overrides::BlockOverrides;
use crate::exec::receipts::{self, FailureReason, Receipt};
use crate::header::{BlockEnv, Header};
use crate::spec::{Fork, Spec};
use crate::trace::args::CallArgs;
use crate::trace::calls::{Calls, Frame, Kind};
use crate::trace::text;
use crate::trie::ordered_root;

/// Where transfers of value are said to be logged (`traceTransfers`).
const TRANSFER_LOGGER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER_TOPIC: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// Gas of one blob.
const GAS_PER_BLOB: u64 = 131_072;
/// EIP-7918: blobs cost at least what this much gas does.
const BLOB_BASE_COST: u128 = 8_192;

/// An error of a call, as JSON-RPC has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    pub code: i32,
    pub message: String,
    pub data: Option<Bytes>,
}

/// What one call came to.
#[derive(Debug, Clone)]
pub struct Simulated {
    pub args: CallArgs,
    pub sender: Address,
    pub kind: TxKind,
    pub tx_type: u8,
    pub nonce: u64,
    pub gas: u64,
    pub raw: Bytes,
    pub hash: B256,
    pub output: Bytes,
    /// With the place of each in the block.
    pub logs: Vec<(usize, Log)>,
    pub gas_used: u64,
    /// Before refunds.
    pub gas_peak: u64,
    pub error: Option<CallFailure>,
}

/// One block.
#[derive(Debug)]
pub struct Building {
    pub env: BlockEnv,
    pub fork: Fork,
    pub blob_base_fee: Option<u128>,
    pub chain_id: u64,
    pub calls: Vec<CallArgs>,
    pub done: Vec<Simulated>,
    pub gas_used: u64,
    deposit_contract: Option<Address>,
    before: Vec<SystemCall>,
    after: Vec<SystemCall>,
    /// System calls made, those before and after alike.
    systems: usize,
    receipts: Vec<Receipt>,
    requests: Vec<Bytes>,
    log_count: usize,
}

impl Building {
    pub(super) fn begin(
        spec: &Spec,
        parent: &Header,
        block: &SimulatedBlock,
        validation: bool,
    ) -> Result<Self, SimulateError> {
        let mut env = BlockEnv {
            parent_hash: parent.hash,
            number: block.number,
            timestamp: block.time,
            gas_limit: parent.inner.gas_limit,
            base_fee_per_gas: if validation { spec.next_base_fee(parent)? } else { 0 },
            beneficiary: parent.inner.beneficiary,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: block.beacon_root,
            extra_data: Bytes::new(),
            difficulty: parent.inner.difficulty,
            excess_blob_gas: 0,
            ..BlockEnv::default()
        };
        if spec.fork(block.number, block.time) >= Fork::Paris {
            env.difficulty = U256::ZERO;
        }
        let overrides = BlockOverrides::apply(&block.overrides, &mut env)?;
        let fork = env.fork(spec);
        if fork >= Fork::Cancun {
            env.excess_blob_gas = next_excess_blob_gas(spec, &parent.inner, &env, fork);
        }
        Ok(Self {
            blob_base_fee: overrides.blob_base_fee,
            chain_id: spec.chain_id(),
            calls: block.calls.clone(),
            done: Vec::new(),
            gas_used: 0,
            deposit_contract: spec.deposit_contract(),
            before: system::before(&env, fork),
            after: system::after(fork),
            systems: 0,
            receipts: Vec::new(),
            requests: Vec::new(),
            log_count: 0,
            env,
            fork,
        })
    }

    pub(super) fn system_call(&self) -> Option<&SystemCall> {
        match self.before.get(self.systems) {
            Some(call) => Some(call),
            None if self.done.len() < self.calls.len() => None,
            None => self.after.get(self.systems - self.before.len()),
        }
    }

    pub(super) fn after_system(&mut self, request: Option<Bytes>) {
        self.systems += 1;
        self.requests.extend(request);
    }

    pub(super) fn next_call(&self) -> Option<usize> {
        (self.done.len() < self.calls.len()).then_some(self.done.len())
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.len() == self.calls.len() && self.systems == self.before.len() + self.after.len()
    }

    /// The transaction of a call: of EIP-1559's type unless something else was named (geth: `ToTransaction`).
    pub(super) fn tx_env(&self, args: &CallArgs, spec: &Spec, gas: u64, nonce: u64) -> TxEnv {
        let mut tx = args.tx_env(spec.chain_id(), gas, nonce);
        tx.nonce = nonce;
        if tx.tx_type <= 1 && args.gas_price.is_none() && self.fork >= Fork::London {
            tx.tx_type = 2;
            tx.gas_priority_fee = Some(args.max_priority_fee_per_gas.unwrap_or_default());
        }
        tx
    }

    pub(super) fn push(
        &mut self,
        args: &CallArgs,
        tx: &TxEnv,
        result: &ExecutionResult,
        calls: &Calls,
        trace_transfers: bool,
    ) {
        let raw = encode(args, tx, self.chain_id);
        let gas_used = result.tx_gas_used();
        let gas = result.gas();
        let success = result.is_success();
        let root_error = calls.frames.first().and_then(|frame| frame.error.clone());
        let error = (!success).then(|| failure(result, root_error));
        let mut logs = Vec::new();
        if let Some(root) = calls.frames.first() {
            collect(calls, root, trace_transfers, success, &mut self.log_count, &mut logs);
        }
        self.gas_used += gas_used;
        self.receipts.push(Receipt {
            tx_type: tx.tx_type,
            success,
            state_root: None,
            cumulative_gas_used: self.gas_used,
            reason: FailureReason::of(result),
            logs: result.logs().to_vec(),
        });
        self.done.push(Simulated {
            args: args.clone(),
            sender: tx.caller,
            kind: tx.kind,
            tx_type: tx.tx_type,
            nonce: tx.nonce,
            gas: tx.gas_limit,
            hash: keccak256(&raw),
            raw,
            output: if success { result.output().cloned().unwrap_or_default() } else { Bytes::new() },
            logs,
            gas_used,
            gas_peak: gas.total_gas_spent().max(gas.floor_gas()),
            error,
        });
    }

    /// The header without its state root.
    pub(super) fn header(&self) -> alloy_consensus::Header {
        let raws: Vec<&[u8]> = self.done.iter().map(|call| call.raw.as_ref()).collect();
        let summary = receipts::summarize(&self.receipts);
        let mut requests = self.requests.clone();
        if let Ok(Some(deposits)) = receipts::deposits(&self.receipts, self.deposit_contract) {
            requests.insert(0, deposits);
        }
        let fork = self.fork;
        alloy_consensus::Header {
            parent_hash: self.env.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.env.beneficiary,
            transactions_root: ordered_root(&raws),
            receipts_root: summary.root,
            logs_bloom: summary.bloom,
            difficulty: self.env.difficulty,
            number: self.env.number,
            gas_limit: self.env.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.env.timestamp,
            mix_hash: self.env.prev_randao,
            nonce: B64::ZERO,
            base_fee_per_gas: (fork >= Fork::London).then_some(self.env.base_fee_per_gas),
            withdrawals_root: (fork >= Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
            blob_gas_used: (fork >= Fork::Cancun).then_some(0),
            excess_blob_gas: (fork >= Fork::Cancun).then_some(self.env.excess_blob_gas),
            parent_beacon_block_root: (fork >= Fork::Cancun).then_some(self.env.parent_beacon_block_root),
            requests_hash: (fork >= Fork::Prague).then(|| receipts::requests_hash(&requests)),
            ..Default::default()
        }
    }
}

fn failure(result: &ExecutionResult, root: Option<String>) -> CallFailure {
    match result {
        ExecutionResult::Revert { output, .. } => {
            let message = match text::revert_reason(output) {
                Some(reason) => format!("execution reverted: {reason}"),
                None => text::REVERTED.to_owned(),
            };
            CallFailure { code: code::REVERTED, message, data: Some(output.clone()) }
        }
        _ => CallFailure { code: code::VM, message: root.unwrap_or_else(|| "execution failed".to_owned()), data: None },
    }
}

/// The logs of a frame and its calls in the order they were made, with transfers of value among them if wanted. Those of
/// failed frames count, and are left out.
fn collect(calls: &Calls, frame: &Frame, transfers: bool, lives: bool, count: &mut usize, out: &mut Vec<(usize, Log)>) {
    let lives = lives && frame.error.is_none();
    let push = |log: Log, count: &mut usize, out: &mut Vec<(usize, Log)>| {
        if lives {
            out.push((*count, log));
        }
        *count += 1;
    };
    if transfers && frame.kind != Kind::DelegateCall && !frame.value.is_zero() {
        push(transfer(frame), count, out);
    }
    let mut logs = frame.logs.iter().peekable();
    for place in 0..=frame.calls.len() {
        while let Some(placed) = logs.next_if(|placed| placed.position <= place) {
            push(placed.log.clone(), count, out);
        }
        if let Some(call) = frame.calls.get(place) {
            collect(calls, &calls.frames[*call], transfers, lives, count, out);
        }
    }
}

fn transfer(frame: &Frame) -> Log {
    let topics = vec![TRANSFER_TOPIC, frame.from.into_word(), frame.to.unwrap_or_default().into_word()];
    let data = Bytes::from(frame.value.to_be_bytes_vec());
    Log { address: TRANSFER_LOGGER, data: LogData::new_unchecked(topics, data) }
}

/// EIP-2718 bytes with an empty signature: what the hash of an unsigned transaction is made of.
fn encode(args: &CallArgs, tx: &TxEnv, chain_id: u64) -> Bytes {
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let mut out = Vec::new();
    let access_list = tx.access_list.clone();
    let (nonce, gas_limit, value) = (tx.nonce, tx.gas_limit, tx.value);
    let input = tx.data.clone();
    let max_priority_fee_per_gas = args.max_priority_fee_per_gas.unwrap_or_default();
    match (tx.tx_type, tx.kind) {
        (4, TxKind::Call(to)) => {
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: tx.gas_price,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                authorization_list: args.authorizations.clone(),
                input,
            };
            tx.eip2718_encode(&unsigned, &mut out);
        }
        (2, to) => {
            let max_fee_per_gas = tx.gas_price;
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            };
            tx.eip2718_encode(&unsigned, &mut out);
        }
        (1, to) => {
            let tx = TxEip2930 { chain_id, nonce, gas_price: tx.gas_price, gas_limit, to, value, access_list, input };
            tx.eip2718_encode(&unsigned, &mut out);
        }
        (_, to) => {
            // v is 0 here, which no signature of this type has.
            let tx = TxLegacy { chain_id: None, nonce, gas_price: tx.gas_price, gas_limit, to, value, input };
            let fields: Vec<u8> = {
                let mut fields = Vec::new();
                tx.nonce.encode(&mut fields);
                tx.gas_price.encode(&mut fields);
                tx.gas_limit.encode(&mut fields);
                tx.to.encode(&mut fields);
                tx.value.encode(&mut fields);
                tx.input.encode(&mut fields);
                for _ in 0..3 {
                    0_u8.encode(&mut fields);
                }
                fields
            };
            alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut out);
            out.extend_from_slice(&fields);
        }
    }
    out.into()
}

/// Excess blob gas of the block after `parent` (EIP-4844; EIP-7918 from Osaka on).
fn next_excess_blob_gas(spec: &Spec, parent: &alloy_consensus::Header, env: &BlockEnv, fork: Fork) -> u64 {
    let Some(rules) = spec.blob_rules(env.timestamp) else { return 0 };
    let (excess, used) = (parent.excess_blob_gas.unwrap_or_default(), parent.blob_gas_used.unwrap_or_default());
    let target = rules.target * GAS_PER_BLOB;
    let total = excess.saturating_add(used);
    if total < target {
        return 0;
    }
    let price = alloy_eips::eip4844::fake_exponential(1, u128::from(excess), u128::from(rules.update_fraction));
    let floor = BLOB_BASE_COST * u128::from(parent.base_fee_per_gas.unwrap_or_default());
    if fork >= Fork::Osaka && floor > u128::from(GAS_PER_BLOB) * price && rules.max > 0 {
        return excess + used * (rules.max - rules.target) / rules.max;
    }
    total - target
}
