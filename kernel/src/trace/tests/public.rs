//! go-ethereum's own tracer cases: every result equal.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use alloy_primitives::{B256, hex};
use serde_json::{Value, json};

use crate::conformance::answers::Answer;
use crate::conformance::full_state::FullState;
use crate::evm::CancelFlag;
use crate::header::BlockEnv;
use crate::spec::{Spec, json as read};
use crate::trace::job::OUTPUT_BYTES_MAX;
use crate::trace::{TraceJob, TraceRequest, TraceStep, Tracer};
use crate::tx::{TxBatch, TxRules, decode_one};

pub fn archive() -> Option<PathBuf> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from);
    let file = folder.join("jsonrpc.tar.xz");
    if !file.exists() {
        println!("SKIPPED: no public JSON-RPC vectors at {} (set HANSA_VECTORS)", file.display());
        return None;
    }
    Some(file)
}

/// Cases of one folder by file name.
fn cases(folder: &str) -> Vec<(String, Value)> {
    let Some(archive) = archive() else { return Vec::new() };
    let member = format!("jsonrpc/geth-tracers/{folder}");
    let list =
        Command::new("tar").arg("-tJf").arg(&archive).arg(&member).stderr(Stdio::null()).output().expect("tar runs");
    let names: Vec<String> = String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|line| !line.ends_with('/'))
        .map(|line| line.rsplit('/').next().unwrap_or(line).to_owned())
        .collect();
    let output =
        Command::new("tar").arg("-xJOf").arg(&archive).arg(&member).stderr(Stdio::null()).output().expect("tar runs");
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let values: Vec<Value> = values.collect::<Result<_, _>>().expect("the archive holds JSON");
    assert_eq!(names.len(), values.len());
    names.into_iter().zip(values).collect()
}

fn env_of(case: &Value) -> BlockEnv {
    let context = &case["context"];
    let number = |name: &str| context.get(name).map_or(0, |value| read::u64(name, value).expect("a number"));
    BlockEnv {
        parent_hash: B256::ZERO,
        number: number("number"),
        timestamp: number("timestamp"),
        gas_limit: number("gasLimit"),
        base_fee_per_gas: number("baseFeePerGas"),
        beneficiary: read::address("miner", context["miner"].as_str().expect("miner")).expect("miner"),
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
        extra_data: alloy_primitives::Bytes::new(),
        difficulty: read::u256("difficulty", &context["difficulty"]).expect("difficulty"),
        excess_blob_gas: 0,
        ..BlockEnv::default()
    }
}

/// The rules of the case's block. Some files order their forks as no chain does, so only what is active is told.
fn spec_of(case: &Value, env: &BlockEnv) -> Spec {
    let mut config = serde_json::Map::new();
    for (key, value) in case["genesis"]["config"].as_object().expect("config") {
        let reached = match value.as_u64() {
            Some(first) if key.ends_with("Block") => first <= env.number,
            Some(first) if key.ends_with("Time") => first <= env.timestamp,
            _ => true,
        };
        if key.ends_with("Block") || key.ends_with("Time") {
            if reached {
                config.insert(key.clone(), json!(0));
            }
        } else {
            config.insert(key.clone(), value.clone());
        }
    }
    // The state is given whole: of the genesis file only the rules matter.
    let genesis = json!({"config": config, "alloc": {}, "gasLimit": "0x1", "difficulty": "0x1"});
    Spec::parse(genesis.to_string().as_bytes()).expect("a genesis file")
}

fn trace(case: &Value, tracer: &str) -> Result<Value, String> {
    let env = env_of(case);
    let spec = spec_of(case, &env);
    let state = FullState::parse("alloc", &case["genesis"]["alloc"]).map_err(|error| error.to_string())?;
    let raw = hex::decode(case["input"].as_str().expect("input")).expect("hex");
    let rules = TxRules { bounded: false, ..TxRules::of(&spec, env.number, env.timestamp) };
    let decoded = decode_one(&raw, &rules, None).map_err(|error| error.message)?;
    let mut config = json!({"tracer": tracer});
    if let Some(options) = case.get("tracerConfig") {
        config["tracerConfig"] = options.clone();
    }
    let request = TraceRequest {
        spec,
        env,
        block_hash: None,
        batch: TxBatch::from(vec![Ok(std::sync::Arc::new(decoded))]),
        first: 0,
        system_calls: false,
        calls: Vec::new(),
        gas_max: 50_000_000,
        tracer: Tracer::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())?,
        state_overrides: Vec::new(),
        block_overrides: Vec::new(),
        cache: None,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    let mut job = TraceJob::new(request, CancelFlag::default()).map_err(|error| error.to_string())?;
    let mut step = job.step(None).map_err(|error| error.to_string())?;
    loop {
        step = match step {
            TraceStep::Done(answers) => {
                return serde_json::from_slice(&answers[0].json).map_err(|error| error.to_string());
            }
            TraceStep::Progress => job.step(None),
            TraceStep::Need(need) => {
                let answer = Answer::new(&need, &state, |_| B256::ZERO);
                job.step(Some(&answer.raw()))
            }
        }
        .map_err(|error| error.to_string())?;
    }
}

