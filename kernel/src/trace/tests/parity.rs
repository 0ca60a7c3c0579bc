//! Besu's recorded answers of `trace_` methods: 33 small blocks on Istanbul's rules, built here from their transactions.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

use super::chain::{credit, execute_txs, member};
use super::public::{archive, difference};
use crate::conformance::answers::Answer;
use crate::conformance::full_state::FullState;
use crate::evm::CancelFlag;
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::{Spec, json as read};
use crate::trace::job::OUTPUT_BYTES_MAX;
use crate::trace::{TraceJob, TraceRequest, TraceStep, Tracer};
use crate::tx::{Decoded, TxBatch, TxRules, address_of_public_key, decode_one};

/// Ether of a block (Istanbul).
const REWARD: u64 = 2_000_000_000_000_000_000;

/// Blocks whose VM traces are not compared: Besu says what a step that halted would have cost and pushed, and shows the
/// memory that a call to a precompile wrote, where `OpenEthereum`, and revm-inspectors after it, have nothing.
const VM_TRACES_APART: [&str; 5] = ["_0x10.json", "_0x15.json", "_0x16.json", "_0x1A.json", "_0x1E.json"];

struct Chain {
    spec: Spec,
    state: FullState,
    nonces: BTreeMap<Address, u64>,
    /// By number: environment, state before, transactions.
    blocks: BTreeMap<u64, (BlockEnv, FullState, Vec<Arc<Decoded>>)>,
}

fn sign(key: &SecretKey, tx: &TxLegacy) -> Bytes {
    let hash = tx.signature_hash();
    let (parity, compact) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), key).serialize_compact();
    let signature = Signature::new(
        U256::from_be_slice(&compact[..32]),
        U256::from_be_slice(&compact[32..]),
        i32::from(parity) == 1,
    );
    let mut raw = Vec::new();
    tx.rlp_encode_signed(&signature, &mut raw);
    raw.into()
}

