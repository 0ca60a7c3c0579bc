//! Nodes that a job need not ask for: learned from earlier jobs, or brought along as a witness.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::cache::{ACCOUNTS, TrieCache};
use super::node_set::NodeSet;

/// Where nodes may come from before anything is asked.
#[derive(Debug, Clone, Default)]
pub enum Known {
    #[default]
    Nothing,
    Cache(Arc<TrieCache>),
    /// What is not in it has to be asked for one by one: nothing is guessed.
    Set(Arc<NodeSet>),
}

impl Known {
    #[must_use]
    /// What is known of the trie of `owner` (`None`: that of accounts).
    pub fn view(&self, owner: Option<&B256>) -> View<'_> {
        match self {
            Self::Nothing => View::Nothing,
            Self::Cache(cache) => View::Cache(cache, owner.copied().unwrap_or(ACCOUNTS)),
            Self::Set(set) => View::Set(set),
        }
    }
}

/// One trie's part of what is known.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    Nothing,
    Cache(&'a TrieCache, B256),
    Set(&'a NodeSet),
}

impl View<'_> {
    /// The node at `path` with this hash.
    pub fn get(&self, path: Nibbles, hash: B256) -> Option<Arc<[u8]>> {
        match self {
            Self::Nothing => None,
            Self::Cache(cache, owner) => cache.get(*owner, path, hash),
            Self::Set(set) => set.get(&hash),
        }
    }

    /// Whether it is no use to ask for what probably lies at `path`.
    pub fn holds(&self, path: Nibbles) -> bool {
        match self {
            Self::Nothing => false,
            Self::Cache(cache, owner) => cache.holds(*owner, path),
            Self::Set(_) => true,
        }
    }

    /// Path length at which walks in this trie usually end, if it is learned.
    pub fn depth(&self) -> Option<usize> {
        match self {
            Self::Cache(cache, owner) => cache.depth(*owner),
            Self::Nothing | Self::Set(_) => None,
        }
    }
}
