//! Calls as JSON transaction objects, the way geth's `TransactionArgs` reads them.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use revm::context::TxEnv;
use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};
use crate::evm;
use crate::exec::call_job::envelope;
use crate::spec::{Spec, json};
use crate::tx::{ACCESS_LIST_ENTRIES_MAX, AUTHORIZATIONS_MAX, AddressRanges};

/// Most versioned hashes that are looked at: more than any fork lets into a block.
pub const BLOB_HASHES_MAX: usize = 128;

/// What a caller said of a transaction; `None` is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallArgs {
    pub from: Option<Address>,
    pub to: Option<Address>,
    pub gas: Option<u64>,
    pub gas_price: Option<u128>,
    pub max_fee_per_gas: Option<u128>,
    pub max_priority_fee_per_gas: Option<u128>,
    pub value: Option<U256>,
    pub data: Bytes,
    pub nonce: Option<u64>,
    pub access_list: Option<AccessList>,
    /// Versioned hashes of a blob transaction (EIP-4844).
    pub blob_hashes: Option<Vec<B256>>,
    pub max_fee_per_blob_gas: Option<u128>,
    pub authorizations: Vec<SignedAuthorization>,
    /// What the chain's envelope would add: addresses that the transaction promises to stay in (first and last, 40 bytes
    /// each), and the scheme that its account signs with, empty for secp256k1.
    pub address_ranges: Vec<u8>,
    pub signature_scheme: String,
}

impl CallArgs {
    /// Read one object; unknown members are ignored, as in geth.
    ///
    /// # Errors
    /// Names the member that is malformed or contradicts another.
    pub fn read(value: &Value) -> InputResult<Self> {
        let root = json::object("call", value)?;
        let member = |name: &str| json::member(root, name);
        let price = |name: &str| member(name).map(|value| wei(name, value)).transpose();
        let input = member("input").map(|value| json::bytes("input", value)).transpose()?;
        let data = member("data").map(|value| json::bytes("data", value)).transpose()?;
        if let (Some(input), Some(data)) = (&input, &data)
            && input != data
        {
            return Err(InputError::new("input", "the same bytes as data", "others"));
        }
        let args = Self {
            from: address(root, "from")?,
            to: address(root, "to")?,
            gas: member("gas").map(|value| json::u64("gas", value)).transpose()?,
            gas_price: price("gasPrice")?,
            max_fee_per_gas: price("maxFeePerGas")?,
            max_priority_fee_per_gas: price("maxPriorityFeePerGas")?,
            value: member("value").map(|value| json::u256("value", value)).transpose()?,
            data: input.or(data).unwrap_or_default(),
            nonce: member("nonce").map(|value| json::u64("nonce", value)).transpose()?,
            access_list: member("accessList").map(access_list).transpose()?,
            blob_hashes: member("blobVersionedHashes").map(blob_hashes).transpose()?,
            max_fee_per_blob_gas: price("maxFeePerBlobGas")?,
            authorizations: member("authorizationList").map(authorizations).transpose()?.unwrap_or_default(),
            address_ranges: member("addressRanges").map(address_ranges).transpose()?.unwrap_or_default(),
            signature_scheme: match member("signatureScheme") {
                None => String::new(),
                Some(Value::String(name)) => name.clone(),
                Some(other) => return Err(InputError::new("signatureScheme", "a name", other)),
            },
        };
        if args.gas_price.is_some() && args.is_dynamic() {
            let both = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
            return Err(InputError::new("gasPrice", "one kind of price", both));
        }
        Ok(args)
    }

