//! `eth_simulateV1` of the public execution-apis tests: every answer equal, hashes and state roots included.

use std::process::{Command, Stdio};

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::chain::{Chain, chain};
use super::public::{archive, difference};
use crate::conformance::answers::Answer;
use crate::evm::CancelFlag;
use crate::trace::simulate::{Options, SimulateError, SimulateJob, SimulateRequest, SimulateStep};

/// The gas cap of the node that recorded the answers.
const GAS_MAX: u64 = 50_000_000;

fn simulate(chain: &Chain, options: &Value) -> Result<Value, SimulateError> {
    let request = SimulateRequest {
        spec: chain.spec.clone(),
        base: chain.head.clone(),
        options: Options::parse(options.to_string().as_bytes())?,
        gas_max: GAS_MAX,
        cache: None,
    };
    let mut job = SimulateJob::new(request, CancelFlag::default())?;
    let mut step = job.step(None)?;
    loop {
        step = match step {
            SimulateStep::Done(json) => return Ok(serde_json::from_slice(&json).expect("JSON")),
            SimulateStep::Progress => job.step(None)?,
            SimulateStep::Seal(writes) => {
                let mut state = chain.state.clone();
                state.apply(&writes);
                job.seal(state.root()?)?;
                job.step(None)?
            }
            SimulateStep::Need(need) => {
                let hash = |number: u64| chain.hashes.get(&number).copied().unwrap_or(B256::ZERO);
                let answer = Answer::new(&need, &chain.state, hash);
                job.step(Some(&answer.raw()))?
            }
        };
    }
}

/// (name, request, response) of every exchange of a method.
fn exchanges(method: &str) -> Vec<(String, Value, Value)> {
    let Some(archive) = archive() else { return Vec::new() };
    let folder = format!("jsonrpc/execution-apis/tests/{method}");
    let list =
        Command::new("tar").arg("-tJf").arg(&archive).arg(&folder).stderr(Stdio::null()).output().expect("tar runs");
    let names: Vec<String> =
        String::from_utf8_lossy(&list.stdout).lines().filter(|line| !line.ends_with('/')).map(str::to_owned).collect();
    let output =
        Command::new("tar").arg("-xJOf").arg(&archive).arg(&folder).stderr(Stdio::null()).output().expect("tar runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = |prefix: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix(prefix).map(str::to_owned))
            .map(|line| serde_json::from_str(&line).expect("JSON"))
            .collect::<Vec<Value>>()
    };
    let (requests, responses) = (lines(">> "), lines("<< "));
    assert_eq!((names.len(), names.len()), (requests.len(), responses.len()));
    names
        .into_iter()
        .zip(requests)
        .zip(responses)
        .map(|((name, request), response)| (name, request, response))
        .collect()
}

#[test]
fn simulations_equal_geths() {
    let folder = "jsonrpc/execution-apis/chain";
    let Some(chain) = chain(&format!("{folder}/genesis.json"), &format!("{folder}/chain.rlp")) else { return };
    let cases = exchanges("eth_simulateV1");
    let (mut equal, mut unknown_block, mut wrong) = (0, 0, Vec::new());
    for (name, request, response) in &cases {
        if request["params"].get(1).is_some_and(|block| block != "latest") {
            // A block above the head: refused before anything is simulated.
            unknown_block += 1;
            continue;
        }
        let got = match simulate(&chain, &request["params"][0]) {
            Ok(blocks) => json!({"result": blocks}),
            Err(SimulateError::Refused { code, message }) => json!({"error": {"code": code, "message": message}}),
            Err(error) => json!({"error": {"message": error.to_string()}}),
        };
        let want = match response.get("error") {
            Some(error) => json!({"error": error}),
            None => json!({"result": response["result"]}),
        };
        match difference("", &got, &want) {
            None => equal += 1,
            Some(difference) => wrong.push(format!("{}: {difference}", name.rsplit('/').next().unwrap_or(name))),
        }
    }
    println!("eth_simulateV1: {equal} of {} equal, {unknown_block} name a block that is not there", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
