//! The public state tests of the newest fork, from the shared test data.
//!
//! Without the data (`vectors`) the test says that it is skipped and passes.

mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use hansa_kernel::conformance::statetest::state_test;
use rayon::prelude::*;

/// (run, passed, names of the first failures) of one fork.
fn run(fork: &str) -> Option<(usize, usize, Vec<String>)> {
    let paths = vectors::json_files("state-tests-eest")?;
    let failures = Mutex::new(BTreeMap::new());
    let (run, passed) = paths
        .par_iter()
        .map(|path| {
            let bytes = fs::read(path).expect("unpacked file");
            let results = state_test(&bytes, fork).expect("a file of the format");
            for failed in results.iter().filter(|result| !result.passed) {
                let mut failures = failures.lock().expect("no panic");
                failures.insert(format!("{} [{}]", failed.name, failed.index), failed.error.clone());
            }
            (results.len(), results.iter().filter(|result| result.passed).count())
        })
        .reduce(|| (0, 0), |left, right| (left.0 + right.0, left.1 + right.1));
    let failures = failures.into_inner().expect("no panic");
    Some((run, passed, failures.into_iter().map(|(name, error)| format!("{name}: {error}")).collect()))
}

#[test]
fn state_tests_of_the_newest_fork_end_in_their_roots() {
    let Some((run, passed, failures)) = run("Osaka") else {
        return;
    };
    println!("Osaka: {passed} of {run} state tests passed");
    for failure in failures.iter().take(40) {
        println!("failed: {failure}");
    }
    assert!(run > 1_000, "only {run} state tests found");
    assert!(passed * 100 >= run * 99, "{passed} of {run} passed");
}

/// The other forks, for information: `cargo test -- --ignored --nocapture older`.
#[test]
#[ignore = "older forks are reported, not required"]
fn older_forks_are_reported() {
    let forks = [
        "Frontier",
        "Homestead",
        "Byzantium",
        "ConstantinopleFix",
        "Istanbul",
        "Berlin",
        "London",
        "Paris",
        "Shanghai",
        "Cancun",
        "Prague",
    ];
    for fork in forks {
        if let Some((run, passed, failures)) = run(fork) {
            println!("{fork}: {passed} of {run} state tests passed");
            for failure in failures.iter().take(5) {
                println!("  failed: {}", failure.chars().take(300).collect::<String>());
            }
        }
    }
}
