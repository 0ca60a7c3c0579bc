//! The result of a transition in the shape of geth's.

use alloy_consensus::Transaction;
use alloy_eips::eip2718::Typed2718;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, hex, keccak256};
use alloy_rlp::{Decodable, Encodable, Header as RlpHeader};
use serde_json::{Map, Value, json};

use super::super::full_state::FullState;
use super::Rejected;
use super::env::Environment;
use crate::error::{InputError, InputResult};
use crate::exec::block_job::BlockResult;
use crate::exec::receipts::encode_logs;
use crate::spec::Spec;
use crate::spec::blob::GAS_PER_BLOB;
use crate::tx::TxBatch;

/// geth's stand-in for the hash of a block whose header nobody knows.
const BLOCK_HASH: &str = "0x1337000000000000000000000000000000000000000000000000000000000000";

/// Everything that a result tells.
pub struct Report<'a> {
    pub spec: &'a Spec,
    pub env: &'a Environment,
    /// The included transactions.
    pub batch: &'a TxBatch,
    pub result: &'a BlockResult,
    /// Before Byzantium, whose receipts do not say: whether each transaction succeeded.
    pub successes: Option<Vec<bool>>,
    pub rejected: &'a [Rejected],
    pub state_root: B256,
}

/// A receipt out of the result's RLP.
struct Stored {
    kind: u8,
    /// Status, or a state root.
    outcome: Bytes,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
}

fn quantity(number: impl std::fmt::LowerHex) -> Value {
    Value::String(format!("{number:#x}"))
}

/// The state as `alloc`; members at zero are left out.
#[must_use]
pub fn alloc(state: &FullState) -> Value {
    let accounts = state.0.iter().map(|(address, account)| {
        let mut shown = Map::new();
        if !account.code.is_empty() {
            shown.insert("code".to_owned(), json!(account.code));
        }
        if !account.storage.is_empty() {
            let slots = account
                .storage
                .iter()
                .map(|(slot, value)| (B256::from(*slot).to_string(), Value::String(B256::from(*value).to_string())));
            shown.insert("storage".to_owned(), Value::Object(slots.collect()));
        }
        shown.insert("balance".to_owned(), quantity(account.balance));
        if account.nonce != 0 {
            shown.insert("nonce".to_owned(), quantity(account.nonce));
        }
        (hex::encode_prefixed(address), Value::Object(shown))
    });
    Value::Object(accounts.collect())
}

fn stored(rlp: &[u8]) -> InputResult<Vec<Stored>> {
    let decode = || -> alloy_rlp::Result<Vec<Stored>> {
        let mut rest = rlp;
        let mut list = RlpHeader::decode_bytes(&mut rest, true)?;
        let mut receipts = Vec::new();
        while !list.is_empty() {
            let mut fields = RlpHeader::decode_bytes(&mut list, true)?;
            receipts.push(Stored {
                kind: u8::decode(&mut fields)?,
                outcome: Bytes::decode(&mut fields)?,
                cumulative_gas_used: u64::decode(&mut fields)?,
                logs: Vec::decode(&mut fields)?,
            });
        }
        Ok(receipts)
    };
    decode().map_err(|error| InputError::new("receipts", "stored receipts", error))
}

