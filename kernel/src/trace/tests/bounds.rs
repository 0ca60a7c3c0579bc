//! What a trace may cost.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::json;

use crate::conformance::answers::Answer;
use crate::conformance::full_state::FullState;
use crate::evm::CancelFlag;
use crate::header::BlockEnv;
use crate::spec::{Alloc, Fork, Spec};
use crate::trace::args::CallArgs;
use crate::trace::job::{TraceError, TracedCall};
use crate::trace::{TraceJob, TraceRequest, TraceStep, Traced, Tracer};
use crate::tx::TxBatch;

const CONTRACT: Address = Address::repeat_byte(0xcc);

fn state(code: &'static [u8]) -> FullState {
    let contract = Alloc {
        balance: U256::ZERO,
        nonce: 1,
        code: Bytes::from_static(code),
        storage: std::collections::BTreeMap::default(),
    };
    FullState([(CONTRACT, contract)].into())
}

fn request(config: &serde_json::Value, output_bytes_max: usize) -> TraceRequest {
    let env = BlockEnv {
        parent_hash: B256::ZERO,
        number: 1,
        timestamp: 1,
        gas_limit: 30_000_000,
        base_fee_per_gas: 7,
        beneficiary: Address::ZERO,
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        difficulty: U256::ZERO,
        excess_blob_gas: 0,
        ..BlockEnv::default()
    };
    let args = CallArgs { to: Some(CONTRACT), gas: Some(1_000_000), ..CallArgs::default() };
    TraceRequest {
        spec: Spec::of_fork(Fork::Osaka, 1),
        env,
        block_hash: None,
        batch: TxBatch::default(),
        first: 0,
        system_calls: false,
        calls: vec![TracedCall { args, tracer: None }],
        gas_max: 50_000_000,
        tracer: Tracer::read(config).expect("a tracer"),
        state_overrides: Vec::new(),
        block_overrides: Vec::new(),
        cache: None,
        output_bytes_max,
    }
}

fn run(request: TraceRequest, state: &FullState, cancel: &CancelFlag) -> Result<Vec<Traced>, TraceError> {
    let mut job = TraceJob::new(request, cancel.clone()).map_err(TraceError::Input)?;
    let mut step = job.step(None)?;
    loop {
        step = match step {
            TraceStep::Done(traced) => return Ok(traced),
            TraceStep::Progress => job.step(None)?,
            TraceStep::Need(need) => job.step(Some(&Answer::new(&need, state, |_| B256::ZERO).raw()))?,
        };
    }
}

/// JUMPDEST, PUSH0, JUMP: until the gas is gone.
const LOOP: &[u8] = &[0x5b, 0x5f, 0x56];

#[test]
fn struct_logs_beyond_the_bound_are_an_error_that_says_so() {
    let error = run(request(&json!({}), 100_000), &state(LOOP), &CancelFlag::default()).expect_err("too large");
    assert_eq!(error, TraceError::TooLarge(100_000));
}

#[test]
fn a_limit_cuts_struct_logs_and_the_rest_still_runs() {
    let traced = run(request(&json!({"limit": 5}), 100_000), &state(LOOP), &CancelFlag::default()).expect("small");
    let json: serde_json::Value = serde_json::from_slice(&traced[0].json).expect("JSON");
    assert_eq!(json["structLogs"].as_array().map(Vec::len), Some(5));
    assert_eq!(json["gas"], 1_000_000);
    assert_eq!(json["failed"], true);
    assert_eq!(json["returnValue"], "0x");
}

#[test]
fn a_cancelled_trace_ends() {
    let cancel = CancelFlag::default();
    cancel.set();
    let error = run(request(&json!({"tracer": "callTracer"}), 100_000), &state(LOOP), &cancel).expect_err("cancelled");
    assert_eq!(error, TraceError::Cancelled);
}

#[test]
fn an_access_list_names_the_slots_that_the_call_reads() {
    // SLOAD(5), SLOAD(SLOAD(5)), BALANCE(0x99)
    let code: &[u8] = &[0x60, 5, 0x54, 0x54, 0x60, 0x99, 0x31, 0x00];
    let mut request = request(&json!({}), 100_000);
    request.tracer = Tracer::AccessList;
    let mut state = state(Box::leak(code.to_vec().into_boxed_slice()));
    state.0.get_mut(&CONTRACT).expect("there").storage.insert(U256::from(5), U256::from(6));
    let traced = run(request, &state, &CancelFlag::default()).expect("runs");
    let json: serde_json::Value = serde_json::from_slice(&traced[0].json).expect("JSON");
    let list = json["accessList"].as_array().expect("a list");
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["address"], format!("{:#x}", Address::with_last_byte(0x99)));
    assert_eq!(list[1]["storageKeys"].as_array().map(Vec::len), Some(2));
    assert!(json.get("error").is_none());
}

#[test]
fn many_tracers_answer_in_one() {
    let mux = json!({"tracer": "muxTracer", "tracerConfig": {
        "callTracer": {}, "4byteTracer": {}, "prestateTracer": {"diffMode": true}, "noopTracer": null, "flatCallTracer": {},
    }});
    let traced = run(request(&mux, 1_000_000), &state(&[0x00]), &CancelFlag::default()).expect("runs");
    let json: serde_json::Value = serde_json::from_slice(&traced[0].json).expect("JSON");
    assert_eq!(json["callTracer"]["type"], "CALL");
    assert_eq!(json["flatCallTracer"][0]["action"]["callType"], "call");
    assert_eq!(json["noopTracer"], json!({}));
    assert_eq!(json["4byteTracer"], json!({}));
    assert!(json["prestateTracer"]["post"].is_object());
}
