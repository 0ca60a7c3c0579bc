//! Blocks with everything that it takes to execute them again, for someone who holds nothing but a header hash.
//!
//! A witness holds the trie nodes on the way to all that the block reads, those that its trie update reveals, the codes
//! that run, and the headers that BLOCKHASH looks at: each once, sorted, none to spare. Checking it is executing the block
//! with the code that executes every other, on a state that answers from the witness (`spec/kernel.md`, section 6.1).

mod build;
mod format;
mod state;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;
mod verify;

use alloy_primitives::{B256, hex};
use thiserror::Error;

pub use build::{WitnessJob, WitnessRequest, WitnessStep};
pub use format::{MAGIC, VERSION, VERSION_ATTACHED, Witness};
pub use verify::{Trust, Verified, verify_block};

use crate::error::InputError;
use crate::exec::sequential::BlockInvalid;

/// What a witness lacks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Missing {
    /// The trie node with this key: `owner (0 or 32 bytes) || u8 nibble count || nibbles`.
    #[error("trie node at {}", hex::encode(.0))]
    Node(Vec<u8>),
    /// The code of this hash.
    #[error("code of hash {0}")]
    Code(B256),
    /// The header of this block.
    #[error("header of block {0}")]
    Header(u64),
}

/// Why a block is not what its witness should show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WitnessError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("the witness lacks the {0}")]
    Missing(Missing),
    #[error("the block breaks a rule: {}", .0.message)]
    Invalid(BlockInvalid),
    /// Execution gives another header.
    #[error("header field {field} is {expected}, execution gives {got}")]
    Differs { field: &'static str, expected: String, got: String },
}
