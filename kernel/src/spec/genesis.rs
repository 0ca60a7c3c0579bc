//! Block 0: the header's fields and the accounts it allocates.

use std::collections::BTreeMap;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, KECCAK256_EMPTY, U256, keccak256};
use serde_json::{Map, Value};

use super::{Fork, INITIAL_BASE_FEE, Spec, json};
use crate::error::{InputError, InputResult};
use crate::exec::write_set::{AccountWrite, WriteSet};
use crate::header::{BlockEnv, Header};

/// Gas limit where the file gives none (geth: `GenesisGasLimit`).
const DEFAULT_GAS_LIMIT: u64 = 4_712_388;
/// Difficulty of an ethash chain whose file gives none (geth: `GenesisDifficulty`).
const DEFAULT_DIFFICULTY: u64 = 131_072;

/// RLP of mix hash and nonce.
const MIX_HASH_AND_NONCE_BYTES: usize = 33 + 9;

/// An account of `alloc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alloc {
    pub nonce: u64,
    pub balance: U256,
    pub code: Bytes,
    /// Slots without zero values.
    pub storage: BTreeMap<U256, U256>,
}

/// The last two fields of an old header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seal {
    /// Mix hash and nonce.
    Ethereum(B256, u64),
    /// RLP of other fields in their place (Aura).
    Fields(Vec<u8>),
}

/// Fields of block 0.
#[derive(Debug, Clone, Default)]
pub struct Genesis {
    parent_hash: B256,
    number: u64,
    gas_used: u64,
    gas_limit: u64,
    timestamp: u64,
    nonce: u64,
    difficulty: Option<U256>,
    ethash: bool,
    beneficiary: Address,
    mix_hash: B256,
    extra_data: Bytes,
    base_fee: Option<u64>,
    excess_blob_gas: Option<u64>,
    blob_gas_used: Option<u64>,
    alloc: BTreeMap<Address, Alloc>,
    /// Seal fields of another form than mix hash and nonce, RLP.
    seal_fields: Option<Vec<u8>>,
}

impl Genesis {
    /// Block 0 of an `OpenEthereum` file; `root` is its `genesis`.
    pub(super) fn of_open_ethereum(
        root: &Map<String, Value>,
        seal: Seal,
        alloc: BTreeMap<Address, Alloc>,
    ) -> InputResult<Self> {
        let number = |key: &str| json::member(root, key).map(|value| json::u64(&format!("genesis.{key}"), value));
        let (mix_hash, nonce, seal_fields) = match seal {
            Seal::Ethereum(mix_hash, nonce) => (mix_hash, nonce, None),
            Seal::Fields(fields) => (B256::ZERO, 0, Some(fields)),
        };
        Ok(Self {
            parent_hash: match json::member(root, "parentHash") {
                Some(Value::String(text)) => json::word("genesis.parentHash", text)?,
                _ => B256::ZERO,
            },
            gas_limit: number("gasLimit").transpose()?.unwrap_or_default(),
            timestamp: number("timestamp").transpose()?.unwrap_or_default(),
            nonce,
            difficulty: json::member(root, "difficulty")
                .map(|value| json::u256("genesis.difficulty", value))
                .transpose()?,
            beneficiary: match json::member(root, "author") {
                Some(Value::String(text)) => json::address("genesis.author", text)?,
                _ => Address::ZERO,
            },
            mix_hash,
            extra_data: json::member(root, "extraData")
                .map(|value| json::bytes("genesis.extraData", value))
                .transpose()?
                .unwrap_or_default(),
            base_fee: number("baseFeePerGas").transpose()?,
            alloc,
            seal_fields,
            ..Self::default()
        })
    }

    /// The same with other accounts.
    pub(super) fn with_alloc(self, alloc: BTreeMap<Address, Alloc>) -> Self {
        Self { alloc, ..self }
    }

    /// What block 0 would be executed in.
    pub(super) fn env(&self, spec: &Spec) -> BlockEnv {
        // Constructors pay nothing.
        BlockEnv { gas_limit: u64::MAX, base_fee_per_gas: 0, ..BlockEnv::of(&self.header(spec, B256::ZERO).inner) }
    }

