//! Precompiles of a chain: functions of this registry that a chain spec puts at addresses of its choice.
//!
//! A precompile is one file of this folder and its name in the list below; docs/internals/precompiles.md leads through
//! it. All of them are pure: the result follows from the input alone, so it may be kept and used again.

mod provider;
mod results;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, Bytes};

pub use provider::ChainPrecompiles;
use results::Results;

/// Declare the files of the registry; each has a `PRECOMPILES` list.
macro_rules! registry {
    ($($(#[$condition:meta])* $file:ident),+ $(,)?) => {
        $($(#[$condition])* mod $file;)+
        const REGISTRY: &[&[Precompile]] = &[$($(#[$condition])* $file::PRECOMPILES),+];
    };
}

registry! {
    bls_certificate,
    #[cfg(feature = "ed25519")]
    ed25519,
    sha3,
    state_proof,
}

/// First and last address that a chain may give to its precompiles. Ethereum's own stay far below.
pub const ADDRESS_MIN: u64 = 0x400;
pub const ADDRESS_MAX: u64 = 0xf_ffff;

/// What a call costs: `base + per_word * ceil(input bytes / 32) + per_item * items`, saturating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasSchedule {
    pub base: u64,
    pub per_word: u64,
    /// For what the precompile counts itself, such as keys of a certificate or words of output.
    pub per_item: u64,
}

impl GasSchedule {
    fn of(&self, input: &[u8], items: u64) -> u64 {
        let words = input.len().div_ceil(32) as u64;
        self.base
            .saturating_add(self.per_word.saturating_mul(words))
            .saturating_add(self.per_item.saturating_mul(items))
    }
}

/// Why a call fails with all its gas: input of another shape. A signature that does not hold is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadInput(pub &'static str);

/// One precompile of the registry.
#[derive(Debug)]
pub struct Precompile {
    /// Name in the chain spec.
    pub name: &'static str,
    /// Gas where the chain spec sets none.
    pub gas: GasSchedule,
    /// Items to be paid for, read off the input cheaply; 0 for input that `run` refuses.
    pub items: fn(&[u8]) -> u64,
    /// Whether a result is worth keeping: what takes longer than hashing its input several times.
    pub keep: bool,
    pub run: fn(&[u8]) -> Result<Bytes, BadInput>,
}

/// `items` of precompiles that count none.
const fn no_items(_: &[u8]) -> u64 {
    0
}

/// Output of a verification: the number 1 in 32 bytes, or nothing (as P256VERIFY, EIP-7951).
fn verdict(holds: bool) -> Bytes {
    if holds { number(1) } else { Bytes::new() }
}

fn number(value: u64) -> Bytes {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    Bytes::copy_from_slice(&word)
}

/// Names that a chain spec may use, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTRY.iter().flat_map(|file| file.iter()).map(|precompile| precompile.name)
}

/// The precompile of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Precompile> {
    REGISTRY.iter().flat_map(|file| file.iter()).find(|precompile| precompile.name == name)
}

/// A precompile at its address, with the chain's price.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    pub precompile: &'static Precompile,
    pub gas: GasSchedule,
}

/// The precompiles of one chain. Cheap to clone; clones share the results that are kept.
#[derive(Debug, Clone, Default)]
pub struct DeclaredSet(Arc<(BTreeMap<Address, Declared>, Results)>);

impl DeclaredSet {
    #[must_use]
    pub fn new(declared: BTreeMap<Address, Declared>) -> Self {
        Self(Arc::new((declared, Results::default())))
    }

    /// Ascending by address.
    #[must_use]
    pub fn by_address(&self) -> &BTreeMap<Address, Declared> {
        &self.0.0
    }

    fn results(&self) -> &Results {
        &self.0.1
    }
}
