//! State and block overrides of calls, in the JSON of `eth_call`'s third and fourth parameters.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};
use serde_json::{Map, Value};

use super::state::JobState;
use crate::error::{InputError, InputResult};
use crate::evm::Redirect;
use crate::header::BlockEnv;
use crate::spec::json;

/// Most accounts that one call may override.
pub const ACCOUNTS_MAX: usize = 1_000;
/// Most slots that one call may override, over all accounts.
pub const SLOTS_MAX: usize = 100_000;

/// What a call pretends about one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    pub nonce: Option<u64>,
    pub balance: Option<U256>,
    pub code: Option<Bytes>,
    /// Slots to set.
    pub slots: BTreeMap<U256, U256>,
    /// Every other slot is zero (`state` instead of `stateDiff`).
    pub whole_storage: bool,
    /// Where the precompile of this address is to be found instead.
    pub precompile_to: Option<Address>,
}

/// What a call pretends about the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateOverrides(pub BTreeMap<Address, AccountOverride>);

impl StateOverrides {
    /// Read the JSON object; empty bytes are no overrides.
    ///
    /// # Errors
    /// Names the member that is malformed.
    pub fn parse(bytes: &[u8]) -> InputResult<Self> {
        let mut overrides = BTreeMap::new();
        let mut slots = 0;
        let Some(root) = object("state_overrides", bytes)? else { return Ok(Self::default()) };
        if root.len() > ACCOUNTS_MAX {
            return Err(InputError::new("state_overrides", format!("at most {ACCOUNTS_MAX} accounts"), root.len()));
        }
        for (key, value) in &root {
            let address = json::address("state_overrides", key)?;
            let account = parse_account(key, value)?;
            slots += account.slots.len();
            if overrides.insert(address, account).is_some() {
                return Err(InputError::new(format!("state_overrides.{key}"), "one entry per account", "two"));
            }
        }
        if slots > SLOTS_MAX {
            return Err(InputError::new("state_overrides", format!("at most {SLOTS_MAX} slots"), slots));
        }
        Ok(Self(overrides))
    }

    /// Whether [`Self::redirect`] has anything to say.
    pub fn names_precompiles(&self, is_precompile: impl Fn(Address) -> bool) -> bool {
        self.0.iter().any(|(address, account)| account.precompile_to.is_some() || is_precompile(*address))
    }

    /// What becomes of precompiles that are named here, which `is_precompile` tells (geth: any override of one makes it
    /// an ordinary account).
    ///
    /// # Errors
    /// An account without a precompile cannot be moved, and none onto an account that is named here, too.
    pub fn redirect(&self, is_precompile: impl Fn(Address) -> bool) -> InputResult<Redirect> {
        let mut redirect = Redirect::default();
        for (address, account) in &self.0 {
            if let Some(to) = account.precompile_to {
                if !is_precompile(*address) {
                    return Err(InputError::new(
                        "stateOverrides",
                        "a precompile",
                        format!("account {address} is not a precompile"),
                    ));
                }
                if self.0.contains_key(&to) {
                    return Err(InputError::new(
                        "stateOverrides",
                        "another target",
                        format!("account {to} is already overridden"),
                    ));
                }
                redirect.moved.insert(to, *address);
            }
            if is_precompile(*address) {
                redirect.gone.insert(*address);
            }
        }
        Ok(redirect)
    }

    /// Change the state of a job whose accounts and slots here are all known, as a block would: it counts as written.
    pub fn write(&self, state: &mut JobState) {
        for (address, account) in &self.0 {
            if account.nonce.is_some() || account.balance.is_some() || account.code.is_some() {
                state.override_account(*address, account.nonce, account.balance, account.code.as_ref());
            }
            let slots = account.slots.iter().map(|(slot, value)| (*slot, *value));
            state.write_slots(*address, slots, account.whole_storage);
            state.drop_if_empty(*address);
        }
    }

