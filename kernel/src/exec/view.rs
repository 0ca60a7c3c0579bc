//! What one transaction reads when it runs apart from those before it, and the record of what it read.

use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;
use revm::state::{AccountId, AccountInfo};

use super::access_list::AccessList;
use super::state::{Fields, JobState, StateError};
use super::stm::memory::{Found, Memory};
use crate::evm::Recorded;

/// Values of the block's earlier transactions over the state that is folded in already.
#[derive(Debug, Clone, Copy)]
pub enum Over<'b> {
    Nothing,
    /// What the proposer says they write.
    List(&'b AccessList),
    /// What they wrote when they ran last.
    Memory(&'b Memory),
}

/// An account that a run read.
#[derive(Debug, Clone, Copy)]
pub struct AccountRead {
    pub address: Address,
    pub fields: Option<Fields>,
    /// Its place in the state, where it is known.
    pub place: Option<u32>,
}

/// A slot that a run read.
#[derive(Debug, Clone, Copy)]
pub struct SlotRead {
    pub address: Address,
    pub slot: U256,
    pub value: U256,
    /// It came from the cache.
    pub cached: bool,
    /// Its place in the state, where it is known.
    pub place: Option<u32>,
}

/// Everything that a run read.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    pub accounts: Vec<AccountRead>,
    pub slots: Vec<SlotRead>,
    pub codes: Vec<B256>,
    pub blocks: Vec<u64>,
}

impl Reads {
    fn clear(&mut self) {
        self.accounts.clear();
        self.slots.clear();
        self.codes.clear();
        self.blocks.clear();
    }
}

/// The database of a transaction that runs apart.
#[derive(Debug)]
pub struct View<'b> {
    base: &'b JobState,
    over: Over<'b>,
    /// First transaction that is not folded into `base`.
    first: u32,
    index: u32,
    sender: Address,
    nonce: u64,
    reads: Reads,
    missed: bool,
    /// An earlier transaction whose value is about to change.
    waits_for: Option<u32>,
}

impl<'b> View<'b> {
    #[must_use]
    pub fn new(base: &'b JobState, over: Over<'b>, first: u32) -> Self {
        Self {
            base,
            over,
            first,
            index: first,
            sender: Address::ZERO,
            nonce: 0,
            reads: Reads::default(),
            missed: false,
            waits_for: None,
        }
    }

    /// The next run is that of transaction `index`.
    pub fn aim(&mut self, index: u32, sender: Address, nonce: u64) {
        (self.index, self.sender, self.nonce) = (index, sender, nonce);
    }

    /// What the last run read.
    pub fn reads(&mut self) -> &mut Reads {
        &mut self.reads
    }

    /// The transaction that the last run has to wait for.
    #[must_use]
    pub fn waits_for(&self) -> Option<u32> {
        self.waits_for
    }

    fn miss(&mut self) -> StateError {
        self.missed = true;
        StateError::Missing
    }

    fn wait(&mut self, index: u32) -> StateError {
        self.waits_for = Some(index);
        self.miss()
    }

    /// What the account holds before transaction `index`, without a guess; an error names the one to wait for, if any.
    fn account(&self, address: Address) -> Result<AccountRead, Option<u32>> {
        let base = || self.base.peek_account(address).ok_or(None);
        let over = |fields| AccountRead { address, fields, place: None };
        match self.over {
            Over::Nothing => base(),
            Over::List(list) => {
                list.account(address, self.first, self.index).map_or_else(base, |fields| Ok(over(fields)))
            }
            Over::Memory(memory) => match memory.account(address, self.index) {
                Found::Value(fields) => Ok(over(fields)),
                Found::WaitFor(index) => Err(Some(index)),
                Found::Shifted(shift) => base().map(|read| AccountRead { fields: shift.apply(read.fields), ..read }),
            },
        }
    }

    /// `place` is the account's.
    fn slot(&self, place: Option<usize>, address: Address, slot: U256) -> Result<SlotRead, Option<u32>> {
        let over = match self.over {
            Over::Nothing => None,
            Over::List(list) => list.slot(address, slot, self.first, self.index),
            Over::Memory(memory) => match memory.slot(address, slot, self.index) {
                Found::Value(value) => Some(value),
                Found::WaitFor(index) => return Err(Some(index)),
                Found::Shifted(_) => None,
            },
        };
        if let Some(value) = over {
            return Ok(SlotRead { address, slot, value, cached: false, place: None });
        }
        self.base.peek_slot(place, address, slot).ok_or(None)
    }

    /// The account as a run of `index` would read it now; `None` where a value is not at hand.
    #[must_use]
    pub fn account_again(&self, address: Address) -> Option<Option<Fields>> {
        self.account(address).ok().map(|read| self.with_expected_nonce(address, read.fields))
    }

    /// The slot as a run of `index` would read it now; `None` where a value is not at hand.
    #[must_use]
    pub fn slot_again(&self, address: Address, slot: U256) -> Option<U256> {
        self.slot(None, address, slot).ok().map(|read| read.value)
    }

    /// The sender's earlier transactions may be on their way: take it that they leave the nonce that fits. Whoever folds
    /// the run in looks at the true one.
    fn with_expected_nonce(&self, address: Address, fields: Option<Fields>) -> Option<Fields> {
        if address != self.sender || fields.unwrap_or_default().nonce >= self.nonce {
            return fields;
        }
        Some(Fields { nonce: self.nonce, ..fields.unwrap_or_default() })
    }
}

impl Recorded for View<'_> {
    fn begin(&mut self) {
        self.reads.clear();
        self.missed = false;
        self.waits_for = None;
    }

    fn missed(&self) -> bool {
        self.missed
    }
}

impl View<'_> {
    fn storage_at(&mut self, place: Option<usize>, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.slot(place, address, slot) {
            Ok(read) => {
                self.reads.slots.push(read);
                Ok(read.value)
            }
            Err(Some(index)) => Err(self.wait(index)),
            Err(None) => Err(self.miss()),
        }
    }
}

impl revm::Database for View<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        match self.account(address) {
            Ok(mut read) => {
                read.fields = self.with_expected_nonce(address, read.fields);
                self.reads.accounts.push(read);
                let bars = read.fields.is_some_and(|fields| self.base.peek_bars_creation(address, fields));
                let account_id = read.place.and_then(|place| AccountId::new(place as usize));
                Ok(read.fields.map(|fields| {
                    let info = AccountInfo { account_id, ..AccountInfo::from(fields) };
                    if bars { AccountInfo { code_hash: B256::ZERO, ..info } } else { info }
                }))
            }
            Err(Some(index)) => Err(self.wait(index)),
            Err(None) => Err(self.miss()),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        let new = match self.over {
            Over::Memory(memory) => memory.code(hash),
            Over::Nothing | Over::List(_) => None,
        };
        let code = new.or_else(|| self.base.peek_code(hash)).ok_or_else(|| self.miss())?;
        self.reads.codes.push(hash);
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.storage_at(None, address, slot)
    }

    fn storage_by_account_id(&mut self, address: Address, id: AccountId, slot: U256) -> Result<U256, StateError> {
        self.storage_at(Some(id.get()), address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        let hash = self.base.peek_block(number).ok_or_else(|| self.miss())?;
        self.reads.blocks.push(number);
        Ok(hash)
    }
}
