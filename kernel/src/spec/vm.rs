//! `config.hansa.vm` and `config.hansa.fees.ether`: what a chain adds to Ethereum's execution. Everything is off unless the file turns it on.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use revm::bytecode::opcode::OpCode;
use serde_json::{Map, Value};

use super::{GasPrices, Genesis, GrowthCaps, json};
use crate::error::{InputError, InputResult};
use crate::evm::opcodes::{SET_CODE, SSTORE_EXT, WITHDRAW};
use crate::evm::precompiles::{self, ADDRESS_MAX, ADDRESS_MIN, Declared, DeclaredSet, GasSchedule};
use crate::tx::schemes::{self, SchemePrice, SchemePrices};

/// Least gas limit per transaction that a chain may set: that of a plain transfer.
pub const TX_GAS_LIMIT_MIN: u64 = 21_000;
/// Most precompiles of one chain.
const PRECOMPILES_MAX: usize = 256;
/// Largest price that a chain may set for one thing, gas: far from overflow, beyond every block.
const GAS_MAX: u64 = 1 << 40;

/// Rules of execution that Ethereum does not have.
#[derive(Debug, Clone, Default)]
pub struct VmRules {
    pub precompiles: DeclaredSet,
    /// Most gas of one transaction, in place of EIP-7825's.
    pub tx_gas_limit: Option<u64>,
    /// 0xed `SSTORE_EXT`, 0xee `WITHDRAW` and 0xef `SET_CODE` for the one address that may use them.
    pub privileged_opcodes: bool,
    /// Transactions may declare ranges of addresses that they stay in.
    pub address_ranges: bool,
    /// Account signatures beside secp256k1's, with their prices.
    pub schemes: SchemePrices,
    /// The chain has no ether: `alloc` has no balances, and no transaction sends any.
    pub no_ether: bool,
    /// What reads and growth of the state cost.
    pub prices: GasPrices,
    /// How much may be added to the state.
    pub growth_caps: GrowthCaps,
}

impl VmRules {
    pub(super) fn parse(hansa: Option<&Map<String, Value>>) -> InputResult<Self> {
        let nothing = Map::new();
        let part = |name: &str| match hansa.and_then(|hansa| json::member(hansa, name)) {
            Some(part) => json::object(&format!("config.hansa.{name}"), part),
            None => Ok(&nothing),
        };
        let (vm, fees) = (part("vm")?, part("fees")?);
        let rules = Self {
            precompiles: parse_precompiles(vm)?,
            tx_gas_limit: tx_gas_limit(vm)?,
            privileged_opcodes: flag("config.hansa.vm", vm, "privilegedOpcodes")?.unwrap_or(false),
            address_ranges: flag("config.hansa.vm", vm, "addressRanges")?.unwrap_or(false),
            schemes: parse_schemes(vm)?,
            no_ether: !flag("config.hansa.fees", fees, "ether")?.unwrap_or(true),
            prices: GasPrices::parse(vm)?,
            growth_caps: GrowthCaps::parse(vm)?,
        };
        rules.check_opcodes()?;
        Ok(rules)
    }

    /// A newer fork may have taken one of the opcodes.
    fn check_opcodes(&self) -> InputResult<()> {
        let taken = [SSTORE_EXT, WITHDRAW, SET_CODE].into_iter().find_map(OpCode::new);
        match taken {
            Some(opcode) if self.privileged_opcodes => {
                let got = format!("{:#x} is {opcode}", opcode.get());
                Err(InputError::new("config.hansa.vm.privilegedOpcodes", "opcodes that Ethereum leaves free", got))
            }
            _ => Ok(()),
        }
    }

    /// On a chain without ether nobody holds any from the start, and gas is free.
    pub(super) fn check_ether(&self, genesis: &Genesis, zero_base_fee: bool) -> InputResult<()> {
        if !self.no_ether {
            return Ok(());
        }
        if !zero_base_fee {
            let key = "config.hansa.fees.zeroBaseFee";
            return Err(InputError::new(key, "true, since nobody has ether to pay with", "false"));
        }
        match genesis.alloc().iter().find(|(_, account)| !account.balance.is_zero()) {
            Some((address, account)) => {
                let field = format!("alloc.{address}.balance");
                Err(InputError::new(field, "0, since the chain has no ether", account.balance))
            }
            None => Ok(()),
        }
    }
}

fn flag(field: &str, part: &Map<String, Value>, key: &str) -> InputResult<Option<bool>> {
    match json::member(part, key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(InputError::new(format!("{field}.{key}"), "true or false", other)),
    }
}

