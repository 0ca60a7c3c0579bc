//! Ethereum's `state_test` format: one transaction on a given state.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use revm::context::TxEnv;
use serde_json::{Map, Value};

use super::full_state::FullState;
use crate::error::{InputError, InputResult};
use crate::evm::{self, Outcome, Purpose};
use crate::exec::receipts::encode_logs;
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::{Fork, Spec, json};
use crate::tx::{TxRules, address_of_secret_keys, decode_one};

/// Gas of one blob.
const GAS_PER_BLOB: u64 = 131_072;
/// Block hashes that code can ask for.
const BLOCK_HASHES: u64 = 256;

/// Outcome of one entry of `post`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTestResult {
    /// Name of the case in its file.
    pub name: String,
    pub fork: String,
    /// Place in `post[fork]`.
    pub index: usize,
    pub passed: bool,
    /// State root after the transaction.
    pub state_root: B256,
    /// Why it failed, or why the transaction was refused; empty otherwise.
    pub error: String,
}

/// Run every case of a file for one fork; cases without that fork are skipped.
///
/// # Errors
/// When the file is not of the format. A case that is wrong in itself fails with a text.
pub fn state_test(bytes: &[u8], fork_name: &str) -> InputResult<Vec<StateTestResult>> {
    Fork::from_name(fork_name).ok_or_else(|| InputError::new("fork", "a fork's name", fork_name))?;
    run_file(bytes, |name| name == fork_name)
}

/// Run every case of a file for every fork that it has.
///
/// # Errors
/// As [`state_test`].
pub fn state_tests(bytes: &[u8]) -> InputResult<Vec<StateTestResult>> {
    run_file(bytes, |_| true)
}

fn run_file(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> InputResult<Vec<StateTestResult>> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| InputError::new("json", "JSON", error))?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        let forks = case.get("post").and_then(Value::as_object).into_iter().flatten();
        for (fork_name, entries) in forks.filter(|(fork_name, _)| wanted(fork_name)) {
            for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
                let outcome = Fork::from_name(fork_name)
                    .ok_or_else(|| InputError::new("fork", "a fork's name", fork_name))
                    .and_then(|fork| run_case(case, entry, fork));
                let (state_root, error, passed) =
                    outcome.unwrap_or_else(|error| (B256::ZERO, format!("malformed case: {error}"), false));
                let (name, fork) = (name.clone(), fork_name.clone());
                results.push(StateTestResult { name, fork, index, passed, state_root, error });
            }
        }
    }
    Ok(results)
}

fn run_case(case: &Value, entry: &Value, fork: Fork) -> InputResult<(B256, String, bool)> {
    let case = json::object("case", case)?;
    let entry = json::object("post", entry)?;
    let chain_id = case
        .get("config")
        .and_then(|config| config.get("chainid"))
        .map_or(Ok(1), |id| json::u64("config.chainid", id))?;
    let spec = Spec::of_fork(fork, chain_id);
    let env = block_env(member(case, "env")?)?;
    let mut full = FullState::parse("pre", member(case, "pre")?)?;
    let mut state = JobState::new(env.fork(&spec).spec_id(), None, usize::MAX);
    full.fill(&mut state);
    let first = env.number.saturating_sub(BLOCK_HASHES);
    for number in first..env.number {
        state.put_block(number, keccak256(number.to_string()));
    }
    let expects_refusal = entry.get("expectException").is_some();
    let (refused, logs) = match transaction(case, entry, &spec, &env)? {
        Err(text) => (Some(text), Vec::new()),
        Ok(tx) => execute(&spec, &env, &full, &mut state, &tx)?,
    };
    full.apply(&state.write_set());
    if refused.is_some() && fork < Fork::SpuriousDragon {
        // The fills pay a reward of 0 even then, which made the beneficiary an account before EIP-161.
        full.0.entry(env.beneficiary).or_default();
    }
    let root = full.root()?;
    let wanted_root = json::word("post.hash", text(entry, "hash")?)?;
    let wanted_logs = json::word("post.logs", text(entry, "logs")?)?;
    let logs_hash = keccak256(if logs.is_empty() { encode_logs(&[]) } else { logs });
    let mut failures = Vec::new();
    if root != wanted_root {
        failures.push(format!("post state root mismatch: got {root}, want {wanted_root}"));
    }
    if refused.is_none() && logs_hash != wanted_logs {
        failures.push(format!("post state logs hash mismatch: got {logs_hash}, want {wanted_logs}"));
    }
    // Old fills name no exception: there an invalid transaction shows in the root alone.
    let names_exceptions = entry.contains_key("txbytes");
    match &refused {
        Some(text) if !expects_refusal && names_exceptions => failures.push(format!("unexpected refusal: {text}")),
        None if expects_refusal => failures.push("the transaction should have been refused".to_owned()),
        _ => {}
    }
    let passed = failures.is_empty();
    let error = if passed { refused.unwrap_or_default() } else { failures.join("; ") };
    Ok((root, error, passed))
}

