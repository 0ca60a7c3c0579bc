//! `config.hansa.vm.gas` and `config.hansa.vm.stateGrowth`: dearer reads, dearer growth of the state, and how much of it
//! a block and a sender may add. Without them gas is exactly Ethereum's.

use serde_json::{Map, Value};

use super::json;
use crate::error::{InputError, InputResult};

/// Ethereum's price, percent.
const PLAIN: u64 = 100;
/// Largest multiplier, percent: the dearest price that it makes still fits the 16 bits of an opcode's static gas.
const PERCENT_MAX: u64 = 5_000;

/// A cold account (EIP-2929), which an authorisation (EIP-7702) pays as part of its base.
const COLD_ACCOUNT_GAS: u64 = 2_600;

/// Multipliers of Ethereum's prices. Products are cut to whole gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasPrices {
    read_percent: u64,
    growth_percent: u64,
}

impl Default for GasPrices {
    fn default() -> Self {
        Self { read_percent: PLAIN, growth_percent: PLAIN }
    }
}

impl GasPrices {
    pub(super) fn parse(vm: &Map<String, Value>) -> InputResult<Self> {
        let field = "config.hansa.vm.gas";
        let Some(part) = json::member(vm, "gas") else { return Ok(Self::default()) };
        let part = json::object(field, part)?;
        Ok(Self {
            read_percent: percent(field, part, "stateReadPercent")?,
            growth_percent: percent(field, part, "stateGrowthPercent")?,
        })
    }

    /// Whether every price is Ethereum's.
    #[must_use]
    pub const fn are_plain(self) -> bool {
        self.read_percent == PLAIN && self.growth_percent == PLAIN
    }

    /// What `gas` for reading state comes to.
    #[must_use]
    pub const fn read(self, gas: u64) -> u64 {
        scale(gas, self.read_percent)
    }

    /// What `gas` for adding to the state comes to.
    #[must_use]
    pub const fn growth(self, gas: u64) -> u64 {
        scale(gas, self.growth_percent)
    }

    /// Price of an authorisation (EIP-7702) and the refund for an account that is there, from Ethereum's: the refund is
    /// what the new account is charged, the rest holds a cold read.
    #[must_use]
    pub const fn authorization(self, gas: u64, refund: u64) -> (u64, u64) {
        let new_account = self.growth(refund);
        let base = gas.saturating_sub(refund).saturating_sub(COLD_ACCOUNT_GAS);
        (base.saturating_add(self.read(COLD_ACCOUNT_GAS)).saturating_add(new_account), new_account)
    }
}

const fn scale(gas: u64, percent: u64) -> u64 {
    gas.saturating_mul(percent) / PLAIN
}

fn percent(field: &str, part: &Map<String, Value>, key: &str) -> InputResult<u64> {
    let Some(value) = json::member(part, key) else { return Ok(PLAIN) };
    let field = format!("{field}.{key}");
    let percent = json::u64(&field, value)?;
    if (PLAIN..=PERCENT_MAX).contains(&percent) {
        Ok(percent)
    } else {
        Err(InputError::new(field, format!("{PLAIN} to {PERCENT_MAX} percent"), percent))
    }
}

/// Most items of new state. An item is an account that was not there, a slot that was zero, or 32 bytes of new code or
/// the rest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrowthCaps {
    /// All transactions of a block.
    pub block: Option<u64>,
    /// All transactions of one sender in a block.
    pub sender: Option<u64>,
}

impl GrowthCaps {
    pub(super) fn parse(vm: &Map<String, Value>) -> InputResult<Self> {
        let field = "config.hansa.vm.stateGrowth";
        let Some(part) = json::member(vm, "stateGrowth") else { return Ok(Self::default()) };
        let part = json::object(field, part)?;
        let caps = Self { block: items(field, part, "blockItemsMax")?, sender: items(field, part, "senderItemsMax")? };
        match (caps.block, caps.sender) {
            (Some(block), Some(sender)) if sender > block => {
                let field = format!("{field}.senderItemsMax");
                Err(InputError::new(field, format!("at most blockItemsMax, {block} items"), sender))
            }
            _ => Ok(caps),
        }
    }

    /// Whether growth is not bounded.
    #[must_use]
    pub const fn are_none(self) -> bool {
        self.block.is_none() && self.sender.is_none()
    }

    /// Most items of one transaction.
    #[must_use]
    pub fn of_transaction(self) -> u64 {
        self.sender.or(self.block).unwrap_or(u64::MAX)
    }
}

fn items(field: &str, part: &Map<String, Value>, key: &str) -> InputResult<Option<u64>> {
    let Some(value) = json::member(part, key) else { return Ok(None) };
    let field = format!("{field}.{key}");
    match json::u64(&field, value)? {
        // Nobody new could send anything: the first transaction adds the sender's account.
        0 => Err(InputError::new(field, "at least 1 item", 0)),
        items => Ok(Some(items)),
    }
}