/// Remove what geth's own comparison does not see: it reads both sides into structures, where an absent field and a
/// zero are the same.
pub fn normal(value: &Value, dropped: &[&str]) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| {
                    let zero = match value {
                        Value::Null => true,
                        Value::Object(map) => map.is_empty(),
                        Value::Array(items) => items.is_empty() && *key != "traceAddress",
                        Value::Number(number) => number.as_u64() == Some(0),
                        Value::String(text) => {
                            text.is_empty() || text == "0x" || text.trim_start_matches("0x").bytes().all(|b| b == b'0')
                        }
                        Value::Bool(_) => false,
                    };
                    !zero && !dropped.contains(&key.as_str())
                })
                .map(|(key, value)| (key.clone(), normal(value, dropped)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(|item| normal(item, dropped)).collect()),
        Value::String(text) => Value::String(text.to_lowercase()),
        other => other.clone(),
    }
}

pub fn difference(path: &str, got: &Value, want: &Value) -> Option<String> {
    match (got, want) {
        (Value::Object(got), Value::Object(want)) => {
            let keys: BTreeSet<&String> = got.keys().chain(want.keys()).collect();
            keys.into_iter().find_map(|key| {
                let none = Value::Null;
                difference(&format!("{path}.{key}"), got.get(key).unwrap_or(&none), want.get(key).unwrap_or(&none))
            })
        }
        (Value::Array(got), Value::Array(want)) if got.len() == want.len() => {
            got.iter().zip(want).enumerate().find_map(|(i, (got, want))| difference(&format!("{path}[{i}]"), got, want))
        }
        (got, want) if got == want => None,
        (got, want) => {
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            Some(format!("{path}: got {}, want {}", short(got), short(want)))
        }
    }
}

/// Run a folder; `dropped` are fields that are not compared.
fn check(folder: &str, tracer: &str, dropped: &[&str]) {
    check_after(folder, tracer, dropped, |_, _| ());
}

/// As [`check`], with differences that `forgive` takes out of what came out.
fn check_after(folder: &str, tracer: &str, dropped: &[&str], forgive: impl Fn(&mut Value, &Value)) {
    let cases = cases(folder);
    let mut wrong = Vec::new();
    for (name, case) in &cases {
        match trace(case, tracer) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(got) => {
                let (mut got, want) = (normal(&got, dropped), normal(&case["result"], dropped));
                forgive(&mut got, &want);
                if let Some(difference) = difference("", &got, &want) {
                    wrong.push(format!("{name}: {difference}"));
                }
            }
        }
    }
    println!("{folder}: {} of {} equal", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{folder}:\n{}", wrong.join("\n"));
}

#[test]
fn calls_equal_geths() {
    check("call_tracer", "callTracer", &[]);
}

#[test]
fn calls_with_logs_equal_geths() {
    check("call_tracer_withLog", "callTracer", &[]);
}

/// What the older tracer, a script, said otherwise: some frames have no gas, and running out of gas for code was an
/// internal failure.
fn as_the_older_tracer(got: &mut Value, want: &Value) {
    let (Some(map), Some(older)) = (got.as_object_mut(), want.as_object()) else { return };
    if older.get("error").is_some_and(|error| error == "internal failure") && map.contains_key("error") {
        map.insert("error".to_owned(), json!("internal failure"));
    }
    map.retain(|key, _| key != "gas" || older.contains_key(key));
    let (calls, older) =
        (map.get_mut("calls").and_then(Value::as_array_mut), older.get("calls").and_then(Value::as_array));
    for (call, older) in calls.into_iter().flatten().zip(older.into_iter().flatten()) {
        as_the_older_tracer(call, older);
    }
}

#[test]
fn calls_equal_those_of_geths_older_tracer() {
    check_after("call_tracer_legacy", "callTracer", &[], as_the_older_tracer);
}

#[test]
fn flat_calls_equal_geths() {
    // The place of the transaction is given by whoever asks; these files say it only partly.
    let place = ["blockHash", "blockNumber", "transactionHash", "transactionPosition"];
    check("call_tracer_flat", "flatCallTracer", &place);
}

#[test]
fn prestates_equal_geths() {
    check("prestate_tracer", "prestateTracer", &[]);
    check("prestate_tracer_legacy", "prestateTracer", &["codeHash"]);
}
