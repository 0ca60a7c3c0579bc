//! Ethereum's `TrieTests`: roots after changes, and neighbours of keys.
//!
//! A case runs on the kernel's incremental trie and on a plain one. Keys that hashing never makes, longer than 32 bytes
//! or one the beginning of another, run on the plain one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use alloy_primitives::{B256, hex, keccak256};
use serde_json::Value;

use super::case::{CaseResult, Outcome, decide, outcome_of};
use super::plain_trie;
use crate::error::{InputError, InputResult};
use crate::spec::json;
use crate::trie::root_of_steps;

/// Longest key of the kernel's trie, bytes.
const KEY_BYTES_MAX: usize = 32;

type Steps = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Run every case of the file called `name`, which says whether keys are hashed.
///
/// # Errors
/// When the file is not of the format.
pub fn trie_test(name: &str, bytes: &[u8]) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let hashed = name.to_lowercase().contains("secure");
    let cases = json::object("json", &value)?.iter().map(|(case, body)| {
        CaseResult::new(
            format!("{name}/{case}"),
            "",
            decide(|| if body.get("tests").is_some() { neighbours(body) } else { roots(body, hashed) }),
        )
    });
    Ok(cases.collect())
}

fn bytes_of(text: &str) -> InputResult<Vec<u8>> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).map_err(|_| InputError::new("in", "hex after 0x", text)),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn text_at(value: &Value, index: usize) -> InputResult<&str> {
    value.get(index).and_then(Value::as_str).ok_or_else(|| InputError::new("in", "texts", value))
}

fn steps(body: &Value) -> InputResult<Steps> {
    let value_of = |value: &Value| value.as_str().map(bytes_of).transpose();
    match body.get("in") {
        Some(Value::Array(pairs)) => pairs
            .iter()
            .map(|pair| Ok((bytes_of(text_at(pair, 0)?)?, value_of(pair.get(1).unwrap_or(&Value::Null))?)))
            .collect(),
        Some(Value::Object(pairs)) => pairs.iter().map(|(key, value)| Ok((bytes_of(key)?, value_of(value)?))).collect(),
        other => Err(InputError::new("in", "an object or a list of pairs", other.unwrap_or(&Value::Null))),
    }
}

fn roots(body: &Value, hashed: bool) -> InputResult<Outcome> {
    let wanted = json::word("root", body.get("root").and_then(Value::as_str).unwrap_or_default())?;
    let mut steps = steps(body)?;
    if hashed {
        for (key, _) in &mut steps {
            *key = keccak256(&key).to_vec();
        }
    }
    let mut failures = Vec::new();
    let mut compare = |trie: &str, root: B256| {
        if root != wanted {
            failures.push(format!("{trie}: root {root}, expected {wanted}"));
        }
    };
    compare("plain trie", plain(&steps));
    let keys: Vec<&[u8]> = steps.iter().map(|(key, _)| &key[..]).collect();
    let nested = keys.iter().any(|one| keys.iter().any(|other| one != other && other.starts_with(one)));
    if !nested && keys.iter().all(|key| key.len() <= KEY_BYTES_MAX) {
        let any_order = body.get("in").is_some_and(Value::is_object);
        let of = |steps: &Steps| root_of_steps(steps).map_err(|error| InputError::new("in", "a trie", error));
        compare("incremental trie", of(&steps)?);
        if any_order {
            steps.reverse();
            compare("incremental trie, last key first", of(&steps)?);
        }
    }
    Ok(outcome_of(&failures))
}

fn plain(steps: &Steps) -> B256 {
    let mut leaves = BTreeMap::new();
    for (key, value) in steps {
        match value {
            Some(value) if !value.is_empty() => drop(leaves.insert(key.clone(), value.clone())),
            _ => drop(leaves.remove(key)),
        }
    }
    plain_trie::root(&leaves)
}

/// The order of keys in a trie is that of their bytes.
fn neighbours(body: &Value) -> InputResult<Outcome> {
    let listed = body.get("in").and_then(Value::as_array);
    let keys = listed.into_iter().flatten().enumerate().map(|(index, _)| text_at(&body["in"], index));
    let keys: BTreeSet<&str> = keys.collect::<InputResult<_>>()?;
    let mut failures = Vec::new();
    for test in body.get("tests").and_then(Value::as_array).into_iter().flatten() {
        let (key, before, after) = (text_at(test, 0)?, text_at(test, 1)?, text_at(test, 2)?);
        let found_before = keys.range::<str, _>((Bound::Unbounded, Bound::Excluded(key))).next_back();
        let found_after = keys.range::<str, _>((Bound::Excluded(key), Bound::Unbounded)).next();
        let found = [found_before, found_after].map(|found| found.copied().unwrap_or_default());
        if found != [before, after] {
            failures.push(format!("around {key:?}: {found:?}, expected {:?}", [before, after]));
        }
    }
    Ok(outcome_of(&failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_root_is_told_apart() {
        let json = br#"{"dogs": {"in": {"doe": "reindeer", "dog": "puppy", "dogglesworth": "cat"},
            "root": "0x8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3"},
            "less": {"in": {"doe": "reindeer"},
            "root": "0x8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3"}}"#;
        let results = trie_test("trieanyorder", json).expect("a file of the format");
        assert_eq!(results[0].outcome, Outcome::Passed);
        assert!(matches!(&results[1].outcome, Outcome::Failed(text) if text.contains("incremental trie: root 0x")));
    }
}
