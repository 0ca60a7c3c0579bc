//! The public state tests of every fork, from the shared test data.
//!
//! A fixed part of the files is run; `--ignored` runs all of them. Without the data (`vectors`) a test says that it is
//! skipped and passes.

mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use hansa_kernel::conformance::statetest::{StateTestResult, state_tests};
use rayon::prelude::*;

/// Failures printed of one archive.
const SHOWN: usize = 60;

/// Run one file in `of`.
fn report(archive: &str, of: usize, cases_min: usize) {
    let Some(paths) = vectors::json_files(archive) else { return };
    let paths: Vec<PathBuf> = paths.into_iter().step_by(of).collect();
    let failures = Mutex::new(Vec::new());
    let counts = Mutex::new(BTreeMap::<String, (usize, usize)>::new());
    paths.par_iter().for_each(|path| {
        let bytes = fs::read(path).expect("unpacked file");
        let results = state_tests(&bytes).expect("a file of the format");
        let mut counts = counts.lock().expect("no panic");
        for StateTestResult { name, fork, index, passed, error, .. } in results {
            let count = counts.entry(fork.clone()).or_default();
            count.0 += 1;
            count.1 += usize::from(passed);
            if !passed {
                failures.lock().expect("no panic").push(format!("failed: {fork}: {name} [{index}]: {error}"));
            }
        }
    });
    let counts = counts.into_inner().expect("no panic");
    for (fork, (run, passed)) in &counts {
        println!("{archive} {fork}: {passed} of {run} passed");
    }
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort();
    for failure in failures.iter().take(SHOWN) {
        println!("{failure}");
    }
    let run: usize = counts.values().map(|(run, _)| run).sum();
    assert!(run >= cases_min, "only {run} state tests found");
    assert!(failures.is_empty(), "{} of {run} state tests failed", failures.len());
}

#[test]
fn state_tests_of_all_forks_end_in_their_roots() {
    report("state-tests-eest", 4, 2_000);
}

#[test]
fn state_tests_of_older_fills_end_in_their_roots() {
    report("state-tests-legacy", 20, 2_000);
}

#[test]
#[ignore = "all files take minutes"]
fn every_public_state_test_ends_in_its_root() {
    report("state-tests-eest", 1, 18_400);
    report("state-tests-legacy", 1, 94_000);
}