/// Run the transaction; keys that the test does not give are absent. Returns why it was refused, and the logs' RLP.
fn execute(
    spec: &Spec,
    env: &BlockEnv,
    full: &FullState,
    state: &mut JobState,
    tx: &TxEnv,
) -> InputResult<(Option<String>, Vec<u8>)> {
    let blob_max = spec.blob_rules(env.timestamp).map_or(0, |rules| rules.max * GAS_PER_BLOB);
    if tx.blob_hashes.len() as u64 * GAS_PER_BLOB > blob_max {
        return Ok((Some("blob gas exceeds the block's limit".to_owned()), Vec::new()));
    }
    loop {
        let mut evm = evm::build(spec, env, state, Purpose::Block, None);
        match evm::run_exact(&mut evm, tx.clone()) {
            Outcome::Done(result, changes) => {
                let logs = encode_logs(result.logs());
                drop(evm);
                state.commit(changes);
                return Ok((None, logs));
            }
            Outcome::Invalid(error) => return Ok((Some(error.to_string()), Vec::new())),
            Outcome::Fault(error) => return Err(error),
            Outcome::Cancelled => return Err(InputError::new("case", "a run to its end", "a cancelled one")),
            Outcome::Missed => {
                drop(evm);
                let asked = state.take_wanted();
                for address in &asked.accounts {
                    state.put_record(*address, full.record(*address).as_ref());
                }
                for (address, slot) in &asked.slots {
                    state.put_slot(*address, *slot, full.slot(*address, *slot));
                }
                for number in &asked.blocks {
                    state.put_block(*number, B256::ZERO);
                }
            }
        }
    }
}

fn member<'a>(object: &'a Map<String, Value>, key: &str) -> InputResult<&'a Value> {
    json::member(object, key).ok_or_else(|| InputError::new(key, "a value", "nothing"))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> InputResult<&'a str> {
    member(object, key)?.as_str().ok_or_else(|| InputError::new(key, "text", "another value"))
}

fn block_env(value: &Value) -> InputResult<BlockEnv> {
    let env = json::object("env", value)?;
    let number = |key: &str| json::member(env, key).map_or(Ok(0), |value| json::u64(key, value));
    let word = |key: &str| match json::member(env, key) {
        Some(Value::String(text)) => json::word(key, text),
        Some(other) => json::u256(key, other).map(B256::from),
        None => Ok(B256::ZERO),
    };
    Ok(BlockEnv {
        parent_hash: word("previousHash")?,
        number: number("currentNumber")?,
        timestamp: number("currentTimestamp")?,
        gas_limit: number("currentGasLimit")?,
        base_fee_per_gas: number("currentBaseFee")?,
        beneficiary: json::address("currentCoinbase", text(env, "currentCoinbase")?)?,
        prev_randao: word("currentRandom")?,
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        difficulty: json::member(env, "currentDifficulty").map_or(Ok(U256::ZERO), |v| json::u256("difficulty", v))?,
        excess_blob_gas: number("currentExcessBlobGas")?,
        ..BlockEnv::default()
    })
}

/// The transaction of an entry; `Err` when its bytes are refused before it runs.
fn transaction(
    case: &Map<String, Value>,
    entry: &Map<String, Value>,
    spec: &Spec,
    env: &BlockEnv,
) -> InputResult<Result<TxEnv, String>> {
    if let Some(raw) = json::member(entry, "txbytes") {
        let raw = json::bytes("txbytes", raw)?;
        let rules = TxRules::unbounded(spec, env.number, env.timestamp);
        let decoded = decode_one(&raw, &rules, None).map_err(|error| error.message);
        return Ok(decoded.map(|decoded| evm::tx_env(&decoded).ethereum));
    }
    let tx = json::object("transaction", member(case, "transaction")?)?;
    let indexes = json::object("indexes", member(entry, "indexes")?)?;
    unsigned_transaction(tx, indexes, spec).map(Ok)
}

