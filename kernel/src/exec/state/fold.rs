//! Folding what a valid run left behind into a job's state, and noting what later transactions of the block read of it.

use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use revm::state::{Account, AccountId, EvmState};

use super::{Entry, Fields, JobState, LastWrite, Slot, Storage, place_of};
use crate::exec::access_list::Link;
use crate::exec::commit::Run;

/// The transaction that is folded in.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Its place among the transactions that are in the block.
    pub index: u32,
    /// What it did depends on every field of what it read; else on nonce of its sender, on code and on slots alone.
    pub strict: bool,
}

impl JobState {
    /// Fold in a system call, or a transaction outside a block. Everything that it loaded counts as read by the block.
    pub fn commit(&mut self, changes: EvmState) {
        self.fold(changes, None);
    }

    /// Fold in a transaction of a block. Everything that it loaded counts as read by the block.
    pub fn commit_tx(&mut self, changes: EvmState, mark: Mark) {
        self.fold(changes, Some(mark));
    }

    /// Pay the beneficiary, whose account is known. That touches the account even with nothing (EIP-161).
    pub fn reward(&mut self, beneficiary: Address, tip: U256, index: u32) {
        let clears_empty = self.clears_empty;
        let Some(place) = self.accounts.get(&beneficiary) else { return };
        let entry = &mut self.entries[*place as usize];
        entry.used = true;
        let mut now = entry.now.unwrap_or_default();
        // Wei in existence are far fewer than 2^256.
        now.balance = now.balance.saturating_add(tip);
        if clears_empty && now == Fields::default() {
            entry.write(None, index);
            entry.wipe(Some(index), &mut self.slots);
        } else {
            entry.write(Some(now), index);
        }
    }

    /// Whether an account that had been there destroyed itself.
    #[must_use]
    pub fn destroyed(&self) -> bool {
        self.destroyed
    }

    /// Fold in a run whose reads hold here and know their places.
    pub fn commit_run(&mut self, run: &mut Run, mark: Mark) {
        self.count_reads();
        let written = LastWrite { by: mark.index + 1, listed: false };
        for slot in &run.slots {
            let Some(known) = slot.read.place.and_then(|place| self.slots.get_mut(place as usize)) else { continue };
            let wiped_by =
                self.accounts.get(&slot.read.address).map_or(0, |place| self.entries[*place as usize].wiped_by);
            known.used = true;
            known.last.by = known.last.by.max(wiped_by);
            if let Some(index) = known.last.list() {
                let (address, slot) = (slot.read.address, slot.read.slot);
                self.links.push(Link::Slot { address, slot, index, value: known.now });
            }
            if known.now != slot.after {
                known.now = slot.after;
                known.last = written;
            }
        }
        for one in &run.unread {
            let Some(place) = self.accounts.get(&one.address) else { continue };
            let entry = &mut self.entries[*place as usize];
            entry.fold_slot(one.slot, one.after, one.created, Some(mark), &mut self.slots, &mut self.links);
        }
        for account in &mut run.accounts {
            let Some(entry) = account.read.place.and_then(|place| self.entries.get_mut(place as usize)) else {
                continue;
            };
            entry.used = true;
            if (mark.strict || entry.code_by > 0)
                && let Some(index) = entry.last.list()
            {
                self.links.push(Link::Account { address: entry.address, index, fields: entry.now });
            }
            let Some(after) = &mut account.after else { continue };
            if after.destroyed || (self.clears_empty && after.fields == Fields::default()) {
                self.destroyed |= after.destroyed && !after.created;
                entry.write(None, mark.index);
                entry.wipe(Some(mark.index), &mut self.slots);
                continue;
            }
            if let Some(code) = after.code.take() {
                self.codes.insert(after.fields.code_hash, Some(code));
            }
            entry.write(Some(after.fields), mark.index);
        }
    }

    fn count_reads(&mut self) {
        for hash in self.read_codes.drain(..) {
            self.used.codes.insert(hash);
        }
        for number in self.read_blocks.drain(..) {
            self.used.blocks.insert(number);
        }
    }

