//! Results of expensive precompiles, kept over rounds, threads and blocks: a block is run several times before it is
//! committed, and its certificates are verified once.

use std::sync::{Mutex, PoisonError};

use alloy_primitives::map::B256Map;
use alloy_primitives::{B256, Bytes, Keccak256};

use super::{BadInput, Precompile};

/// Most results kept; beyond it all are dropped. Outputs are a few words, so this is well under a megabyte.
const RESULTS_MAX: usize = 4_096;

type Kept = Result<Bytes, BadInput>;

/// Results by (name, input). The lock is held for a look-up or an insertion, never while anything runs.
#[derive(Debug, Default)]
pub struct Results(Mutex<B256Map<Kept>>);

impl Results {
    pub fn run(&self, precompile: &Precompile, input: &[u8]) -> Kept {
        if !precompile.keep {
            return (precompile.run)(input);
        }
        let key = key(precompile.name, input);
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return kept.clone();
        }
        let result = (precompile.run)(input);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= RESULTS_MAX {
            kept.clear();
        }
        kept.insert(key, result.clone());
        result
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn key(name: &str, input: &[u8]) -> B256 {
    let mut hash = Keccak256::new();
    hash.update([u8::try_from(name.len()).unwrap_or(u8::MAX)]);
    hash.update(name);
    hash.update(input);
    hash.finalize()
}
