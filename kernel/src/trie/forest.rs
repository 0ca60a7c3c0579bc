//! All tries of one job: walked side by side, and what they lack is asked for in one round.

use std::sync::Arc;

use alloy_trie::Nibbles;
use rayon::prelude::*;

use super::known::Known;
use super::sparse::Answer;
use super::tree::Tree;
use super::{TrieError, node_key};
use crate::error::{InputError, InputResult};
use crate::keccak::keccak256_all;
use crate::pack;

/// Answers that one thread hashes in one go.
const HASHED_AT_ONCE: usize = 64;

#[derive(Debug)]
pub struct Forest {
    pub accounts: Tree,
    pub storage: Vec<Tree>,
    /// Paths of the running round: `None` the account trie, else a place in `storage`.
    asked: Vec<(Option<usize>, Nibbles)>,
}

impl Forest {
    pub fn new(accounts: Tree, storage: Vec<Tree>) -> Self {
        Self { accounts, storage, asked: Vec::new() }
    }

    /// Storage tries in their order, then that of accounts.
    pub fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.storage.iter().chain([&self.accounts])
    }

    /// Take the nodes asked for, one per path.
    pub fn answer(&mut self, nodes: &[Option<&[u8]>]) -> InputResult<()> {
        if nodes.len() != self.asked.len() {
            return Err(InputError::new("nodes", format!("{} nodes", self.asked.len()), nodes.len()));
        }
        let hash = |chunk: &[Option<&[u8]>]| {
            let mut hashes = keccak256_all(&chunk.iter().copied().flatten().collect::<Vec<_>>()).into_iter();
            chunk.iter().map(|node| node.and_then(|node| Some((hashes.next()?, Arc::from(node))))).collect()
        };
        let answers: Vec<Vec<Answer>> = nodes.par_chunks(HASHED_AT_ONCE).map(hash).collect();
        for ((tree, path), node) in std::mem::take(&mut self.asked).into_iter().zip(answers.into_iter().flatten()) {
            let tree = match tree {
                None => &mut self.accounts,
                Some(place) => &mut self.storage[place],
            };
            tree.answer(path, node);
        }
        Ok(())
    }

    /// One pass over all tries; the keys of the nodes that are missing, as a packed list, ascending.
    pub fn pass(&mut self, known: &Known) -> Result<Vec<u8>, TrieError> {
        let (storage, accounts) = (&mut self.storage, &mut self.accounts);
        let (storage_needs, account_needs) = rayon::join(
            || storage.par_iter_mut().map(|tree| tree.pass(known)).collect::<Vec<_>>(),
            || accounts.pass(known),
        );
        let mut asked: Vec<(Vec<u8>, Option<usize>, Nibbles)> = Vec::new();
        asked.extend(account_needs?.into_iter().map(|path| (node_key(None, &path), None, path)));
        for (place, needs) in storage_needs.into_iter().enumerate() {
            let owner = self.storage[place].owner;
            asked.extend(needs?.into_iter().map(|path| (node_key(owner.as_ref(), &path), Some(place), path)));
        }
        // Each trie's part is in order already: a stable sort merges these runs.
        asked.sort_by(|left, right| left.0.cmp(&right.0));
        let mut paths = Vec::with_capacity(asked.len() * 12);
        for (key, tree, path) in asked {
            pack::push_packed(&mut paths, &key);
            self.asked.push((tree, path));
        }
        Ok(paths)
    }

    /// Number of nodes that the running round asks for.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }
}
