//! The public `TransactionTests`, out of `ethereum-basics.tar.xz` in the vectors folder.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use alloy_primitives::hex;
use serde_json::Value;

use super::*;

/// What the tests accept and we refuse.
const DIFFERENT: [&str; 1] = ["TransactionWithHighGasPrice"]; // 2^128 wei a gas and more: no balance pays it

fn archive() -> PathBuf {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from);
    folder.join("ethereum-basics.tar.xz")
}

/// All files of the folder `TransactionTests`, one JSON object after the other.
fn files() -> Option<Vec<Value>> {
    let archive = archive();
    if !archive.exists() {
        println!("SKIPPED: no public TransactionTests at {} (set HANSA_VECTORS)", archive.display());
        return None;
    }
    let output = Command::new("tar")
        .arg("-xJOf")
        .arg(&archive)
        .arg("ethereum-basics/TransactionTests")
        .stderr(Stdio::null())
        .output()
        .expect("tar runs");
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    Some(values.collect::<Result<_, _>>().expect("the archive holds JSON"))
}

fn rules_named(name: &str) -> TxRules {
    TxRules { bounded: false, ..rules(Fork::from_name(name).unwrap_or_else(|| panic!("no fork {name}"))) }
}

#[test]
fn public_transaction_tests_agree() {
    let Some(files) = files() else { return };
    let (mut accepted, mut refused, mut different, mut wrong) = (0, 0, 0, Vec::new());
    for (name, case) in files.iter().filter_map(Value::as_object).flatten() {
        let text = case["txbytes"].as_str().expect("txbytes");
        let raw = hex::decode(text).unwrap_or_else(|_| panic!("{name}: hex"));
        for (fork, expected) in case["result"].as_object().expect("result") {
            let rules = rules_named(fork);
            let got = decode_one(&raw, &rules, None);
            match (&expected.get("exception"), got) {
                (Some(_), Err(_)) => refused += 1,
                (None, Ok(tx)) => {
                    accepted += 1;
                    assert_eq!(
                        expected["sender"].as_str(),
                        Some(tx.sender.to_string().to_lowercase().as_str()),
                        "{name}"
                    );
                    assert_eq!(expected["hash"].as_str(), Some(tx.hash.to_string().as_str()), "{name}");
                    let gas = u64::from_str_radix(
                        expected["intrinsicGas"].as_str().expect("gas").trim_start_matches("0x"),
                        16,
                    );
                    assert_eq!(gas, Ok(rules.intrinsic_gas(&tx.tx).0), "{name} {fork}");
                }
                (None, Err(_)) if DIFFERENT.contains(&name.as_str()) => different += 1,
                (exception, got) => wrong.push(format!("{name} {fork}: expected {exception:?}, got {got:?}")),
            }
        }
    }
    println!("TransactionTests: {accepted} accepted, {refused} refused, {different} different for a reason");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted >= 450 && refused >= 1_240, "{accepted} {refused}");
}
