//! The environment of a transition: a block's fields, or its parent's from which they follow.

use std::collections::BTreeMap;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256};
use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};
use crate::header::{BlockEnv, Header};
use crate::spec::{Fork, PowParent, Spec, json};

/// An ommer: how many blocks older it is, and whose.
#[derive(Debug, Clone, Copy)]
pub struct Ommer {
    pub delta: u64,
    pub address: Address,
}

/// What a transition runs in.
#[derive(Debug)]
pub struct Environment {
    pub block: BlockEnv,
    /// Whether the excess of blob gas is known: only then it is reported.
    pub has_excess: bool,
    /// As reported: the block's, or what the input has after the merge, where it means nothing.
    pub difficulty: U256,
    /// The base fee, where it is given or the fork has one.
    pub base_fee: Option<u64>,
    /// By number.
    pub hashes: BTreeMap<u64, B256>,
    pub ommers: Vec<Ommer>,
    pub withdrawals: Vec<Withdrawal>,
}

struct Fields<'v>(&'v Map<String, Value>);

impl Fields<'_> {
    fn number(&self, key: &str) -> InputResult<Option<u64>> {
        json::member(self.0, key).map(|value| json::u64(key, value)).transpose()
    }

    fn needed(&self, key: &str) -> InputResult<u64> {
        self.number(key)?.ok_or_else(|| missing(key))
    }

    fn big(&self, key: &str) -> InputResult<Option<U256>> {
        json::member(self.0, key).map(|value| json::u256(key, value)).transpose()
    }

    fn word(&self, key: &str) -> InputResult<Option<B256>> {
        let read = |value: &Value| match value {
            Value::String(text) if text.starts_with("0x") || text.len() == 64 => json::word(key, text),
            other => json::u256(key, other).map(B256::from),
        };
        json::member(self.0, key).map(read).transpose()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        json::member(self.0, key).and_then(Value::as_array).into_iter().flatten()
    }
}

fn missing(key: &str) -> InputError {
    InputError::new(format!("env.{key}"), "a value", "nothing")
}

impl Environment {
    /// Read an environment for a block of `spec`'s only fork.
    ///
    /// # Errors
    /// Names the member that is malformed or missing.
    pub fn read(value: &Value, spec: &Spec) -> InputResult<Self> {
        let fields = Fields(json::object("env", value)?);
        let (number, timestamp) = (fields.needed("currentNumber")?, fields.needed("currentTimestamp")?);
        let fork = spec.fork(number, timestamp);
        let mut hashes = BTreeMap::new();
        if let Some(listed) = json::member(fields.0, "blockHashes") {
            for (key, hash) in json::object("blockHashes", listed)? {
                let number = json::u64("blockHashes", &Value::String(key.clone()))?;
                hashes.insert(number, json::word("blockHashes", hash.as_str().unwrap_or_default())?);
            }
        }
        let before = number.checked_sub(1).and_then(|before| hashes.get(&before).copied());
        let parent_hash = match before {
            Some(hash) => hash,
            None => fields.word("previousHash")?.or(fields.word("parentHash")?).unwrap_or_default(),
        };
        let parent = Header::new(alloy_consensus::Header {
            number: number.saturating_sub(1),
            timestamp: fields.number("parentTimestamp")?.unwrap_or_default(),
            gas_limit: fields.number("parentGasLimit")?.unwrap_or_default(),
            gas_used: fields.number("parentGasUsed")?.unwrap_or_default(),
            base_fee_per_gas: fields.number("parentBaseFee")?,
            difficulty: fields.big("parentDifficulty")?.unwrap_or_default(),
            excess_blob_gas: fields.number("parentExcessBlobGas")?,
            blob_gas_used: fields.number("parentBlobGasUsed")?,
            ..Default::default()
        });
        let base_fee = match fields.number("currentBaseFee")? {
            Some(fee) => Some(fee),
            None if fork < Fork::London => None,
            None if parent.inner.base_fee_per_gas.is_none() => return Err(missing("currentBaseFee")),
            None => Some(spec.next_base_fee(&parent)?),
        };
        let (difficulty, prev_randao) = fields.difficulty_and_randomness(spec, fork, &parent, timestamp)?;
        let excess = match fields.number("currentExcessBlobGas")? {
            Some(excess) => Some(excess),
            None if parent.inner.excess_blob_gas.is_some() => spec.next_excess_blob_gas(&parent, timestamp),
            None => None,
        };
        let coinbase = json::member(fields.0, "currentCoinbase").and_then(Value::as_str);
        let block = BlockEnv {
            parent_hash,
            number,
            timestamp,
            // Besu's inputs have 0 where nothing limits the block.
            gas_limit: fields.number("currentGasLimit")?.filter(|limit| *limit > 0).unwrap_or(i64::MAX as u64),
            base_fee_per_gas: base_fee.filter(|_| fork >= Fork::London).unwrap_or_default(),
            beneficiary: json::address("currentCoinbase", coinbase.ok_or_else(|| missing("currentCoinbase"))?)?,
            prev_randao,
            parent_beacon_block_root: fields.word("parentBeaconBlockRoot")?.unwrap_or_default(),
            difficulty,
            excess_blob_gas: excess.unwrap_or_default(),
            ..BlockEnv::default()
        };
        Ok(Self {
            difficulty: fields.big("currentDifficulty")?.unwrap_or(difficulty),
            block,
            has_excess: fork >= Fork::Cancun && excess.is_some(),
            base_fee,
            hashes,
            ommers: fields.list("ommers").map(ommer).collect::<InputResult<_>>()?,
            withdrawals: fields.list("withdrawals").map(withdrawal).collect::<InputResult<_>>()?,
        })
    }
}

