//! The public `TrieTests`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use alloy_primitives::{hex, keccak256};
use alloy_trie::Nibbles;

use crate::trie::EMPTY_ROOT;
use crate::trie::known::Known;
use crate::trie::sparse::{Edit, Update};
use crate::trie::tree::Tree;

/// A folder with the unpacked archive `name`, or `None` (said aloud) when the vectors are not there.
fn vectors(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let archive = folder.join(format!("{name}.tar.xz"));
    if !archive.is_file() {
        eprintln!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", archive.display());
        return None;
    }
    let target = std::env::temp_dir().join(format!("hansa-vectors-{}", std::process::id()));
    std::fs::create_dir_all(&target).unwrap();
    let status = Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .arg(format!("{name}/TrieTests"))
        .status()
        .unwrap();
    assert!(status.success());
    Some(target.join(name))
}

fn text_bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("0x").map_or_else(|| text.as_bytes().to_vec(), |digits| hex::decode(digits).unwrap())
}

#[test]
fn public_trie_tests_give_their_roots() {
    let Some(folder) = vectors("ethereum-basics") else { return };
    let (mut run, mut skipped) = (0, 0);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("TrieTests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "trietestnextprev" {
            continue; // Neighbours of keys: not a question that this trie answers.
        }
        let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let secure = name.to_lowercase().contains("secure");
        for (case, body) in cases.as_object().unwrap() {
            let steps: Vec<(Vec<u8>, Option<Vec<u8>>)> = match &body["in"] {
                serde_json::Value::Array(pairs) => pairs
                    .iter()
                    .map(|pair| (text_bytes(pair[0].as_str().unwrap()), pair[1].as_str().map(text_bytes)))
                    .collect(),
                pairs => pairs
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(key, value)| (text_bytes(key), value.as_str().map(text_bytes)))
                    .collect(),
            };
            let keys: Vec<Vec<u8>> =
                steps.iter().map(|(key, _)| if secure { keccak256(key).to_vec() } else { key.clone() }).collect();
            let nested = keys.iter().any(|one| keys.iter().any(|other| one != other && other.starts_with(one)));
            if nested || keys.iter().any(|key| key.len() > 32) {
                skipped += 1; // A key inside another key, or over 32 bytes: hashed keys are never so.
                continue;
            }
            let (mut nodes, mut root) = (BTreeMap::<Nibbles, Arc<[u8]>>::new(), EMPTY_ROOT);
            for (key, (_, value)) in keys.iter().zip(&steps) {
                let edit = value.as_deref().map_or(Edit::Remove, |value| Edit::Set(value.into()));
                let updates = vec![Update { key: Nibbles::unpack(key), edit }];
                let mut tree = Tree::new(None, root, updates, &Known::Nothing);
                loop {
                    let needs = tree.pass(&Known::Nothing).unwrap();
                    if needs.is_empty() {
                        break;
                    }
                    for path in needs {
                        tree.answer(path, nodes.get(&path).map(|rlp| (keccak256(rlp), rlp.clone())));
                    }
                }
                let diff = tree.seal();
                root = diff.root;
                nodes.extend(diff.writes.into_iter().map(|(path, _, rlp)| (path, rlp)));
                for path in diff.deletes {
                    nodes.remove(&path);
                }
            }
            assert_eq!(root.to_string(), body["root"].as_str().unwrap(), "{name}: {case}");
            run += 1;
        }
    }
    println!("TrieTests: {run} run, {skipped} skipped (a key is the beginning of another)");
    assert!(run >= 10);
    let _ = std::fs::remove_dir_all(folder.parent().unwrap());
}
