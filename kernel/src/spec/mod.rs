//! Rules of one chain: geth's `genesis.json`, with Hansa's own part under `config.hansa`.

pub mod blob;
pub mod dao;
mod fork;
mod gas;
mod genesis;
pub mod json;
mod network;
mod openethereum;
mod pow;
mod schedule;
#[cfg(test)]
mod tests;
mod vm;

use std::sync::Arc;

use alloy_primitives::{Address, U256, address};
use revm::primitives::hardfork::SpecId;
use serde_json::{Map, Value};

pub use fork::{FORKS, Fork};
pub use gas::{GasPrices, GrowthCaps};
pub(crate) use genesis::parse_account;
pub use genesis::{Alloc, Genesis};
use pow::Pow;
pub use pow::{Engine, PowParent};
pub use vm::VmRules;

use crate::error::{InputError, InputResult};
use crate::header::Header;

/// Code size limit of EIP-170, bytes.
pub const MAX_CODE_SIZE: usize = 24_576;
/// Largest code size limit that a chain spec may set, bytes: contracts beyond it would not fit a transaction.
pub const CONTRACT_SIZE_LIMIT_MAX: usize = 1 << 20;
/// Base fee of the first London block where the chain spec gives none, wei (EIP-1559).
pub const INITIAL_BASE_FEE: u64 = 1_000_000_000;
/// Most gas of one transaction from Osaka on (EIP-7825).
pub const TX_GAS_LIMIT_CAP: u64 = 16_777_216;
/// Deposit contract that the public tests log to (EIP-6110).
const MAINNET_DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cBB839Cbe05303d7705Fa");
/// EIP-1559: gas target = limit div this; largest change of the base fee = 1 / denominator.
const ELASTICITY: u64 = 2;
const BASE_FEE_CHANGE_DENOMINATOR: u64 = 8;

/// Blob limits of a time (EIP-4844, EIP-7840).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRules {
    pub target: u64,
    pub max: u64,
    pub update_fraction: u64,
}

/// Rules of one chain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spec(Arc<Rules>);

#[derive(Debug, Clone)]
struct Rules {
    chain_id: u64,
    /// (first block, fork), ascending.
    by_number: Vec<(u64, Fork)>,
    /// (first timestamp, fork), ascending.
    by_time: Vec<(u64, Fork)>,
    /// (first timestamp, rules), ascending.
    blobs: Vec<(u64, BlobRules)>,
    pow: Pow,
    zero_base_fee: bool,
    max_code_size: usize,
    hansa: bool,
    deposit_contract: Option<Address>,
    vm: VmRules,
    genesis: Genesis,
}

impl Spec {
    /// Parse a chain spec: geth's genesis (JSON), with the keys that Besu and Quorum add, or `OpenEthereum`'s file. Unknown
    /// keys of `config` are ignored.
    ///
    /// # Errors
    /// Names the key that is malformed or contradicts another.
    pub fn parse(bytes: &[u8]) -> InputResult<Self> {
        let value: Value = json::parse("chain_spec", bytes)?;
        let root = json::object("chain_spec", &value)?;
        if openethereum::is_one(root) {
            return openethereum::parse(root);
        }
        let config = json::object("config", json::member(root, "config").unwrap_or(&Value::Null))?;
        let chain_id = json::member(config, "chainId")
            .ok_or_else(|| InputError::new("config.chainId", "a chain id", "nothing"))
            .and_then(|value| json::u64("config.chainId", value))?;
        schedule::refuse_unknown_forks(config)?;
        let hansa = match json::member(config, "hansa") {
            Some(value) => Some(json::object("config.hansa", value)?),
            None => None,
        };
        let vm = VmRules::parse(hansa)?;
        let genesis = Genesis::parse(root)?;
        let zero_base_fee = zero_base_fee(config, hansa)?;
        vm.check_ether(&genesis, zero_base_fee)?;
        let terminal = schedule::terminal_total_difficulty(config)?;
        let by_number = schedule::forks_by_number(config, terminal)?;
        let pow = schedule::pow(config, chain_id, terminal, &by_number)?;
        Ok(Self(Arc::new(Rules {
            chain_id,
            by_number,
            by_time: schedule::forks_by_time(config, hansa.is_some())?,
            blobs: schedule::blob_schedule(config)?,
            pow,
            zero_base_fee,
            max_code_size: max_code_size(config, hansa.is_some())?,
            hansa: hansa.is_some(),
            deposit_contract: match json::member(config, "depositContractAddress") {
                Some(Value::String(text)) => Some(json::address("config.depositContractAddress", text)?),
                Some(other) => return Err(InputError::new("config.depositContractAddress", "an address", other)),
                None => None,
            },
            vm,
            genesis,
        })))
    }

