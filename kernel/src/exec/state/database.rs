//! The door through which revm reads a job's state.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use revm::state::{AccountId, AccountInfo};

use super::{Code, Fields, GUESSED_BALANCE, GUESSED_SLOT, JobState, Mode, StateError};
use crate::evm::Recorded;

impl From<Fields> for AccountInfo {
    fn from(fields: Fields) -> Self {
        Self {
            nonce: fields.nonce,
            balance: fields.balance,
            code_hash: fields.code_hash,
            code: (fields.code_hash == KECCAK256_EMPTY).then(Bytecode::default),
            account_id: None,
        }
    }
}

impl From<&AccountInfo> for Fields {
    fn from(info: &AccountInfo) -> Self {
        // Zero is how an account is given to revm where nothing can be created (`Entry::bars_creation`).
        let code_hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
        Self { nonce: info.nonce, balance: info.balance, code_hash }
    }
}

impl Recorded for JobState {
    fn begin(&mut self) {
        self.mode = Mode::Exact;
        self.missed = false;
        self.lookahead.begin();
        self.read_codes.clear();
        self.read_blocks.clear();
    }

    fn missed(&self) -> bool {
        self.missed
    }
}

impl JobState {
    fn storage_at(&mut self, place: Option<usize>, address: Address, slot: U256) -> Result<U256, StateError> {
        self.lookahead.read();
        if let Some(value) = place.and_then(|place| self.known_slot_at(place, slot)) {
            return Ok(value);
        }
        let new = self.want(|wanted| wanted.slots.insert((address, slot)));
        self.miss(new, || Some(GUESSED_SLOT))
    }
}

impl revm::Database for JobState {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.lookahead.read();
        let mode = self.mode;
        let mut bars_creation = false;
        let place = self.entry(address);
        let info = if let Some(entry) = place.map(|place| &self.entries[place]) {
            bars_creation = entry.bars_creation(&self.slots);
            entry.now
        } else {
            let new = self.want(|wanted| wanted.accounts.insert(address));
            Some(self.miss(new, || Some(Fields::default()))?)
        };
        let mut info = info.map(AccountInfo::from);
        if let Some(info) = &mut info {
            info.account_id = place.and_then(AccountId::new);
            if bars_creation {
                info.code_hash = B256::ZERO;
            }
        }
        if let Mode::Guess { sender, nonce, .. } = mode
            && sender == address
        {
            let info = info.get_or_insert_default();
            info.nonce = nonce;
            info.balance = info.balance.max(GUESSED_BALANCE);
        }
        Ok(info)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        match self.known_code(hash) {
            Code::Here(code) => {
                self.read_codes.push(hash);
                Ok(code)
            }
            Code::Absent => Err(StateError::NoCode(hash)),
            Code::Unknown => {
                let new = self.want(|wanted| wanted.codes.insert(hash));
                self.miss(new, || None)
            }
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        // The account is known, or guessed: then its slots are, too.
        let place = self.entry(address);
        self.storage_at(place, address, slot)
    }

    /// Of an account that [`Self::basic`] has told the place of.
    fn storage_by_account_id(&mut self, address: Address, id: AccountId, slot: U256) -> Result<U256, StateError> {
        self.storage_at(Some(id.get()), address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        if let Some(hash) = self.known_block(number) {
            self.read_blocks.push(number);
            return Ok(hash);
        }
        let new = self.want(|wanted| wanted.blocks.insert(number));
        self.miss(new, || Some(B256::ZERO))
    }
}
