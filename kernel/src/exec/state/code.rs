//! Code as revm runs it.

use alloy_primitives::{B256, Bytes};
use rayon::prelude::*;
use revm::bytecode::Bytecode;

/// Codes that are worth waking a thread for.
const CODES_PER_TASK: usize = 8;

/// Code as revm runs it. Delegations (EIP-7702) are told apart by their form.
#[must_use]
pub fn bytecode(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

/// Codes as revm runs them. Finding where each may be jumped to takes as long as hashing it, so the kernel's threads share
/// that; a call's thread, which is none of them, does it alone.
pub fn analysed(codes: Vec<(B256, Bytes)>) -> Vec<(B256, Bytecode)> {
    let analyse = |(hash, code)| (hash, bytecode(code));
    if rayon::current_thread_index().is_none() {
        return codes.into_iter().map(analyse).collect();
    }
    codes.into_par_iter().with_min_len(CODES_PER_TASK).map(analyse).collect()
}
