//! The state as one job sees it: answers and cached values of the parent block under what the job has executed so far.
//! It is the database that revm reads, and it records what it lacks.

mod code;
mod database;
mod fold;
mod growth;
mod lookahead;
mod peek;
mod results;
mod tracing;

use code::analysed;
pub use code::bytecode;
pub use fold::Mark;
pub use growth::new_slots;
pub use lookahead::GUESSED_KEYS_MAX;
use lookahead::Lookahead;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::map::{AddressMap, B256Map, HashMap, U256Map, hash_map};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::primitives::hardfork::SpecId;
use thiserror::Error;

use super::access_list::Link;
use super::cache::CacheView;
use super::need::{Keys, Record, Values};
use crate::evm::Recorded;

/// Guessed balance of a sender, wei: enough for any fee.
const GUESSED_BALANCE: U256 = U256::from_limbs([0, 0, 1, 0]);
/// Guessed value of a slot. Zero would make most token transfers revert before they show their other keys.
const GUESSED_SLOT: U256 = U256::from_limbs([0, 1 << 32, 0, 0]);

/// Why the database did not answer. The runner looks at the recorded misses first, whatever became of the error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    #[error("a value is missing")]
    Missing,
    #[error("a guessed run has found enough keys")]
    GuessedEnough,
    #[error("the state has no code of hash {0}")]
    NoCode(B256),
    #[error("cancelled")]
    Cancelled,
}

impl DBErrorMarker for StateError {}

/// Fields of an account that execution reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    pub code_hash: B256,
}

/// An account that is not there.
impl Default for Fields {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// Value at the parent block; `None` where it was never needed because the storage is new.
    before: Option<U256>,
    now: U256,
    /// Read by something that is in the block.
    used: bool,
    last: LastWrite,
}

impl Slot {
    fn of_parent(value: U256) -> Self {
        Self { before: Some(value), now: value, ..Self::default() }
    }
}

/// Which transaction of the block wrote a value last.
#[derive(Debug, Clone, Copy, Default)]
struct LastWrite {
    /// Its index + 1; 0: none did.
    by: u32,
    /// The value stands in the access list already.
    listed: bool,
}

/// What is known of the storage that slots beside [`Entry::slots`] lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// No slot has to be asked for.
    Empty,
    NotEmpty,
    Unknown,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    before: Option<Fields>,
    now: Option<Fields>,
    storage: Storage,
    /// Storage of the parent block is gone.
    wiped: bool,
    /// Read by something that is in the block.
    used: bool,
    /// Places in [`JobState::slots`].
    slots: U256Map<u32>,
    last: LastWrite,
    /// Index + 1 of the transaction that changed the code last: even who looks at no balance depends on it.
    code_by: u32,
    /// Index + 1 of the transaction that cleared the storage last.
    wiped_by: u32,
}

impl Entry {
    fn of_parent(address: Address, record: Option<&Record>) -> Self {
        let fields =
            record.map(|record| Fields { nonce: record.nonce, balance: record.balance, code_hash: record.code_hash });
        Self {
            address,
            before: fields,
            now: fields,
            storage: match record {
                Some(record) if record.storage_root.is_zero() => Storage::Unknown,
                Some(record) if record.storage_root != EMPTY_ROOT_HASH => Storage::NotEmpty,
                _ => Storage::Empty,
            },
            wiped: false,
            used: false,
            slots: U256Map::default(),
            last: LastWrite::default(),
            code_by: 0,
            wiped_by: 0,
        }
    }
}

/// What is known of the code of a hash.
#[derive(Debug)]
enum Code {
    Here(Bytecode),
    /// Asked for, and not there.
    Absent,
    Unknown,
}

/// How missing values are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A miss ends the run.
    Exact,
    /// A miss is guessed, so that one run finds many. The result is thrown away.
    Guess { sender: Address, nonce: u64, budget: usize },
}

