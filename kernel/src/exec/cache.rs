//! Values shared by the jobs of one chain: overlays of staged blocks over a bounded cache of committed values.
//!
//! A job at a staged block sees that block's overlay, then its ancestors', then committed values. The committed values
//! belong to one head; a job may use them only while that head is its own base or an ancestor of the job's block within
//! the chain it started with, because then every key that the commits since changed is found in an overlay first.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::map::{AddressMap, B256Map, DefaultHashBuilder};
use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;

use super::need::Record;
use super::write_set::WriteSet;

/// Most bytes of code in the cache: about 2,700 contracts of the largest usual size.
pub const CODE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Two generations: what is used moves to the young one; when that is full, the old one is dropped.
struct Generations<K, V, S = DefaultHashBuilder> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    weight: usize,
    weight_max: usize,
}

impl<K: Hash + Eq, V: Clone, S: BuildHasher + Default> Generations<K, V, S> {
    fn new(weight_max: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: 0, weight_max: (weight_max / 2).max(1) }
    }

    fn get(&mut self, key: &K, weight: impl Fn(&V) -> usize) -> Option<V>
    where
        K: Clone,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(key.clone(), value.clone(), weight(&value));
        Some(value)
    }

    fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight + weight > self.weight_max && !self.young.is_empty() {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.old.remove(&key);
        if self.young.insert(key, value).is_none() {
            self.weight += weight;
        }
    }

    fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
        if self.young.is_empty() {
            self.weight = 0;
        }
    }
}

/// What one staged block writes, for lookups.
#[derive(Debug)]
struct Overlay {
    parent: B256,
    hash: B256,
    accounts: AddressMap<OverlayAccount>,
    codes: B256Map<Bytecode>,
}

#[derive(Debug)]
struct OverlayAccount {
    record: Option<Record>,
    /// Slots not listed are zero.
    wiped: bool,
    slots: HashMap<U256, U256, DefaultHashBuilder>,
}

struct Inner {
    head: Option<B256>,
    accounts: Generations<Address, Option<Record>>,
    slots: Generations<(Address, U256), U256>,
    codes: Generations<B256, Bytecode>,
    /// In the order staged, so that the oldest goes when there are too many.
    overlays: Vec<Arc<Overlay>>,
    overlays_max: usize,
}

/// Committed values under overlays of staged blocks, shared by all jobs of one executor.
#[derive(Clone)]
pub struct StateCache(Arc<Mutex<Inner>>);

impl std::fmt::Debug for StateCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.lock();
        formatter
            .debug_struct("StateCache")
            .field("head", &inner.head)
            .field("overlays", &inner.overlays.len())
            .finish()
    }
}