    /// The place of an account that a run loaded: [`revm::Database::basic`] gave it along, but for an absent one.
    fn place(&self, address: Address, account: &Account) -> Option<usize> {
        let told = account.info.account_id.map(AccountId::get);
        let told = told.filter(|place| self.entries.get(*place).is_some_and(|entry| entry.address == address));
        told.or_else(|| self.accounts.get(&address).map(|place| *place as usize))
    }

    fn fold(&mut self, changes: EvmState, mark: Option<Mark>) {
        self.count_reads();
        for (address, account) in changes {
            let Some(place) = self.place(address, &account) else { continue };
            let entry = &mut self.entries[place];
            entry.used = true;
            if let Some(mark) = mark
                && (mark.strict || entry.code_by > 0)
                && let Some(index) = entry.last.list()
            {
                self.links.push(Link::Account { address, index, fields: entry.now });
            }
            entry.fold_slots(&account, mark, &mut self.slots, &mut self.links);
            if !account.is_touched() {
                continue;
            }
            let index = mark.map(|mark| mark.index);
            if account.is_selfdestructed() || (self.clears_empty && account.is_empty()) {
                self.destroyed |= account.is_selfdestructed() && !account.is_created();
                entry.set(None, index);
                entry.wipe(index, &mut self.slots);
                continue;
            }
            if entry.now.is_none_or(|now| now.code_hash != account.info.code_hash)
                && account.info.code_hash != KECCAK256_EMPTY
                && !account.info.code_hash.is_zero()
                && let Some(code) = &account.info.code
            {
                self.codes.insert(account.info.code_hash, Some(code.clone()));
            }
            entry.set(Some(Fields::from(&account.info)), index);
        }
    }
}

impl Entry {
    fn fold_slots(&mut self, account: &Account, mark: Option<Mark>, slots: &mut Vec<Slot>, links: &mut Vec<Link>) {
        for (key, slot) in &account.storage {
            self.fold_slot(*key, slot.present_value, account.is_created(), mark, slots, links);
        }
    }

    /// Fold in a slot; with `created`, of an account that the transaction itself created.
    fn fold_slot(
        &mut self,
        key: U256,
        value: U256,
        created: bool,
        mark: Option<Mark>,
        slots: &mut Vec<Slot>,
        links: &mut Vec<Link>,
    ) {
        let written = mark.map_or_else(LastWrite::default, |mark| LastWrite { by: mark.index + 1, listed: false });
        let Some(place) = self.slots.get(&key) else {
            // A slot of a new contract: never read from the parent.
            self.slots.insert(key, place_of(slots.len()));
            slots.push(Slot { now: value, last: written, ..Slot::default() });
            return;
        };
        let known = &mut slots[*place as usize];
        // Storage of an account that the transaction itself created is not read from the state.
        if !created {
            known.used = true;
            known.last.by = known.last.by.max(self.wiped_by);
            if mark.is_some()
                && let Some(index) = known.last.list()
            {
                links.push(Link::Slot { address: self.address, slot: key, index, value: known.now });
            }
        }
        if known.now != value {
            known.now = value;
            known.last = written;
        }
    }

    fn set(&mut self, now: Option<Fields>, index: Option<u32>) {
        match index {
            Some(index) => self.write(now, index),
            None => self.now = now,
        }
    }

    fn write(&mut self, now: Option<Fields>, index: u32) {
        if self.now == now {
            return;
        }
        if self.now.unwrap_or_default().code_hash != now.unwrap_or_default().code_hash {
            self.code_by = index + 1;
        }
        self.now = now;
        self.last = LastWrite { by: index + 1, listed: false };
    }

    pub(super) fn wipe(&mut self, index: Option<u32>, slots: &mut [Slot]) {
        self.wiped |= self.before.is_some();
        self.storage = Storage::Empty;
        self.wiped_by = index.map_or(0, |index| index + 1);
        for place in self.slots.values() {
            let slot = &mut slots[*place as usize];
            slot.now = U256::ZERO;
            slot.last = LastWrite::default();
        }
    }
}

impl LastWrite {
    /// The index to list the value under, if a transaction wrote it and it is not listed yet.
    fn list(&mut self) -> Option<u32> {
        let index = self.by.checked_sub(1).filter(|_| !self.listed)?;
        self.listed = true;
        Some(index)
    }
}