fn unsigned_transaction(tx: &Map<String, Value>, indexes: &Map<String, Value>, spec: &Spec) -> InputResult<TxEnv> {
    let index = |key: &str| -> InputResult<usize> {
        let index = json::u64(key, member(indexes, key)?)?;
        usize::try_from(index).map_err(|_| InputError::new(key, "an index", index))
    };
    let pick = |key: &str, at: usize| -> InputResult<&Value> {
        member(tx, key)?.get(at).ok_or_else(|| InputError::new(key, format!("an item {at}"), "fewer items"))
    };
    let price = |key: &str| -> InputResult<Option<u128>> {
        let Some(value) = json::member(tx, key) else { return Ok(None) };
        u128::try_from(json::u256(key, value)?).map(Some).map_err(|_| InputError::new(key, "below 2^128", value))
    };
    let caller = match json::member(tx, "sender") {
        Some(Value::String(text)) => json::address("sender", text)?,
        _ => Address::from_slice(&address_of_secret_keys(json::word("secretKey", text(tx, "secretKey")?)?.as_slice())?),
    };
    let data_index = index("data")?;
    let lists = json::member(tx, "accessLists").and_then(Value::as_array);
    let access_list = lists.and_then(|lists| lists.get(data_index)).filter(|list| !list.is_null());
    let authorizations = json::member(tx, "authorizationList").and_then(Value::as_array);
    let priority = price("maxPriorityFeePerGas")?;
    let blob_fee = price("maxFeePerBlobGas")?;
    let to = json::member(tx, "to").and_then(Value::as_str).filter(|to| !to.is_empty());
    Ok(TxEnv {
        tx_type: match () {
            () if authorizations.is_some() => 4,
            () if blob_fee.is_some() => 3,
            () if priority.is_some() => 2,
            () if access_list.is_some() => 1,
            () => 0,
        },
        caller,
        gas_limit: json::u64("gasLimit", pick("gasLimit", index("gas")?)?)?,
        gas_price: price("gasPrice")?.or(price("maxFeePerGas")?).unwrap_or_default(),
        kind: to.map(|to| json::address("to", to)).transpose()?.map_or(TxKind::Create, TxKind::Call),
        value: json::u256("value", pick("value", index("value")?)?)?,
        data: json::bytes("data", pick("data", data_index)?)?,
        nonce: json::u64("nonce", member(tx, "nonce")?)?,
        chain_id: Some(spec.chain_id()),
        access_list: access_list.map_or(Ok(AccessList::default()), parse_access_list)?,
        gas_priority_fee: priority,
        blob_hashes: match json::member(tx, "blobVersionedHashes").and_then(Value::as_array) {
            Some(hashes) => hashes
                .iter()
                .map(|hash| json::bytes("hash", hash).map(|b| B256::left_padding_from(&b)))
                .collect::<InputResult<_>>()?,
            None => Vec::new(),
        },
        max_fee_per_blob_gas: blob_fee.unwrap_or_default(),
        authorization_list: match authorizations {
            Some(list) => {
                let signed: Vec<_> = list.iter().map(parse_authorization).collect::<InputResult<_>>()?;
                evm::recovered_authorizations(&signed)
            }
            None => Vec::new(),
        },
    })
}

fn parse_access_list(value: &Value) -> InputResult<AccessList> {
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

fn parse_authorization(value: &Value) -> InputResult<SignedAuthorization> {
    let object = json::object("authorizationList", value)?;
    let number = |key: &str| json::u256(key, member(object, key)?);
    let parity = json::member(object, "yParity").or_else(|| json::member(object, "v"));
    let parity = parity.map_or(Ok(0), |v| json::u64("v", v))?;
    let authorization = Authorization {
        chain_id: number("chainId")?,
        address: json::address("address", text(object, "address")?)?,
        nonce: json::u64("nonce", member(object, "nonce")?)?,
    };
    Ok(SignedAuthorization::new_unchecked(
        authorization,
        u8::try_from(parity).unwrap_or(u8::MAX),
        number("r")?,
        number("s")?,
    ))
}