impl StateCache {
    /// At most `entries_max` accounts and slots together, `overlays_max` staged blocks.
    #[must_use]
    pub fn new(entries_max: usize, overlays_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            head: None,
            accounts: Generations::new(entries_max / 2),
            slots: Generations::new(entries_max / 2),
            codes: Generations::new(CODE_BYTES_MAX),
            overlays: Vec::new(),
            overlays_max: overlays_max.max(1),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forget everything but code, which is what its hash says on every chain; committed values are from now on those
    /// of `head`.
    pub fn reset(&self, head: B256) {
        let mut inner = self.lock();
        inner.head = Some(head);
        inner.accounts.retain(|_| false);
        inner.slots.retain(|_| false);
        inner.overlays.clear();
    }

    /// Keep the write set of a block as an overlay on its parent. The oldest overlay goes when there are too many.
    pub fn stage(&self, parent: B256, hash: B256, writes: &WriteSet) {
        let view = self.view(parent);
        let overlay = Arc::new(Overlay::new(parent, hash, writes, view.as_ref()));
        let mut inner = self.lock();
        inner.overlays.retain(|other| other.hash != hash);
        if inner.overlays.len() >= inner.overlays_max {
            inner.overlays.remove(0);
        }
        inner.overlays.push(overlay);
    }

    /// Fold the overlay of `hash` into the committed values and drop what does not descend from it. False when it is not
    /// a staged child of the head.
    #[must_use]
    pub fn commit(&self, hash: B256) -> bool {
        let mut inner = self.lock();
        if inner.head == Some(hash) {
            return true;
        }
        let Some(overlay) = inner.overlays.iter().find(|overlay| overlay.hash == hash).cloned() else {
            return false;
        };
        if inner.head != Some(overlay.parent) {
            return false;
        }
        inner.fold(&overlay);
        inner.head = Some(hash);
        // Siblings of the committed block and whatever stands on them can never be committed any more.
        let mut kept: Vec<Arc<Overlay>> = Vec::new();
        let mut rest = std::mem::take(&mut inner.overlays);
        rest.retain(|other| other.hash != hash);
        loop {
            let before = kept.len();
            rest.retain(|other| {
                let stands = other.parent == hash || kept.iter().any(|parent| parent.hash == other.parent);
                if stands {
                    kept.push(Arc::clone(other));
                }
                !stands
            });
            if kept.len() == before {
                break;
            }
        }
        inner.overlays = kept;
        true
    }

    /// Whether `hash` is the committed head here or a staged block that stands on it.
    #[must_use]
    pub fn holds(&self, hash: B256) -> bool {
        self.lock().chain(hash).is_some()
    }

    /// The view of a job at `parent`; `None` when nothing is known of that block.
    #[must_use]
    pub fn view(&self, parent: B256) -> Option<CacheView> {
        let inner = self.lock();
        let chain = inner.chain(parent)?;
        let mut bases: Vec<B256> = chain.iter().map(|overlay| overlay.hash).collect();
        bases.extend(inner.head);
        drop(inner);
        Some(CacheView::Layers(Layers { cache: self.clone(), chain, bases }))
    }
}

impl Inner {
    /// Overlays from `hash` down to the head, newest first.
    fn chain(&self, hash: B256) -> Option<Vec<Arc<Overlay>>> {
        let head = self.head?;
        let mut chain = Vec::new();
        let mut at = hash;
        while at != head {
            let overlay = self.overlays.iter().find(|overlay| overlay.hash == at)?;
            at = overlay.parent;
            chain.push(Arc::clone(overlay));
            if chain.len() > self.overlays.len() {
                return None;
            }
        }
        Some(chain)
    }

    fn fold(&mut self, overlay: &Overlay) {
        let wiped: Vec<Address> =
            overlay.accounts.iter().filter(|(_, account)| account.wiped).map(|(address, _)| *address).collect();
        if !wiped.is_empty() {
            self.slots.retain(|(address, _)| !wiped.contains(address));
        }
        for (address, account) in &overlay.accounts {
            self.accounts.insert(*address, account.record, 1);
            for (slot, value) in &account.slots {
                self.slots.insert((*address, *slot), *value, 1);
            }
        }
        for (hash, code) in &overlay.codes {
            self.codes.insert(*hash, code.clone(), code.len());
        }
    }
}

impl Overlay {
    fn new(parent: B256, hash: B256, writes: &WriteSet, view: Option<&CacheView>) -> Self {
        let mut accounts = AddressMap::default();
        let mut codes = B256Map::default();
        for write in &writes.accounts {
            let mut record = (!write.deleted).then_some(Record {
                nonce: write.nonce,
                balance: write.balance,
                // The root after this block is the trie's business; zero says "not known".
                storage_root: B256::ZERO,
                code_hash: write.code_hash,
            });
            if let Some(record) = record.as_mut().filter(|record| record.may_bar_creation())
                && write.slots.is_empty()
            {
                // Whether there is storage stays as it was.
                record.storage_root = match view.and_then(|view| view.account(write.address)) {
                    _ if write.wiped => EMPTY_ROOT_HASH,
                    Some(before) => before.map_or(EMPTY_ROOT_HASH, |before| before.storage_root),
                    None => B256::ZERO,
                };
            }
            if let Some(code) = &write.code {
                codes.insert(write.code_hash, super::state::bytecode(code.clone()));
            }
            let slots = write.slots.iter().copied().collect();
            accounts.insert(write.address, OverlayAccount { record, wiped: write.wiped, slots });
        }
        Self { parent, hash, accounts, codes }
    }
}

/// Values of one state from elsewhere, such as a witness. `None`: it cannot tell.
pub trait Source: std::fmt::Debug + Send + Sync {
    fn account(&self, address: Address) -> Option<Option<Record>>;
    fn slot(&self, address: Address, slot: U256) -> Option<U256>;
    fn code(&self, hash: B256) -> Option<Bytecode>;
}

/// Read access of one job at one block.
#[derive(Debug)]
pub enum CacheView {
    Layers(Layers),
    Source(Arc<dyn Source>),
}

impl CacheView {
    /// The account at the job's block: `Some(None)` is known to be absent.
    #[must_use]
    pub fn account(&self, address: Address) -> Option<Option<Record>> {
        match self {
            Self::Layers(layers) => layers.account(address),
            Self::Source(source) => source.account(address),
        }
    }

