//! Reading geth's JSON spellings of numbers and bytes: hex or decimal text, or plain numbers.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};

/// Most memory that the values of a large document may take for each of its bytes. Public genesis and test files take
/// up to 13.
const MEMORY_TIMES_MAX: usize = 16;
/// Documents up to this size may take what they like: at most 200 times as much.
const SMALL_BYTES: usize = 16 << 10;
/// Upper bounds of what `serde_json` takes for an object with a member, for a list with an item, and for each further
/// member or item while its list grows, bytes.
const OBJECT_BYTES: usize = 560;
const LIST_BYTES: usize = 288;
const FURTHER_BYTES: usize = 216;

/// The document that `bytes` are.
///
/// # Errors
/// Names `field` when it is no JSON, or a large one of little but brackets and commas, whose values would take far more
/// memory than its text.
pub fn parse(field: &str, bytes: &[u8]) -> InputResult<Value> {
    if bytes.len() > SMALL_BYTES && memory_of(bytes) > bytes.len() * MEMORY_TIMES_MAX {
        return Err(InputError::new(field, "JSON with some text in its lists and objects", "nearly nothing but these"));
    }
    serde_json::from_slice(bytes).map_err(|error| InputError::new(field, "JSON", error))
}

/// What the values of a document take at most, by its punctuation outside of texts.
fn memory_of(bytes: &[u8]) -> usize {
    let (mut memory, mut opened, mut in_text, mut escaped) = (0, 0, false, false);
    for byte in bytes {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            // What is empty takes nothing of its own.
            b']' | b'}' => {}
            _ => memory += opened,
        }
        opened = match byte {
            b'{' => OBJECT_BYTES,
            b'[' => LIST_BYTES,
            _ => 0,
        };
        memory += if *byte == b',' { FURTHER_BYTES } else { 0 };
        in_text = *byte == b'"';
    }
    memory
}

/// A member of an object; null counts as absent. Where `key` is not there as it is spelt, upper and lower case do not
/// matter: geth and Besu both read files so.
#[must_use]
pub fn member<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object
        .get(key)
        .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

/// The value as an object.
///
/// # Errors
/// Names `field` when it is not that.
pub fn object<'a>(field: &str, value: &'a Value) -> InputResult<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| InputError::new(field, "an object", value))
}

/// A 256-bit number: hex with 0x, decimal text, or a JSON number.
///
/// # Errors
/// Names `field` when it is not that.
pub fn u256(field: &str, value: &Value) -> InputResult<U256> {
    let bad = || InputError::new(field, "a number below 2^256, hex or decimal", value);
    match value {
        // Numbers beyond 2^64 stand in public files without quotes, so their digits are kept.
        Value::Number(number) => U256::from_str_radix(number.as_str(), 10).map_err(|_| bad()),
        Value::String(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some("") => Ok(U256::ZERO),
            Some(digits) => U256::from_str_radix(digits, 16).map_err(|_| bad()),
            None if text.is_empty() => Ok(U256::ZERO),
            None => U256::from_str_radix(text, 10).map_err(|_| bad()),
        },
        _ => Err(bad()),
    }
}

/// A 64-bit number in the same spellings.
///
/// # Errors
/// Names `field` when it is not that.
pub fn u64(field: &str, value: &Value) -> InputResult<u64> {
    u256(field, value)?.try_into().map_err(|_| InputError::new(field, "a number below 2^64", value))
}

/// Bytes as hex text, with or without 0x.
///
/// # Errors
/// Names `field` when it is not that.
pub fn bytes(field: &str, value: &Value) -> InputResult<Bytes> {
    let text = value.as_str().ok_or_else(|| InputError::new(field, "hex text", value))?;
    hex::decode(text).map(Bytes::from).map_err(|_| InputError::new(field, "hex text", value))
}

/// A 32-byte word as hex text, left-padded when shorter.
///
/// # Errors
/// Names `field` when it is not that.
pub fn word(field: &str, text: &str) -> InputResult<B256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bad = || InputError::new(field, "at most 32 bytes of hex", text);
    if digits.len() > 64 {
        return Err(bad());
    }
    let mut padded = "0".repeat(64 - digits.len());
    padded.push_str(digits);
    let mut word = B256::ZERO;
    hex::decode_to_slice(padded, word.as_mut_slice()).map_err(|_| bad())?;
    Ok(word)
}

/// A 20-byte address as hex text, with or without 0x.
///
/// # Errors
/// Names `field` when it is not that.
pub fn address(field: &str, text: &str) -> InputResult<Address> {
    let mut address = Address::ZERO;
    hex::decode_to_slice(text, address.as_mut_slice()).map_err(|_| InputError::new(field, "20 bytes of hex", text))?;
    Ok(address)
}