fn parse_schemes(vm: &Map<String, Value>) -> InputResult<SchemePrices> {
    let mut prices = SchemePrices::default();
    let field = "config.hansa.vm.signatureSchemes";
    let Some(list) = json::member(vm, "signatureSchemes") else { return Ok(prices) };
    let list = list.as_array().ok_or_else(|| InputError::new(field, "a list", list))?;
    for (index, entry) in list.iter().enumerate() {
        let field = format!("{field}.{index}");
        let entry = json::object(&field, entry)?;
        let name = json::member(entry, "name").and_then(Value::as_str).unwrap_or_default();
        let scheme = schemes::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = schemes::all().iter().map(|scheme| scheme.name()).collect();
            InputError::new(format!("{field}.name"), format!("one of {}", known.join(", ")), name)
        })?;
        if prices.get(scheme.id()).is_some() {
            return Err(InputError::new(format!("{field}.name"), "each scheme once", name));
        }
        let default = SchemePrice::of(scheme);
        let price = SchemePrice {
            base: price(&field, entry, "gas")?.unwrap_or(default.base),
            per_byte: price(&field, entry, "gasPerByte")?.unwrap_or(default.per_byte),
        };
        prices.set(scheme, price);
    }
    Ok(prices)
}

fn tx_gas_limit(vm: &Map<String, Value>) -> InputResult<Option<u64>> {
    let field = "config.hansa.vm.txGasLimit";
    let Some(limit) = json::member(vm, "txGasLimit") else { return Ok(None) };
    let limit = json::u64(field, limit)?;
    if limit < TX_GAS_LIMIT_MIN {
        return Err(InputError::new(field, format!("at least {TX_GAS_LIMIT_MIN} gas"), limit));
    }
    Ok(Some(limit))
}

fn parse_precompiles(vm: &Map<String, Value>) -> InputResult<DeclaredSet> {
    let Some(list) = json::member(vm, "precompiles") else { return Ok(DeclaredSet::default()) };
    let field = "config.hansa.vm.precompiles";
    let list = list.as_array().ok_or_else(|| InputError::new(field, "a list", list))?;
    if list.len() > PRECOMPILES_MAX {
        return Err(InputError::new(field, format!("at most {PRECOMPILES_MAX}"), list.len()));
    }
    let mut declared = BTreeMap::new();
    for (index, entry) in list.iter().enumerate() {
        let field = format!("{field}.{index}");
        let entry = json::object(&field, entry)?;
        let address = address(&format!("{field}.address"), entry)?;
        let name = json::member(entry, "name").and_then(Value::as_str).unwrap_or_default();
        let precompile = precompiles::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = precompiles::names().collect();
            InputError::new(format!("{field}.name"), format!("one of {}", known.join(", ")), name)
        })?;
        let gas = gas(&format!("{field}.gas"), entry, precompile.gas)?;
        if declared.insert(address, Declared { precompile, gas }).is_some() {
            return Err(InputError::new(format!("{field}.address"), "each address once", address));
        }
    }
    Ok(DeclaredSet::new(declared))
}

fn address(field: &str, entry: &Map<String, Value>) -> InputResult<Address> {
    let value = json::member(entry, "address").unwrap_or(&Value::Null);
    let number = json::u256(field, value)?;
    if !(U256::from(ADDRESS_MIN)..=U256::from(ADDRESS_MAX)).contains(&number) {
        return Err(InputError::new(field, format!("{ADDRESS_MIN:#x} to {ADDRESS_MAX:#x}"), value));
    }
    Ok(Address::from_slice(&number.to_be_bytes::<32>()[12..]))
}

fn gas(field: &str, entry: &Map<String, Value>, default: GasSchedule) -> InputResult<GasSchedule> {
    let Some(gas) = json::member(entry, "gas") else { return Ok(default) };
    let gas = json::object(field, gas)?;
    Ok(GasSchedule {
        base: price(field, gas, "base")?.unwrap_or(default.base),
        per_word: price(field, gas, "perWord")?.unwrap_or(default.per_word),
        per_item: price(field, gas, "perItem")?.unwrap_or(default.per_item),
    })
}

/// The price under `key`, gas.
fn price(field: &str, prices: &Map<String, Value>, key: &str) -> InputResult<Option<u64>> {
    let Some(value) = json::member(prices, key) else { return Ok(None) };
    let field = format!("{field}.{key}");
    let price = json::u64(&field, value)?;
    if price > GAS_MAX { Err(InputError::new(field, format!("at most {GAS_MAX} gas"), price)) } else { Ok(Some(price)) }
}