    #[must_use]
    pub fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        match self {
            Self::Layers(layers) => layers.slot(address, slot),
            Self::Source(source) => source.slot(address, slot),
        }
    }

    /// Code of a hash; right on every chain, since the hash is checked where it comes in.
    #[must_use]
    pub fn code(&self, hash: B256) -> Option<Bytecode> {
        match self {
            Self::Layers(layers) => layers.code(hash),
            Self::Source(source) => source.code(hash),
        }
    }

    /// Keep values that were just read at the job's block.
    pub fn keep(
        &self,
        accounts: impl Iterator<Item = (Address, Option<Record>)>,
        slots: impl Iterator<Item = ((Address, U256), U256)>,
        codes: impl Iterator<Item = (B256, Bytecode)>,
    ) {
        if let Self::Layers(layers) = self {
            layers.keep(accounts, slots, codes);
        }
    }
}

/// Overlays of staged blocks over the committed values.
#[derive(Debug)]
pub struct Layers {
    cache: StateCache,
    chain: Vec<Arc<Overlay>>,
    /// Heads whose committed values are right for this job.
    bases: Vec<B256>,
}

impl Layers {
    fn committed<T>(&self, read: impl FnOnce(&mut Inner) -> Option<T>) -> Option<T> {
        let mut inner = self.cache.lock();
        if inner.head.is_some_and(|head| self.bases.contains(&head)) { read(&mut inner) } else { None }
    }

    /// As [`CacheView::account`]. One without code and nonce of which it is not known whether it has storage is not known,
    /// since a creation there depends on it (EIP-7610).
    #[must_use]
    pub fn account(&self, address: Address) -> Option<Option<Record>> {
        let known = |record: &Option<Record>| {
            record.is_none_or(|record| !(record.may_bar_creation() && record.storage_root.is_zero()))
        };
        self.find_account(address).filter(known)
    }

    #[allow(clippy::option_option)] // as in `account`
    fn find_account(&self, address: Address) -> Option<Option<Record>> {
        for overlay in &self.chain {
            if let Some(account) = overlay.accounts.get(&address) {
                return Some(account.record);
            }
        }
        self.committed(|inner| inner.accounts.get(&address, |_| 1))
    }

    fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        for overlay in &self.chain {
            if let Some(account) = overlay.accounts.get(&address) {
                if let Some(value) = account.slots.get(&slot) {
                    return Some(*value);
                }
                if account.wiped {
                    return Some(U256::ZERO);
                }
            }
        }
        self.committed(|inner| inner.slots.get(&(address, slot), |_| 1))
    }

    fn code(&self, hash: B256) -> Option<Bytecode> {
        for overlay in &self.chain {
            if let Some(code) = overlay.codes.get(&hash) {
                return Some(code.clone());
            }
        }
        self.cache.lock().codes.get(&hash, Bytecode::len)
    }

    /// The values were in no overlay of the job's chain, so they are the committed ones of every base.
    fn keep(
        &self,
        accounts: impl Iterator<Item = (Address, Option<Record>)>,
        slots: impl Iterator<Item = ((Address, U256), U256)>,
        codes: impl Iterator<Item = (B256, Bytecode)>,
    ) {
        let mut inner = self.cache.lock();
        for (hash, code) in codes {
            let length = code.len();
            inner.codes.insert(hash, code, length);
        }
        if !inner.head.is_some_and(|head| self.bases.contains(&head)) {
            return;
        }
        for (address, record) in accounts {
            inner.accounts.insert(address, record, 1);
        }
        for (key, value) in slots {
            inner.slots.insert(key, value, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::write_set::AccountWrite;
    use alloy_primitives::KECCAK256_EMPTY;

    const A: Address = Address::repeat_byte(0xa);

    fn hash(number: u8) -> B256 {
        B256::repeat_byte(number)
    }

    fn record(nonce: u64) -> Record {
        Record { nonce, balance: U256::ZERO, storage_root: B256::ZERO, code_hash: KECCAK256_EMPTY }
    }

    fn writes(nonce: u64, wiped: bool, slots: Vec<(U256, U256)>) -> WriteSet {
        WriteSet {
            accounts: vec![AccountWrite {
                address: A,
                deleted: false,
                wiped,
                nonce,
                balance: U256::ZERO,
                code_hash: KECCAK256_EMPTY,
                code: None,
                slots,
            }],
        }
    }

    fn keep(view: &CacheView, nonce: u64, slot: u64, value: u64) {
        view.keep(
            [(A, Some(record(nonce)))].into_iter(),
            [((A, U256::from(slot)), U256::from(value))].into_iter(),
            std::iter::empty(),
        );
    }

    fn nonce(cache: &StateCache, at: B256) -> Option<u64> {
        cache.view(at)?.account(A)?.map(|record| record.nonce)
    }

    #[test]
    fn a_staged_block_is_seen_by_its_children_alone() {
        let cache = StateCache::new(100, 8);
        cache.reset(hash(0));
        cache.stage(hash(0), hash(1), &writes(1, false, vec![]));
        cache.stage(hash(1), hash(2), &writes(2, false, vec![]));
        cache.stage(hash(0), hash(3), &writes(3, false, vec![]));
        assert_eq!([1, 2, 3].map(|block| nonce(&cache, hash(block))), [Some(1), Some(2), Some(3)]);
        assert_eq!(nonce(&cache, hash(0)), None);
        assert!(cache.commit(hash(1)));
        assert_eq!(nonce(&cache, hash(1)), Some(1));
        assert!(cache.holds(hash(2)) && !cache.holds(hash(3)) && !cache.holds(hash(0)));
        assert!(!cache.commit(hash(3)));
    }

    #[test]
    fn a_wiped_account_has_no_old_slots_staged_and_committed() {
        let cache = StateCache::new(100, 8);
        cache.reset(hash(0));
        keep(&cache.view(hash(0)).expect("head"), 1, 5, 55);
        cache.stage(hash(0), hash(1), &writes(1, true, vec![(U256::from(6), U256::from(66))]));
        for _ in 0..2 {
            let view = cache.view(hash(1)).expect("held");
            assert_eq!(view.slot(A, U256::from(6)), Some(U256::from(66)));
            assert_ne!(view.slot(A, U256::from(5)), Some(U256::from(55)));
            assert!(cache.commit(hash(1)));
        }
    }

    #[test]
    fn a_view_that_the_head_has_left_neither_reads_nor_keeps() {
        let cache = StateCache::new(100, 8);
        cache.reset(hash(0));
        let old = cache.view(hash(0)).expect("head");
        keep(&old, 1, 5, 55);
        cache.stage(hash(0), hash(1), &writes(2, false, vec![(U256::from(5), U256::from(56))]));
        let child = cache.view(hash(1)).expect("staged");
        assert!(cache.commit(hash(1)));
        assert_eq!(old.account(A), None);
        keep(&old, 1, 5, 55);
        assert_eq!(child.slot(A, U256::from(5)), Some(U256::from(56)));
        assert_eq!(cache.view(hash(1)).expect("head").slot(A, U256::from(5)), Some(U256::from(56)));
        assert_eq!(child.account(A), Some(Some(record(2))));
    }

    #[test]
    fn memory_stays_bounded() {
        let cache = StateCache::new(100, 2);
        cache.reset(hash(0));
        let view = cache.view(hash(0)).expect("head");
        for slot in 0..10_000 {
            keep(&view, 1, slot, slot);
        }
        for block in 1..100 {
            cache.stage(hash(0), hash(block), &writes(1, false, vec![]));
        }
        let inner = cache.lock();
        assert!(inner.slots.young.len() + inner.slots.old.len() <= 50);
        assert_eq!(inner.overlays.len(), 2);
        drop(inner);
        assert_eq!(view.slot(A, U256::from(9_999)), Some(U256::from(9_999)));
        assert_eq!(view.account(A), Some(Some(record(1))));
    }
}