    /// Change the state of a job whose accounts here are all known.
    pub fn apply(&self, state: &mut JobState) {
        for (address, account) in &self.0 {
            if account.nonce.is_some() || account.balance.is_some() || account.code.is_some() {
                state.override_account(*address, account.nonce, account.balance, account.code.as_ref());
            }
            if account.whole_storage || !account.slots.is_empty() {
                let slots = account.slots.iter().map(|(slot, value)| (*slot, *value));
                state.override_slots(*address, slots, account.whole_storage);
            }
        }
    }
}

fn object(field: &str, bytes: &[u8]) -> InputResult<Option<Map<String, Value>>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match json::parse(field, bytes)? {
        Value::Object(object) => Ok(Some(object)),
        Value::Null => Ok(None),
        other => Err(InputError::new(field, "a JSON object", other)),
    }
}

fn parse_account(key: &str, value: &Value) -> InputResult<AccountOverride> {
    let prefix = format!("state_overrides.{key}");
    let entry = json::object(&prefix, value)?;
    let field = |name: &str| format!("{prefix}.{name}");
    let mut account = AccountOverride::default();
    for (name, value) in entry.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "nonce" => account.nonce = Some(json::u64(&field(name), value)?),
            "balance" => account.balance = Some(json::u256(&field(name), value)?),
            "code" => account.code = Some(json::bytes(&field(name), value)?),
            "movePrecompileToAddress" | "movePrecompileTo" => {
                let text = value.as_str().ok_or_else(|| InputError::new(field(name), "hex text", value))?;
                account.precompile_to = Some(json::address(&field(name), text)?);
            }
            "state" | "stateDiff" => {
                if entry.get("state").is_some_and(|v| !v.is_null())
                    && entry.get("stateDiff").is_some_and(|v| !v.is_null())
                {
                    return Err(InputError::new(prefix, "one of state and stateDiff", "both"));
                }
                account.whole_storage = name == "state";
                for (slot, value) in json::object(&field(name), value)? {
                    let text = value.as_str().ok_or_else(|| InputError::new(field(name), "hex text", value))?;
                    let value = json::word(&field(name), text)?;
                    account.slots.insert(json::word(&field(name), slot)?.into(), value.into());
                }
            }
            _ => {} // as geth does
        }
    }
    Ok(account)
}

/// What a call pretends about its block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// BLOBBASEFEE, wei.
    pub blob_base_fee: Option<u128>,
    /// The number was changed, so the environment's parent hash is not that of the block before.
    pub renumbered: bool,
}

impl BlockOverrides {
    /// Read the JSON object and change `env`; empty bytes are no overrides.
    ///
    /// # Errors
    /// Names the member that is malformed or unknown.
    pub fn apply(bytes: &[u8], env: &mut BlockEnv) -> InputResult<Self> {
        let mut overrides = Self::default();
        let Some(root) = object("block_overrides", bytes)? else { return Ok(overrides) };
        for (name, value) in root.iter().filter(|(_, value)| !value.is_null()) {
            let field = format!("block_overrides.{name}");
            let text = || value.as_str().ok_or_else(|| InputError::new(&field, "hex text", value));
            match name.as_str() {
                "number" => {
                    env.number = json::u64(&field, value)?;
                    overrides.renumbered = true;
                }
                "time" | "timestamp" => env.timestamp = json::u64(&field, value)?,
                "gasLimit" => env.gas_limit = json::u64(&field, value)?,
                "difficulty" => env.difficulty = json::u256(&field, value)?,
                "feeRecipient" | "coinbase" => env.beneficiary = json::address(&field, text()?)?,
                "prevRandao" | "random" => env.prev_randao = json::word(&field, text()?)?,
                "baseFeePerGas" | "baseFee" => env.base_fee_per_gas = json::u64(&field, value)?,
                "blobBaseFee" => {
                    let fee = u128::try_from(json::u256(&field, value)?)
                        .map_err(|_| InputError::new(&field, "below 2^128 wei", value))?;
                    overrides.blob_base_fee = Some(fee);
                }
                "beaconRoot" | "parentBeaconBlockRoot" | "withdrawals" => {
                    return Err(InputError::new(field, "a member that this method supports", value));
                }
                _ => {} // as geth does
            }
        }
        Ok(overrides)
    }
}