    /// Whether a price of EIP-1559 was given.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some()
    }

    /// Most wei per gas; 0 asks for no funds.
    #[must_use]
    pub fn fee_cap(&self) -> u128 {
        self.gas_price.or(self.max_fee_per_gas).unwrap_or_default()
    }

    /// Whether no price was named, so that the base fee is not looked at.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.fee_cap() == 0 && self.max_priority_fee_per_gas.unwrap_or_default() == 0
    }

    /// Whether there are blobs and no price for them was named, so that their base fee reads as 0.
    #[must_use]
    pub fn is_free_of_blob_fees(&self) -> bool {
        self.blob_hashes.is_some() && self.max_fee_per_blob_gas.unwrap_or_default() == 0
    }

    /// What the chain's envelope adds to the transaction: its ranges, and the gas of both.
    ///
    /// # Errors
    /// Names what the chain spec does not turn on.
    pub fn envelope(&self, spec: &Spec) -> InputResult<(AddressRanges, u64)> {
        envelope(spec, &self.address_ranges, &self.signature_scheme)
    }

    /// The transaction with gas limit `gas` and, where none was given, `nonce`.
    #[must_use]
    pub fn tx_env(&self, chain_id: u64, gas: u64, nonce: u64) -> TxEnv {
        let authorization_list = evm::recovered_authorizations(&self.authorizations);
        let free = self.is_free();
        let access_list = self.access_list.clone().unwrap_or_default();
        let tx_type = match () {
            () if !authorization_list.is_empty() => 4,
            () if self.blob_hashes.is_some() => 3,
            () if self.is_dynamic() && !free => 2,
            () if !access_list.is_empty() => 1,
            () => 0,
        };
        TxEnv {
            tx_type,
            caller: self.from.unwrap_or_default(),
            gas_limit: gas,
            gas_price: self.fee_cap(),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value.unwrap_or_default(),
            data: self.data.clone(),
            nonce: self.nonce.unwrap_or(nonce),
            chain_id: Some(chain_id),
            access_list,
            gas_priority_fee: (self.is_dynamic() && !free).then(|| self.max_priority_fee_per_gas.unwrap_or_default()),
            blob_hashes: self.blob_hashes.clone().unwrap_or_default(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_default(),
            authorization_list,
        }
    }
}

fn address(root: &Map<String, Value>, name: &str) -> InputResult<Option<Address>> {
    let Some(value) = json::member(root, name) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| InputError::new(name, "20 bytes of hex", value))?;
    json::address(name, text).map(Some)
}

fn wei(name: &str, value: &Value) -> InputResult<u128> {
    u128::try_from(json::u256(name, value)?).map_err(|_| InputError::new(name, "below 2^128 wei", value))
}

fn address_ranges(value: &Value) -> InputResult<Vec<u8>> {
    let field = "addressRanges";
    let items = value.as_array().ok_or_else(|| InputError::new(field, "an array", value))?;
    let mut packed = Vec::with_capacity(items.len() * 40);
    for item in items {
        let item = json::object(field, item)?;
        for name in ["first", "last"] {
            let bound = address(item, name)?.ok_or_else(|| InputError::new(field, "first and last", "neither"))?;
            packed.extend_from_slice(bound.as_slice());
        }
    }
    Ok(packed)
}

fn blob_hashes(value: &Value) -> InputResult<Vec<B256>> {
    let field = "blobVersionedHashes";
    let items = value.as_array().ok_or_else(|| InputError::new(field, "an array", value))?;
    if items.len() > BLOB_HASHES_MAX {
        return Err(InputError::new(field, format!("at most {BLOB_HASHES_MAX} hashes"), items.len()));
    }
    items
        .iter()
        .map(|item| {
            let text = item.as_str().ok_or_else(|| InputError::new(field, "32 bytes of hex", item))?;
            json::word(field, text)
        })
        .collect()
}

