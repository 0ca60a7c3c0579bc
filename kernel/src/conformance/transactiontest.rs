//! Ethereum's `TransactionTests`: raw transactions and what each fork makes of them.

use alloy_primitives::{Address, U256};
use alloy_rlp::Header;
use serde_json::{Map, Value};

use super::case::{CaseResult, Options, Outcome, Skip, decide, outcome_of};
use super::networks::spec_of;
use crate::error::{InputError, InputResult};
use crate::spec::json;
use crate::tx::{TxRules, decode_one};

/// Run every case of a file, one result per fork.
///
/// # Errors
/// When the file is not of the format.
pub fn transaction_test(bytes: &[u8], options: &Options) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        let Some(forks) = case.get("result").and_then(Value::as_object) else {
            return Err(InputError::new(name.as_str(), "a transaction test with `result`", "another kind of test"));
        };
        for (fork, wanted) in forks.iter().filter(|(fork, _)| options.wants(fork)) {
            let outcome = decide(|| {
                let raw = json::bytes("txbytes", case.get("txbytes").unwrap_or(&Value::Null))?;
                run_fork(&raw, fork, json::object("result", wanted)?)
            });
            results.push(CaseResult::new(name, fork, outcome));
        }
    }
    Ok(results)
}

/// Whether the bytes are a legacy transaction whose gas price has more than 128 bits.
fn has_huge_price(raw: &[u8]) -> bool {
    let mut rest = raw;
    let Ok(mut fields) = Header::decode_bytes(&mut rest, true) else { return false };
    let nonce = Header::decode_bytes(&mut fields, false);
    nonce.is_ok() && Header::decode_bytes(&mut fields, false).is_ok_and(|price| price.len() > 16)
}

fn run_fork(raw: &[u8], fork: &str, wanted: &Map<String, Value>) -> InputResult<Outcome> {
    let rules = TxRules::unbounded(&spec_of(fork, None)?, 0, 0);
    let exception = wanted.get("exception").and_then(Value::as_str);
    let decoded = match (decode_one(raw, &rules, None), exception) {
        (Err(_), Some(_)) => return Ok(Outcome::Passed),
        (Err(_), None) if has_huge_price(raw) => return Ok(Outcome::Skipped(Skip::Price)),
        (Err(error), None) => return Ok(Outcome::Failed(format!("refused: {error}"))),
        (Ok(_), Some(exception)) => return Ok(Outcome::Failed(format!("accepted, expected {exception}"))),
        (Ok(decoded), None) => decoded,
    };
    let mut failures = Vec::new();
    if let Some(Value::String(sender)) = wanted.get("sender") {
        let sender: Address = json::address("sender", sender)?;
        if decoded.sender != sender {
            failures.push(format!("sender {}, expected {sender}", decoded.sender));
        }
    }
    if let Some(Value::String(hash)) = wanted.get("hash") {
        let hash = json::word("hash", hash)?;
        if decoded.hash != hash {
            failures.push(format!("hash {}, expected {hash}", decoded.hash));
        }
    }
    if let Some(gas) = wanted.get("intrinsicGas") {
        let gas = json::u256("intrinsicGas", gas)?;
        let (intrinsic, _) = rules.intrinsic_gas(&decoded.tx);
        if U256::from(intrinsic) != gas {
            failures.push(format!("intrinsic gas {intrinsic}, expected {gas}"));
        }
    }
    Ok(outcome_of(&failures))
}
