//! The public difficulty tests: the formula of every fork with its delay of the bomb.
//!
//! Without the data (`vectors`) a test says that it is skipped and passes.

mod vectors;

use std::fs;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::B256;
use hansa_kernel::spec::{PowParent, Spec, json};
use serde_json::Value;

const MAIN_NETWORK: &[u8] = br#"{"config":{"chainId":1,"homesteadBlock":1150000,"eip150Block":2463000,
"eip158Block":2675000,"byzantiumBlock":4370000,"constantinopleBlock":7280000,"petersburgBlock":7280000}}"#;
const ROPSTEN: &[u8] = br#"{"config":{"chainId":3,"homesteadBlock":0,"eip150Block":0,"eip158Block":10,
"byzantiumBlock":1700000,"constantinopleBlock":4230000}}"#;

fn member<'v>(case: &'v Value, key: &str) -> &'v Value {
    case.get(key).unwrap_or_else(|| panic!("{key} of {case}"))
}

/// Check one case; its name and what is wrong.
fn check(spec: &Spec, name: &str, case: &Value) -> Result<(), String> {
    let number = |key: &str| json::u256(key, member(case, key)).expect("a number");
    let narrow = |key: &str| json::u64(key, member(case, key)).expect("a number below 2^64");
    // Given as a flag, or as a hash.
    let ommers_hash = match case.get("parentUncles").and_then(Value::as_str) {
        None | Some("0x00" | "0x0") => EMPTY_OMMER_ROOT_HASH,
        Some(hash) if hash.len() == 66 => json::word("parentUncles", hash).expect("a hash"),
        Some(_) => B256::ZERO,
    };
    let parent = PowParent {
        number: narrow("currentBlockNumber") - 1,
        timestamp: narrow("parentTimestamp"),
        difficulty: number("parentDifficulty"),
        ommers_hash,
    };
    let (got, want) = (spec.next_difficulty(&parent, narrow("currentTimestamp")), number("currentDifficulty"));
    if got == want { Ok(()) } else { Err(format!("{name}: got {got}, want {want}")) }
}

fn run(spec: &Spec, cases: &Value, failures: &mut Vec<String>) -> usize {
    let cases = cases.as_object().expect("cases by name");
    failures.extend(cases.iter().filter_map(|(name, case)| check(spec, name, case).err()));
    cases.len()
}

#[test]
fn difficulties_follow_the_formula_of_their_fork() {
    let Some(paths) = vectors::json_files("ethereum-basics") else { return };
    let (mut count, mut failures) = (0, Vec::new());
    for path in paths.iter().filter(|path| path.to_string_lossy().contains("/DifficultyTests/")) {
        let file: Value = serde_json::from_slice(&fs::read(path).expect("unpacked file")).expect("JSON");
        for networks in file.as_object().expect("tests by name").values() {
            for (network, cases) in networks.as_object().expect("networks").iter().filter(|(name, _)| *name != "_info")
            {
                let spec = Spec::of_network(network, 1, None).expect("a known network");
                count += run(&spec, cases, &mut failures);
            }
        }
    }
    println!("{count} difficulties, {} wrong", failures.len());
    assert!(count > 10_000 && failures.is_empty(), "{count} cases, {:#?}", &failures[..failures.len().min(20)]);
}

#[test]
fn difficulties_of_public_networks_are_those_of_their_forks() {
    let Some(paths) = vectors::json_files("ethereum-basics") else { return };
    let main_network = Spec::parse(MAIN_NETWORK).expect("a chain spec");
    let networks = [
        ("difficultyCustomHomestead.json", Spec::of_network("Homestead", 1, None).expect("a network")),
        ("difficultyCustomMainNetwork.json", main_network.clone()),
        ("difficultyMainNetwork.json", main_network),
        ("difficultyRopsten.json", Spec::parse(ROPSTEN).expect("a chain spec")),
    ];
    let (mut count, mut failures) = (0, Vec::new());
    for (name, spec) in networks {
        let path = paths.iter().find(|path| path.ends_with(format!("BasicTests/{name}"))).expect("the file");
        let file: Value = serde_json::from_slice(&fs::read(path).expect("unpacked file")).expect("JSON");
        count += run(&spec, &file, &mut failures);
    }
    assert!(count > 4_000 && failures.is_empty(), "{count} cases, {:#?}", &failures[..failures.len().min(20)]);
}
