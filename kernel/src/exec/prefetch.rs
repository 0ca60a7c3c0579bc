//! The keys of a transaction that are known before it runs.

use revm::context::TxEnv;

use super::state::JobState;
use crate::evm;

/// Ask for its sender, its target, their code, its access list, its authorities and their delegates.
pub fn prefetch_tx(state: &mut JobState, tx: &TxEnv) {
    for address in [tx.caller, evm::target(tx)] {
        if state.prefetch_account(address) {
            state.prefetch_code_of(address);
        }
    }
    for item in tx.access_list.iter() {
        state.prefetch_account(item.address);
        for slot in &item.storage_keys {
            state.prefetch_slot(item.address, (*slot).into());
        }
    }
    for (authority, delegate) in evm::authorities(tx) {
        state.prefetch_account(authority);
        // An authorisation of the zero address ends a delegation: nothing is run there.
        if !delegate.is_zero() {
            state.prefetch_account(delegate);
        }
    }
}
