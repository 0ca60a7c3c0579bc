//! Where the public test data is, and how its files are run.

#![allow(dead_code, unused_imports, reason = "each test uses its part of this")]

mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

pub use run::expect_part;

/// JSON files of an archive of the shared test data, sorted; None where there is no such archive.
///
/// `HANSA_VECTORS` names the folder (default `../shared/vectors` beside the repository). Archives are unpacked once into
/// the temporary folder.
#[allow(dead_code, reason = "each test binary takes what it needs")]
pub fn json_files(archive: &str) -> Option<Vec<PathBuf>> {
    let mut paths = Vec::new();
    collect(&unpacked(archive)?, &mut paths);
    paths.sort();
    Some(paths)
}

/// The folder of an archive, unpacked; None where there is no such archive.
#[allow(dead_code, reason = "each test binary takes what it needs")]
pub fn folder(archive: &str) -> Option<PathBuf> {
    unpacked(archive)
}

/// Tests of one binary unpack one after the other.
static UNPACKING: Mutex<()> = Mutex::new(());

fn unpacked(name: &str) -> Option<PathBuf> {
    let _guard = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let vectors = std::env::var_os("HANSA_VECTORS").map_or_else(|| repository.join("../shared/vectors"), PathBuf::from);
    let archive = vectors.join(format!("{name}.tar.xz"));
    let Ok(metadata) = fs::metadata(&archive) else {
        println!("skipped: there is no {}", archive.display());
        return None;
    };
    let size = metadata.len();
    let target = std::env::temp_dir().join(format!("hansa-vectors-{name}-{size}"));
    if !target.join("done").exists() {
        let partial = std::env::temp_dir().join(format!("hansa-vectors-{name}-{size}-{}", std::process::id()));
        fs::create_dir_all(&partial).expect("temporary folder");
        let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&partial).status().expect("tar runs");
        assert!(status.success(), "tar could not unpack {}", archive.display());
        fs::write(partial.join("done"), "").expect("temporary folder");
        if fs::rename(&partial, &target).is_err() {
            // Another run was faster.
            fs::remove_dir_all(&partial).expect("temporary folder");
        }
    }
    Some(target.join(name))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("unpacked folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}
