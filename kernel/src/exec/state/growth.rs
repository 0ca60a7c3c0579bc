//! How much a transaction adds to the state, in the items of `config.hansa.vm.stateGrowth`.

use alloy_primitives::KECCAK256_EMPTY;
use revm::state::{Account, EvmState};

use super::{Fields, JobState};
use crate::exec::commit::{AccountRun, Run};

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
            let before = self.known(*address).and_then(|entry| entry.now);
            let code = before.map_or(KECCAK256_EMPTY, |fields| fields.code_hash);
            items + u64::from(before.is_none()) + u64::from(new_slots(account)) + new_code(account, code)
        })
    }

    /// As [`Self::growth`], of a run that is settled.
    #[must_use]
    pub fn growth_of_run(&self, run: &Run) -> u64 {
        let items = |account: &AccountRun| {
            let Some(after) = &account.after else { return 0 };
            if after.destroyed || (self.clears_empty && after.fields == Fields::default()) {
                return 0;
            }
            let absent = self.known(account.read.address).is_none_or(|entry| entry.now.is_none());
            let code = after.code.as_ref().map_or(0, |code| code.len().div_ceil(CODE_BYTES_PER_ITEM));
            u64::from(absent) + u64::from(after.new_slots) + code as u64
        };
        run.accounts.iter().map(items).sum()
    }
}

/// Slots that were zero and are not any more.
#[must_use]
pub fn new_slots(account: &Account) -> u32 {
    let new = account.storage.values().filter(|slot| slot.original_value.is_zero() && !slot.present_value.is_zero());
    u32::try_from(new.count()).unwrap_or(u32::MAX)
}

fn new_code(account: &Account, before: alloy_primitives::B256) -> u64 {
    match &account.info.code {
        Some(code) if account.info.code_hash != before => code.len().div_ceil(CODE_BYTES_PER_ITEM) as u64,
        _ => 0,
    }
}
