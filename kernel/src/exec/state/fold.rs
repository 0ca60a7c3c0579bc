//! Folding what a valid run left behind into a job's state, and noting what later transactions of the block read of it.

use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use revm::state::{Account, EvmState};

use super::{Entry, Fields, JobState, LastWrite, Slot, Storage};
use crate::exec::access_list::Link;

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
        let Some(entry) = self.accounts.get_mut(&beneficiary) else { return };
        entry.used = true;
        let mut now = entry.now.unwrap_or_default();
        // Wei in existence are far fewer than 2^256.
        now.balance = now.balance.saturating_add(tip);
        if clears_empty && now == Fields::default() {
            entry.write(None, index);
            entry.wipe(Some(index));
        } else {
            entry.write(Some(now), index);
        }
    }

    /// Whether an account that had been there destroyed itself.
    #[must_use]
    pub fn destroyed(&self) -> bool {
        self.destroyed
    }

    fn fold(&mut self, changes: EvmState, mark: Option<Mark>) {
        for hash in self.read_codes.drain(..) {
            self.used.codes.insert(hash);
        }
        for number in self.read_blocks.drain(..) {
            self.used.blocks.insert(number);
        }
        for (address, account) in changes {
            let Some(entry) = self.accounts.get_mut(&address) else { continue };
            entry.used = true;
            if let Some(mark) = mark
                && (mark.strict || entry.code_by > 0)
                && let Some(index) = entry.last.list()
            {
                self.links.push(Link::Account { address, index, fields: entry.now });
            }
            entry.fold_slots(address, &account, mark, &mut self.links);
            if !account.is_touched() {
                continue;
            }
            let index = mark.map(|mark| mark.index);
            if account.is_selfdestructed() || (self.clears_empty && account.is_empty()) {
                self.destroyed |= account.is_selfdestructed() && !account.is_created();
                entry.set(None, index);
                entry.wipe(index);
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
    fn fold_slots(&mut self, address: Address, account: &Account, mark: Option<Mark>, links: &mut Vec<Link>) {
        for (key, slot) in &account.storage {
            let written = mark.map_or_else(LastWrite::default, |mark| LastWrite { by: mark.index + 1, listed: false });
            let Some(known) = self.slots.get_mut(key) else {
                // A slot of a new contract: never read from the parent.
                self.slots.insert(*key, Slot { now: slot.present_value, last: written, ..Slot::default() });
                continue;
            };
            // Storage of an account that the transaction itself created is not read from the state.
            if !account.is_created() {
                known.used = true;
                known.last.by = known.last.by.max(self.wiped_by);
                if mark.is_some()
                    && let Some(index) = known.last.list()
                {
                    links.push(Link::Slot { address, slot: *key, index, value: known.now });
                }
            }
            if known.now != slot.present_value {
                known.now = slot.present_value;
                known.last = written;
            }
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

    pub(super) fn wipe(&mut self, index: Option<u32>) {
        self.wiped |= self.before.is_some();
        self.storage = Storage::Empty;
        self.wiped_by = index.map_or(0, |index| index + 1);
        for slot in self.slots.values_mut() {
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
