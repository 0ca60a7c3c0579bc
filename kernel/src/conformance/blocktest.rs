//! Ethereum's `blockchain_test` format: whole blocks on a genesis, executed with the same job as our own blocks.
//!
//! A valid block must give its own header again, byte for byte: state, transactions and receipts roots, bloom, gas and
//! requests hash. A block that must be refused is, by the rules of its header, ommers, transactions or what it comes to;
//! which rule it breaks is not compared.

use alloy_primitives::Bloom;
use serde_json::Value;

use super::chain::TestChain;
use super::full_state::FullState;
use crate::error::{InputError, InputResult};
use crate::exec::schedule::Runner;
use crate::header::{Header, RawBlock};
use crate::spec::{Spec, json};

/// Refusals that show in the seal alone, by their names in the tests.
const SEAL_EXCEPTIONS: [&str; 1] = ["InvalidBlockNonce"];

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseOutcome {
    /// Every block did what it must.
    Passed,
    /// What went wrong at which block.
    Failed(String),
    /// Why it was not run.
    Skipped(&'static str),
}

/// Run every case of a file for one network, such as `Osaka` or `BerlinToLondonAt5`: (name, outcome); cases of other
/// networks are left out.
///
/// # Errors
/// When the file is not of the format.
pub fn blockchain_test(bytes: &[u8], network: &str) -> InputResult<Vec<(String, CaseOutcome)>> {
    blockchain_test_by(bytes, network, Runner::Auto)
}

/// The same by one runner. The list of a block by access list is that of a run in order before.
///
/// # Errors
/// As [`blockchain_test`].
pub fn blockchain_test_by(bytes: &[u8], network: &str, runner: Runner) -> InputResult<Vec<(String, CaseOutcome)>> {
    Spec::of_network(network, 1, None)?;
    let mut results = blockchain_tests(bytes, runner)?;
    results.retain(|(_, of, _)| of == network);
    Ok(results.into_iter().map(|(name, _, outcome)| (name, outcome)).collect())
}

/// Run every case of a file by one runner: (name, network, outcome).
///
/// # Errors
/// When the file is not of the format.
pub fn blockchain_tests(bytes: &[u8], runner: Runner) -> InputResult<Vec<(String, String, CaseOutcome)>> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| InputError::new("json", "JSON", error))?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        let network = case.get("network").and_then(Value::as_str).unwrap_or_default();
        let outcome = run_case(case, network, runner).unwrap_or_else(|error| CaseOutcome::Failed(error.to_string()));
        results.push((name.clone(), network.to_owned(), outcome));
    }
    Ok(results)
}

fn run_case(case: &Value, network: &str, runner: Runner) -> InputResult<CaseOutcome> {
    let config = case.get("config").and_then(Value::as_object);
    let chain_id = match config.and_then(|config| config.get("chainid")) {
        Some(id) => json::u64("config.chainid", id)?,
        None => 1,
    };
    let spec = Spec::of_network(network, chain_id, config)?;
    let state = FullState::parse("pre", case.get("pre").unwrap_or(&Value::Null))?;
    let genesis = match case.get("genesisRLP") {
        Some(rlp) => RawBlock::decode(&json::bytes("genesisRLP", rlp)?)?.header,
        None => genesis_header(case.get("genesisBlockHeader").unwrap_or(&Value::Null))?,
    };
    if state.root()? != genesis.inner.state_root {
        return Ok(CaseOutcome::Failed("the state before is not that of the genesis block".to_owned()));
    }
    let mut chain = TestChain::new(spec, genesis, state);
    let sealed = case.get("sealEngine").and_then(Value::as_str) != Some("NoProof");
    for (index, block) in case.get("blocks").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let exception = block.get("expectException").and_then(Value::as_str);
        let must_fail = exception.is_some() || block.get("blockHeader").is_none();
        let rlp = json::bytes("rlp", block.get("rlp").unwrap_or(&Value::Null))?;
        match chain.import(&rlp, runner) {
            Ok(_) if must_fail => {
                if sealed && exception.is_some_and(|name| SEAL_EXCEPTIONS.contains(&name)) {
                    return Ok(CaseOutcome::Skipped("seal"));
                }
                let wanted = exception.unwrap_or("a refusal");
                return Ok(CaseOutcome::Failed(format!("item {index} was taken, expected {wanted}")));
            }
            Err(text) if !must_fail => return Ok(CaseOutcome::Failed(format!("item {index} was refused: {text}"))),
            Ok(_) | Err(_) => {}
        }
    }
    let wanted = json::word("lastblockhash", case.get("lastblockhash").and_then(Value::as_str).unwrap_or_default())?;
    if chain.head() == wanted {
        Ok(CaseOutcome::Passed)
    } else {
        Ok(CaseOutcome::Failed(format!("last block {}, expected {wanted}", chain.head())))
    }
}

/// Old files give the first block by its fields alone, all of them from before London.
fn genesis_header(value: &Value) -> InputResult<Header> {
    let fields = json::object("genesisBlockHeader", value)?;
    let member = |key: &str| fields.get(key).ok_or_else(|| InputError::new(key, "a value", "nothing"));
    let text = |key: &str| member(key)?.as_str().ok_or_else(|| InputError::new(key, "text", "another value"));
    let word = |key: &str| json::word(key, text(key)?);
    let number = |key: &str| json::u64(key, member(key)?);
    let header = Header::new(alloy_consensus::Header {
        parent_hash: word("parentHash")?,
        ommers_hash: word("uncleHash")?,
        beneficiary: json::address("coinbase", text("coinbase")?)?,
        state_root: word("stateRoot")?,
        transactions_root: word("transactionsTrie")?,
        receipts_root: word("receiptTrie")?,
        logs_bloom: Bloom::try_from(&json::bytes("bloom", member("bloom")?)?[..])
            .map_err(|error| InputError::new("bloom", "256 bytes", error))?,
        difficulty: json::u256("difficulty", member("difficulty")?)?,
        number: number("number")?,
        gas_limit: number("gasLimit")?,
        gas_used: number("gasUsed")?,
        timestamp: number("timestamp")?,
        extra_data: json::bytes("extraData", member("extraData")?)?,
        mix_hash: word("mixHash")?,
        nonce: number("nonce")?.into(),
        ..Default::default()
    });
    if header.hash == word("hash")? {
        Ok(header)
    } else {
        Err(InputError::new("genesisBlockHeader", "fields of its hash", header.hash))
    }
}
