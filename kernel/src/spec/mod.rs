//! Rules of one chain: geth's `genesis.json`, with Hansa's own part under `config.hansa`.

mod fork;
mod genesis;
pub mod json;
#[cfg(test)]
mod tests;
mod vm;

use std::sync::Arc;

use alloy_primitives::{Address, address};
use revm::primitives::hardfork::SpecId;
use serde_json::{Map, Value};

pub use fork::{FORKS, Fork};
pub(crate) use genesis::parse_account;
pub use genesis::{Alloc, Genesis};
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

/// Forks that begin at a block number, by their keys in `config`.
const BY_NUMBER: [(&str, Fork); 9] = [
    ("homesteadBlock", Fork::Homestead),
    ("eip150Block", Fork::TangerineWhistle),
    ("eip158Block", Fork::SpuriousDragon),
    ("byzantiumBlock", Fork::Byzantium),
    ("constantinopleBlock", Fork::Constantinople),
    ("petersburgBlock", Fork::Petersburg),
    ("istanbulBlock", Fork::Istanbul),
    ("berlinBlock", Fork::Berlin),
    ("londonBlock", Fork::London),
];

/// Forks that begin at a timestamp.
const BY_TIME: [(&str, Fork); 4] = [
    ("shanghaiTime", Fork::Shanghai),
    ("cancunTime", Fork::Cancun),
    ("pragueTime", Fork::Prague),
    ("osakaTime", Fork::Osaka),
];

/// Blob schedule entries: key in `config`, key in `config.blobSchedule`, defaults (target, max, update fraction).
const BLOB_SCHEDULE: [(&str, &str, BlobRules); 8] = [
    ("cancunTime", "cancun", BlobRules { target: 3, max: 6, update_fraction: 3_338_477 }),
    ("pragueTime", "prague", BlobRules { target: 6, max: 9, update_fraction: 5_007_716 }),
    ("osakaTime", "osaka", BlobRules { target: 6, max: 9, update_fraction: 5_007_716 }),
    ("bpo1Time", "bpo1", BlobRules { target: 10, max: 15, update_fraction: 8_346_193 }),
    ("bpo2Time", "bpo2", BlobRules { target: 14, max: 21, update_fraction: 11_684_671 }),
    ("bpo3Time", "bpo3", BlobRules { target: 14, max: 21, update_fraction: 11_684_671 }),
    ("bpo4Time", "bpo4", BlobRules { target: 14, max: 21, update_fraction: 11_684_671 }),
    ("bpo5Time", "bpo5", BlobRules { target: 14, max: 21, update_fraction: 11_684_671 }),
];

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

#[derive(Debug)]
struct Rules {
    chain_id: u64,
    /// (first block, fork), ascending.
    by_number: Vec<(u64, Fork)>,
    /// (first timestamp, fork), ascending.
    by_time: Vec<(u64, Fork)>,
    /// (first timestamp, rules), ascending.
    blobs: Vec<(u64, BlobRules)>,
    zero_base_fee: bool,
    max_code_size: usize,
    hansa: bool,
    deposit_contract: Option<Address>,
    vm: VmRules,
    genesis: Genesis,
}

