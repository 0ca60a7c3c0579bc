//! The brake on growth of the state (`config.hansa.vm.stateGrowth`): what a block and each of its senders have added, in
//! the order of the block.
//!
//! A transaction that would go beyond is not included, as one that the block has no gas for. So it is known only once it
//! has run: a builder leaves it in the pool, with later ones of its sender, and a block with it is invalid. One that adds
//! more than any block may take is refused for good. Who builds pays for what ran in vain, so after as much gas of that
//! as a block has, the block is closed.

use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, U256};

use crate::spec::GrowthCaps;
use crate::tx::{TxCode, TxError};

/// Items added so far.
#[derive(Debug, Default)]
pub struct Growth {
    block: u64,
    senders: AddressMap<u64>,
    /// Gas of runs that were left out.
    wasted: u64,
}

/// Why a transaction is not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another block may have room.
    Later(TxError),
    /// No block has.
    Never(TxError),
}

impl Growth {
    /// Count a transaction's items, if they fit.
    ///
    /// # Errors
    /// They do not; nothing is counted.
    pub fn admit(&mut self, caps: GrowthCaps, sender: Address, items: u64) -> Result<(), Refusal> {
        let mine = self.senders.get(&sender).copied().unwrap_or_default();
        if items > caps.of_transaction() {
            return Err(Refusal::Never(over("a transaction", caps.of_transaction(), items)));
        }
        if let Some(cap) = caps.sender.filter(|cap| mine.saturating_add(items) > *cap) {
            return Err(Refusal::Later(over("a sender in a block", cap, mine.saturating_add(items))));
        }
        if let Some(cap) = caps.block.filter(|cap| self.block.saturating_add(items) > *cap) {
            return Err(Refusal::Later(over("a block", cap, self.block.saturating_add(items))));
        }
        self.block += items;
        if caps.sender.is_some() && items > 0 {
            self.senders.insert(sender, mine + items);
        }
        Ok(())
    }

    /// Count a run that was left out. Whether as much as `gas_limit` has run in vain.
    pub fn waste(&mut self, gas: u64, gas_limit: u64) -> bool {
        self.wasted = self.wasted.saturating_add(gas);
        self.wasted >= gas_limit
    }
}

fn over(whose: &str, cap: u64, items: u64) -> TxError {
    let message = format!("state growth too large: {items} items, limit of {whose} {cap}");
    TxError::with(TxCode::StateGrowth, message, U256::from(cap), U256::from(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Address = Address::repeat_byte(0xa1);
    const BOB: Address = Address::repeat_byte(0xb0);

    fn later(result: Result<(), Refusal>) -> String {
        match result {
            Err(Refusal::Later(error)) => error.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sender_and_a_block_have_caps_of_their_own() {
        let caps = GrowthCaps { block: Some(10), sender: Some(6) };
        let mut growth = Growth::default();
        assert_eq!(growth.admit(caps, ALICE, 4), Ok(()));
        assert!(later(growth.admit(caps, ALICE, 3)).ends_with("7 items, limit of a sender in a block 6"));
        assert_eq!(growth.admit(caps, ALICE, 2), Ok(()));
        assert!(later(growth.admit(caps, BOB, 5)).ends_with("11 items, limit of a block 10"));
        assert_eq!(growth.admit(caps, BOB, 4), Ok(()));
        assert_eq!(growth.admit(caps, BOB, 0), Ok(()), "what adds nothing always fits");
        assert!(matches!(growth.admit(caps, BOB, 7), Err(Refusal::Never(_))));
        let alone = GrowthCaps { block: Some(10), sender: None };
        assert!(matches!(Growth::default().admit(alone, BOB, 11), Err(Refusal::Never(_))));
    }

    #[test]
    fn a_block_is_closed_after_its_gas_has_run_in_vain() {
        let mut growth = Growth::default();
        assert!(!growth.waste(29, 30));
        assert!(growth.waste(1, 30));
    }
}
