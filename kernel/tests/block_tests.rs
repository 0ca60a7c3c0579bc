//! The public blockchain tests of every fork and every change of forks: blocks must give their own headers again, and
//! bad ones must be refused.
//!
//! A fixed part of the files is run; `--ignored` runs all of them. Without the data (`vectors`) a test says that it is
//! skipped and passes.

mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansa_kernel::conformance::blocktest::{CaseOutcome, blockchain_tests};
use hansa_kernel::exec::schedule::Runner;

/// Failures printed of one archive.
const SHOWN: usize = 60;

type Outcomes = Vec<(String, String, CaseOutcome)>;

/// Outcomes of all cases. Threads of our own: a rayon worker that waits inside a block would begin other files on its
/// stack.
fn run(paths: &[PathBuf], runner: Runner) -> Outcomes {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = fs::read(path).expect("unpacked file");
                    let results = blockchain_tests(&bytes, runner).expect("a file of the format");
                    outcomes.lock().expect("no panic").extend(results);
                }
            });
        }
    });
    outcomes.into_inner().expect("no panic")
}

/// Run one file in `of`.
fn report(archive: &str, part: &str, of: usize, cases_min: usize, runner: Runner) {
    let Some(mut paths) = vectors::json_files(archive) else { return };
    paths.retain(|path| path.to_string_lossy().contains(part));
    let paths: Vec<PathBuf> = paths.into_iter().step_by(of).collect();
    let outcomes = run(&paths, runner);
    let mut networks: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (_, network, outcome) in &outcomes {
        let counts = networks.entry(network).or_default();
        counts[match outcome {
            CaseOutcome::Passed => 0,
            CaseOutcome::Failed(_) => 1,
            CaseOutcome::Skipped(_) => 2,
        }] += 1;
    }
    for (network, [passed, failed, skipped]) in &networks {
        println!("{archive}{part} {network} {runner:?}: {passed} passed, {failed} failed, {skipped} skipped");
    }
    let mut failures: Vec<String> = Vec::new();
    for (name, network, outcome) in &outcomes {
        match outcome {
            CaseOutcome::Failed(text) => failures.push(format!("failed: {network}: {name}: {text}")),
            CaseOutcome::Skipped(reason) => println!("skipped: {network}: {name}: {reason}"),
            CaseOutcome::Passed => {}
        }
    }
    failures.sort();
    for failure in failures.iter().take(SHOWN) {
        println!("{failure}");
    }
    let skipped: usize = networks.values().map(|[_, _, skipped]| skipped).sum();
    assert!(outcomes.len() >= cases_min, "only {} cases found", outcomes.len());
    assert!(failures.is_empty(), "{} of {} cases failed", failures.len(), outcomes.len());
    assert!(skipped * 200 < outcomes.len(), "{skipped} of {} cases skipped", outcomes.len());
}

#[test]
fn blocks_of_all_forks_give_their_headers_again() {
    report("blockchain-tests", "/eest/", 2, 1_000, Runner::Auto);
}

#[test]
fn blocks_of_older_fills_give_their_headers_again() {
    report("blockchain-tests", "/legacy/", 4, 300, Runner::Auto);
}

#[test]
fn classic_state_tests_as_blocks_give_their_headers_again() {
    report("blockchain-tests-static", "", 16, 200, Runner::Auto);
}

#[test]
#[ignore = "all files take minutes"]
fn every_public_block_gives_its_header_again() {
    report("blockchain-tests", "", 1, 6_800, Runner::Auto);
    report("blockchain-tests-static", "", 1, 7_900, Runner::Auto);
}

#[test]
#[ignore = "all files take minutes, once more by each runner"]
fn every_runner_gives_every_header_again() {
    for runner in [Runner::Sequential, Runner::Window, Runner::Stm, Runner::AccessList] {
        report("blockchain-tests", "", 1, 6_800, runner);
        report("blockchain-tests-static", "", 1, 7_900, runner);
    }
}
