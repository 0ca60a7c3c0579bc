//! Besu's recorded answers of geth's tracers on whole blocks.

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::chain::{Chain, chain};
use super::parity::cases;
use super::public::{difference, normal};
use crate::conformance::answers::Answer;
use crate::evm::CancelFlag;
use crate::header::BlockEnv;
use crate::spec::json as read;
use crate::trace::job::OUTPUT_BYTES_MAX;
use crate::trace::{TraceJob, TraceRequest, TraceStep, Tracer};
use crate::tx::TxBatch;

fn trace(chain: &Chain, number: u64, config: &Value) -> Option<Value> {
    let (header, state, txs) = chain.blocks.get(&number)?;
    let request = TraceRequest {
        spec: chain.spec.clone(),
        env: BlockEnv::of(&header.inner),
        block_hash: Some(header.hash),
        batch: TxBatch::from(txs.iter().cloned().map(Ok).collect::<Vec<_>>()),
        first: 0,
        system_calls: true,
        calls: Vec::new(),
        gas_max: 0,
        tracer: Tracer::read(config).expect("a tracer"),
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
                let items = traced.iter().zip(txs).map(|(traced, tx)| {
                    let result: Value = serde_json::from_slice(&traced.json).expect("JSON");
                    json!({"txHash": tx.hash.to_string(), "result": result})
                });
                return Some(Value::Array(items.collect()));
            }
            TraceStep::Progress => job.step(None).expect("a step"),
            TraceStep::Need(need) => {
                let hash = |number: u64| chain.hashes.get(&number).copied().unwrap_or(B256::ZERO);
                job.step(Some(&Answer::new(&need, state, hash).raw())).expect("a step")
            }
        };
    }
}

#[test]
fn traces_of_blocks_equal_besus() {
    let folder = "jsonrpc/besu/debug-geth/chain-data";
    let Some(chain) = chain(&format!("{folder}/genesis.json"), &format!("{folder}/blocks.bin")) else { return };
    let cases = cases("debug-geth/specs");
    let (mut equal, mut skipped, mut wrong) = (0, 0, Vec::new());
    for (name, case) in &cases {
        let params = &case["request"]["params"];
        let want = &case["response"]["result"];
        let number = read::u64("block", &params[0]).ok();
        let got = number.and_then(|number| trace(&chain, number, &params[1]));
        let (Some(got), false) = (got, want.is_null()) else {
            skipped += 1;
            continue;
        };
        match difference("", &normal(&got, &[]), &normal(want, &[])) {
            None => equal += 1,
            Some(difference) => wrong.push(format!("{}: {difference}", name.rsplit('/').next().unwrap_or(name))),
        }
    }
    println!("debug_traceBlockByNumber: {equal} of {} equal, {skipped} refused", cases.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
