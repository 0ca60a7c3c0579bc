//! How much a transaction adds to the state, in the items of `config.hansa.vm.stateGrowth`.

use alloy_primitives::KECCAK256_EMPTY;
use revm::state::{Account, EvmState};

use super::JobState;

/// Bytes of code that count as one item, as many as a slot holds.
const CODE_BYTES_PER_ITEM: usize = 32;

impl JobState {
    /// Items that folding `changes` in would add: accounts that are not there now, slots from zero, and new code by
    /// words. What is removed or overwritten counts nothing and gives nothing back.
    #[must_use]
    pub fn growth(&self, changes: &EvmState) -> u64 {
        changes.iter().filter(|(_, account)| account.is_touched()).fold(0, |items, (address, account)| {
            if account.is_selfdestructed() || (self.clears_empty && account.is_empty()) {
                return items;
            }
            let before = self.accounts.get(address).and_then(|entry| entry.now);
            let code = before.map_or(KECCAK256_EMPTY, |fields| fields.code_hash);
            items + u64::from(before.is_none()) + new_slots(account) + new_code(account, code)
        })
    }
}

fn new_slots(account: &Account) -> u64 {
    let new = account.storage.values().filter(|slot| slot.original_value.is_zero() && !slot.present_value.is_zero());
    new.count() as u64
}

fn new_code(account: &Account, before: alloy_primitives::B256) -> u64 {
    match &account.info.code {
        Some(code) if account.info.code_hash != before => code.len().div_ceil(CODE_BYTES_PER_ITEM) as u64,
        _ => 0,
    }
}