/// The state of one job.
#[derive(Debug)]
pub struct JobState {
    cache: Option<CacheView>,
    /// Places in `entries`, which stay as they are.
    accounts: AddressMap<u32>,
    entries: Vec<Entry>,
    slots: Vec<Slot>,
    /// `None`: asked for, and not there.
    codes: B256Map<Option<Bytecode>>,
    blocks: HashMap<u64, B256>,
    mode: Mode,
    /// Keys to ask for next.
    wanted: Keys,
    wanted_count: usize,
    /// Keys asked for so far, all rounds.
    asked: usize,
    keys_max: usize,
    lookahead: Lookahead,
    /// The exact run missed something: its result is void.
    missed: bool,
    /// Codes and block hashes read in the current run.
    read_codes: Vec<B256>,
    read_blocks: Vec<u64>,
    /// The same of everything that is in the block.
    used: Keys,
    /// EIP-161 (Spurious Dragon): empty accounts that are touched go.
    clears_empty: bool,
    parent: Option<(u64, B256)>,
    /// Written by one transaction and read by a later one.
    links: Vec<Link>,
    /// An account that had been there destroyed itself.
    destroyed: bool,
}

impl JobState {
    /// An empty state on rules `spec`, over `cache` if there is one. `keys_max`: how many may be read; as many again may
    /// be asked for in vain, since a wide guess comes after one that was right.
    #[must_use]
    pub fn new(spec: SpecId, cache: Option<CacheView>, keys_max: usize) -> Self {
        Self {
            cache,
            accounts: AddressMap::default(),
            entries: Vec::new(),
            slots: Vec::new(),
            codes: B256Map::default(),
            blocks: HashMap::default(),
            mode: Mode::Exact,
            wanted: Keys::default(),
            wanted_count: 0,
            asked: 0,
            keys_max: keys_max.saturating_mul(2),
            lookahead: Lookahead::default(),
            missed: false,
            read_codes: Vec::new(),
            read_blocks: Vec::new(),
            used: Keys::default(),
            clears_empty: spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
            parent: None,
            links: Vec::new(),
            destroyed: false,
        }
    }

    /// The parent's hash is known from the header and never asked for.
    pub fn set_parent(&mut self, number: u64, hash: B256) {
        self.parent = Some((number, hash));
    }

    // --- asking and answers ---

    /// Whether nothing has to be asked.
    #[must_use]
    pub fn wants_nothing(&self) -> bool {
        self.wanted_count == 0
    }

    /// Keys asked for so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Whether more keys were needed than the job may ask for.
    #[must_use]
    pub fn over_keys_max(&self) -> bool {
        self.asked > self.keys_max
    }

    /// Whether the last exact run that missed had read what was guessed before it.
    #[must_use]
    pub fn came_further(&self) -> bool {
        self.lookahead.came_further()
    }

    /// The keys to ask for now; they are not asked for again.
    pub fn take_wanted(&mut self) -> Keys {
        self.asked += self.wanted_count;
        self.lookahead.ask(self.wanted_count);
        self.wanted_count = 0;
        std::mem::take(&mut self.wanted)
    }

    fn want(&mut self, insert: impl FnOnce(&mut Keys) -> bool) -> bool {
        let new = insert(&mut self.wanted);
        self.wanted_count += usize::from(new);
        new
    }

    /// Ask for an account if it is not known. True if it is known now.
    pub fn prefetch_account(&mut self, address: Address) -> bool {
        if self.entry(address).is_some() {
            return true;
        }
        self.want(|wanted| wanted.accounts.insert(address));
        false
    }

    /// Ask for a slot, and its account, if they are not known.
    pub fn prefetch_slot(&mut self, address: Address, slot: U256) -> bool {
        let known = self.prefetch_account(address);
        if known && self.known_slot(address, slot).is_some() {
            return true;
        }
        self.want(|wanted| wanted.slots.insert((address, slot)));
        false
    }

    /// Ask for code if it is not known.
    pub fn prefetch_code(&mut self, hash: B256) -> bool {
        if hash == KECCAK256_EMPTY || !matches!(self.known_code(hash), Code::Unknown) {
            return true;
        }
        self.want(|wanted| wanted.codes.insert(hash));
        false
    }

    /// Ask for the code of an account whose record is known.
    pub fn prefetch_code_of(&mut self, address: Address) {
        if let Some(fields) = self.entry(address).and_then(|place| self.entries[place].now) {
            self.prefetch_code(fields.code_hash);
        }
    }

    /// Ask for a block hash if it is not known.
    pub fn prefetch_block(&mut self, number: u64) -> bool {
        if self.known_block(number).is_some() {
            return true;
        }
        self.want(|wanted| wanted.blocks.insert(number));
        false
    }

