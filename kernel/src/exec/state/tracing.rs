//! What tracers and simulations ask of a job's state, and change in it, beside running transactions.

use alloy_primitives::{Address, B256, Bytes, U256};

use super::{Code, Fields, JobState, Slot, place_of};

impl JobState {
    /// Whether empty accounts that are touched go (EIP-161).
    #[must_use]
    pub fn clears_empty(&self) -> bool {
        self.clears_empty
    }

    /// Code hash of a known account as it is now.
    #[must_use]
    pub fn code_hash_now(&self, address: Address) -> Option<B256> {
        self.known(address)?.now.map(|fields| fields.code_hash)
    }

    /// A slot of a known account as it is now.
    pub fn slot_now(&mut self, address: Address, slot: U256) -> Option<U256> {
        let place = self.entry(address)?;
        self.known_slot_at(place, slot)
    }

    /// The bytes of a known code.
    pub fn code_now(&mut self, hash: B256) -> Option<Bytes> {
        match self.known_code(hash) {
            Code::Here(code) => Some(code.original_bytes()),
            Code::Absent | Code::Unknown => None,
        }
    }

    /// Change slots of a known account as a transaction would; with `all`, every other slot becomes zero.
    pub fn write_slots(&mut self, address: Address, slots: impl Iterator<Item = (U256, U256)>, all: bool) {
        let Some(entry) = self.accounts.get(&address).map(|place| &mut self.entries[*place as usize]) else { return };
        if all {
            entry.wipe(None, &mut self.slots);
        }
        for (slot, value) in slots {
            let place = *entry.slots.entry(slot).or_insert_with(|| {
                self.slots.push(Slot::default());
                place_of(self.slots.len() - 1)
            });
            self.slots[place as usize].now = value;
        }
    }

    /// A known account that is empty goes, where the rules say so (EIP-161).
    pub fn drop_if_empty(&mut self, address: Address) {
        let clears_empty = self.clears_empty;
        let Some(place) = self.accounts.get(&address).filter(|_| clears_empty) else { return };
        let entry = &mut self.entries[*place as usize];
        if entry.now == Some(Fields::default()) {
            entry.now = None;
            entry.wipe(None, &mut self.slots);
        }
    }
}
