//! Runners of the public Ethereum tests, for our own tests and for `hansa evm`.

pub mod answers;
mod basefeetest;
pub mod blocktest;
pub mod case;
pub mod chain;
mod difficultytest;
pub mod eip3155;
pub mod full_state;
mod header_json;
mod networks;
mod plain_trie;
mod precompiletest;
mod rlptest;
pub mod run;
pub mod statetest;
pub mod t8n;
mod transactiontest;
mod trietest;
mod tx_json;

pub use case::{CaseResult, Options, Outcome, RUNNERS, SKIPS, Skip, runner_of};

use crate::error::{InputError, InputResult};

/// A kind of test file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    State,
    Block,
    Transaction,
    Rlp,
    Trie,
    Difficulty,
    BaseFee,
    /// Precompiled contracts, and single instructions.
    Precompile,
}

/// Every kind by its name.
const KINDS: [(&str, Kind); 8] = [
    ("state", Kind::State),
    ("block", Kind::Block),
    ("transaction", Kind::Transaction),
    ("rlp", Kind::Rlp),
    ("trie", Kind::Trie),
    ("difficulty", Kind::Difficulty),
    ("base-fee", Kind::BaseFee),
    ("precompile", Kind::Precompile),
];

impl Kind {
    /// The kind of that name.
    ///
    /// # Errors
    /// Names `kind` when there is none.
    pub fn from_name(name: &str) -> InputResult<Self> {
        let known = KINDS.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            InputError::new("kind", names, name)
        })
    }
}

/// Decide the cases of one file that `options` want. `name` is the file's stem, for cases without a name of their own.
///
/// # Errors
/// When the file is not of that kind.
pub fn run(kind: Kind, name: &str, bytes: &[u8], options: &Options) -> InputResult<Vec<CaseResult>> {
    match kind {
        Kind::State => statetest::state_test(bytes, options),
        Kind::Block => blocktest::blockchain_test(bytes, options),
        Kind::Transaction => transactiontest::transaction_test(bytes, options),
        Kind::Rlp => rlptest::rlp_test(name, bytes),
        Kind::Trie => trietest::trie_test(name, bytes),
        Kind::Difficulty => difficultytest::difficulty_test(name, bytes, options),
        Kind::BaseFee => basefeetest::base_fee_test(name, bytes),
        Kind::Precompile => precompiletest::precompile_test(name, bytes),
    }
}
