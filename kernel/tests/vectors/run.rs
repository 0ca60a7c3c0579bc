//! Running files of public tests on all cores.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansa_kernel::conformance::{self, CaseResult, Kind, Options, Outcome};
use hansa_kernel::exec::schedule::Runner;

/// Failures printed of one archive.
const SHOWN: usize = 60;

/// Outcomes of all cases. Threads of our own: a rayon worker that waits inside a block would begin other files on its
/// stack.
fn run(paths: &[PathBuf], kind: Kind) -> Vec<CaseResult> {
    let options = Options { runner: Runner::Auto, ..Options::default() };
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = fs::read(path).expect("unpacked file");
                    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                    let results = conformance::run(kind, name, &bytes, &options);
                    outcomes.lock().expect("no panic").extend(results.expect("a file of the format"));
                }
            });
        }
    });
    outcomes.into_inner().expect("no panic")
}

/// Of the files of an archive whose path holds `part` one in `of` is run: every case passes, and there are `cases_min`.
/// Without the archive nothing is said.
pub fn expect_part(archive: &str, part: &str, kind: Kind, of: usize, cases_min: usize) {
    let Some(mut paths) = super::json_files(archive) else { return };
    paths.retain(|path| path.to_string_lossy().contains(part));
    let paths: Vec<PathBuf> = paths.into_iter().step_by(of).collect();
    let outcomes = run(&paths, kind);
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|case| match &case.outcome {
            Outcome::Passed => None,
            Outcome::Failed(text) => Some(format!("{} ({}): {text}", case.name, case.fork)),
            Outcome::Skipped(reason) => Some(format!("{} ({}): skipped: {}", case.name, case.fork, reason.name())),
        })
        .collect();
    println!("{archive}{part}: {} of {} passed", outcomes.len() - failures.len(), outcomes.len());
    for failure in failures.iter().take(SHOWN) {
        println!("{failure}");
    }
    assert!(outcomes.len() >= cases_min, "only {} cases found", outcomes.len());
    assert!(failures.is_empty(), "{} of {} did not pass", failures.len(), outcomes.len());
}
