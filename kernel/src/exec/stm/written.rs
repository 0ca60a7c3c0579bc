//! What a run leaves in multi-version memory.

use alloy_primitives::{Address, KECCAK256_EMPTY};
use revm::state::Account;

use super::memory::{Change, Memory, Place, Shift};
use crate::exec::commit::Run;
use crate::exec::state::Fields;
use crate::exec::view::AccountRead;

/// Put it there as that of transaction `place`; the keys that were written.
pub fn write(memory: &Memory, beneficiary: Address, place: u32, run: &Run) -> Vec<Place> {
    let mut written = Vec::with_capacity(run.reads.accounts.len() + run.reads.slots.len() + 1);
    let tip = Shift { plus: run.tip, ..Shift::default() };
    let mut tipped = run.tip.is_zero();
    for read in &run.reads.accounts {
        let Some(account) = run.changes.get(&read.address) else { continue };
        if !account.is_touched() {
            continue;
        }
        let mut change = change_of(run.strict, read, account);
        if read.address == beneficiary && !tipped {
            tipped = true;
            change = Some(match change {
                Some(Change::Set(fields)) => Change::Set(tip.apply(fields)),
                Some(Change::Shift(shift)) => {
                    Change::Shift(Shift { plus: shift.plus.saturating_add(run.tip), ..shift })
                }
                None => Change::Shift(tip),
            });
        }
        if let Some(change) = change {
            memory.put_account(read.address, place, change);
            written.push(Place::Account(read.address));
        }
        if account.info.code_hash != KECCAK256_EMPTY
            && !account.info.code_hash.is_zero()
            && read.fields.unwrap_or_default().code_hash != account.info.code_hash
            && let Some(code) = &account.info.code
        {
            memory.put_code(account.info.code_hash, code.clone());
        }
        for (slot, value) in account.storage.iter().filter(|(_, slot)| slot.is_changed()) {
            memory.put_slot(read.address, *slot, place, value.present_value);
            written.push(Place::Slot(read.address, *slot));
        }
    }
    if !tipped {
        memory.put_account(beneficiary, place, Change::Shift(tip));
        written.push(Place::Account(beneficiary));
    }
    written
}

fn change_of(strict: bool, read: &AccountRead, account: &Account) -> Option<Change> {
    let gone = account.is_selfdestructed() || account.is_empty();
    let fields = Fields::from(&account.info);
    if strict {
        let after = (!gone).then_some(fields);
        return (after != read.fields).then_some(Change::Set(after));
    }
    let before = read.fields.unwrap_or_default();
    let shift = Shift {
        nonce: (fields.nonce != before.nonce).then_some(fields.nonce),
        plus: fields.balance.saturating_sub(before.balance),
        minus: before.balance.saturating_sub(fields.balance),
    };
    (shift != Shift::default()).then_some(Change::Shift(shift))
}
