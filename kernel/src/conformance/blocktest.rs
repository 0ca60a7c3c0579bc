//! Ethereum's `blockchain_test` format: whole blocks on a genesis, executed with the same job as our own blocks.
//!
//! A valid block must give its own header again, byte for byte. A block that must be refused is, by the rules of its
//! header, ommers, transactions or what it comes to; which rule it breaks is not compared.

use serde_json::Value;

use super::case::{CaseResult, Options, Outcome, Skip, decide};
use super::chain::TestChain;
use super::full_state::FullState;
use super::header_json::genesis_block;
use super::networks::spec_of;
use crate::error::{InputError, InputResult};
use crate::header::RawBlock;
use crate::spec::json;

/// Refusals that show in the seal alone, by their names in the tests.
const SEAL_EXCEPTIONS: [&str; 1] = ["InvalidBlockNonce"];

/// Run every case of a file.
///
/// # Errors
/// When the file is not of the format. A case that is wrong in itself fails with a text.
pub fn blockchain_test(bytes: &[u8], options: &Options) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        let Some(network) = case.get("network").and_then(Value::as_str) else {
            return Err(InputError::new(name.as_str(), "a block test with `network`", "another kind of test"));
        };
        if options.wants(network) && most_transactions(case) >= options.transactions_min {
            let outcome = decide(|| run_case(case, network, options));
            results.push(CaseResult::new(name, network, outcome));
        }
    }
    Ok(results)
}

/// Transactions of the case's largest block.
fn most_transactions(case: &Value) -> usize {
    let blocks = case.get("blocks").and_then(Value::as_array).into_iter().flatten();
    let counts = blocks.filter_map(|block| {
        let listed = block.get("transactions").or_else(|| block.get("rlp_decoded")?.get("transactions"))?;
        Some(listed.as_array()?.len())
    });
    counts.max().unwrap_or_default()
}

fn run_case(case: &Value, network: &str, options: &Options) -> InputResult<Outcome> {
    let spec = spec_of(network, case.get("config"))?;
    let pre = FullState::parse("pre", case.get("pre").unwrap_or(&Value::Null))?;
    let genesis = RawBlock::decode(&genesis(case)?)?.header;
    let root = pre.root()?;
    if root != genesis.inner.state_root {
        return Ok(Outcome::Failed(format!("genesis state root {root}, expected {}", genesis.inner.state_root)));
    }
    let mut chain = TestChain::new(spec, genesis, pre);
    if !options.cold {
        chain.keep_warm();
    }
    let sealed = case.get("sealEngine").and_then(Value::as_str) != Some("NoProof");
    for (index, block) in case.get("blocks").and_then(Value::as_array).into_iter().flatten().enumerate() {
        // A block that must be refused has no decoded header beside it.
        let must_fail = block.get("blockHeader").is_none();
        let rlp = json::bytes("rlp", block.get("rlp").unwrap_or(&Value::Null))?;
        match (chain.import(&rlp, options.runner), must_fail) {
            (Ok(_), false) | (Err(_), true) => {}
            (Ok(_), true) => {
                let named = block.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("expectException"));
                let why = named.and_then(|(_, why)| why.as_str());
                // Old files name no reason.
                return Ok(if sealed && why.is_none_or(|why| SEAL_EXCEPTIONS.contains(&why)) {
                    Outcome::Skipped(Skip::Seal)
                } else {
                    Outcome::Failed(format!("block {index} was taken, expected {}", why.unwrap_or("a refusal")))
                });
            }
            (Err(text), false) => return Ok(Outcome::Failed(format!("block {index} was refused: {text}"))),
        }
    }
    let wanted = json::word("lastblockhash", case.get("lastblockhash").and_then(Value::as_str).unwrap_or_default())?;
    if chain.head() != wanted {
        return Ok(Outcome::Failed(format!("head {}, expected {wanted}", chain.head())));
    }
    if let Some(post) = case.get("postState").filter(|post| !post.is_null()) {
        let post = FullState::parse("postState", post)?;
        if chain.state(wanted) != Some(&post) {
            return Ok(Outcome::Failed("another state after the head".to_owned()));
        }
    }
    Ok(Outcome::Passed)
}

/// RLP of block 0. Some old files give its header alone.
fn genesis(case: &Value) -> InputResult<Vec<u8>> {
    if let Some(rlp) = case.get("genesisRLP") {
        return Ok(json::bytes("genesisRLP", rlp)?.to_vec());
    }
    genesis_block("genesisBlockHeader", case.get("genesisBlockHeader").unwrap_or(&Value::Null))
}