    /// Take the answer to `asked`, which has been checked against it.
    pub fn accept(&mut self, asked: &Keys, values: Values) {
        let mut codes = values.advice;
        for (hash, code) in asked.codes.iter().zip(values.codes) {
            match code {
                Some(code) => codes.push((*hash, code)),
                None => drop(self.codes.insert(*hash, None)),
            }
        }
        let codes = analysed(codes);
        if let Some(cache) = &self.cache {
            cache.keep(
                asked.accounts.iter().copied().zip(values.accounts.iter().copied()),
                asked.slots.iter().copied().zip(values.slots.iter().copied()),
                codes.iter().cloned(),
            );
        }
        for (hash, code) in codes {
            self.codes.insert(hash, Some(code));
        }
        for (address, record) in asked.accounts.iter().zip(values.accounts) {
            self.put_record(*address, record.as_ref());
        }
        for ((address, slot), value) in asked.slots.iter().zip(values.slots) {
            self.put_slot(*address, *slot, value);
        }
        for (number, hash) in asked.blocks.iter().zip(values.blocks) {
            self.blocks.insert(*number, hash);
        }
    }

    /// An account of the parent block. Also how tests and overrides fill a state.
    pub fn put_record(&mut self, address: Address, record: Option<&Record>) {
        if let hash_map::Entry::Vacant(place) = self.accounts.entry(address) {
            place.insert(place_of(self.entries.len()));
            self.entries.push(Entry::of_parent(address, record));
        }
    }

    /// A slot of the parent block; its account must be known.
    pub fn put_slot(&mut self, address: Address, slot: U256, value: U256) {
        if let Some(entry) = self.accounts.get(&address).map(|place| &mut self.entries[*place as usize])
            && let hash_map::Entry::Vacant(place) = entry.slots.entry(slot)
        {
            place.insert(place_of(self.slots.len()));
            self.slots.push(Slot::of_parent(value));
        }
    }

    /// Code under its hash.
    pub fn put_code(&mut self, hash: B256, code: Bytecode) {
        self.codes.insert(hash, Some(code));
    }

    /// The hash of an earlier block.
    pub fn put_block(&mut self, number: u64, hash: B256) {
        self.blocks.insert(number, hash);
    }

    /// Change fields of a known account as if the parent block had them so (overrides of calls).
    pub fn override_account(
        &mut self,
        address: Address,
        nonce: Option<u64>,
        balance: Option<U256>,
        code: Option<&Bytes>,
    ) {
        let code_hash = code.map(|code| {
            let code = bytecode(code.clone());
            let hash = code.hash_slow();
            self.codes.insert(hash, Some(code));
            hash
        });
        self.put_record(address, None);
        let Some(entry) = self.known_mut(address) else { return };
        let now = entry.now.unwrap_or_default();
        entry.now = Some(Fields {
            nonce: nonce.unwrap_or(now.nonce),
            balance: balance.unwrap_or(now.balance),
            code_hash: code_hash.unwrap_or(now.code_hash),
        });
    }

    /// Change slots of a known account; with `all`, every other slot is zero.
    pub fn override_slots(&mut self, address: Address, slots: impl Iterator<Item = (U256, U256)>, all: bool) {
        let Some(entry) = self.accounts.get(&address).map(|place| &mut self.entries[*place as usize]) else { return };
        if all {
            entry.slots.clear();
            entry.storage = Storage::Empty;
        }
        for (slot, value) in slots {
            entry.slots.insert(slot, place_of(self.slots.len()));
            self.slots.push(Slot::of_parent(value));
        }
    }

    // --- what is known ---

    fn known(&self, address: Address) -> Option<&Entry> {
        self.accounts.get(&address).map(|place| &self.entries[*place as usize])
    }

    fn known_mut(&mut self, address: Address) -> Option<&mut Entry> {
        self.accounts.get(&address).map(|place| &mut self.entries[*place as usize])
    }

    /// The place of an account that is known, or comes from the cache now.
    fn entry(&mut self, address: Address) -> Option<usize> {
        match self.accounts.entry(address) {
            hash_map::Entry::Occupied(place) => Some(*place.get() as usize),
            hash_map::Entry::Vacant(vacant) => {
                let record = self.cache.as_ref()?.account(address)?;
                let place = self.entries.len();
                vacant.insert(place_of(place));
                self.entries.push(Entry::of_parent(address, record.as_ref()));
                Some(place)
            }
        }
    }

    fn known_slot(&mut self, address: Address, slot: U256) -> Option<U256> {
        let place = *self.accounts.get(&address)?;
        self.known_slot_at(place as usize, slot)
    }

