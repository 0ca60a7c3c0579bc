//! Difficulty cases: of one fork from block 0 on (`DifficultyTests`), or of a chain's schedule (`BasicTests`).

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{B256, U256};
use serde_json::{Map, Value, json};

use super::case::{CaseResult, Options, Outcome, Skip, decide, outcome_of};
use crate::error::{InputError, InputResult};
use crate::spec::{PowParent, Spec, json as read};

/// Least difficulty of a block on every fork (yellow paper 4.3.4).
const DIFFICULTY_MIN: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// Run every case of the file called `name`, which names the chain where the file does not.
///
/// # Errors
/// When the file is not of the format.
pub fn difficulty_test(name: &str, bytes: &[u8], options: &Options) -> InputResult<Vec<CaseResult>> {
    let value: Value = read::parse("json", bytes)?;
    let mut results = Vec::new();
    for (title, body) in read::object("json", &value)? {
        let body = read::object(title, body)?;
        if body.contains_key("currentDifficulty") {
            results.push(result(title, name, body, &chain(name)?));
            continue;
        }
        for (fork, cases) in body.iter().filter(|(fork, _)| !fork.starts_with('_') && options.wants(fork)) {
            let spec = Spec::of_network(fork, 1, None)?;
            for (case, body) in read::object(fork, cases)? {
                results.push(result(case, fork, read::object(case, body)?, &spec));
            }
        }
    }
    Ok(results)
}

/// The schedule of a chain that a file is named after.
fn chain(name: &str) -> InputResult<Spec> {
    let config = match name.strip_prefix("difficulty") {
        Some("MainNetwork" | "CustomMainNetwork") => {
            json!({ "chainId": 1, "homesteadBlock": 1_150_000, "eip150Block": 2_463_000, "eip155Block": 2_675_000,
                "eip158Block": 2_675_000, "byzantiumBlock": 4_370_000 })
        }
        Some("Ropsten") => {
            json!({ "chainId": 3, "homesteadBlock": 0, "byzantiumBlock": 1_700_000, "constantinopleBlock": 4_230_000 })
        }
        Some("CustomHomestead") => json!({ "chainId": 1, "homesteadBlock": 0 }),
        _ => return Err(InputError::new("name", "a file named after a chain", name)),
    };
    Spec::parse(json!({ "config": config }).to_string().as_bytes())
}

fn result(case: &str, fork: &str, body: &Map<String, Value>, spec: &Spec) -> CaseResult {
    CaseResult::new(case, fork, decide(|| run_case(body, spec)))
}

fn run_case(body: &Map<String, Value>, spec: &Spec) -> InputResult<Outcome> {
    let member = |key: &str| read::member(body, key).ok_or_else(|| InputError::new(key, "a value", "nothing"));
    let number = |key: &str| read::u64(key, member(key)?);
    // Whether the parent has ommers: a flag, the hash of its ommers, or nothing said.
    let ommers_hash = match read::member(body, "parentUncles") {
        None => EMPTY_OMMER_ROOT_HASH,
        Some(Value::String(text)) if text.len() > 10 => read::word("parentUncles", text)?,
        Some(flag) if read::u64("parentUncles", flag)? == 0 => EMPTY_OMMER_ROOT_HASH,
        Some(_) => B256::ZERO,
    };
    let parent = PowParent {
        number: number("currentBlockNumber")?.saturating_sub(1),
        timestamp: number("parentTimestamp")?,
        difficulty: read::u256("parentDifficulty", member("parentDifficulty")?)?,
        ommers_hash,
    };
    if parent.difficulty < DIFFICULTY_MIN {
        return Ok(Outcome::Skipped(Skip::Parent));
    }
    let difficulty = spec.next_difficulty(&parent, number("currentTimestamp")?);
    let wanted = read::u256("currentDifficulty", member("currentDifficulty")?)?;
    let failure = (difficulty != wanted).then(|| format!("difficulty {difficulty:#x}, expected {wanted:#x}"));
    Ok(outcome_of(&failure.into_iter().collect::<Vec<_>>()))
}
