//! What a job's state comes to: the write set, the keys that were read, the accounts that changed.

use alloy_primitives::map::B256Set;
use alloy_primitives::{B256, KECCAK256_EMPTY, U256};

use super::{Entry, Fields, JobState};
use crate::exec::need::{Keys, Record};
use crate::exec::write_set::{AccountWrite, WriteSet};

impl JobState {
    /// What changed since the parent block.
    #[must_use]
    pub fn write_set(&self) -> WriteSet {
        let mut accounts: Vec<AccountWrite> =
            self.entries.iter().filter_map(|entry| self.account_write(entry)).collect();
        accounts.sort_unstable_by_key(|write| write.address);
        WriteSet { accounts }
    }

    fn account_write(&self, entry: &Entry) -> Option<AccountWrite> {
        let address = entry.address;
        let Some(now) = entry.now else {
            entry.before?;
            return Some(AccountWrite {
                address,
                deleted: true,
                wiped: true,
                nonce: 0,
                balance: U256::ZERO,
                code_hash: B256::ZERO,
                code: None,
                slots: Vec::new(),
            });
        };
        let mut slots: Vec<(U256, U256)> = entry
            .slots
            .iter()
            .map(|(key, place)| (key, &self.slots[*place as usize]))
            .filter(|(_, slot)| {
                let before = if entry.wiped { U256::ZERO } else { slot.before.unwrap_or_default() };
                slot.now != before
            })
            .map(|(key, slot)| (*key, slot.now))
            .collect();
        if entry.before == Some(now) && !entry.wiped && slots.is_empty() {
            return None;
        }
        slots.sort_unstable();
        let new_code =
            now.code_hash != KECCAK256_EMPTY && entry.before.is_none_or(|before| before.code_hash != now.code_hash);
        let code = if new_code { self.codes.get(&now.code_hash).cloned().flatten() } else { None };
        Some(AccountWrite {
            address,
            deleted: false,
            wiped: entry.wiped,
            nonce: now.nonce,
            balance: now.balance,
            code_hash: now.code_hash,
            code: code.map(|code| code.original_bytes()),
            slots,
        })
    }

    /// Keys of the parent block that something in the block read.
    #[must_use]
    pub fn used_keys(&self) -> Keys {
        let mut keys = Keys { blocks: self.used.blocks.clone(), ..Keys::default() };
        let mut known_before = B256Set::default();
        for entry in self.entries.iter().filter(|entry| entry.used) {
            let address = entry.address;
            keys.accounts.insert(address);
            if let Some(before) = entry.before {
                known_before.insert(before.code_hash);
                keys.slots.extend(
                    entry
                        .slots
                        .iter()
                        .filter(|(_, place)| self.slots[**place as usize].used)
                        .map(|(slot, _)| (address, *slot)),
                );
            }
        }
        // Code that the block itself created cannot be asked for.
        keys.codes.extend(self.used.codes.iter().filter(|hash| known_before.contains(*hash)));
        keys
    }

    /// (address, record) of accounts whose nonce or balance changed, ascending. The storage root is zero: it is not
    /// known before the trie.
    #[must_use]
    pub fn account_updates(&self) -> Vec<u8> {
        let money = |fields: Option<Fields>| fields.map_or((0, U256::ZERO), |fields| (fields.nonce, fields.balance));
        let mut changed: Vec<&Entry> =
            self.entries.iter().filter(|entry| money(entry.before) != money(entry.now)).collect();
        changed.sort_unstable_by_key(|entry| entry.address);
        let mut out = Vec::with_capacity(changed.len() * 125);
        for entry in changed {
            let record = entry.now.map(|now| Record {
                nonce: now.nonce,
                balance: now.balance,
                storage_root: B256::ZERO,
                code_hash: now.code_hash,
            });
            out.extend_from_slice(entry.address.as_slice());
            out.extend_from_slice(&Record::encode(record.as_ref()));
        }
        out
    }
}
