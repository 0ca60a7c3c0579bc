//! What a run leaves in multi-version memory.

use alloy_primitives::Address;

use super::memory::{Change, Memory, Place, Shift};
use crate::exec::commit::{After, Run};
use crate::exec::state::Fields;
use crate::exec::view::AccountRead;

/// Put it there as that of transaction `place`; the keys that were written.
pub fn write(memory: &Memory, beneficiary: Address, place: u32, run: &Run) -> Vec<Place> {
    let mut written = Vec::with_capacity(run.accounts.len() + run.slots.len() + run.unread.len() + 1);
    let tip = Shift { plus: run.tip, ..Shift::default() };
    let mut tipped = run.tip.is_zero();
    for account in &run.accounts {
        let Some(after) = &account.after else { continue };
        let address = account.read.address;
        let mut change = change_of(run.strict, &account.read, after);
        if address == beneficiary && !tipped {
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
            memory.put_account(address, place, change);
            written.push(Place::Account(address));
        }
        if let Some(code) = &after.code {
            memory.put_code(after.fields.code_hash, code.clone());
        }
    }
    let changed = run.slots.iter().filter(|slot| slot.after != slot.read.value);
    let changed = changed.map(|slot| (slot.read.address, slot.read.slot, slot.after));
    let unread = run.unread.iter().filter(|one| !one.after.is_zero()).map(|one| (one.address, one.slot, one.after));
    for (address, slot, value) in changed.chain(unread) {
        memory.put_slot(address, slot, place, value);
        written.push(Place::Slot(address, slot));
    }
    if !tipped {
        memory.put_account(beneficiary, place, Change::Shift(tip));
        written.push(Place::Account(beneficiary));
    }
    written
}

fn change_of(strict: bool, read: &AccountRead, after: &After) -> Option<Change> {
    let fields = after.fields;
    let gone = after.destroyed || fields == Fields::default();
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
