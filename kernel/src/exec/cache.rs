//! Values shared by the jobs of one chain: overlays of staged blocks over a bounded cache of committed values.
//!
//! A job at a staged block sees that block's overlay, then its ancestors', then committed values. The committed values
//! belong to one head; a job may use them only while that head is its own base or an ancestor of the job's block within
//! the chain it started with, because then every key that the commits since changed is found in an overlay first.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        let overlay = Arc::new(Overlay::new(parent, hash, writes));
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
        Some(CacheView { cache: self.clone(), chain, bases })
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
    fn new(parent: B256, hash: B256, writes: &WriteSet) -> Self {
        let mut accounts = AddressMap::default();
        let mut codes = B256Map::default();
        for write in &writes.accounts {
            let record = (!write.deleted).then_some(Record {
                nonce: write.nonce,
                balance: write.balance,
                // The root after this block is the trie's business; zero says "not known".
                storage_root: B256::ZERO,
                code_hash: write.code_hash,
            });
            if let Some(code) = &write.code {
                codes.insert(write.code_hash, super::state::bytecode(code.clone()));
            }
            let slots = write.slots.iter().copied().collect();
            accounts.insert(write.address, OverlayAccount { record, wiped: write.wiped, slots });
        }
        Self { parent, hash, accounts, codes }
    }
}

/// Read access of one job at one block.
#[derive(Debug)]
pub struct CacheView {
    cache: StateCache,
    chain: Vec<Arc<Overlay>>,
    /// Heads whose committed values are right for this job.
    bases: Vec<B256>,
}

impl CacheView {
    fn committed<T>(&self, read: impl FnOnce(&mut Inner) -> Option<T>) -> Option<T> {
        let mut inner = self.cache.lock();
        if inner.head.is_some_and(|head| self.bases.contains(&head)) { read(&mut inner) } else { None }
    }

    /// The account at the job's block: `Some(None)` is known to be absent.
    #[must_use]
    pub fn account(&self, address: Address) -> Option<Option<Record>> {
        for overlay in &self.chain {
            if let Some(account) = overlay.accounts.get(&address) {
                return Some(account.record);
            }
        }
        self.committed(|inner| inner.accounts.get(&address, |_| 1))
    }

    #[must_use]
    pub fn slot(&self, address: Address, slot: U256) -> Option<U256> {
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

    /// Code of a hash; right on every chain, since the hash is checked where it comes in.
    #[must_use]
    pub fn code(&self, hash: B256) -> Option<Bytecode> {
        for overlay in &self.chain {
            if let Some(code) = overlay.codes.get(&hash) {
                return Some(code.clone());
            }
        }
        self.cache.lock().codes.get(&hash, Bytecode::len)
    }

    /// Keep values that were just read at the job's block. They were in no overlay of its chain, so they are the
    /// committed ones of every base.
    pub fn keep(
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
