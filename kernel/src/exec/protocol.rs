//! What a block does beside its transactions: calls of system contracts, the DAO fork's change, rewards, withdrawals.

use alloy_consensus::constants::GWEI_TO_WEI;
use alloy_primitives::{Address, U256};

use super::state::JobState;
use crate::error::{InputError, InputResult};
use crate::evm::system::{self, SystemCall};
use crate::header::{Attached, BlockEnv};
use crate::spec::{Engine, Fork, Spec, dao};

/// An ommer's own reward falls by this part of the block's with each block that it is older.
const OMMER_REWARD_PARTS: u64 = 8;
/// What each ommer earns the block that names it: this part of its reward.
const NEPHEW_REWARD_PARTS: u64 = 32;

/// One thing that the protocol does in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Call(SystemCall),
    /// Add to balances, wei: rewards, withdrawals (EIP-4895).
    Credit(Vec<(Address, U256)>),
    /// Move balances to the refund contract (EIP-779).
    DrainDao,
}

/// Before the first transaction.
#[must_use]
pub fn before(spec: &Spec, env: &BlockEnv, fork: Fork) -> Vec<Action> {
    let mut actions = Vec::new();
    if spec.dao_block() == Some(env.number) {
        actions.push(Action::DrainDao);
    }
    actions.extend(system::before(env, fork).into_iter().map(Action::Call));
    actions
}

/// After the last transaction.
///
/// # Errors
/// Names the ommer that no block may have, so that no reward can be told.
pub fn after(spec: &Spec, env: &BlockEnv, fork: Fork, attached: &Attached) -> InputResult<Vec<Action>> {
    let mut credits = Vec::new();
    if fork < Fork::Paris {
        credits = rewards(spec, env, attached)?;
    }
    for withdrawal in attached.withdrawals.iter().flatten() {
        credits.push((withdrawal.address, U256::from(withdrawal.amount) * U256::from(GWEI_TO_WEI)));
    }
    let mut actions = Vec::new();
    if !credits.is_empty() {
        actions.push(Action::Credit(credits));
    }
    actions.extend(system::after(fork).into_iter().map(Action::Call));
    Ok(actions)
}

/// Rewards of a block before the merge (yellow paper 11.3): those of its ommers in their order, then its own, wei.
///
/// # Errors
/// As [`after`].
pub fn rewards(spec: &Spec, env: &BlockEnv, attached: &Attached) -> InputResult<Vec<(Address, U256)>> {
    if spec.has_contract_rewards() {
        return Err(InputError::new("chain_spec", "rewards that need no contract", "a block reward contract"));
    }
    let reward = spec.block_reward(env.number);
    if reward.is_zero() {
        return Ok(Vec::new());
    }
    let to = spec.reward_to().unwrap_or(env.beneficiary);
    if spec.engine() != Engine::Ethash {
        return Ok(vec![(to, reward)]);
    }
    let mut credits = Vec::new();
    for ommer in &attached.ommers {
        let age = env.number.checked_sub(ommer.inner.number).filter(|age| (1..OMMER_REWARD_PARTS).contains(age));
        let age = age.ok_or_else(|| InputError::new("ommers", "ommers one to seven blocks old", ommer.inner.number))?;
        let parts = U256::from(OMMER_REWARD_PARTS - age);
        credits.push((ommer.inner.beneficiary, reward * parts / U256::from(OMMER_REWARD_PARTS)));
    }
    let nephew = reward / U256::from(NEPHEW_REWARD_PARTS) * U256::from(attached.ommers.len());
    credits.push((to, reward + nephew));
    Ok(credits)
}

impl Action {
    /// Ask for the accounts that the action needs. True if all are known.
    pub fn prefetch(&self, state: &mut JobState) -> bool {
        let mut known = true;
        let mut ask = |address: Address| known &= state.prefetch_account(address);
        match self {
            Self::Call(call) => ask(call.address),
            Self::Credit(credits) => credits.iter().for_each(|(address, _)| ask(*address)),
            Self::DrainDao => dao::DRAINED.into_iter().chain([dao::REFUND_CONTRACT]).for_each(ask),
        }
        known
    }

    /// Do what needs no EVM; every account is known. False for calls.
    pub fn apply(&self, state: &mut JobState) -> bool {
        match self {
            Self::Call(_) => return false,
            Self::Credit(credits) => {
                for (address, wei) in credits {
                    state.credit(*address, *wei);
                }
            }
            Self::DrainDao => {
                for address in dao::DRAINED {
                    let wei = state.drain(address);
                    state.credit(dao::REFUND_CONTRACT, wei);
                }
            }
        }
        true
    }
}
