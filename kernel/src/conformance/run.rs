//! Running code alone, as geth's `evm run` does: no fee, no nonce, all of the given gas for the code.

use alloy_consensus::{Signed, TxEnvelope, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use serde_json::{Value, json};

use super::answers::fill_missing;
use super::eip3155::{Lines, Parts};
use super::full_state::FullState;
use super::networks::spec_of;
use super::t8n::alloc_json;
use crate::error::{InputError, InputResult};
use crate::evm::{self, Outcome, Purpose};
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::{Fork, Spec, json as read};
use crate::tx::TxRules;

/// What is run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// JSON of a genesis: its block's fields and `alloc`; empty: nothing is there.
    pub prestate: Vec<u8>,
    pub fork: String,
    /// Replaces the receiver's code, or is what creates.
    pub code: Bytes,
    pub input: Bytes,
    pub gas: u64,
    /// Wei per gas: the sender must hold it.
    pub price: u128,
    pub value: U256,
    pub sender: Address,
    pub receiver: Address,
    pub create: bool,
    pub trace: Option<Parts>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// EIP-3155's last line.
    pub summary: String,
    /// Its other lines.
    pub trace: String,
    pub output: Bytes,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// The accounts after it, as `alloc`.
    pub dump: String,
}

/// Run it.
///
/// # Errors
/// Names the input that is malformed.
pub fn run_code(request: &RunRequest) -> InputResult<Ran> {
    let prestate: Value = match request.prestate.as_slice() {
        [] => json!({}),
        bytes => read::parse("json.prestate", bytes)?,
    };
    let spec = spec_of(&request.fork, Some(&json!({ "chainid": 1 })))?;
    let mut full = FullState::parse("alloc", prestate.get("alloc").unwrap_or(&json!({})))?;
    if !request.create && !request.code.is_empty() {
        full.0.entry(request.receiver).or_default().code = request.code.clone();
    }
    let env = block(&prestate, request.gas, spec.fork(0, 0) >= Fork::Paris)?;
    let fork = env.fork(&spec);
    let mut state = JobState::new(fork.spec_id(), None, usize::MAX);
    full.fill(&mut state);
    let mut tx = TxEnv {
        caller: request.sender,
        gas_price: request.price,
        value: request.value,
        kind: if request.create { TxKind::Create } else { TxKind::Call(request.receiver) },
        data: if request.create { [&request.code[..], &request.input].concat().into() } else { request.input.clone() },
        ..TxEnv::default()
    };
    // The code gets all of the gas: what a transaction costs before it runs comes on top.
    tx.gas_limit = request.gas.saturating_add(intrinsic(&spec, &tx));
    let (result, lines) = loop {
        let mut lines = Lines::new(request.trace);
        let evm = evm::build(&spec, &env, &mut state, Purpose::Call, None);
        match evm::run_inspected(evm, tx.clone(), &mut lines).1 {
            Outcome::Done(result, changes) => {
                state.commit(changes);
                break (result, lines);
            }
            Outcome::Missed => fill_missing(&mut state, &full),
            Outcome::Invalid(error) => return Err(InputError::new("run", "code that can run", error)),
            Outcome::Fault(error) => return Err(error),
            Outcome::Cancelled => return Err(InputError::new("run", "a run to its end", "a cancelled one")),
        }
    };
    full.apply(&state.write_set());
    let root = full.root()?;
    let gas_used = lines.spent();
    let error = failure(&result);
    let output = result.into_output().unwrap_or_default();
    let (trace, truncated) = lines.finish();
    let mut summary = json!({
        "stateRoot": root, "output": alloy_primitives::hex::encode(&output), "gasUsed": format!("{gas_used:#x}"),
        "pass": error.is_empty(), "fork": fork.name(),
    });
    if !error.is_empty() {
        summary["error"] = json!(error);
    }
    if truncated {
        summary["truncated"] = json!(true);
    }
    Ok(Ran { summary: summary.to_string(), trace, output, error, dump: alloc_json(&full).to_string() })
}

/// What a transaction costs before its code runs.
fn intrinsic(spec: &Spec, tx: &TxEnv) -> u64 {
    let legacy = TxLegacy { to: tx.kind, input: tx.data.clone(), ..TxLegacy::default() };
    let unsigned = Signed::new_unchecked(legacy, Signature::new(U256::ZERO, U256::ZERO, false), B256::ZERO);
    TxRules::unbounded(spec, 0, 0).intrinsic_gas(&TxEnvelope::Legacy(unsigned).into()).0
}

/// How it failed, in geth's words; empty if it did not.
pub fn failure(result: &ExecutionResult) -> String {
    match result {
        ExecutionResult::Success { .. } => String::new(),
        ExecutionResult::Revert { .. } => "execution reverted".to_owned(),
        ExecutionResult::Halt { reason, .. } => evm::halt_text(reason).to_owned(),
    }
}

/// The block that code sees: the genesis file's.
fn block(prestate: &Value, gas: u64, merged: bool) -> InputResult<BlockEnv> {
    let member = |key: &str| prestate.get(key).filter(|value| !value.is_null());
    let number = |key: &str| member(key).map_or(Ok(0), |value| read::u64(key, value));
    let word = |key: &str| member(key).and_then(Value::as_str).map_or(Ok(B256::ZERO), |text| read::word(key, text));
    let coinbase = member("coinbase").and_then(Value::as_str);
    let difficulty = member("difficulty").map_or(Ok(U256::ZERO), |value| read::u256("difficulty", value))?;
    Ok(BlockEnv {
        number: number("number")?,
        timestamp: number("timestamp")?,
        gas_limit: number("gasLimit")?.max(gas),
        // A call without a price pays nothing.
        base_fee_per_gas: 0,
        beneficiary: coinbase.map_or(Ok(Address::ZERO), |text| read::address("coinbase", text))?,
        prev_randao: word("mixHash")?,
        difficulty: if merged { U256::ZERO } else { difficulty.max(U256::from(1)) },
        excess_blob_gas: number("excessBlobGas")?,
        ..BlockEnv::default()
    })
}
