//! Ethereum's `RLPTests`: encoding of texts, numbers and lists, and bytes that are no RLP.

use alloy_primitives::{U256, hex};
use alloy_rlp::{Encodable, Header};
use serde_json::Value;

use super::case::{CaseResult, Outcome, decide, outcome_of};
use crate::error::{InputError, InputResult};
use crate::spec::json;

/// Deepest nesting of lists: far above what any test has, far below what a stack holds.
const DEPTH_MAX: usize = 1_024;

/// An RLP item.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(Vec<u8>),
    List(Vec<Item>),
}

/// Run every case of a file.
///
/// # Errors
/// When the file is not of the format.
pub fn rlp_test(name: &str, bytes: &[u8]) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let cases = json::object("json", &value)?
        .iter()
        .map(|(case, body)| CaseResult::new(format!("{name}/{case}"), "", decide(|| run_case(body))));
    Ok(cases.collect())
}

fn run_case(body: &Value) -> InputResult<Outcome> {
    let rlp = json::bytes("out", body.get("out").unwrap_or(&Value::Null))?;
    let decoded = decode_all(&rlp);
    let mut failures = Vec::new();
    match body.get("in") {
        Some(Value::String(word)) if word == "INVALID" => {
            if let Ok(item) = decoded {
                failures.push(format!("bytes that are no RLP decode as {item:?}"));
            }
        }
        Some(Value::String(word)) if word == "VALID" => match decoded {
            Ok(item) if encode(&item) == rlp => {}
            Ok(_) => failures.push("encoded again it differs".to_owned()),
            Err(error) => failures.push(format!("refused: {error}")),
        },
        Some(input) => {
            let item = item_of(input)?;
            let encoded = encode(&item);
            if encoded != rlp {
                failures.push(format!("encodes as {}, expected {rlp}", hex::encode_prefixed(encoded)));
            }
            if decoded != Ok(item) {
                failures.push("decodes as something else".to_owned());
            }
        }
        None => return Err(InputError::new("in", "an input", "nothing")),
    }
    Ok(outcome_of(&failures))
}

fn item_of(value: &Value) -> InputResult<Item> {
    Ok(match value {
        Value::Array(items) => Item::List(items.iter().map(item_of).collect::<InputResult<_>>()?),
        Value::Number(number) => Item::Text(trimmed(U256::from(number.as_u64().unwrap_or_default()))),
        // `#` begins a number that JSON cannot hold.
        Value::String(text) => Item::Text(match text.strip_prefix('#') {
            Some(digits) => big_endian(digits)?,
            None => text.as_bytes().to_vec(),
        }),
        other => return Err(InputError::new("in", "texts, numbers and lists", other)),
    })
}

fn trimmed(number: U256) -> Vec<u8> {
    number.to_be_bytes_trimmed_vec()
}

/// Decimal digits as a big-endian number of any size.
fn big_endian(digits: &str) -> InputResult<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new(); // little endian
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10).ok_or_else(|| InputError::new("in", "decimal digits", digits))?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry.to_le_bytes()[0]);
        }
    }
    bytes.reverse();
    Ok(bytes)
}

fn encode(item: &Item) -> Vec<u8> {
    let mut out = Vec::new();
    match item {
        Item::Text(bytes) => bytes.as_slice().encode(&mut out),
        Item::List(items) => {
            let payload: Vec<u8> = items.iter().flat_map(encode).collect();
            Header { list: true, payload_length: payload.len() }.encode(&mut out);
            out.extend(payload);
        }
    }
    out
}

fn decode_all(rlp: &[u8]) -> Result<Item, alloy_rlp::Error> {
    let mut rest = rlp;
    let item = decode(&mut rest, 0)?;
    if rest.is_empty() { Ok(item) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

/// One item with the decoder that blocks and transactions are read with.
fn decode(rest: &mut &[u8], depth: usize) -> Result<Item, alloy_rlp::Error> {
    if depth > DEPTH_MAX {
        return Err(alloy_rlp::Error::Custom("nested too deep"));
    }
    let header = Header::decode(rest)?;
    let (mut payload, after) = rest.split_at_checked(header.payload_length).ok_or(alloy_rlp::Error::InputTooShort)?;
    *rest = after;
    if !header.list {
        return Ok(Item::Text(payload.to_vec()));
    }
    let mut items = Vec::new();
    while !payload.is_empty() {
        items.push(decode(&mut payload, depth + 1)?);
    }
    Ok(Item::List(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(json: &str) -> Outcome {
        rlp_test("x", format!("{{\"c\": {json}}}").as_bytes()).expect("a file of the format").remove(0).outcome
    }

    #[test]
    fn numbers_beyond_json_are_read() {
        let big = r##"{"in": "#115792089237316195423570985008687907853269984665640564039457584007913129639936",
            "out": "0xa1010000000000000000000000000000000000000000000000000000000000000000"}"##;
        assert_eq!(outcome(big), Outcome::Passed);
    }

    #[test]
    fn what_decodes_must_not_be_called_invalid() {
        assert!(matches!(outcome(r#"{"in": "INVALID", "out": "0xc0"}"#), Outcome::Failed(_)));
        assert_eq!(outcome(r#"{"in": "INVALID", "out": "0x8100"}"#), Outcome::Passed);
        assert_eq!(outcome(r#"{"in": ["a", []], "out": "0xc261c0"}"#), Outcome::Passed);
    }
}
