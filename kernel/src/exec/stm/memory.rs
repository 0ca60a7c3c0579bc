//! Multi-version memory: what every transaction of a stretch wrote when it ran last, by key and place.
//!
//! Balances that a run only adds to are kept as shifts, which a reader sums up: otherwise the beneficiary alone would make
//! a chain of the whole block. A run that is to be repeated leaves its versions behind as estimates, so that readers wait
//! for it instead of running on what will change.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::map::{AddressMap, B256Map, HashMap};
use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;

use crate::exec::state::Fields;

/// Locks over parts of the keys.
const SHARDS: usize = 64;

/// What a run does to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Set(Option<Fields>),
    Shift(Shift),
}

/// An addition to an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    /// Nonce after it, where the account is the sender.
    pub nonce: Option<u64>,
    pub plus: U256,
    pub minus: U256,
}

impl Shift {
    /// The account after it. An account that cannot pay keeps nothing: whoever reads that is checked when folded in.
    #[must_use]
    pub fn apply(&self, fields: Option<Fields>) -> Option<Fields> {
        if *self == Self::default() {
            return fields;
        }
        let fields = fields.unwrap_or_default();
        Some(Fields {
            nonce: self.nonce.unwrap_or(fields.nonce),
            balance: fields.balance.saturating_add(self.plus).saturating_sub(self.minus),
            code_hash: fields.code_hash,
        })
    }
}

/// What stands below a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<T> {
    Value(T),
    /// The state's own value and these additions.
    Shifted(Shift),
    /// This transaction is about to write another value.
    WaitFor(u32),
}

#[derive(Debug)]
struct Version<T> {
    value: T,
    estimate: bool,
}

type Versions<T> = BTreeMap<u32, Version<T>>;

#[derive(Debug, Default)]
struct Shard {
    accounts: AddressMap<Versions<Change>>,
    slots: HashMap<(Address, U256), Versions<U256>>,
}

/// A key that a transaction wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Account(Address),
    Slot(Address, U256),
}

/// Versions of one stretch.
#[derive(Debug)]
pub struct Memory {
    shards: Vec<Mutex<Shard>>,
    codes: Mutex<B256Map<Bytecode>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), codes: Mutex::default() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    fn shard(&self, address: Address) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(address[19]) % SHARDS])
    }

    /// The account before transaction `index`.
    #[must_use]
    pub fn account(&self, address: Address, index: u32) -> Found<Option<Fields>> {
        let shard = self.shard(address);
        let mut shift = Shift::default();
        for (writer, version) in shard.accounts.get(&address).into_iter().flat_map(|v| v.range(..index)).rev() {
            match version.value {
                // Additions matter to few: their readers are checked, not held up.
                Change::Shift(more) => {
                    shift.nonce = shift.nonce.or(more.nonce);
                    shift.plus = shift.plus.saturating_add(more.plus);
                    shift.minus = shift.minus.saturating_add(more.minus);
                }
                Change::Set(_) if version.estimate => return Found::WaitFor(*writer),
                Change::Set(fields) => return Found::Value(shift.apply(fields)),
            }
        }
        Found::Shifted(shift)
    }

    /// The slot before transaction `index`.
    #[must_use]
    pub fn slot(&self, address: Address, slot: U256, index: u32) -> Found<U256> {
        let shard = self.shard(address);
        match shard.slots.get(&(address, slot)).and_then(|versions| versions.range(..index).next_back()) {
            None => Found::Shifted(Shift::default()),
            Some((writer, version)) if version.estimate => Found::WaitFor(*writer),
            Some((_, version)) => Found::Value(version.value),
        }
    }

    /// Code that a transaction of the stretch created.
    #[must_use]
    pub fn code(&self, hash: B256) -> Option<Bytecode> {
        lock(&self.codes).get(&hash).cloned()
    }

    pub fn put_code(&self, hash: B256, code: Bytecode) {
        lock(&self.codes).insert(hash, code);
    }

    pub fn put_account(&self, address: Address, index: u32, change: Change) {
        let version = Version { value: change, estimate: false };
        self.shard(address).accounts.entry(address).or_default().insert(index, version);
    }

    pub fn put_slot(&self, address: Address, slot: U256, index: u32, value: U256) {
        let version = Version { value, estimate: false };
        self.shard(address).slots.entry((address, slot)).or_default().insert(index, version);
    }

    /// Transaction `index` will write this key again.
    pub fn estimate(&self, place: Place, index: u32) {
        match place {
            Place::Account(address) => {
                if let Some(version) =
                    self.shard(address).accounts.get_mut(&address).and_then(|versions| versions.get_mut(&index))
                {
                    version.estimate = true;
                }
            }
            Place::Slot(address, slot) => {
                if let Some(version) =
                    self.shard(address).slots.get_mut(&(address, slot)).and_then(|versions| versions.get_mut(&index))
                {
                    version.estimate = true;
                }
            }
        }
    }

    /// Transaction `index` does not write this key any more.
    pub fn forget(&self, place: Place, index: u32) {
        match place {
            Place::Account(address) => {
                if let Some(versions) = self.shard(address).accounts.get_mut(&address) {
                    versions.remove(&index);
                }
            }
            Place::Slot(address, slot) => {
                if let Some(versions) = self.shard(address).slots.get_mut(&(address, slot)) {
                    versions.remove(&index);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address::repeat_byte(0xa);

    #[test]
    fn additions_are_summed_down_to_the_last_value() {
        let memory = Memory::default();
        let fields = Fields { balance: U256::from(10), ..Fields::default() };
        memory.put_account(A, 1, Change::Set(Some(fields)));
        memory.put_account(A, 3, Change::Shift(Shift { plus: U256::from(5), ..Shift::default() }));
        memory.put_account(A, 4, Change::Shift(Shift { nonce: Some(9), minus: U256::from(2), ..Shift::default() }));
        assert_eq!(memory.account(A, 1), Found::Shifted(Shift::default()));
        assert_eq!(memory.account(A, 3), Found::Value(Some(fields)));
        let after = Fields { nonce: 9, balance: U256::from(13), ..fields };
        assert_eq!(memory.account(A, 5), Found::Value(Some(after)));
    }

    #[test]
    fn a_reader_waits_for_what_is_about_to_change() {
        let memory = Memory::default();
        let slot = U256::from(7);
        memory.put_slot(A, slot, 2, U256::from(1));
        memory.estimate(Place::Slot(A, slot), 2);
        assert_eq!(memory.slot(A, slot, 2), Found::Shifted(Shift::default()));
        assert_eq!(memory.slot(A, slot, 3), Found::WaitFor(2));
        memory.forget(Place::Slot(A, slot), 2);
        assert_eq!(memory.slot(A, slot, 3), Found::Shifted(Shift::default()));
    }
}
