//! The public state tests of the newest fork, from the shared test data.
//!
//! `HANSA_VECTORS` names the folder with `state-tests-eest.tar.xz` (default `../shared/vectors` beside the repository).
//! Without it the test says that it is skipped and passes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use hansa_kernel::conformance::statetest::state_test;
use rayon::prelude::*;

const ARCHIVE: &str = "state-tests-eest";

/// The unpacked archive, or None without test data. Unpacked once per archive into the temporary folder.
fn unpacked() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let vectors = std::env::var_os("HANSA_VECTORS").map_or_else(|| repository.join("../shared/vectors"), PathBuf::from);
    let archive = vectors.join(format!("{ARCHIVE}.tar.xz"));
    let size = fs::metadata(&archive).ok()?.len();
    let target = std::env::temp_dir().join(format!("hansa-vectors-{ARCHIVE}-{size}"));
    if !target.join("done").exists() {
        let partial = std::env::temp_dir().join(format!("hansa-vectors-{ARCHIVE}-{size}-{}", std::process::id()));
        fs::create_dir_all(&partial).expect("temporary folder");
        let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&partial).status().expect("tar runs");
        assert!(status.success(), "tar could not unpack {}", archive.display());
        fs::write(partial.join("done"), "").expect("temporary folder");
        if fs::rename(&partial, &target).is_err() {
            // Another run was faster.
            fs::remove_dir_all(&partial).expect("temporary folder");
        }
    }
    Some(target.join(ARCHIVE))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("unpacked folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

/// (run, passed, names of the first failures) of one fork.
fn run(fork: &str) -> Option<(usize, usize, Vec<String>)> {
    let mut paths = Vec::new();
    files(&unpacked()?, &mut paths);
    paths.sort();
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
        println!("skipped: no {ARCHIVE}.tar.xz in HANSA_VECTORS or ../shared/vectors");
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