impl Report<'_> {
    /// RLP of the list of included transactions, as a block holds them.
    pub fn body(&self) -> String {
        let mut payload = Vec::new();
        for tx in self.batch.entries().iter().flatten() {
            if tx.tx.ty() == 0 {
                payload.extend_from_slice(&tx.raw);
            } else {
                tx.raw.encode(&mut payload);
            }
        }
        let mut out = Vec::new();
        RlpHeader { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend(payload);
        hex::encode_prefixed(out)
    }

    /// The `result` object.
    pub fn result(&self) -> InputResult<Value> {
        let (result, block) = (self.result, &self.env.block);
        let receipts = stored(&result.receipts)?;
        let logs: Vec<Log> = receipts.iter().flat_map(|receipt| receipt.logs.iter().cloned()).collect();
        let mut shown = Map::new();
        let mut put = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
        put("stateRoot", json!(self.state_root));
        put("txRoot", json!(result.transactions_root));
        put("receiptsRoot", json!(result.receipts_root));
        put("logsHash", json!(keccak256(encode_logs(&logs))));
        put("logsBloom", json!(result.logs_bloom));
        put("receipts", self.receipts(&receipts));
        if !self.rejected.is_empty() {
            let rejected = self.rejected.iter();
            let rejected = rejected.map(|tx| json!({ "index": tx.index, "error": tx.error }));
            put("rejected", Value::Array(rejected.collect()));
        }
        let difficulty = self.env.difficulty;
        put("currentDifficulty", if difficulty.is_zero() { Value::Null } else { quantity(difficulty) });
        put("gasUsed", quantity(result.gas_used));
        if let Some(fee) = self.env.base_fee {
            put("currentBaseFee", quantity(fee));
        }
        if let Some(root) = result.withdrawals_root {
            put("withdrawalsRoot", json!(root));
        }
        if self.env.has_excess {
            put("currentExcessBlobGas", quantity(block.excess_blob_gas));
            put("blobGasUsed", quantity(result.blob_gas_used.unwrap_or_default()));
        }
        put("requests", Value::Null);
        if let Some(hash) = result.requests_hash {
            put("requestsHash", json!(hash));
            put("requests", json!(result.requests));
        }
        Ok(Value::Object(shown))
    }

    fn receipts(&self, receipts: &[Stored]) -> Value {
        let (mut before, mut log_index) = (0, 0_u64);
        let txs = self.batch.entries().iter().flatten();
        let shown = txs.zip(receipts).enumerate().map(|(index, (tx, receipt))| {
            let number = quantity(self.env.block.number);
            let mut bloom = Bloom::ZERO;
            bloom.accrue_logs(&receipt.logs);
            let logs: Vec<Value> = receipt
                .logs
                .iter()
                .map(|log| {
                    let shown = json!({
                        "address": hex::encode_prefixed(log.address), "topics": log.topics(), "data": log.data.data,
                        "blockNumber": number, "transactionHash": tx.hash, "transactionIndex": quantity(index),
                        "blockHash": BLOCK_HASH, "blockTimestamp": quantity(self.env.block.timestamp),
                        "logIndex": quantity(log_index), "removed": false,
                    });
                    log_index += 1;
                    shown
                })
                .collect();
            let rooted = self.successes.as_ref().and_then(|successes| successes.get(index));
            let success = rooted.copied().unwrap_or(receipt.outcome.as_ref() == [1]);
            let created = if tx.tx.is_create() { tx.sender.create(tx.tx.nonce()) } else { Address::ZERO };
            let mut shown = json!({
                "root": if rooted.is_some() { receipt.outcome.clone() } else { Bytes::new() },
                "status": quantity(u64::from(success)),
                "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
                "logsBloom": bloom, "logs": logs, "transactionHash": tx.hash,
                "contractAddress": hex::encode_prefixed(created),
                "gasUsed": quantity(receipt.cumulative_gas_used - before),
                "effectiveGasPrice": null, "blockHash": BLOCK_HASH,
                "blockNumber": number, "transactionIndex": quantity(index),
            });
            before = receipt.cumulative_gas_used;
            if receipt.kind != 0 {
                shown["type"] = quantity(receipt.kind);
            }
            let blobs = tx.tx.blob_versioned_hashes().map_or(0, <[B256]>::len) as u64;
            if blobs > 0
                && let Some(rules) = self.spec.blob_rules(self.env.block.timestamp)
            {
                shown["blobGasUsed"] = quantity(blobs.saturating_mul(GAS_PER_BLOB));
                shown["blobGasPrice"] = quantity(rules.price(self.env.block.excess_blob_gas));
            }
            shown
        });
        Value::Array(shown.collect())
    }
}