    /// As [`Self::known_slot`], of the account at that place.
    fn known_slot_at(&mut self, place: usize, slot: U256) -> Option<U256> {
        let entry = &mut self.entries[place];
        let vacant = match entry.slots.entry(slot) {
            hash_map::Entry::Occupied(place) => return Some(self.slots[*place.get() as usize].now),
            hash_map::Entry::Vacant(vacant) => vacant,
        };
        let value = if entry.wiped || entry.storage == Storage::Empty || entry.before.is_none() {
            U256::ZERO
        } else {
            self.cache.as_ref()?.slot(entry.address, slot)?
        };
        vacant.insert(place_of(self.slots.len()));
        self.slots.push(Slot::of_parent(value));
        Some(value)
    }

    fn known_code(&mut self, hash: B256) -> Code {
        if let Some(code) = self.codes.get(&hash) {
            return code.clone().map_or(Code::Absent, Code::Here);
        }
        let Some(code) = self.cache.as_ref().and_then(|cache| cache.code(hash)) else { return Code::Unknown };
        self.codes.insert(hash, Some(code.clone()));
        Code::Here(code)
    }

    fn known_block(&self, number: u64) -> Option<B256> {
        match self.parent {
            Some((parent, hash)) if parent == number => Some(hash),
            _ => self.blocks.get(&number).copied(),
        }
    }

    /// Nonce, balance and whether there is code (other than a delegation), of a known account as it is now.
    #[must_use]
    pub fn account_now(&self, address: Address) -> Option<(u64, U256)> {
        self.known(address)?.now.map(|fields| (fields.nonce, fields.balance))
    }

    /// Whether a known account has code now.
    #[must_use]
    pub fn has_code(&self, address: Address) -> bool {
        self.known(address)
            .and_then(|entry| entry.now)
            .is_some_and(|fields| fields.code_hash != KECCAK256_EMPTY && !fields.code_hash.is_zero())
    }

    // --- runs ---

    /// Begin a run on guesses for a transaction of `sender`.
    pub fn begin_guessing(&mut self, sender: Address, nonce: u64) {
        Recorded::begin(self);
        self.mode = Mode::Guess { sender, nonce, budget: self.lookahead.take() };
    }

    fn miss<T>(&mut self, new: bool, guess: impl FnOnce() -> Option<T>) -> Result<T, StateError> {
        let first = !std::mem::replace(&mut self.missed, true);
        match &mut self.mode {
            Mode::Exact => {
                if first {
                    self.lookahead.missed();
                }
                Err(StateError::Missing)
            }
            Mode::Guess { budget, .. } => {
                *budget = budget.saturating_sub(usize::from(new));
                if *budget == 0 {
                    return Err(StateError::GuessedEnough);
                }
                guess().ok_or(StateError::Missing)
            }
        }
    }

    /// Add to the balance of a known account. It comes to exist, unless empty accounts go (EIP-161) and it is one.
    pub fn credit(&mut self, address: Address, wei: U256) {
        let clears_empty = self.clears_empty;
        let Some(entry) = self.accounts.get(&address).map(|place| &mut self.entries[*place as usize]) else { return };
        entry.used = true;
        let mut now = entry.now.unwrap_or_default();
        now.balance = now.balance.saturating_add(wei);
        if clears_empty && now == Fields::default() {
            entry.now = None;
            entry.wipe(None, &mut self.slots);
        } else {
            entry.now = Some(now);
        }
    }

    /// Take the whole balance of a known account, which comes to exist. Returns the wei.
    pub fn drain(&mut self, address: Address) -> U256 {
        let Some(entry) = self.known_mut(address) else { return U256::ZERO };
        entry.used = true;
        let now = entry.now.get_or_insert_default();
        std::mem::take(&mut now.balance)
    }
}

impl Entry {
    /// Whether there is storage without code and nonce, so that no contract can be created here (EIP-7610).
    fn bars_creation(&self, slots: &[Slot]) -> bool {
        self.now.is_some_and(|now| now.nonce == 0 && now.code_hash == KECCAK256_EMPTY) && self.holds_storage(slots)
    }

    fn holds_storage(&self, slots: &[Slot]) -> bool {
        self.storage == Storage::NotEmpty || self.slots.values().any(|place| !slots[*place as usize].now.is_zero())
    }
}

/// A place in a vector of accounts or slots: gas and memory bound them far below.
fn place_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