fn access_list(value: &Value) -> InputResult<AccessList> {
    let field = "accessList";
    let items = value.as_array().ok_or_else(|| InputError::new(field, "an array", value))?;
    let mut list = Vec::new();
    let mut entries = 0;
    for item in items {
        let item = json::object(field, item)?;
        let address =
            address(item, "address")?.ok_or_else(|| InputError::new(field, "an address in every item", "none"))?;
        let keys = json::member(item, "storageKeys").and_then(Value::as_array);
        let storage_keys = keys
            .into_iter()
            .flatten()
            .map(|key| {
                let text = key.as_str().ok_or_else(|| InputError::new(field, "32 bytes of hex", key))?;
                json::word(field, text)
            })
            .collect::<InputResult<Vec<B256>>>()?;
        entries += 1 + storage_keys.len();
        list.push(AccessListItem { address, storage_keys });
    }
    if entries > ACCESS_LIST_ENTRIES_MAX {
        return Err(InputError::new(field, format!("at most {ACCESS_LIST_ENTRIES_MAX} entries"), entries));
    }
    Ok(AccessList(list))
}

fn authorizations(value: &Value) -> InputResult<Vec<SignedAuthorization>> {
    let field = "authorizationList";
    let items = value.as_array().ok_or_else(|| InputError::new(field, "an array", value))?;
    if items.len() > AUTHORIZATIONS_MAX {
        return Err(InputError::new(field, format!("at most {AUTHORIZATIONS_MAX} items"), items.len()));
    }
    let mut list = Vec::new();
    for item in items {
        let item = json::object(field, item)?;
        let number = |name: &str| {
            json::member(item, name).map_or(Ok(U256::ZERO), |value| json::u256(&format!("{field}.{name}"), value))
        };
        let inner = Authorization {
            chain_id: number("chainId")?,
            address: address(item, "address")?.unwrap_or_default(),
            nonce: number("nonce")?.try_into().map_err(|_| InputError::new(field, "a 64-bit nonce", "more"))?,
        };
        let parity = if json::member(item, "yParity").is_some() { number("yParity")? } else { number("v")? };
        let parity = u8::try_from(parity).map_err(|_| InputError::new(field, "a parity below 256", "more"))?;
        list.push(SignedAuthorization::new_unchecked(inner, parity, number("r")?, number("s")?));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_price_makes_the_type() {
        let args =
            CallArgs::read(&json!({"from": "0x00000000000000000000000000000000000000aa", "maxFeePerGas": "0x10"}));
        let tx = args.expect("good").tx_env(1, 100, 7);
        assert_eq!((tx.tx_type, tx.gas_price, tx.nonce, tx.gas_priority_fee), (2, 16, 7, Some(0)));
        let free = CallArgs::read(&json!({"value": "0x1"})).expect("good");
        assert!(free.is_free());
    }

    #[test]
    fn blob_hashes_make_a_blob_transaction() {
        let hash = format!("0x01{}", "00".repeat(31));
        let args = CallArgs::read(&json!({"blobVersionedHashes": [hash], "maxFeePerBlobGas": "0x5"})).expect("good");
        let tx = args.tx_env(1, 100, 0);
        assert_eq!((tx.tx_type, tx.blob_hashes.len(), tx.max_fee_per_blob_gas), (3, 1, 5));
        assert!(!args.is_free_of_blob_fees());
        assert!(CallArgs::read(&json!({"blobVersionedHashes": [hash]})).expect("good").is_free_of_blob_fees());
        let many = vec![hash; BLOB_HASHES_MAX + 1];
        assert_eq!(
            CallArgs::read(&json!({"blobVersionedHashes": many})).expect_err("bad").field,
            "blobVersionedHashes"
        );
    }

    #[test]
    fn members_that_contradict_are_refused_by_name() {
        let field = |value| CallArgs::read(&value).expect_err("bad").field;
        assert_eq!(field(json!({"input": "0x01", "data": "0x02"})), "input");
        assert_eq!(field(json!({"gasPrice": "0x1", "maxFeePerGas": "0x1"})), "gasPrice");
        assert_eq!(field(json!({"to": "0x12"})), "to");
        assert_eq!(field(json!({"accessList": 3})), "accessList");
    }
}
