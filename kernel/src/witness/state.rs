//! The state of a parent block as its witness shows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::map::{AddressMap, B256Map};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use revm::bytecode::Bytecode;

use super::Missing;
use crate::exec::cache::Source;
use crate::exec::need::Record;
use crate::exec::state::bytecode;
use crate::trie::NodeSet;

#[derive(Debug)]
struct Code {
    code: Bytecode,
    used: AtomicBool,
}

/// Answers reads from trie nodes and codes, and remembers what it was asked for in vain.
#[derive(Debug)]
pub struct WitnessState {
    root: B256,
    nodes: Arc<NodeSet>,
    codes: B256Map<Code>,
    /// Storage roots of accounts read so far.
    storage: Mutex<AddressMap<B256>>,
    missing: Mutex<Option<Missing>>,
}

impl WitnessState {
    pub fn new(root: B256, nodes: Arc<NodeSet>, codes: &[&[u8]]) -> Self {
        let codes = codes
            .iter()
            .map(|code| {
                let held = Code { code: bytecode(Bytes::copy_from_slice(code)), used: AtomicBool::new(false) };
                (keccak256(code), held)
            })
            .collect();
        Self { root, nodes, codes, storage: Mutex::default(), missing: Mutex::default() }
    }

    /// What was asked for first and is not there.
    pub fn missing(&self) -> Option<Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The account, or what is missing to know it.
    pub fn record(&self, address: Address) -> Result<Option<Record>, Missing> {
        let key = keccak256(address);
        let Some(leaf) = self.nodes.value(None, self.root, &key).map_err(Missing::Node)? else { return Ok(None) };
        let account = alloy_rlp::decode_exact::<TrieAccount>(&leaf).map_err(|_| Missing::Node(key.to_vec()))?;
        Ok(Some(Record {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: account.storage_root,
            code_hash: account.code_hash,
        }))
    }

    fn storage_root(&self, address: Address) -> Result<B256, Missing> {
        if let Some(root) = self.storage.lock().unwrap_or_else(PoisonError::into_inner).get(&address) {
            return Ok(*root);
        }
        let root = self.record(address)?.map_or(EMPTY_ROOT_HASH, |record| record.storage_root);
        self.storage.lock().unwrap_or_else(PoisonError::into_inner).insert(address, root);
        Ok(root)
    }

    fn word(&self, address: Address, slot: U256) -> Result<U256, Missing> {
        let (owner, root) = (keccak256(address), self.storage_root(address)?);
        let key = keccak256(slot.to_be_bytes::<32>());
        match self.nodes.value(Some(&owner), root, &key).map_err(Missing::Node)? {
            None => Ok(U256::ZERO),
            Some(leaf) => alloy_rlp::decode_exact(&leaf).map_err(|_| Missing::Node(key.to_vec())),
        }
    }

    fn told<T>(&self, found: Result<T, Missing>) -> Option<T> {
        found
            .map_err(|missing| {
                self.missing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(missing);
            })
            .ok()
    }

    /// Codes that were needed, or that were not, ascending by hash.
    pub fn codes(&self, used: bool) -> Vec<(B256, Bytes)> {
        let chosen = self.codes.iter().filter(|(_, held)| held.used.load(Ordering::Relaxed) == used);
        let mut codes: Vec<(B256, Bytes)> = chosen.map(|(hash, held)| (*hash, held.code.original_bytes())).collect();
        codes.sort_unstable_by_key(|(hash, _)| *hash);
        codes
    }
}

impl Source for WitnessState {
    fn account(&self, address: Address) -> Option<Option<Record>> {
        self.told(self.record(address))
    }

    fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        self.told(self.word(address, slot))
    }

    fn code(&self, hash: B256) -> Option<Bytecode> {
        let found = self.codes.get(&hash).ok_or(Missing::Code(hash));
        let code = self.told(found)?;
        code.used.store(true, Ordering::Relaxed);
        Some(code.code.clone())
    }
}
