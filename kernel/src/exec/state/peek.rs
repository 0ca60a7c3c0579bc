//! Looking at a job's state without changing it, as many threads do at once, and taking over what they found.

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;

use super::{Fields, JobState, Storage};
use crate::exec::access_list::Link;

/// What is known of a slot.
#[derive(Debug, Clone, Copy)]
pub struct PeekedSlot {
    pub value: U256,
    /// It comes from the cache.
    pub cached: bool,
}

impl JobState {
    /// The account as it is now, if it is known.
    #[must_use]
    pub fn peek_account(&self, address: Address) -> Option<Option<Fields>> {
        if let Some(entry) = self.accounts.get(&address) {
            return Some(entry.now);
        }
        let record = self.cache.as_ref()?.account(address)?;
        Some(record.map(|record| Fields { nonce: record.nonce, balance: record.balance, code_hash: record.code_hash }))
    }

    /// Whether the account, with these fields, has storage without code and nonce, so that no contract can be created
    /// there (EIP-7610).
    #[must_use]
    pub fn peek_bars_creation(&self, address: Address, fields: Fields) -> bool {
        if fields.nonce > 0 || fields.code_hash != KECCAK256_EMPTY {
            return false;
        }
        match self.accounts.get(&address) {
            Some(entry) => entry.holds_storage(),
            None => self
                .cache
                .as_ref()
                .and_then(|cache| cache.account(address))
                .flatten()
                .is_some_and(|record| !record.storage_root.is_zero() && record.storage_root != EMPTY_ROOT_HASH),
        }
    }

    /// The slot as it is now, if it is known.
    #[must_use]
    pub fn peek_slot(&self, address: Address, slot: U256) -> Option<PeekedSlot> {
        let empty = match self.accounts.get(&address) {
            Some(entry) => {
                if let Some(slot) = entry.slots.get(&slot) {
                    return Some(PeekedSlot { value: slot.now, cached: false });
                }
                entry.wiped || entry.storage == Storage::Empty || entry.before.is_none()
            }
            None => self.cache.as_ref()?.account(address)?.is_none_or(|record| record.storage_root == EMPTY_ROOT_HASH),
        };
        if empty {
            return Some(PeekedSlot { value: U256::ZERO, cached: false });
        }
        Some(PeekedSlot { value: self.cache.as_ref()?.slot(address, slot)?, cached: true })
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

    /// The account as it is now, if it is known.
    pub fn recall_account(&mut self, address: Address) -> Option<Option<Fields>> {
        self.entry(address).map(|entry| entry.now)
    }

    /// The slot of a known account as it is now; `cached` is what the cache said while this block ran.
    pub fn recall_slot(&mut self, address: Address, slot: U256, cached: Option<U256>) -> Option<U256> {
        if let Some(value) = cached
            && self.accounts.get(&address).is_some_and(|entry| !entry.wiped && entry.storage != Storage::Empty)
        {
            self.put_slot(address, slot, value);
        }
        self.known_slot(address, slot)
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
