//! One trie (of accounts, or of one account's storage) while a job works on it.

use std::sync::Arc;

use alloy_primitives::map::HashMap;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::cache::{ACCOUNT_DEPTH_UNKNOWN, Learned, STORAGE_DEPTH_UNKNOWN};
use super::known::Known;
use super::node::Node;
use super::seal::{Sealed, seal_root};
use super::sparse::{Answer, Answers, Corrupt, Edit, Found, Update, Walk};
use super::{PATH_NIBBLES_MAX, TrieError, node_key};

/// Tries with fewer updates are hashed by one thread.
const PARALLEL_UPDATES_MIN: usize = 64;
/// Share of walks, in percent, that the learned depth covers; the rest takes a second round.
const DEPTH_PERCENT: u64 = 95;
/// Walks in one job from which the depth is learned anew, rather than raised.
const DEPTH_WALKS_MIN: u64 = 32;

/// Sorts paths as their node keys sort: by length first.
fn key_order(path: &Nibbles) -> (usize, Nibbles) {
    (path.len(), *path)
}

#[derive(Debug)]
pub struct Tree {
    pub owner: Option<B256>,
    root: Node,
    updates: Vec<Update>,
    todo: Vec<u32>,
    answers: Answers,
    /// Stored nodes of the parent state that the job went through, by path.
    old: HashMap<Nibbles, Arc<[u8]>>,
    learned: usize,
    ends: [u32; PATH_NIBBLES_MAX + 1],
    pub cache_hits: u64,
    pub revealed: u64,
}

/// A tree's new root, and what to do to its stored nodes.
#[derive(Debug, Default)]
pub struct Diff {
    pub root: B256,
    /// Path, hash and new RLP.
    pub writes: Vec<(Nibbles, B256, Arc<[u8]>)>,
    pub deletes: Vec<Nibbles>,
    /// Previous RLP of each write, then of each delete; `None`: did not exist.
    pub old: Vec<Option<Arc<[u8]>>>,
    /// Nodes that the job went through and left as they were.
    pub kept: Vec<(Nibbles, B256, Arc<[u8]>)>,
}

impl Tree {
    /// The trie under `root`, to be changed by `updates` (ascending by key, no duplicates).
    pub fn new(owner: Option<B256>, root: B256, updates: Vec<Update>, known: &Known) -> Self {
        let root = if root == EMPTY_ROOT_HASH { Node::Empty } else { Node::Blind(root) };
        let unknown = if owner.is_some() { STORAGE_DEPTH_UNKNOWN } else { ACCOUNT_DEPTH_UNKNOWN };
        let learned = known.view(owner.as_ref()).depth().unwrap_or(unknown);
        let todo = (0..).take(updates.len()).collect();
        Self {
            owner,
            root,
            updates,
            todo,
            answers: Answers::default(),
            old: HashMap::default(),
            learned,
            ends: [0; PATH_NIBBLES_MAX + 1],
            cache_hits: 0,
            revealed: 0,
        }
    }

    pub fn updates_len(&self) -> usize {
        self.updates.len()
    }

    /// Take the store's answer for a path, with its hash.
    pub fn answer(&mut self, path: Nibbles, node: Answer) {
        self.answers.insert(path, node);
    }

    /// Do what can be done; returns paths to ask for, in the order of node keys, none asked before.
    pub fn pass(&mut self, known: &Known) -> Result<Vec<Nibbles>, TrieError> {
        let mut found = Found::default();
        let walk = Walk {
            updates: &self.updates,
            answers: &self.answers,
            known: known.view(self.owner.as_ref()),
            learned: self.learned,
        };
        let todo = std::mem::take(&mut self.todo);
        walk.apply(&mut self.root, Nibbles::new(), &todo, &mut found)
            .map_err(|Corrupt(path)| TrieError::Corrupt(node_key(self.owner.as_ref(), &path)))?;
        self.revealed += found.revealed.len() as u64;
        self.old.extend(found.revealed);
        for (sum, part) in self.ends.iter_mut().zip(found.ends) {
            *sum += part;
        }
        self.cache_hits += found.cache_hits;
        found.pending.sort_unstable();
        found.pending.dedup();
        self.todo = found.pending;
        // Of sorted runs, one per node that is missing: a stable sort merges them.
        found.needs.sort_by(|left, right| left.len().cmp(&right.len()).then_with(|| left.cmp(right)));
        found.needs.dedup();
        Ok(found.needs)
    }

    /// Set what some updates do anew. All walks are done, so this needs no node.
    pub fn set_edits(&mut self, edits: Vec<(u32, Edit)>) -> Result<(), TrieError> {
        for (index, edit) in edits {
            self.updates[index as usize].edit = edit;
            self.todo.push(index);
        }
        self.todo.sort_unstable();
        self.pass(&Known::Nothing).map(|needs| debug_assert!(needs.is_empty(), "every path is revealed by now"))
    }

    /// Hash; call once, when done.
    pub fn seal(&mut self) -> Diff {
        let (root, Sealed { mut writes, kept }) = seal_root(&self.root, self.updates.len() >= PARALLEL_UPDATES_MIN);
        let mut diff = Diff { root, ..Diff::default() };
        let keep = |path: Nibbles, rlp: Arc<[u8]>, kept: &mut Vec<_>| kept.push((path, keccak256(&rlp), rlp));
        for path in kept {
            if let Some(rlp) = self.old.remove(&path) {
                keep(path, rlp, &mut diff.kept);
            }
        }
        writes.sort_unstable_by_key(|(path, _, _)| key_order(path));
        for (path, hash, rlp) in writes {
            let old = self.old.remove(&path);
            if old.as_ref() == Some(&rlp) {
                diff.kept.push((path, hash, rlp));
            } else {
                diff.old.push(old);
                diff.writes.push((path, hash, rlp));
            }
        }
        let mut gone: Vec<(Nibbles, Arc<[u8]>)> = self.old.drain().collect();
        gone.sort_unstable_by_key(|(path, _)| key_order(path));
        for (path, rlp) in gone {
            diff.old.push(Some(rlp));
            diff.deletes.push(path);
        }
        diff
    }

    /// What the cache keeps of this tree.
    pub fn lesson(&self, diff: Diff) -> Learned {
        let mut nodes = diff.writes;
        nodes.extend(diff.kept);
        Learned { owner: self.owner, nodes, gone: diff.deletes, depth: self.depth() }
    }

    /// Path length at which 95 % of the walks ended.
    #[expect(clippy::cast_possible_truncation, reason = "a path has at most 64 nibbles")]
    fn depth(&self) -> Option<u8> {
        let walks: u64 = self.ends.iter().map(|&count| u64::from(count)).sum();
        let mut sum = 0;
        let depth = self.ends.iter().position(|&count| {
            sum += u64::from(count);
            sum * 100 >= walks * DEPTH_PERCENT
        })?;
        let depth = if walks >= DEPTH_WALKS_MIN { depth } else { depth.max(self.learned) };
        (walks > 0).then_some(depth as u8)
    }
}
