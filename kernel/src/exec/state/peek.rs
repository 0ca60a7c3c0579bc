//! Looking at a job's state without changing it, as many threads do at once, and taking over what they found.

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;

use super::{Fields, JobState, Storage, place_of};
use crate::exec::access_list::Link;
use crate::exec::view::{AccountRead, SlotRead};

impl JobState {
    /// The account as it is now, if it is known.
    #[must_use]
    pub fn peek_account(&self, address: Address) -> Option<AccountRead> {
        if let Some(place) = self.accounts.get(&address) {
            return Some(AccountRead { address, fields: self.entries[*place as usize].now, place: Some(*place) });
        }
        let record = self.cache.as_ref()?.account(address)?;
        let fields =
            record.map(|record| Fields { nonce: record.nonce, balance: record.balance, code_hash: record.code_hash });
        Some(AccountRead { address, fields, place: None })
    }

    /// Whether the account, with these fields, has storage without code and nonce, so that no contract can be created
    /// there (EIP-7610).
    #[must_use]
    pub fn peek_bars_creation(&self, address: Address, fields: Fields) -> bool {
        if fields.nonce > 0 || fields.code_hash != KECCAK256_EMPTY {
            return false;
        }
        match self.known(address) {
            Some(entry) => entry.holds_storage(&self.slots),
            None => self
                .cache
                .as_ref()
                .and_then(|cache| cache.account(address))
                .flatten()
                .is_some_and(|record| !record.storage_root.is_zero() && record.storage_root != EMPTY_ROOT_HASH),
        }
    }

    /// The slot as it is now, if it is known; `place` is the account's.
    #[must_use]
    pub fn peek_slot(&self, place: Option<usize>, address: Address, slot: U256) -> Option<SlotRead> {
        let read = |value, cached, place| Some(SlotRead { address, slot, value, cached, place });
        let empty = match place.map(|place| &self.entries[place]).or_else(|| self.known(address)) {
            Some(entry) => {
                if let Some(place) = entry.slots.get(&slot) {
                    return read(self.slots[*place as usize].now, false, Some(*place));
                }
                entry.wiped || entry.storage == Storage::Empty || entry.before.is_none()
            }
            None => self.cache.as_ref()?.account(address)?.is_none_or(|record| record.storage_root == EMPTY_ROOT_HASH),
        };
        if empty {
            return read(U256::ZERO, false, None);
        }
        read(self.cache.as_ref()?.slot(address, slot)?, true, None)
    }

    /// Code under its hash, if it is known.
    #[must_use]
    pub fn peek_code(&self, hash: B256) -> Option<Bytecode> {
        match self.codes.get(&hash) {
            Some(code) => code.clone(),
            None => self.cache.as_ref()?.code(hash),
        }
    }

    /// The hash of an earlier block, if it is known.
    #[must_use]
    pub fn peek_block(&self, number: u64) -> Option<B256> {
        self.known_block(number)
    }

    /// The account of a run's read as it is now, if it is known; its place is noted.
    pub fn recall_account(&mut self, read: &mut AccountRead) -> Option<Option<Fields>> {
        let place = match read.place {
            Some(place) => place as usize,
            None => self.entry(read.address)?,
        };
        read.place = Some(place_of(place));
        Some(self.entries[place].now)
    }

    /// The slot of a run's read as it is now, if it is known; its place is noted. One that came from the cache is what the
    /// cache said while this block ran.
    pub fn recall_slot(&mut self, read: &mut SlotRead) -> Option<U256> {
        if let Some(place) = read.place {
            return Some(self.slots[place as usize].now);
        }
        if read.cached && self.known(read.address).is_some_and(|entry| !entry.wiped && entry.storage != Storage::Empty)
        {
            self.put_slot(read.address, read.slot, read.value);
        }
        let value = self.known_slot(read.address, read.slot)?;
        read.place = self.known(read.address)?.slots.get(&read.slot).copied();
        Some(value)
    }

    /// Codes and block hashes that a run elsewhere read, before it is folded in.
    pub fn note_read(&mut self, codes: &[B256], blocks: &[u64]) {
        self.read_codes.clear();
        self.read_codes.extend_from_slice(codes);
        self.read_blocks.clear();
        self.read_blocks.extend_from_slice(blocks);
    }

    /// What transactions wrote and later ones read.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}
