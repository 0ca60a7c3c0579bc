//! The public blockchain tests of the newest fork: blocks must give their own headers again.
//!
//! Without the data (`vectors`) the test says that it is skipped and passes.

mod vectors;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansa_kernel::conformance::blocktest::{CaseOutcome, blockchain_test_by};
use hansa_kernel::exec::schedule::Runner;

/// Outcomes of all cases of one fork. Threads of our own: a rayon worker that waits inside a block would begin other
/// files on its stack.
fn run(paths: &[PathBuf], fork: &str, runner: Runner) -> Vec<(String, CaseOutcome)> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = fs::read(path).expect("unpacked file");
                    let results = blockchain_test_by(&bytes, fork, runner).expect("a file of the format");
                    outcomes.lock().expect("no panic").extend(results);
                }
            });
        }
    });
    outcomes.into_inner().expect("no panic")
}

fn report(archive: &str, fork: &str, percent: usize, runner: Runner) {
    let Some(mut paths) = vectors::json_files(archive) else { return };
    // Old fills name other fields; the next issue reads them.
    paths.retain(|path| !path.components().any(|part| part.as_os_str() == "legacy"));
    let outcomes = run(&paths, fork, runner);
    let count = |wanted: fn(&CaseOutcome) -> bool| outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let passed = count(|outcome| *outcome == CaseOutcome::Passed);
    let skipped = count(|outcome| matches!(outcome, CaseOutcome::Skipped(_)));
    let run = outcomes.len() - skipped;
    println!("{archive}, {fork}, {runner:?}: {passed} of {run} passed, {skipped} skipped (withdrawals)");
    let failures = outcomes.iter().filter_map(|(name, outcome)| match outcome {
        CaseOutcome::Failed(text) => Some(format!("failed: {name}: {text}")),
        _ => None,
    });
    for failure in failures.take(40) {
        println!("{failure}");
    }
    assert!(run > 100, "only {run} cases found");
    assert!(passed * 100 >= run * percent, "{passed} of {run} passed");
}

#[test]
fn blocks_of_the_newest_fork_give_their_headers_again() {
    report("blockchain-tests", "Osaka", 99, Runner::Auto);
}

#[test]
fn classic_state_tests_as_blocks_give_their_headers_again() {
    report("blockchain-tests-static", "Osaka", 99, Runner::Auto);
}

#[test]
#[ignore = "minutes: all blocks once more by each runner"]
fn every_runner_gives_the_headers_of_the_newest_fork_again() {
    for runner in [Runner::Window, Runner::Stm, Runner::AccessList] {
        report("blockchain-tests", "Osaka", 99, runner);
        report("blockchain-tests-static", "Osaka", 99, runner);
    }
}