impl Chain {
    fn build() -> Option<Self> {
        let genesis: Value = serde_json::from_slice(&member("jsonrpc/besu/trace/chain-data/genesis.json")?).ok()?;
        let blocks: Value = serde_json::from_slice(&member("jsonrpc/besu/trace/chain-data/blocks.json")?).ok()?;
        let rules = json!({"config": {"chainId": 1982, "homesteadBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0}, "alloc": {}});
        let mut alloc = genesis["alloc"].clone();
        for account in alloc.as_object_mut()?.values_mut() {
            account.as_object_mut()?.retain(|key, _| ["code", "balance", "nonce", "storage"].contains(&key.as_str()));
        }
        let mut chain = Self {
            spec: Spec::parse(rules.to_string().as_bytes()).expect("rules"),
            state: FullState::parse("alloc", &alloc).expect("alloc"),
            nonces: BTreeMap::new(),
            blocks: BTreeMap::new(),
        };
        for block in blocks["blocks"].as_array()? {
            chain.add(block);
        }
        Some(chain)
    }

    fn add(&mut self, block: &Value) {
        let number = self.blocks.keys().next_back().map_or(1, |last| last + 1);
        let env = BlockEnv {
            parent_hash: B256::ZERO,
            number,
            timestamp: number,
            gas_limit: 0x1000_0000_0000,
            base_fee_per_gas: 0,
            beneficiary: Address::ZERO,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::ZERO,
            extra_data: Bytes::new(),
            difficulty: U256::from(15),
            excess_blob_gas: 0,
            ..BlockEnv::default()
        };
        let txs: Vec<Arc<Decoded>> = block["transactions"]
            .as_array()
            .expect("transactions")
            .iter()
            .map(|tx| self.transaction(tx, &env))
            .collect();
        let before = self.state.clone();
        let mut state = JobState::new(env.fork(&self.spec).spec_id(), None, usize::MAX);
        execute_txs(&self.spec, &env, &mut state, &before, &BTreeMap::new(), txs.iter().map(AsRef::as_ref));
        credit(&mut state, &before, &BTreeMap::new(), Address::ZERO, U256::from(REWARD));
        self.state.apply(&state.write_set());
        self.blocks.insert(number, (env, before, txs));
    }

    fn transaction(&mut self, tx: &Value, env: &BlockEnv) -> Arc<Decoded> {
        let key = read::bytes("secretKey", &tx["secretKey"]).expect("key");
        let key = SecretKey::from_byte_array(key.as_ref().try_into().expect("32 bytes")).expect("a key");
        let sender = address_of_public_key(&key.public_key(SECP256K1));
        let nonce = self.nonces.entry(sender).or_default();
        let number = |name: &str| tx.get(name).map_or(U256::ZERO, |value| read::u256(name, value).expect("a number"));
        let to = tx.get("to").and_then(Value::as_str).map(|to| read::address("to", to).expect("to"));
        let legacy = TxLegacy {
            chain_id: None,
            nonce: *nonce,
            gas_price: number("gasPrice").to(),
            gas_limit: number("gasLimit").to(),
            to: to.map_or(TxKind::Create, TxKind::Call),
            value: number("value"),
            input: tx.get("data").map(|data| read::bytes("data", data).expect("data")).unwrap_or_default(),
        };
        *nonce += 1;
        let rules = TxRules { bounded: false, ..TxRules::of(&self.spec, env.number, env.timestamp) };
        Arc::new(decode_one(&sign(&key, &legacy), &rules, None).expect("valid"))
    }

    fn trace(&self, number: u64, config: &Value) -> Option<Vec<Value>> {
        let (env, state, txs) = self.blocks.get(&number)?;
        let shape = Tracer::read(config).ok()?;
        let request = TraceRequest {
            spec: self.spec.clone(),
            env: env.clone(),
            block_hash: None,
            batch: TxBatch::from(txs.iter().cloned().map(Ok).collect::<Vec<_>>()),
            first: 0,
            system_calls: true,
            calls: Vec::new(),
            gas_max: 0,
            tracer: shape,
            state_overrides: Vec::new(),
            block_overrides: Vec::new(),
            cache: None,
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
        let mut job = TraceJob::new(request, CancelFlag::default()).expect("a job");
        let mut step = job.step(None).expect("a step");
        loop {
            step = match step {
                TraceStep::Done(traced) => {
                    return Some(traced.iter().map(|t| serde_json::from_slice(&t.json).expect("JSON")).collect());
                }
                TraceStep::Progress => job.step(None).expect("a step"),
                TraceStep::Need(need) => {
                    job.step(Some(&Answer::new(&need, state, |_| B256::ZERO).raw())).expect("a step")
                }
            };
        }
    }
}

/// What is not compared: hashes of blocks, whose headers are not these; the opcode's name, which Besu does not give; how
/// creations were made, which it does not tell.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| {
                    !(value.is_null() || ["blockHash", "op", "idx", "creationMethod"].contains(&key.as_str()))
                })
                .map(|(key, value)| (key.clone(), normal(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
        other => other.clone(),
    }
}

/// (name, case) of every JSON file of a folder.
pub fn cases(folder: &str) -> Vec<(String, Value)> {
    let Some(archive) = archive() else { return Vec::new() };
    let member = format!("jsonrpc/besu/{folder}");
    let list =
        Command::new("tar").arg("-tJf").arg(&archive).arg(&member).stderr(Stdio::null()).output().expect("tar runs");
    let names = String::from_utf8_lossy(&list.stdout).into_owned();
    let output =
        Command::new("tar").arg("-xJOf").arg(&archive).arg(&member).stderr(Stdio::null()).output().expect("tar runs");
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let values: Vec<Value> = values.collect::<Result<_, _>>().expect("the archive holds JSON");
    names.lines().filter(|line| !line.ends_with('/')).map(str::to_owned).zip(values).collect()
}

#[test]
fn parity_traces_equal_besus() {
    let Some(chain) = Chain::build() else { return };
    let (mut equal, mut skipped, mut wrong) = (0, 0, Vec::new());
    let all = cases("trace/specs/replay-trace-transaction")
        .into_iter()
        .chain(cases("trace/specs/trace-block"))
        .chain(cases("trace/specs/trace-transaction"));
    let all: Vec<_> = all.collect();
    for (name, case) in &all {
        let request = &case["request"];
        let params = &request["params"];
        let number = |value: &Value| read::u64("block", value).ok();
        let localized = json!({"parity": "localized"});
        let want = &case["response"]["result"];
        let got = match request["method"].as_str() {
            Some("trace_replayBlockTransactions") => number(&params[0])
                .and_then(|number| chain.trace(number, &json!({"parity": params[1]})))
                .map_or(Value::Null, Value::Array),
            Some("trace_block") => {
                number(&params[0]).and_then(|number| chain.trace(number, &localized)).map_or(Value::Null, |traces| {
                    Value::Array(traces.iter().filter_map(Value::as_array).flatten().cloned().collect())
                })
            }
            Some("trace_transaction") => {
                let hash = params[0].as_str().unwrap_or_default();
                let found = chain.blocks.iter().find_map(|(number, (_, _, txs))| {
                    let index = txs.iter().position(|tx| tx.hash.to_string() == hash)?;
                    chain.trace(*number, &localized).map(|traces| traces[index].clone())
                });
                found.unwrap_or_default()
            }
            _ => Value::Null,
        };
        if got.is_null() || want.is_null() {
            skipped += 1;
            continue;
        }
        // Rewards of blocks are not transactions: nobody here makes them.
        let want = match want.as_array() {
            Some(items) => Value::Array(items.iter().filter(|item| item["type"] != "reward").cloned().collect()),
            None => want.clone(),
        };
        let (mut got, mut want) = (normal(&got), normal(&want));
        if VM_TRACES_APART.iter().any(|block| name.ends_with(block)) {
            for items in [&mut got, &mut want] {
                for item in items.as_array_mut().into_iter().flatten() {
                    item.as_object_mut().map(|item| item.remove("vmTrace"));
                }
            }
        }
        match difference("", &got, &want) {
            None => equal += 1,
            Some(difference) => wrong.push(format!("{}: {difference}", name.rsplit('/').next().unwrap_or(name))),
        }
    }
    println!("trace_: {equal} of {} equal, {skipped} of blocks or transactions that are not there", all.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
