//! Every node on the way to many keys, each asked for once.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::Nibbles;
use rayon::prelude::*;

use super::TrieError;
use super::forest::Forest;
use super::job::TrieAsk;
use super::known::Known;
use super::sparse::{Edit, Update};
use super::tree::Tree;

/// Reveals the ways to accounts and slots under one root.
#[derive(Debug)]
pub struct MultiproofJob {
    forest: Forest,
}

fn looks(keys: impl Iterator<Item = B256>) -> Vec<Update> {
    let mut updates: Vec<Update> =
        keys.map(|key| Update { key: Nibbles::unpack_array(&key.0), edit: Edit::Look }).collect();
    updates.sort_unstable_by_key(|update| update.key);
    updates
}

impl MultiproofJob {
    /// `accounts`: with the root of each one's storage and the slots wanted of it.
    #[must_use]
    pub fn new(root: B256, accounts: &BTreeMap<Address, (B256, Vec<U256>)>) -> Self {
        let updates = looks(accounts.keys().map(keccak256));
        let wanted: Vec<_> = accounts.iter().filter(|(_, (_, slots))| !slots.is_empty()).collect();
        let storage = wanted.into_par_iter().map(|(address, (storage_root, slots))| {
            let keys = looks(slots.iter().map(|slot| keccak256(slot.to_be_bytes::<32>())));
            Tree::new(Some(keccak256(address)), *storage_root, keys, &Known::Nothing)
        });
        let storage = storage.collect();
        Self { forest: Forest::new(Tree::new(None, root, updates, &Known::Nothing), storage) }
    }

    /// Go on with the nodes asked for (one per path, `None` = absent); `None` when every way is revealed.
    ///
    /// # Errors
    /// As [`super::TrieJob::step`].
    pub fn step(&mut self, nodes: &[Option<&[u8]>]) -> Result<Option<TrieAsk>, TrieError> {
        self.forest.answer(nodes)?;
        let paths = self.forest.pass(&Known::Nothing)?;
        Ok((!paths.is_empty()).then(|| TrieAsk { paths, wiped: Vec::new() }))
    }
}
