//! Chains before the merge: who makes blocks, the difficulty of proof of work, and what a block earns.

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{Address, B256, U256};

use super::Fork;

/// Least difficulty of a proof-of-work block (yellow paper 4.3.4).
const DIFFICULTY_MIN: U256 = U256::from_limbs([131_072, 0, 0, 0]);
/// A parent's difficulty is moved in steps of 1 / this.
const DIFFICULTY_BOUND_DIVISOR: U256 = U256::from_limbs([2_048, 0, 0, 0]);
/// Blocks after which the bomb doubles.
const BOMB_PERIOD: u64 = 100_000;
/// Most steps down in one block (EIP-2).
const STEPS_DOWN_MAX: u64 = 99;
/// Seconds below which Frontier's difficulty rises.
const FRONTIER_SECONDS: u64 = 13;
/// Seconds of one step: EIP-2, EIP-100.
const HOMESTEAD_SECONDS: u64 = 10;
const BYZANTIUM_SECONDS: u64 = 9;
/// Wei in one ether.
const ETHER: u64 = 1_000_000_000_000_000_000;

/// Reward of a block by fork, wei (EIP-649, EIP-1234).
pub(super) const REWARDS: [(Fork, u64); 3] =
    [(Fork::Frontier, 5 * ETHER), (Fork::Byzantium, 3 * ETHER), (Fork::Constantinople, 2 * ETHER)];

/// Blocks by which the bomb is late: EIP-649, 1234, 2384 (Muir Glacier), 3554 (London), 4345 (Arrow Glacier), 5133
/// (Gray Glacier). The glaciers are no forks of their own here: they change nothing else.
pub(super) const BOMB_DELAYS: [(&str, u64); 6] = [
    ("byzantiumBlock", 3_000_000),
    ("constantinopleBlock", 5_000_000),
    ("muirGlacierBlock", 9_000_000),
    ("londonBlock", 9_700_000),
    ("arrowGlacierBlock", 10_700_000),
    ("grayGlacierBlock", 11_400_000),
];

/// Who makes blocks before the merge. Seals are never checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Proof of work: difficulty, ommers and rewards by Ethereum's formulas.
    #[default]
    Ethash,
    /// EIP-225: signers in the extra data, difficulty 1 or 2, no rewards.
    Clique,
    /// Signers by another rule (IBFT, QBFT, Raft, Aura), with fields of its own in the extra data.
    Authority,
}

/// Rules of blocks before the merge.
#[derive(Debug, Clone, Default)]
pub(super) struct Pow {
    pub engine: Engine,
    /// (first block, blocks by which the bomb is late).
    pub bomb_delays: Vec<(u64, u64)>,
    /// (first block, wei), ascending.
    pub rewards: Vec<(u64, U256)>,
    /// Who gets the reward, instead of the header's beneficiary.
    pub reward_to: Option<Address>,
    /// Rewards are paid by calls of a contract, which this kernel does not make.
    pub contract_rewards: bool,
    /// Every block's difficulty, on chains for development.
    pub fixed_difficulty: Option<U256>,
    /// First block after the irregular state change.
    pub dao_block: Option<u64>,
    /// Total difficulty after which blocks are made by proof of stake; 0: from the first on.
    pub terminal_total_difficulty: Option<U256>,
}

/// Fields of a parent on which the difficulty depends.
#[derive(Debug, Clone, Copy)]
pub struct PowParent {
    pub number: u64,
    pub timestamp: u64,
    pub difficulty: U256,
    pub ommers_hash: B256,
}

impl From<&alloy_consensus::Header> for PowParent {
    fn from(header: &alloy_consensus::Header) -> Self {
        Self {
            number: header.number,
            timestamp: header.timestamp,
            difficulty: header.difficulty,
            ommers_hash: header.ommers_hash,
        }
    }
}

impl Pow {
    pub(super) fn reward(&self, number: u64) -> U256 {
        self.rewards.iter().rev().find(|(first, _)| *first <= number).map(|(_, wei)| *wei).unwrap_or_default()
    }

    /// Difficulty of the block after `parent`, made at `timestamp` (not before the parent's) on the rules of `fork`.
    pub(super) fn difficulty(&self, parent: &PowParent, timestamp: u64, fork: Fork) -> U256 {
        if let Some(fixed) = self.fixed_difficulty {
            return fixed;
        }
        let number = parent.number.saturating_add(1);
        let seconds = timestamp.saturating_sub(parent.timestamp);
        let step = parent.difficulty / DIFFICULTY_BOUND_DIVISOR;
        let (up, down) = if fork >= Fork::Byzantium {
            let most = if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH { 1 } else { 2 };
            steps(most, seconds / BYZANTIUM_SECONDS)
        } else if fork >= Fork::Homestead {
            steps(1, seconds / HOMESTEAD_SECONDS)
        } else if seconds < FRONTIER_SECONDS {
            (1, 0)
        } else {
            (0, 1)
        };
        let moved = parent
            .difficulty
            .saturating_add(step.saturating_mul(U256::from(up)))
            .saturating_sub(step.saturating_mul(U256::from(down)));
        // The yellow paper's order: the least difficulty holds for the sum.
        moved.saturating_add(self.bomb(number)).max(DIFFICULTY_MIN)
    }

    fn bomb(&self, number: u64) -> U256 {
        let delay = self.bomb_delays.iter().filter(|(first, _)| *first <= number).map(|(_, delay)| *delay).max();
        let period = number.saturating_sub(delay.unwrap_or(0)) / BOMB_PERIOD;
        match period.checked_sub(2) {
            None => U256::ZERO,
            Some(exponent @ 0..256) => U256::from(1) << exponent,
            Some(_) => U256::MAX,
        }
    }
}

/// (steps up, steps down) of `most` less `late`.
fn steps(most: u64, late: u64) -> (u64, u64) {
    (most.saturating_sub(late), late.saturating_sub(most).min(STEPS_DOWN_MAX))
}
