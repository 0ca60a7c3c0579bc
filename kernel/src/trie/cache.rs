//! Nodes and depths learned from earlier jobs.
//!
//! An entry is served only when its hash is the one that the parent names, so a block that was staged and never
//! committed can leave nothing wrong behind: at worst a node is asked for again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use alloy_primitives::B256;
use alloy_primitives::map::HashMap;
use alloy_trie::Nibbles;
use rayon::prelude::*;

/// Depth of the account trie's nodes that go last when the cache is full.
const TOP_DEPTH: usize = 4;
/// Path length at which walks are expected to end while nothing is learned: account trie, storage tries.
pub const ACCOUNT_DEPTH_UNKNOWN: usize = 5;
pub const STORAGE_DEPTH_UNKNOWN: usize = 2;

/// Owner under which the account trie's nodes stand: no address hashes to zero.
pub(super) const ACCOUNTS: B256 = B256::ZERO;

/// Parts with a lock each, so that threads that walk different subtries seldom meet.
const SHARDS: usize = 64;
/// Fewer changed nodes than this are taken over by one thread.
const PARALLEL_NODES_MIN: usize = 512;

#[derive(Debug)]
struct Entry {
    hash: B256,
    rlp: Arc<[u8]>,
    /// Epoch of last use.
    used: AtomicU64,
}

/// The beginning of the owner, and the path: should two owners begin alike, the nodes' hashes still tell them apart.
type Key = (u64, Nibbles);

fn key(owner: B256, path: Nibbles) -> Key {
    let [beginning, ..] = owner.0.as_chunks::<8>().0 else { return (0, path) };
    (u64::from_be_bytes(*beginning), path)
}

/// Subtries of the account trie, and other tries as a whole, spread over the shards.
fn shard_of(owner: B256, path: Nibbles) -> usize {
    let nibble = |place| path.get(place).map_or(0, usize::from);
    if owner == ACCOUNTS { nibble(0) * 4 + nibble(1) / 4 } else { usize::from(owner[0]) % SHARDS }
}

#[derive(Debug, Default)]
struct Shard {
    nodes: HashMap<Key, Entry>,
    depths: HashMap<B256, (u8, u64)>,
}

/// Shared by all jobs of one state database.
///
/// A lock is taken for one node at a time, or for one shard's changes, and never across parallel work: a thread of the
/// pool that waits for its other half takes up another job meanwhile, and would wait for a lock that it holds itself.
#[derive(Debug)]
pub struct TrieCache {
    nodes_max: usize,
    shards: Vec<RwLock<Shard>>,
    /// One more with every finished job.
    epoch: AtomicU64,
}

/// Changes of one shard.
#[derive(Default)]
struct Lesson {
    gone: Vec<Key>,
    nodes: Vec<(Key, B256, Arc<[u8]>)>,
    depths: Vec<(B256, u8)>,
}

impl TrieCache {
    /// At most `nodes_max` nodes (some 600 bytes each) and as many depths, but a few per shard.
    #[must_use]
    pub fn new(nodes_max: usize) -> Self {
        Self { nodes_max, shards: (0..SHARDS).map(|_| RwLock::default()).collect(), epoch: AtomicU64::new(0) }
    }

    /// Number of nodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).nodes.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self, shard: usize) -> Option<RwLockReadGuard<'_, Shard>> {
        Some(self.shards.get(shard)?.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The node at `path` of a trie, if the one held has this hash.
    pub(super) fn get(&self, owner: B256, path: Nibbles, hash: B256) -> Option<Arc<[u8]>> {
        let shard = self.read(shard_of(owner, path))?;
        let entry = shard.nodes.get(&key(owner, path)).filter(|entry| entry.hash == hash)?;
        entry.used.store(self.epoch.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(entry.rlp.clone())
    }

    /// Whether some node at `path` is held.
    pub(super) fn holds(&self, owner: B256, path: Nibbles) -> bool {
        self.read(shard_of(owner, path)).is_some_and(|shard| shard.nodes.contains_key(&key(owner, path)))
    }

    /// Learned depth of a trie.
    pub(super) fn depth(&self, owner: B256) -> Option<usize> {
        self.read(shard_of(owner, Nibbles::new()))?.depths.get(&owner).map(|(depth, _)| usize::from(*depth))
    }

    /// Take over what a finished job knows of its tries.
    pub fn learn(&self, tries: impl IntoIterator<Item = Learned>) {
        if self.nodes_max == 0 {
            return;
        }
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let mut lessons: Vec<Lesson> = (0..SHARDS).map(|_| Lesson::default()).collect();
        let mut changes = 0;
        for learned in tries {
            let owner = learned.owner.unwrap_or(ACCOUNTS);
            changes += learned.gone.len() + learned.nodes.len();
            for path in learned.gone {
                lessons[shard_of(owner, path)].gone.push(key(owner, path));
            }
            for (path, hash, rlp) in learned.nodes {
                lessons[shard_of(owner, path)].nodes.push((key(owner, path), hash, rlp));
            }
            lessons[shard_of(owner, Nibbles::new())].depths.extend(learned.depth.map(|depth| (owner, depth)));
        }
        let nodes_max = self.nodes_max.div_ceil(SHARDS);
        let take_over = |(shard, lesson): (&RwLock<Shard>, Lesson)| {
            shard.write().unwrap_or_else(PoisonError::into_inner).take_over(lesson, epoch, nodes_max);
        };
        if changes < PARALLEL_NODES_MIN {
            self.shards.iter().zip(lessons).for_each(take_over);
        } else {
            self.shards.par_iter().zip(lessons).for_each(take_over);
        }
    }
}

/// What one job learned of one trie.
pub struct Learned {
    pub owner: Option<B256>,
    pub nodes: Vec<(Nibbles, B256, Arc<[u8]>)>,
    pub gone: Vec<Nibbles>,
    pub depth: Option<u8>,
}

impl Shard {
    fn take_over(&mut self, lesson: Lesson, epoch: u64, nodes_max: usize) {
        for key in lesson.gone {
            self.nodes.remove(&key);
        }
        for (key, hash, rlp) in lesson.nodes {
            self.nodes.insert(key, Entry { hash, rlp, used: AtomicU64::new(epoch) });
        }
        for (owner, depth) in lesson.depths {
            self.depths.insert(owner, (depth, epoch));
        }
        self.shrink(nodes_max);
    }

    /// Below seven eighths of the bound again, oldest and deepest first (a sort per eighth, not per node).
    fn shrink(&mut self, nodes_max: usize) {
        let keep = nodes_max - nodes_max / 8;
        if self.nodes.len() > nodes_max {
            let mut order: Vec<(bool, u64, usize, Key)> = self
                .nodes
                .iter()
                .map(|(key, entry)| {
                    let (owner, path) = key;
                    let top = *owner == 0 && path.len() <= TOP_DEPTH;
                    (top, entry.used.load(Ordering::Relaxed), PATH_RANK - path.len(), *key)
                })
                .collect();
            order.sort_unstable();
            for (_, _, _, key) in order.into_iter().take(self.nodes.len() - keep) {
                self.nodes.remove(&key);
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
