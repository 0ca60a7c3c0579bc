//! Nodes and depths learned from earlier jobs.
//!
//! An entry is served only when its hash is the one that the parent names, so a block that was staged and never
//! committed can leave nothing wrong behind: at worst a node is asked for again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use alloy_primitives::B256;
use alloy_primitives::map::HashMap;
use alloy_trie::Nibbles;

/// Depth of the account trie's nodes that go last when the cache is full.
const TOP_DEPTH: usize = 4;
/// Path length at which walks are expected to end while nothing is learned: account trie, storage tries.
pub const ACCOUNT_DEPTH_UNKNOWN: usize = 5;
pub const STORAGE_DEPTH_UNKNOWN: usize = 2;

/// Owner under which the account trie's nodes stand: no address hashes to zero.
const ACCOUNTS: B256 = B256::ZERO;

#[derive(Debug)]
struct Entry {
    hash: B256,
    rlp: Arc<[u8]>,
    /// Epoch of last use.
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    nodes: HashMap<(B256, Nibbles), Entry>,
    depths: HashMap<B256, (u8, u64)>,
    /// One more with every finished job.
    epoch: u64,
}

/// Shared by all jobs of one state database.
///
/// The lock is taken for one node at a time and never across parallel work: a thread of the pool that waits for its other
/// half takes up another job meanwhile, and would wait for a lock that it holds itself.
#[derive(Debug)]
pub struct TrieCache {
    nodes_max: usize,
    held: RwLock<Held>,
}

impl TrieCache {
    /// At most `nodes_max` nodes (some 600 bytes each) and as many depths.
    #[must_use]
    pub fn new(nodes_max: usize) -> Self {
        Self { nodes_max, held: RwLock::default() }
    }

    /// Number of nodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().nodes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take over what a finished job knows of its tries.
    pub fn learn(&self, tries: impl IntoIterator<Item = Learned>) {
        if self.nodes_max == 0 {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.epoch += 1;
        let epoch = held.epoch;
        for learned in tries {
            let owner = learned.owner.unwrap_or(ACCOUNTS);
            for path in learned.gone {
                held.nodes.remove(&(owner, path));
            }
            for (path, hash, rlp) in learned.nodes {
                held.nodes.insert((owner, path), Entry { hash, rlp, used: AtomicU64::new(epoch) });
            }
            if let Some(depth) = learned.depth {
                held.depths.insert(owner, (depth, epoch));
            }
        }
        held.shrink(self.nodes_max);
    }
}

/// What one job learned of one trie.
pub struct Learned {
    pub owner: Option<B256>,
    pub nodes: Vec<(Nibbles, B256, Arc<[u8]>)>,
    pub gone: Vec<Nibbles>,
    pub depth: Option<u8>,
}

impl Held {
    /// Below seven eighths of the bound again, oldest and deepest first (a sort per eighth, not per node).
    fn shrink(&mut self, nodes_max: usize) {
        let keep = nodes_max - nodes_max / 8;
        if self.nodes.len() > nodes_max {
            let mut order: Vec<(bool, u64, usize, B256, Nibbles)> = self
                .nodes
                .iter()
                .map(|((owner, path), entry)| {
                    let top = *owner == ACCOUNTS && path.len() <= TOP_DEPTH;
                    (top, entry.used.load(Ordering::Relaxed), PATH_RANK - path.len(), *owner, *path)
                })
                .collect();
            order.sort_unstable();
            for (_, _, _, owner, path) in order.into_iter().take(self.nodes.len() - keep) {
                self.nodes.remove(&(owner, path));
            }
        }
        if self.depths.len() > nodes_max {
            let mut order: Vec<(u64, B256)> = self.depths.iter().map(|(owner, (_, used))| (*used, *owner)).collect();
            order.sort_unstable();
            for (_, owner) in order.into_iter().take(self.depths.len() - keep) {
                self.depths.remove(&owner);
            }
        }
    }
}

const PATH_RANK: usize = super::PATH_NIBBLES_MAX;

/// One trie's part of the cache.
#[derive(Clone, Copy)]
pub struct View<'a> {
    cache: &'a TrieCache,
    owner: B256,
}

impl<'a> View<'a> {
    pub fn new(cache: &'a TrieCache, owner: Option<&B256>) -> Self {
        Self { cache, owner: owner.copied().unwrap_or(ACCOUNTS) }
    }

    /// The node at `path`, if the one held has this hash.
    pub fn get(&self, path: Nibbles, hash: B256) -> Option<Arc<[u8]>> {
        let held = self.cache.read();
        let entry = held.nodes.get(&(self.owner, path)).filter(|entry| entry.hash == hash)?;
        entry.used.store(held.epoch, Ordering::Relaxed);
        Some(entry.rlp.clone())
    }

    /// Whether some node at `path` is held.
    pub fn holds(&self, path: Nibbles) -> bool {
        self.cache.read().nodes.contains_key(&(self.owner, path))
    }

    pub fn depth(&self) -> Option<usize> {
        self.cache.read().depths.get(&self.owner).map(|(depth, _)| usize::from(*depth))
    }
}
