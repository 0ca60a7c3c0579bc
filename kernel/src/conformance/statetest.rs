//! Ethereum's `state_test` format: one transaction on a given state.

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use revm::context::TxEnv;
use serde_json::{Map, Value, json as object};

use super::answers::fill_missing;
use super::case::{CaseResult, Options, decide, outcome_of};
use super::eip3155::{Lines, Parts};
use super::full_state::FullState;
use super::networks::spec_of;
use super::run::failure;
use super::tx_json::{access_list, authorization};
use crate::error::{InputError, InputResult};
use crate::evm::{self, Outcome, Purpose};
use crate::exec::receipts::encode_logs;
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::{Fork, Spec, json};
use crate::tx::{TxRules, address_of_secret_keys, decode_one};

/// Gas of one blob.
const GAS_PER_BLOB: u64 = 131_072;
/// Base fee where a test of London or later gives none, wei: what the tests' own tools took.
const BASE_FEE_DEFAULT: u64 = 10;
/// Block hashes that code can ask for.
const BLOCK_HASHES: u64 = 256;

/// Run every case of a file, one result per entry of `post`.
///
/// # Errors
/// When the file is not of the format. A case that is wrong in itself fails with a text.
pub fn state_test(bytes: &[u8], options: &Options) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let mut results = Vec::new();
    for (name, case) in json::object("json", &value)? {
        let Some(post) = case.get("post").and_then(Value::as_object) else {
            return Err(InputError::new(name.as_str(), "a state test with `post`", "another kind of test"));
        };
        let mut pre = None;
        for (fork, entries) in post.iter().filter(|(fork, _)| options.wants(fork)) {
            for entry in entries.as_array().into_iter().flatten() {
                let name = name_of(name, entry);
                let mut trace = String::new();
                let outcome = decide(|| {
                    let case = json::object("case", case)?;
                    let pre = match &pre {
                        Some(pre) => pre,
                        None => pre.insert(FullState::parse("pre", member(case, "pre")?)?),
                    };
                    let ran = run_entry(case, entry, fork, pre, options)?;
                    trace = ran.trace(&name, fork);
                    Ok(outcome_of(&ran.failures))
                });
                results.push(CaseResult { trace, ..CaseResult::new(name, fork, outcome) });
            }
        }
    }
    Ok(results)
}

/// `NAME/dXgYvZ`: which data, gas limit and value an entry takes.
fn name_of(name: &str, entry: &Value) -> String {
    let index = |key: &str| entry.get("indexes").and_then(|indexes| indexes.get(key)).and_then(Value::as_u64);
    let [data, gas, value] = ["data", "gas", "value"].map(|key| index(key).unwrap_or_default());
    format!("{name}/d{data}g{gas}v{value}")
}

/// What came of an entry.
struct Ran {
    root: B256,
    logs_hash: B256,
    executed: Executed,
    failures: Vec<String>,
    traced: bool,
}

impl Ran {
    /// The steps and EIP-3155's last line; empty without tracing.
    fn trace(&self, name: &str, fork: &str) -> String {
        if !self.traced {
            return String::new();
        }
        let Executed { gas_used, output, error, lines, .. } = &self.executed;
        let mut summary = object!({
            "output": hex::encode(output), "gasUsed": format!("{gas_used:#x}"), "test": name, "fork": fork,
            "stateRoot": self.root, "logsHash": self.logs_hash, "pass": self.failures.is_empty(),
        });
        if !error.is_empty() {
            summary["error"] = object!(error);
        }
        format!("{lines}{summary}\n")
    }
}

fn run_entry(
    case: &Map<String, Value>,
    entry: &Value,
    fork: &str,
    pre: &FullState,
    options: &Options,
) -> InputResult<Ran> {
    let entry = json::object("post", entry)?;
    let spec = spec_of(fork, case.get("config"))?;
    let env = block_env(member(case, "env")?, &spec)?;
    let fork = env.fork(&spec);
    let mut full = pre.clone();
    let mut state = JobState::new(fork.spec_id(), None, usize::MAX);
    if !options.cold {
        full.fill(&mut state);
    }
    for number in env.number.saturating_sub(BLOCK_HASHES)..env.number {
        state.put_block(number, keccak256(number.to_string()));
    }
    let expects_refusal = entry.get("expectException").is_some();
    let executed = match transaction(case, entry, &spec, &env)? {
        Err(text) => Executed::refused(text),
        Ok(tx) => execute(&spec, &env, &full, &mut state, &tx, options.trace)?,
    };
    let Executed { refused, logs, .. } = &executed;
    full.apply(&state.write_set());
    touch_beneficiary(&mut full, &env, fork);
    let root = full.root()?;
    let wanted_root = json::word("post.hash", text(entry, "hash")?)?;
    let wanted_logs = json::word("post.logs", text(entry, "logs")?)?;
    let logs_hash = if logs.is_empty() { keccak256(encode_logs(&[])) } else { keccak256(logs) };
    let mut failures = Vec::new();
    if root != wanted_root {
        failures.push(format!("state root {root}, expected {wanted_root}"));
    }
    if refused.is_none() && logs_hash != wanted_logs {
        failures.push(format!("logs hash {logs_hash}, expected {wanted_logs}"));
    }
    // Old fills name no exception: there an invalid transaction shows in the root alone.
    let names_exceptions = entry.contains_key("txbytes");
    match refused {
        Some(text) if !expects_refusal && names_exceptions => failures.push(format!("refused: {text}")),
        Some(text) if !failures.is_empty() => failures.push(format!("the transaction was refused: {text}")),
        None if expects_refusal => failures.push("the transaction should have been refused".to_owned()),
        _ => {}
    }
    Ok(Ran { root, logs_hash, executed, failures, traced: options.trace.is_some() })
}