impl Fields<'_> {
    fn difficulty_and_randomness(
        &self,
        spec: &Spec,
        fork: Fork,
        parent: &Header,
        timestamp: u64,
    ) -> InputResult<(U256, B256)> {
        let given = self.big("currentDifficulty")?;
        let randomness = self.word("currentRandom")?;
        if fork >= Fork::Paris {
            if randomness.is_none() && given.is_none() {
                return Err(missing("currentRandom"));
            }
            return Ok((U256::ZERO, randomness.unwrap_or_default()));
        }
        let ommers_hash = match self.word("parentUncleHash")? {
            Some(hash) if !hash.is_zero() => hash,
            _ => EMPTY_OMMER_ROOT_HASH,
        };
        let difficulty = match given {
            Some(difficulty) => difficulty,
            None if json::member(self.0, "parentDifficulty").is_none() => return Err(missing("currentDifficulty")),
            None => spec.next_difficulty(&PowParent { ommers_hash, ..PowParent::from(&parent.inner) }, timestamp),
        };
        Ok((difficulty, randomness.unwrap_or_default()))
    }
}

fn ommer(value: &Value) -> InputResult<Ommer> {
    let object = json::object("ommers", value)?;
    let delta = json::u64("ommers.delta", object.get("delta").unwrap_or(&Value::Null))?;
    if !(1..8).contains(&delta) {
        return Err(InputError::new("ommers.delta", "1 to 7", delta));
    }
    let address = object.get("address").and_then(Value::as_str).unwrap_or_default();
    Ok(Ommer { delta, address: json::address("ommers.address", address)? })
}

/// A withdrawal as JSON-RPC writes it.
///
/// # Errors
/// Names the member that is malformed.
pub fn withdrawal(value: &Value) -> InputResult<Withdrawal> {
    let object = json::object("withdrawals", value)?;
    let number = |key: &str| json::u64(key, object.get(key).unwrap_or(&Value::Null));
    Ok(Withdrawal {
        index: number("index")?,
        validator_index: number("validatorIndex")?,
        address: json::address("address", object.get("address").and_then(Value::as_str).unwrap_or_default())?,
        amount: number("amount")?,
    })
}
