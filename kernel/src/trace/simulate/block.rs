//! A block while its calls run.

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{TxEip1559, TxEip4844, TxEip7702, TxLegacy};
use alloy_primitives::{Address, B64, B256, Bytes, Log, LogData, Signature, TxKind, U256, address, b256, keccak256};
use alloy_rlp::Encodable;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

use super::{SimulateError, SimulatedBlock, code};
use crate::evm::system;
use crate::exec::overrides::BlockOverrides;
use crate::exec::protocol::{self, Action};
use crate::exec::receipts::{self, FailureReason, Receipt};
use crate::header::{Attached, BlockEnv, Header};
use crate::spec::blob::GAS_PER_BLOB;
use crate::spec::{Fork, Spec};
use crate::trace::args::CallArgs;
use crate::trace::calls::{Calls, Frame, Kind};
use crate::trace::text;
use crate::trie::ordered_root;

/// Where transfers of value are said to be logged (`traceTransfers`).
const TRANSFER_LOGGER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER_TOPIC: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

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
    /// Type that the transaction is shown and hashed with.
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
    /// Gas of its blobs.
    pub blob_gas_used: u64,
    /// Withdrawals, of Shanghai and later.
    pub attached: Attached,
    deposit_contract: Option<Address>,
    before: Vec<Action>,
    after: Vec<Action>,
    /// What the protocol has done, before and after the calls alike.
    actions: usize,
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
            env.excess_blob_gas = spec.next_excess_blob_gas(parent, env.timestamp).unwrap_or_default();
        }
        let withdrawals = (fork >= Fork::Shanghai).then(|| block.withdrawals.clone());
        let attached = Attached { withdrawals, ..Attached::default() };
        Ok(Self {
            blob_base_fee: overrides.blob_base_fee,
            chain_id: spec.chain_id(),
            calls: block.calls.clone(),
            done: Vec::new(),
            gas_used: 0,
            blob_gas_used: 0,
            deposit_contract: spec.deposit_contract(),
            before: system::before(&env, fork).into_iter().map(Action::Call).collect(),
            after: protocol::after(spec, &env, fork, &attached)?,
            attached,
            actions: 0,
            receipts: Vec::new(),
            requests: Vec::new(),
            log_count: 0,
            env,
            fork,
        })
    }

    /// What the protocol does now, if it is its turn.
    pub(super) fn action(&self) -> Option<&Action> {
        match self.before.get(self.actions) {
            Some(action) => Some(action),
            None if self.done.len() < self.calls.len() => None,
            None => self.after.get(self.actions - self.before.len()),
        }
    }

    pub(super) fn after_action(&mut self, request: Option<Bytes>) {
        self.actions += 1;
        self.requests.extend(request);
    }

    pub(super) fn next_call(&self) -> Option<usize> {
        (self.done.len() < self.calls.len()).then_some(self.done.len())
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.len() == self.calls.len() && self.actions == self.before.len() + self.after.len()
    }

    /// The transaction of a call.
    pub(super) fn tx_env(&self, args: &CallArgs, spec: &Spec, gas: u64, nonce: u64, validation: bool) -> TxEnv {
        let mut tx = args.tx_env(spec.chain_id(), gas, nonce);
        tx.nonce = nonce;
        if tx.tx_type <= 1 && args.gas_price.is_none() && self.fork >= Fork::London {
            tx.tx_type = 2;
            tx.gas_priority_fee = Some(args.max_priority_fee_per_gas.unwrap_or_default());
        }
        if !validation && args.is_free_of_blob_fees() {
            // geth: whoever names no price for blobs pays what they cost.
            let price = self.blob_base_fee.unwrap_or_else(|| {
                let excess = self.env.excess_blob_gas;
                spec.blob_rules(self.env.timestamp).map_or(0, |rules| rules.price(excess).saturating_to())
            });
            tx.max_fee_per_blob_gas = price;
        }
        tx
    }

    /// The type of the transaction that a call is shown as: of EIP-1559's unless something else was named, and legacy
    /// with a price of that kind, whatever else it has (geth: `ToTransaction`).
    fn listed_type(&self, args: &CallArgs) -> u8 {
        match () {
            () if args.gas_price.is_some() || self.fork < Fork::London => 0,
            () if !args.authorizations.is_empty() => 4,
            () if args.blob_hashes.is_some() => 3,
            () => 2,
        }
    }

    pub(super) fn push(
        &mut self,
        args: &CallArgs,
        tx: &TxEnv,
        result: &ExecutionResult,
        calls: &Calls,
        options: Shown,
    ) {
        let tx_type = self.listed_type(args);
        let raw = encode(args, tx, tx_type, self.chain_id);
        let gas_used = result.tx_gas_used();
        let gas = result.gas();
        let success = result.is_success();
        let root_error = calls.frames.first().and_then(|frame| frame.error.clone());
        let error = (!success).then(|| failure(result, root_error, options.gas_capped));
        let mut logs = Vec::new();
        if let Some(root) = calls.frames.first() {
            collect(calls, root, options.transfers, success, &mut self.log_count, &mut logs);
        }
        self.gas_used += gas_used;
        self.blob_gas_used += tx.blob_hashes.len() as u64 * GAS_PER_BLOB;
        self.receipts.push(Receipt {
            tx_type,
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
            tx_type,
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
            withdrawals_root: (fork >= Fork::Shanghai).then(|| self.attached.withdrawals_root()),
            blob_gas_used: (fork >= Fork::Cancun).then_some(self.blob_gas_used),
            excess_blob_gas: (fork >= Fork::Cancun).then_some(self.env.excess_blob_gas),
            parent_beacon_block_root: (fork >= Fork::Cancun).then_some(self.env.parent_beacon_block_root),
            requests_hash: (fork >= Fork::Prague).then(|| receipts::requests_hash(&requests)),
            ..Default::default()
        }
    }
}

/// How a call is shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Transfers of value among the logs.
    pub transfers: bool,
    /// Its gas limit is not what was asked for, but what was left of the node's bound.
    pub gas_capped: bool,
}

fn failure(result: &ExecutionResult, root: Option<String>, gas_capped: bool) -> CallFailure {
    if let ExecutionResult::Revert { output, .. } = result {
        let message = match text::revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => text::REVERTED.to_owned(),
        };
        return CallFailure { code: code::REVERTED, message, data: Some(output.clone()) };
    }
    let mut message = root.unwrap_or_else(|| "execution failed".to_owned());
    if gas_capped {
        message.push_str(" (gas limit was capped by the RPC server's global gas cap)");
    }
    CallFailure { code: code::VM, message, data: None }
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
fn encode(args: &CallArgs, tx: &TxEnv, tx_type: u8, chain_id: u64) -> Bytes {
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let mut out = Vec::new();
    let access_list = tx.access_list.clone();
    let (nonce, gas_limit, value) = (tx.nonce, tx.gas_limit, tx.value);
    let input = tx.data.clone();
    let max_priority_fee_per_gas = args.max_priority_fee_per_gas.unwrap_or_default();
    match (tx_type, tx.kind) {
        (3, TxKind::Call(to)) => {
            let tx = TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: tx.gas_price,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                blob_versioned_hashes: tx.blob_hashes.clone(),
                max_fee_per_blob_gas: args.max_fee_per_blob_gas.unwrap_or_default(),
                input,
            };
            tx.eip2718_encode(&unsigned, &mut out);
        }
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