    /// Rules of a test network.
    fn of_parts(
        chain_id: u64,
        by_number: Vec<(u64, Fork)>,
        by_time: Vec<(u64, Fork)>,
        blobs: Vec<(u64, BlobRules)>,
        pow: Pow,
    ) -> Self {
        Self(Arc::new(Rules {
            chain_id,
            by_number,
            by_time,
            blobs,
            pow,
            zero_base_fee: false,
            max_code_size: MAX_CODE_SIZE,
            hansa: false,
            deposit_contract: Some(MAINNET_DEPOSIT_CONTRACT),
            vm: VmRules::default(),
            genesis: Genesis::default(),
        }))
    }

    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.0.chain_id
    }

    /// Whether the file has `config.hansa`.
    #[must_use]
    pub fn is_hansa(&self) -> bool {
        self.0.hansa
    }

    /// Whether every block's base fee is 0.
    #[must_use]
    pub fn zero_base_fee(&self) -> bool {
        self.0.zero_base_fee
    }

    /// Most bytes of deployed code; initcode may have twice as many (EIP-170, EIP-3860).
    #[must_use]
    pub fn max_code_size(&self) -> usize {
        self.0.max_code_size
    }

    /// What the chain adds to Ethereum's execution.
    #[must_use]
    pub fn vm(&self) -> &VmRules {
        &self.0.vm
    }

    /// Contract whose logs are deposits (EIP-6110).
    #[must_use]
    pub fn deposit_contract(&self) -> Option<Address> {
        self.0.deposit_contract
    }

    /// Who makes blocks before the merge.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.0.pow.engine
    }

    /// What a block before the merge earns its maker, wei.
    #[must_use]
    pub fn block_reward(&self, number: u64) -> U256 {
        self.0.pow.reward(number)
    }

    /// The same rules with another reward of blocks before the merge, wei: what a state transition tool is asked for.
    #[must_use]
    pub fn with_block_reward(&self, wei: U256) -> Self {
        let mut rules = Rules::clone(&self.0);
        rules.pow.rewards = vec![(0, wei)];
        Self(Arc::new(rules))
    }

    /// Who gets the reward instead of the header's beneficiary.
    #[must_use]
    pub fn reward_to(&self) -> Option<Address> {
        self.0.pow.reward_to
    }

    /// Whether rewards are paid by calls of a contract (Aura), so that blocks cannot be executed here.
    #[must_use]
    pub fn has_contract_rewards(&self) -> bool {
        self.0.pow.contract_rewards
    }

    /// First block after the irregular state change of EIP-779, on chains that made it.
    #[must_use]
    pub fn dao_block(&self) -> Option<u64> {
        self.0.pow.dao_block
    }

    /// Total difficulty after which proof of stake begins (EIP-3675); 0: from the first block on.
    #[must_use]
    pub fn terminal_total_difficulty(&self) -> Option<U256> {
        self.0.pow.terminal_total_difficulty
    }

    /// Difficulty of the proof-of-work block after `parent`, made at `timestamp` (yellow paper 4.3.4 with EIPs 2, 100
    /// and the delays of the bomb).
    #[must_use]
    pub fn next_difficulty(&self, parent: &PowParent, timestamp: u64) -> U256 {
        self.0.pow.difficulty(parent, timestamp, self.fork(parent.number.saturating_add(1), timestamp))
    }

    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The fork active in the block with that number and timestamp.
    #[must_use]
    pub fn fork(&self, number: u64, timestamp: u64) -> Fork {
        let by_number = self.0.by_number.iter().filter(|(first, _)| *first <= number).map(|(_, fork)| *fork).max();
        let by_time = self.0.by_time.iter().filter(|(first, _)| *first <= timestamp).map(|(_, fork)| *fork).max();
        // geth: forks by time need London.
        let by_number = by_number.unwrap_or(Fork::Frontier);
        match by_time {
            Some(fork) if by_number >= Fork::London => fork,
            _ => by_number,
        }
    }

    /// revm's rules of that block.
    #[must_use]
    pub fn spec_id(&self, number: u64, timestamp: u64) -> SpecId {
        self.fork(number, timestamp).spec_id()
    }

    /// Most gas that one transaction may ask for in that block, or None without a cap: the chain's own limit if it sets
    /// one, or that of EIP-7825.
    #[must_use]
    pub fn tx_gas_limit_cap(&self, number: u64, timestamp: u64) -> Option<u64> {
        let osaka = (self.fork(number, timestamp) >= Fork::Osaka).then_some(TX_GAS_LIMIT_CAP);
        self.0.vm.tx_gas_limit.or(osaka)
    }

    /// Blob limits at that time; None before Cancun.
    #[must_use]
    pub fn blob_rules(&self, timestamp: u64) -> Option<BlobRules> {
        self.0.blobs.iter().rev().find(|(first, _)| *first <= timestamp).map(|(_, rules)| *rules)
    }

    /// Base fee of the block after `parent`, wei (EIP-1559); 0 with `zero_base_fee` and before London.
    ///
    /// # Errors
    /// When the parent of a London block after the first has no base fee, or its fields overflow.
    pub fn next_base_fee(&self, parent: &Header) -> InputResult<u64> {
        let next = parent.inner.number.saturating_add(1);
        if self.0.zero_base_fee || self.fork(next, parent.inner.timestamp) < Fork::London {
            return Ok(0);
        }
        if self.fork(parent.inner.number, parent.inner.timestamp) < Fork::London {
            return Ok(INITIAL_BASE_FEE);
        }
        let Some(base_fee) = parent.inner.base_fee_per_gas else {
            return Err(InputError::new("parent_header.base_fee_per_gas", "a base fee", "nothing"));
        };
        let target = parent.inner.gas_limit / ELASTICITY;
        let used = parent.inner.gas_used;
        if used == target || target == 0 {
            return Ok(base_fee);
        }
        let change = |distance: u64| {
            u128::from(base_fee) * u128::from(distance) / u128::from(target) / u128::from(BASE_FEE_CHANGE_DENOMINATOR)
        };
        let fee = if used > target {
            u128::from(base_fee) + change(used - target).max(1)
        } else {
            u128::from(base_fee).saturating_sub(change(target - used))
        };
        u64::try_from(fee).map_err(|_| InputError::new("parent_header.base_fee_per_gas", "a fee below 2^64", fee))
    }
}

fn zero_base_fee(config: &Map<String, Value>, hansa: Option<&Map<String, Value>>) -> InputResult<bool> {
    let flag = |field: &str, value: Option<&Value>| match value {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(InputError::new(field, "true or false", other)),
    };
    let fees = hansa.and_then(|hansa| json::member(hansa, "fees")).and_then(Value::as_object);
    Ok(flag("config.zeroBaseFee", json::member(config, "zeroBaseFee"))?
        || flag("config.hansa.fees.zeroBaseFee", fees.and_then(|fees| json::member(fees, "zeroBaseFee")))?)
}

/// A consortium's limit is bounded; other networks' is what they say.
fn max_code_size(config: &Map<String, Value>, hansa: bool) -> InputResult<usize> {
    let Some(limit) = schedule::activation(config, "contractSizeLimit")? else {
        return Ok(MAX_CODE_SIZE);
    };
    let most = if hansa { CONTRACT_SIZE_LIMIT_MAX } else { u32::MAX as usize };
    usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| InputError::new("config.contractSizeLimit", format!("1 to {most} bytes"), limit))
}