    /// Seconds since 1970 of block 0.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Gas limit of block 0.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        if self.gas_limit == 0 { DEFAULT_GAS_LIMIT } else { self.gas_limit }
    }

    pub(super) fn parse(root: &Map<String, Value>) -> InputResult<Self> {
        let number = |key: &str| json::member(root, key).map(|value| json::u64(key, value)).transpose();
        let text = |key: &str| match json::member(root, key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(InputError::new(key, "hex text", other)),
        };
        let word = |key: &str| text(key)?.map(|value| json::word(key, value)).transpose();
        let config = json::member(root, "config").and_then(Value::as_object);
        let mut alloc = BTreeMap::new();
        if let Some(value) = json::member(root, "alloc") {
            for (key, value) in json::object("alloc", value)? {
                let address = json::address("alloc", key)?;
                if alloc.insert(address, parse_account(key, value)?).is_some() {
                    return Err(InputError::new(format!("alloc.{key}"), "one entry per address", "two"));
                }
            }
        }
        Ok(Self {
            parent_hash: word("parentHash")?.unwrap_or_default(),
            number: number("number")?.unwrap_or_default(),
            gas_used: number("gasUsed")?.unwrap_or_default(),
            gas_limit: number("gasLimit")?.unwrap_or_default(),
            timestamp: number("timestamp")?.unwrap_or_default(),
            nonce: number("nonce")?.unwrap_or_default(),
            difficulty: json::member(root, "difficulty").map(|value| json::u256("difficulty", value)).transpose()?,
            ethash: config.is_some_and(|config| json::member(config, "ethash").is_some()),
            beneficiary: match text("coinbase")? {
                Some(value) => json::address("coinbase", value)?,
                None => Address::ZERO,
            },
            mix_hash: match word("mixHash")? {
                Some(word) => word,
                None => word("mixhash")?.unwrap_or_default(),
            },
            extra_data: json::member(root, "extraData")
                .map(|value| json::bytes("extraData", value))
                .transpose()?
                .unwrap_or_default(),
            base_fee: number("baseFeePerGas")?,
            excess_blob_gas: number("excessBlobGas")?,
            blob_gas_used: number("blobGasUsed")?,
            alloc,
            seal_fields: None,
        })
    }

    /// Accounts of block 0, ascending by address.
    #[must_use]
    pub fn alloc(&self) -> &BTreeMap<Address, Alloc> {
        &self.alloc
    }

    /// Write set of `alloc` on the empty state. Empty accounts are written, as geth does for block 0.
    #[must_use]
    pub fn write_set(&self) -> WriteSet {
        let accounts = self.alloc.iter().map(|(address, account)| AccountWrite {
            address: *address,
            deleted: false,
            wiped: false,
            nonce: account.nonce,
            balance: account.balance,
            code_hash: if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) },
            code: (!account.code.is_empty()).then(|| account.code.clone()),
            slots: account.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
        });
        WriteSet { accounts: accounts.collect() }
    }

    /// Header of block 0 on `spec`, as geth's `Genesis.ToBlock` makes it.
    #[must_use]
    pub fn header(&self, spec: &Spec, state_root: B256) -> Header {
        let fork = spec.fork(self.number, self.timestamp);
        let difficulty = self.difficulty.unwrap_or_else(|| {
            if self.ethash && self.mix_hash.is_zero() { U256::from(DEFAULT_DIFFICULTY) } else { U256::ZERO }
        });
        let cancun = fork >= Fork::Cancun;
        let header = Header::new(alloy_consensus::Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.beneficiary,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            logs_bloom: Bloom::ZERO,
            difficulty,
            number: self.number,
            gas_limit: self.gas_limit(),
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            mix_hash: self.mix_hash,
            nonce: B64::from(self.nonce),
            base_fee_per_gas: (fork >= Fork::London).then(|| self.base_fee.unwrap_or(INITIAL_BASE_FEE)),
            withdrawals_root: (fork >= Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
            blob_gas_used: cancun.then(|| self.blob_gas_used.unwrap_or_default()),
            excess_blob_gas: cancun.then(|| self.excess_blob_gas.unwrap_or_default()),
            parent_beacon_block_root: cancun.then_some(B256::ZERO),
            requests_hash: (fork >= Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
            ..Default::default()
        });
        match &self.seal_fields {
            Some(fields) => resealed(header, fields),
            None => header,
        }
    }
}

/// The header with other fields in the place of mix hash and nonce. Its bytes are no header of Ethereum's form.
fn resealed(header: Header, fields: &[u8]) -> Header {
    let inner = &header.inner;
    let whole = alloy_rlp::Header::decode_bytes(&mut &header.rlp[..], true).unwrap_or_default();
    // Mix hash and nonce have fixed lengths; only the base fee can stand after them.
    let after = inner.base_fee_per_gas.map(alloy_rlp::encode).unwrap_or_default();
    let before = whole.len().saturating_sub(MIX_HASH_AND_NONCE_BYTES + after.len());
    let payload = [whole.get(..before).unwrap_or_default(), fields, &after].concat();
    let mut rlp = Vec::with_capacity(payload.len() + 4);
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut rlp);
    rlp.extend_from_slice(&payload);
    let hash = keccak256(&rlp);
    Header { inner: header.inner, rlp, hash }
}

pub(crate) fn parse_account(key: &str, value: &Value) -> InputResult<Alloc> {
    let entry = json::object(&format!("alloc.{key}"), value)?;
    let field = |name: &str| format!("alloc.{key}.{name}");
    let mut account = Alloc::default();
    if let Some(nonce) = json::member(entry, "nonce") {
        account.nonce = json::u64(&field("nonce"), nonce)?;
    }
    if let Some(balance) = json::member(entry, "balance").or_else(|| json::member(entry, "wei")) {
        account.balance = json::u256(&field("balance"), balance)?;
    }
    if let Some(code) = json::member(entry, "code") {
        account.code = json::bytes(&field("code"), code)?;
    }
    if let Some(storage) = json::member(entry, "storage") {
        for (slot, value) in json::object(&field("storage"), storage)? {
            let text = value.as_str().ok_or_else(|| InputError::new(field("storage"), "hex text", value))?;
            let value: U256 = json::word(&field("storage"), text)?.into();
            let slot: U256 = json::word(&field("storage"), slot)?.into();
            if !value.is_zero() {
                account.storage.insert(slot, value);
            }
        }
    }
    Ok(account)
}
