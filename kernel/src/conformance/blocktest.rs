//! Ethereum's `blockchain_test` format: whole blocks on a genesis, executed with the same job as our own blocks.
//!
//! A valid block must give its own header again, byte for byte: state, transactions and receipts roots, bloom, gas and
//! requests hash. Of a block that must be refused, only what execution sees is checked: rules between a header and its
//! parent belong to whoever follows a foreign chain. Blocks with withdrawals are not run.

use std::collections::BTreeMap;

use alloy_consensus::{Block, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::B256;
use alloy_rlp::Decodable;
use serde_json::Value;

use super::answers::run_block;
use super::full_state::FullState;
use crate::error::{InputError, InputResult};
use crate::exec::block_job::{BlockRequest, JobError, ROUNDS_MAX, build_header};
use crate::exec::schedule::{Runner, Running};
use crate::header::{BlockEnv, Header};
use crate::pack;
use crate::spec::{Fork, Spec, json};
use crate::tx::{TxRules, decode_transactions};

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

/// Run every case of a file for one fork: (name, outcome); cases of other networks are left out.
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
    let fork = Fork::from_name(network).ok_or_else(|| InputError::new("network", "a fork's name", network))?;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| InputError::new("json", "JSON", error))?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        if case.get("network").and_then(Value::as_str) == Some(network) {
            let outcome = run_case(case, fork, runner).unwrap_or_else(|error| CaseOutcome::Failed(error.to_string()));
            results.push((name.clone(), outcome));
        }
    }
    Ok(results)
}

fn run_case(case: &Value, fork: Fork, runner: Runner) -> InputResult<CaseOutcome> {
    let chain_id = match case.get("config").and_then(|config| config.get("chainid")) {
        Some(id) => json::u64("config.chainid", id)?,
        None => 1,
    };
    let spec = Spec::of_fork(fork, chain_id);
    let mut state = FullState::parse("pre", case.get("pre").unwrap_or(&Value::Null))?;
    let genesis = json::bytes("genesisRLP", case.get("genesisRLP").unwrap_or(&Value::Null))?;
    let genesis = decode_block(&genesis)?;
    let mut hashes = BTreeMap::from([(genesis.header.number, Header::new(genesis.header).hash)]);
    for block in case.get("blocks").and_then(Value::as_array).into_iter().flatten() {
        let must_fail = block.get("expectException").is_some() || block.get("blockHeader").is_none();
        let rlp = json::bytes("rlp", block.get("rlp").unwrap_or(&Value::Null))?;
        let Ok(block) = decode_block(&rlp) else {
            if must_fail {
                continue;
            }
            return Ok(CaseOutcome::Failed("a good block does not decode".to_owned()));
        };
        if block.body.withdrawals.as_ref().is_some_and(|withdrawals| !withdrawals.is_empty()) {
            return Ok(CaseOutcome::Skipped("withdrawals"));
        }
        let number = block.header.number;
        match run(&spec, &block, &state, &hashes, runner) {
            Ok((header, after)) if header.inner == block.header => {
                // A header that breaks a rule towards its parent executes well.
                if !must_fail {
                    state = after;
                    hashes.insert(number, header.hash);
                }
            }
            Ok((header, _)) if !must_fail => {
                return Ok(CaseOutcome::Failed(format!(
                    "block {number}: {}",
                    difference(&header.inner, &block.header)
                )));
            }
            Err(text) if !must_fail => return Ok(CaseOutcome::Failed(format!("block {number} refused: {text}"))),
            Ok(_) | Err(_) => {}
        }
    }
    let wanted = json::word("lastblockhash", case.get("lastblockhash").and_then(Value::as_str).unwrap_or_default())?;
    if hashes.last_key_value().map(|(_, hash)| *hash) == Some(wanted) {
        Ok(CaseOutcome::Passed)
    } else {
        Ok(CaseOutcome::Failed("another last block".to_owned()))
    }
}

fn decode_block(rlp: &[u8]) -> InputResult<Block<TxEnvelope>> {
    let mut rest = rlp;
    Block::decode(&mut rest).map_err(|error| InputError::new("rlp", "a block", error))
}

/// Execute a block; its header as we build it, and the state after it.
fn run(
    spec: &Spec,
    block: &Block<TxEnvelope>,
    state: &FullState,
    hashes: &BTreeMap<u64, B256>,
    runner: Runner,
) -> Result<(Header, FullState), String> {
    let env = BlockEnv::of(&block.header);
    let mut packed = Vec::new();
    for tx in &block.body.transactions {
        pack::push_packed(&mut packed, &tx.encoded_2718());
    }
    let rules = TxRules::unbounded(spec, env.number, env.timestamp);
    let batch = decode_transactions(&packed, &rules).map_err(|error| error.to_string())?;
    let run = |runner, hints| {
        let request = BlockRequest {
            spec: spec.clone(),
            env: env.clone(),
            batch: batch.clone(),
            cache: None,
            building: false,
            hints,
            system_calls: true,
            rounds_max: ROUNDS_MAX * 64,
            running: Running { runner, ..Running::default() },
        };
        run_block(request, state, |number| hashes.get(&number).copied().unwrap_or_default()).map_err(
            |error| match error {
                JobError::Input(error) => error.to_string(),
                JobError::Invalid(invalid) => format!("{}: {}", invalid.code, invalid.message),
            },
        )
    };
    let list = if runner == Runner::AccessList { run(Runner::Sequential, Vec::new())?.access_list } else { Vec::new() };
    let result = run(runner, list)?;
    if result.stats.hints_wrong > 0 {
        return Err("another access list".to_owned());
    }
    let mut after = state.clone();
    after.apply(&result.write_set);
    let root = after.root().map_err(|error| error.to_string())?;
    Ok((build_header(&env, &result, spec, root), after))
}

fn difference(got: &alloy_consensus::Header, want: &alloy_consensus::Header) -> String {
    let fields = [
        ("state_root", got.state_root == want.state_root),
        ("transactions_root", got.transactions_root == want.transactions_root),
        ("receipts_root", got.receipts_root == want.receipts_root),
        ("logs_bloom", got.logs_bloom == want.logs_bloom),
        ("gas_used", got.gas_used == want.gas_used),
        ("requests_hash", got.requests_hash == want.requests_hash),
        ("withdrawals_root", got.withdrawals_root == want.withdrawals_root),
        ("blob_gas_used", got.blob_gas_used == want.blob_gas_used),
    ];
    let differing: Vec<&str> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if differing.is_empty() {
        "another header field differs".to_owned()
    } else {
        format!("{} differ", differing.join(", "))
    }
}
