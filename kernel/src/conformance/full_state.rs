//! A whole state in memory, whose root is built from scratch: what test runners compare with.

use std::collections::BTreeMap;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use revm::bytecode::Bytecode;

use crate::error::{InputError, InputResult};
use crate::exec::need::Record;
use crate::exec::state::{JobState, bytecode};
use crate::exec::write_set::WriteSet;
use crate::pack;
use crate::spec::{Alloc, json, parse_account};
use crate::trie::trie_root;

/// Stands for the root of a storage with something in it: a job only looks whether it is empty.
const NOT_EMPTY: B256 = B256::repeat_byte(0xff);

/// Every account with its storage and code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FullState(pub BTreeMap<Address, Alloc>);

impl FullState {
    /// Read `{address: {nonce, balance, code, storage}}`.
    ///
    /// # Errors
    /// Names the member that is malformed.
    pub fn parse(field: &str, value: &serde_json::Value) -> InputResult<Self> {
        let mut accounts = BTreeMap::new();
        for (key, value) in json::object(field, value)? {
            accounts.insert(json::address(field, key)?, parse_account(key, value)?);
        }
        Ok(Self(accounts))
    }

    /// Put everything into a job's state, so that it never asks.
    pub fn fill(&self, state: &mut JobState) {
        for (address, account) in &self.0 {
            let Some(record) = self.record(*address) else { continue };
            state.put_record(*address, Some(&record));
            if !account.code.is_empty() {
                state.put_code(record.code_hash, bytecode(account.code.clone()));
            }
            for (slot, value) in &account.storage {
                state.put_slot(*address, *slot, *value);
            }
        }
    }

    /// Every code with its hash.
    pub fn codes(&self) -> impl Iterator<Item = (B256, Bytecode)> {
        let codes = self.0.values().map(|account| &account.code).filter(|code| !code.is_empty());
        codes.map(|code| (keccak256(code), bytecode(code.clone())))
    }

    /// The value of a slot, zero where there is none.
    #[must_use]
    pub fn slot(&self, address: Address, slot: U256) -> U256 {
        self.0.get(&address).and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default()
    }

    /// The account as a job is answered.
    #[must_use]
    pub fn record(&self, address: Address) -> Option<Record> {
        let account = self.0.get(&address)?;
        Some(Record {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: if account.storage.is_empty() { EMPTY_ROOT_HASH } else { NOT_EMPTY },
            code_hash: if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) },
        })
    }

    /// Fold in a write set.
    pub fn apply(&mut self, writes: &WriteSet) {
        for write in &writes.accounts {
            if write.deleted {
                self.0.remove(&write.address);
                continue;
            }
            let account = self.0.entry(write.address).or_default();
            account.nonce = write.nonce;
            account.balance = write.balance;
            if write.wiped {
                account.storage.clear();
            }
            if let Some(code) = &write.code {
                account.code.clone_from(code);
            } else if write.code_hash == KECCAK256_EMPTY {
                account.code = alloy_primitives::Bytes::new();
            }
            for (slot, value) in &write.slots {
                if value.is_zero() {
                    account.storage.remove(slot);
                } else {
                    account.storage.insert(*slot, *value);
                }
            }
        }
    }

    /// State root.
    ///
    /// # Errors
    /// Never for a state that fits in memory.
    pub fn root(&self) -> InputResult<B256> {
        let mut leaves = BTreeMap::new();
        for (address, account) in &self.0 {
            let storage = account
                .storage
                .iter()
                .map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), alloy_rlp::encode(value)));
            let storage_root = root_of(storage.collect())?;
            let code_hash = keccak256(&account.code);
            let payload_length =
                account.nonce.length() + account.balance.length() + storage_root.length() + code_hash.length();
            let mut rlp = Vec::with_capacity(payload_length + 4);
            Header { list: true, payload_length }.encode(&mut rlp);
            account.nonce.encode(&mut rlp);
            account.balance.encode(&mut rlp);
            storage_root.encode(&mut rlp);
            code_hash.encode(&mut rlp);
            leaves.insert(keccak256(address), rlp);
        }
        root_of(leaves)
    }
}

fn root_of(leaves: BTreeMap<B256, Vec<u8>>) -> Result<B256, InputError> {
    let mut items = Vec::new();
    for (key, value) in leaves {
        pack::push_packed(&mut items, key.as_slice());
        pack::push_packed(&mut items, &value);
    }
    trie_root(&items)
}
