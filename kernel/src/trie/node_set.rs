//! Trie nodes by their hash, wherever they stand: what a witness brings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::map::B256Map;
use alloy_primitives::{B256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;

use super::node::Node;
use super::node_key;
use super::proof::{Descent, descend};

/// Fewest bytes of a node that has a hash of its own: shorter ones stand in their parents.
pub const NODE_BYTES_MIN: usize = 32;

#[derive(Debug)]
struct Held {
    rlp: Arc<[u8]>,
    used: AtomicBool,
}

/// A set of nodes that remembers which of them were needed.
#[derive(Debug, Default)]
pub struct NodeSet {
    nodes: B256Map<Held>,
}

impl NodeSet {
    /// Hash and keep `nodes`; duplicates count once.
    #[must_use]
    pub fn new(nodes: &[&[u8]]) -> Self {
        let hashed: Vec<(B256, Held)> = nodes
            .par_iter()
            .with_min_len(64)
            .map(|rlp| (keccak256(rlp), Held { rlp: Arc::from(*rlp), used: AtomicBool::new(false) }))
            .collect();
        Self { nodes: hashed.into_iter().collect() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node of this hash, which counts as needed from now on.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Arc<[u8]>> {
        let held = self.nodes.get(hash)?;
        held.used.store(true, Ordering::Relaxed);
        Some(held.rlp.clone())
    }

    /// Hash and RLP of the nodes that were needed, or of those that were not, ascending by hash.
    #[must_use]
    pub fn sorted(&self, used: bool) -> Vec<(B256, Arc<[u8]>)> {
        let chosen = self.nodes.iter().filter(|(_, held)| held.used.load(Ordering::Relaxed) == used);
        let mut nodes: Vec<(B256, Arc<[u8]>)> = chosen.map(|(hash, held)| (*hash, held.rlp.clone())).collect();
        nodes.sort_unstable_by_key(|(hash, _)| *hash);
        nodes
    }

    /// What the trie of `owner` with this root holds at a hashed key: the value, or that there is none.
    ///
    /// # Errors
    /// The key of the first node that is missing, or that no trie can hold.
    pub fn value(&self, owner: Option<&B256>, root: B256, key: &B256) -> Result<Option<Vec<u8>>, Vec<u8>> {
        let key = Nibbles::unpack_array(&key.0);
        let mut path = Nibbles::new();
        let mut node = if root == EMPTY_ROOT_HASH { Node::Empty } else { Node::Blind(root) };
        loop {
            node = match node {
                Node::Blind(hash) => self
                    .get(&hash)
                    .and_then(|rlp| Node::decode(&rlp, path.len(), RlpNode::word_rlp(&hash)))
                    .ok_or_else(|| node_key(owner, &path))?,
                other => match descend(other, &mut path, &key) {
                    Descent::Below(child) => child,
                    Descent::Value(value) => return Ok(value),
                },
            };
        }
    }
}