/// The tests' blocks pay a reward of zero: it creates an empty beneficiary before EIP-161, and clears one since.
fn touch_beneficiary(full: &mut FullState, env: &BlockEnv, fork: Fork) {
    if fork < Fork::SpuriousDragon {
        full.0.entry(env.beneficiary).or_default();
    } else if full
        .0
        .get(&env.beneficiary)
        .is_some_and(|account| account.nonce == 0 && account.balance.is_zero() && account.code.is_empty())
    {
        full.0.remove(&env.beneficiary);
    }
}

/// A transaction that ran or was refused.
#[derive(Default)]
struct Executed {
    /// Why it was refused.
    refused: Option<String>,
    /// RLP.
    logs: Vec<u8>,
    gas_used: u64,
    output: Bytes,
    /// How it failed; empty if it did not.
    error: String,
    /// Steps, where they are wanted.
    lines: String,
}

impl Executed {
    fn refused(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { refused: Some(text.clone()), error: text, ..Self::default() }
    }
}

/// Run the transaction; keys that the test does not give are absent.
fn execute(
    spec: &Spec,
    env: &BlockEnv,
    full: &FullState,
    state: &mut JobState,
    tx: &TxEnv,
    trace: Option<Parts>,
) -> InputResult<Executed> {
    let blob_max = spec.blob_rules(env.timestamp).map_or(0, |rules| rules.max * GAS_PER_BLOB);
    if tx.blob_hashes.len() as u64 * GAS_PER_BLOB > blob_max {
        return Ok(Executed::refused("blob gas exceeds the block's limit"));
    }
    loop {
        let mut lines = Lines::new(trace);
        let mut evm = evm::build(spec, env, state, Purpose::Block, None);
        let outcome = match trace {
            None => evm::run_exact(&mut evm, tx.clone()),
            Some(_) => evm::run_inspected(evm, tx.clone(), &mut lines).1,
        };
        match outcome {
            Outcome::Done(result, changes) => {
                state.commit(changes);
                return Ok(Executed {
                    refused: None,
                    logs: encode_logs(result.logs()),
                    gas_used: result.tx_gas_used(),
                    error: failure(&result),
                    output: result.into_output().unwrap_or_default(),
                    lines: lines.finish().0,
                });
            }
            Outcome::Invalid(error) => return Ok(Executed::refused(error.to_string())),
            Outcome::Fault(error) => return Err(error),
            Outcome::Cancelled => return Err(InputError::new("case", "a run to its end", "a cancelled one")),
            Outcome::Missed => fill_missing(state, full),
        }
    }
}

fn member<'a>(object: &'a Map<String, Value>, key: &str) -> InputResult<&'a Value> {
    json::member(object, key).ok_or_else(|| InputError::new(key, "a value", "nothing"))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> InputResult<&'a str> {
    member(object, key)?.as_str().ok_or_else(|| InputError::new(key, "text", "another value"))
}

fn block_env(value: &Value, spec: &Spec) -> InputResult<BlockEnv> {
    let env = json::object("env", value)?;
    let london = spec.fork(0, 0) >= Fork::London;
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
        base_fee_per_gas: if london {
            json::member(env, "currentBaseFee").map_or(Ok(BASE_FEE_DEFAULT), |v| json::u64("currentBaseFee", v))?
        } else {
            0
        },
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
        return Ok(decoded.map(|decoded| evm::tx_env(&decoded).ethereum.clone()));
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
    let listed = lists.and_then(|lists| lists.get(data_index)).filter(|list| !list.is_null());
    let authorizations = json::member(tx, "authorizationList").and_then(Value::as_array);
    let priority = price("maxPriorityFeePerGas")?;
    let blob_fee = price("maxFeePerBlobGas")?;
    let to = json::member(tx, "to").and_then(Value::as_str).filter(|to| !to.is_empty());
    Ok(TxEnv {
        tx_type: match () {
            () if authorizations.is_some() => 4,
            () if blob_fee.is_some() => 3,
            () if priority.is_some() => 2,
            () if listed.is_some() => 1,
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
        access_list: listed.map_or(Ok(AccessList::default()), access_list)?,
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
                let signed: Vec<_> = list.iter().map(authorization).collect::<InputResult<_>>()?;
                evm::recovered_authorizations(&signed)
            }
            None => Vec::new(),
        },
    })
}