impl Spec {
    /// Parse a chain spec (JSON). Unknown keys of `config` are ignored.
    ///
    /// # Errors
    /// Names the key that is malformed or contradicts another.
    pub fn parse(bytes: &[u8]) -> InputResult<Self> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| InputError::new("chain_spec", "JSON", error))?;
        let root = json::object("chain_spec", &value)?;
        let config = json::object("config", json::member(root, "config").unwrap_or(&Value::Null))?;
        let chain_id = json::member(config, "chainId")
            .ok_or_else(|| InputError::new("config.chainId", "a chain id", "nothing"))
            .and_then(|value| json::u64("config.chainId", value))?;
        if json::member(config, "amsterdamTime").is_some() {
            return Err(InputError::new("config.amsterdamTime", "no fork after Osaka", "Amsterdam"));
        }
        let hansa = match json::member(config, "hansa") {
            Some(value) => Some(json::object("config.hansa", value)?),
            None => None,
        };
        let vm = VmRules::parse(hansa)?;
        let genesis = Genesis::parse(root)?;
        let zero_base_fee = zero_base_fee(config, hansa)?;
        vm.check_ether(&genesis, zero_base_fee)?;
        Ok(Self(Arc::new(Rules {
            chain_id,
            by_number: forks_by_number(config)?,
            by_time: forks_by_time(config)?,
            blobs: blob_schedule(config)?,
            zero_base_fee,
            max_code_size: max_code_size(config)?,
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

    /// Every fork up to `fork` from block 0 on, chain id 1: for the public tests.
    #[must_use]
    pub fn of_fork(fork: Fork, chain_id: u64) -> Self {
        let started =
            |list: &[(&str, Fork)]| list.iter().filter(|(_, f)| *f <= fork).map(|(_, f)| (0, *f)).collect::<Vec<_>>();
        let mut by_number = started(&BY_NUMBER);
        if fork >= Fork::Paris {
            by_number.push((0, Fork::Paris));
        }
        let blobs = BLOB_SCHEDULE
            .iter()
            .zip([Fork::Cancun, Fork::Prague, Fork::Osaka])
            .filter(|(_, first)| *first <= fork)
            .map(|((_, _, rules), _)| (0, *rules))
            .collect();
        Self(Arc::new(Rules {
            chain_id,
            by_number,
            by_time: started(&BY_TIME),
            blobs,
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

fn activation(config: &Map<String, Value>, key: &str) -> InputResult<Option<u64>> {
    json::member(config, key).map(|value| json::u64(&format!("config.{key}"), value)).transpose()
}

fn forks_by_number(config: &Map<String, Value>) -> InputResult<Vec<(u64, Fork)>> {
    let mut forks = Vec::new();
    for (key, fork) in BY_NUMBER {
        let mut first = activation(config, key)?;
        if first.is_none() && fork == Fork::SpuriousDragon {
            first = activation(config, "eip155Block")?;
        }
        if let Some(first) = first {
            forks.push((first, fork));
        }
    }
    // The merge happens by total difficulty, which a header does not carry; files name its block in one of these ways.
    let passed = json::member(config, "terminalTotalDifficultyPassed").and_then(Value::as_bool).unwrap_or(false);
    let zero = match json::member(config, "terminalTotalDifficulty") {
        Some(Value::Number(number)) => number.as_u64() == Some(0),
        Some(text @ Value::String(_)) => json::u256("config.terminalTotalDifficulty", text)?.is_zero(),
        Some(other) => return Err(InputError::new("config.terminalTotalDifficulty", "a number", other)),
        None => false,
    };
    if passed || zero {
        forks.push((0, Fork::Paris));
    } else if let Some(first) = activation(config, "mergeNetsplitBlock")? {
        forks.push((first, Fork::Paris));
    }
    // geth's rule: at most one order; a later fork may not begin before an earlier one.
    if let Some(pair) = forks.windows(2).find(|pair| pair[0].0 > pair[1].0) {
        return Err(InputError::new(
            "config",
            format!("{} not before {}", pair[1].1.name(), pair[0].1.name()),
            format!("blocks {} and {}", pair[1].0, pair[0].0),
        ));
    }
    Ok(forks)
}

fn forks_by_time(config: &Map<String, Value>) -> InputResult<Vec<(u64, Fork)>> {
    let mut forks: Vec<(u64, Fork)> = Vec::new();
    let mut missing = None;
    for (key, fork) in BY_TIME {
        let Some(first) = activation(config, key)? else {
            missing = Some(key);
            continue;
        };
        if let Some(missing) = missing {
            return Err(InputError::new(format!("config.{missing}"), format!("a time, since {key} is set"), "nothing"));
        }
        if forks.last().is_some_and(|(last, _)| *last > first) {
            return Err(InputError::new(format!("config.{key}"), "a time not before the previous fork's", first));
        }
        forks.push((first, fork));
    }
    Ok(forks)
}

fn blob_schedule(config: &Map<String, Value>) -> InputResult<Vec<(u64, BlobRules)>> {
    let schedule = match json::member(config, "blobSchedule") {
        Some(value) => Some(json::object("config.blobSchedule", value)?),
        None => None,
    };
    let mut entries = Vec::new();
    for (time_key, name, defaults) in BLOB_SCHEDULE {
        let Some(first) = activation(config, time_key)? else { continue };
        let rules = match schedule.and_then(|schedule| json::member(schedule, name)) {
            Some(value) => {
                let field = format!("config.blobSchedule.{name}");
                let entry = json::object(&field, value)?;
                let number = |key: &str| {
                    json::member(entry, key)
                        .ok_or_else(|| InputError::new(format!("{field}.{key}"), "a number", "nothing"))
                        .and_then(|value| json::u64(&format!("{field}.{key}"), value))
                };
                BlobRules {
                    target: number("target")?,
                    max: number("max")?,
                    update_fraction: number("baseFeeUpdateFraction")?,
                }
            }
            None => defaults,
        };
        if rules.update_fraction == 0 {
            return Err(InputError::new(format!("config.blobSchedule.{name}.baseFeeUpdateFraction"), "above 0", 0));
        }
        entries.push((first, rules));
    }
    entries.sort_by_key(|(first, _)| *first);
    Ok(entries)
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

fn max_code_size(config: &Map<String, Value>) -> InputResult<usize> {
    let Some(limit) = activation(config, "contractSizeLimit")? else {
        return Ok(MAX_CODE_SIZE);
    };
    usize::try_from(limit).ok().filter(|limit| (1..=CONTRACT_SIZE_LIMIT_MAX).contains(limit)).ok_or_else(|| {
        InputError::new("config.contractSizeLimit", format!("1 to {CONTRACT_SIZE_LIMIT_MAX} bytes"), limit)
    })
}
