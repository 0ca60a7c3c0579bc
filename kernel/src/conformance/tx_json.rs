//! Parts of transactions in the tests' JSON.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::Address;
use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};
use crate::spec::json;

/// `[{address, storageKeys}]`.
///
/// # Errors
/// When it is not that.
pub fn access_list(value: &Value) -> InputResult<AccessList> {
    let bad = || InputError::new("accessLists", "a list of addresses with keys", value);
    let items = value.as_array().ok_or_else(bad)?.iter().map(|item| {
        let keys = item.get("storageKeys").and_then(Value::as_array).ok_or_else(bad)?;
        Ok(AccessListItem {
            address: json::address("accessLists", item.get("address").and_then(Value::as_str).ok_or_else(bad)?)?,
            storage_keys: keys
                .iter()
                .map(|key| json::word("accessLists", key.as_str().ok_or_else(bad)?))
                .collect::<InputResult<_>>()?,
        })
    });
    Ok(AccessList(items.collect::<InputResult<_>>()?))
}

/// A signed authorisation (EIP-7702); a parity that no byte holds becomes one that recovers to nobody.
///
/// # Errors
/// Names the member that is malformed.
pub fn authorization(value: &Value) -> InputResult<SignedAuthorization> {
    let object = json::object("authorizationList", value)?;
    let member = |key: &str| json::member(object, key).ok_or_else(|| InputError::new(key, "a value", "nothing"));
    let number = |key: &str| json::u256(key, member(key)?);
    let parity = json::member(object, "yParity").or_else(|| json::member(object, "v"));
    let parity = parity.map_or(Ok(0), |v| json::u64("v", v))?;
    let authorization = Authorization {
        chain_id: number("chainId")?,
        address: read_address(object)?,
        nonce: json::u64("nonce", member("nonce")?)?,
    };
    Ok(SignedAuthorization::new_unchecked(
        authorization,
        u8::try_from(parity).unwrap_or(u8::MAX),
        number("r")?,
        number("s")?,
    ))
}

fn read_address(object: &Map<String, Value>) -> InputResult<Address> {
    json::address("address", json::member(object, "address").and_then(Value::as_str).unwrap_or_default())
}
