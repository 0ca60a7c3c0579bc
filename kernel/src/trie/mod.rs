//! Merkle-Patricia tries behind the miss protocol: roots, node diffs and proofs without I/O.
//!
//! Nodes live elsewhere, keyed by path (`owner || nibble count || nibbles`). A job walks a sparse picture of the trie,
//! asks for nodes it lacks, checks each against its parent's reference, and says at the end what to write and delete.

mod cache;
mod forest;
mod full;
mod job;
mod known;
mod multiproof;
mod node;
mod node_set;
mod proof;
mod seal;
mod sparse;
mod steps;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a failing test may panic; numbers are small")]
mod tests;
mod tree;
pub mod write_set;

use alloy_primitives::B256;
use alloy_trie::Nibbles;
use thiserror::Error;

pub use alloy_trie::{EMPTY_ROOT_HASH as EMPTY_ROOT, KECCAK_EMPTY as EMPTY_CODE_HASH};
pub use cache::TrieCache;
pub use full::{ordered_root, trie_root};
pub use job::{Stats, TrieAsk, TrieJob, TrieOutcome, TrieStep};
pub use known::Known;
pub use multiproof::MultiproofJob;
pub use node_set::{NODE_BYTES_MIN, NodeSet};
pub use proof::{ProofJob, ProofOutcome, ProofStep, proven_value, verify_proof};
pub use steps::root_of_steps;

use crate::error::InputError;

/// Longest path, in nibbles: keys are Keccak hashes.
pub const PATH_NIBBLES_MAX: usize = 64;

/// Why a trie job stops.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrieError {
    #[error(transparent)]
    Input(#[from] InputError),
    /// A stored node is absent, malformed, or hashes to something else than its parent says. Holds its node key.
    #[error("corrupt trie node at {}", alloy_primitives::hex::encode(.0))]
    Corrupt(Vec<u8>),
}

/// `owner (0 or 32 bytes) || u8 nibble count || nibbles, two per byte` (odd: low nibble of the last byte zero).
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a path has at most 64 nibbles")]
pub fn node_key(owner: Option<&B256>, path: &Nibbles) -> Vec<u8> {
    let mut key = Vec::with_capacity(66);
    if let Some(owner) = owner {
        key.extend_from_slice(owner.as_slice());
    }
    key.push(path.len() as u8);
    key.extend_from_slice(&path.pack());
    key
}
