//! Single tries with chosen keys: embedded nodes and collapses.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_trie::Nibbles;
use proptest::prelude::Rng;

use super::{ROUNDS_MAX, build, rng};
use crate::trie::EMPTY_ROOT;
use crate::trie::known::Known;
use crate::trie::sparse::{Edit, Update};
use crate::trie::tree::Tree;

struct Single {
    nodes: BTreeMap<Nibbles, Arc<[u8]>>,
    leaves: BTreeMap<B256, Vec<u8>>,
    root: B256,
}

impl Single {
    fn new() -> Self {
        Self { nodes: BTreeMap::new(), leaves: BTreeMap::new(), root: EMPTY_ROOT }
    }

    fn change(&mut self, changes: &BTreeMap<B256, Option<Vec<u8>>>) {
        let updates = changes
            .iter()
            .map(|(key, value)| Update {
                key: Nibbles::unpack(key),
                edit: value.as_ref().map_or(Edit::Remove, |value| Edit::Set(value.as_slice().into())),
            })
            .collect();
        let mut tree = Tree::new(None, self.root, updates, &Known::Nothing);
        for round in 0.. {
            assert!(round < ROUNDS_MAX * 4, "rounds end");
            let needs = tree.pass(&Known::Nothing).unwrap();
            if needs.is_empty() {
                break;
            }
            for path in needs {
                tree.answer(path, self.nodes.get(&path).map(|rlp| (keccak256(rlp), rlp.clone())));
            }
        }
        let diff = tree.seal();
        for (path, _, rlp) in diff.writes {
            self.nodes.insert(path, rlp);
        }
        for path in diff.deletes {
            assert!(self.nodes.remove(&path).is_some());
        }
        self.root = diff.root;
        for (key, value) in changes {
            match value {
                Some(value) => self.leaves.insert(*key, value.clone()),
                None => self.leaves.remove(key),
            };
        }
    }

    fn check(&self) {
        assert_eq!(self.root, build(&self.leaves));
        let mut fresh = Self::new();
        fresh.change(&self.leaves.iter().map(|(key, value)| (*key, Some(value.clone()))).collect());
        assert!(fresh.nodes == self.nodes, "the same nodes as from scratch");
    }
}

fn key(nibbles: &str) -> B256 {
    format!("{nibbles:0<64}").parse().unwrap()
}

#[test]
fn embedded_nodes_and_deep_shared_prefixes_equal_a_trie_from_scratch() {
    // Keys that differ in the last nibbles only, and values of one byte: most nodes are shorter than 32 bytes.
    let mut rng = rng(5);
    let mut single = Single::new();
    for round in 0..4_000 {
        let mut changes = BTreeMap::new();
        for _ in 0..=rng.next_u64() % 4 {
            let mut key = B256::repeat_byte(0x11);
            for byte in 28..32 {
                if rng.next_u64().is_multiple_of(3) {
                    key[byte] = [0x11, 0x12, 0x21, 0x10][(rng.next_u64() % 4) as usize];
                }
            }
            if rng.next_u64().is_multiple_of(5) {
                key[3] = 0x77;
            }
            let length = [1, 1, 1, 33][(rng.next_u64() % 4) as usize];
            let value = rng.next_u64().is_multiple_of(2).then(|| vec![(rng.next_u64() % 100) as u8 + 1; length]);
            changes.insert(key, value);
        }
        single.change(&changes);
        assert_eq!(single.root, build(&single.leaves), "round {round}");
        if round % 10 == 0 {
            single.check();
        }
    }
    single.check();
}

#[test]
fn a_branch_left_with_one_child_merges_with_each_type_of_child() {
    let value = |byte: u8| Some(vec![byte; 40]);
    for (kind, others) in [("leaf", vec!["a1"]), ("extension", vec!["a1230", "a1231"]), ("branch", vec!["a10", "a11"])]
    {
        for above in ["", "a5", "b"] {
            let mut single = Single::new();
            let mut changes: BTreeMap<B256, Option<Vec<u8>>> =
                others.iter().map(|nibbles| (key(nibbles), value(1))).collect();
            changes.insert(key("a2"), value(2));
            if !above.is_empty() {
                changes.insert(key(above), value(3));
            }
            single.change(&changes);
            single.check();
            single.change(&BTreeMap::from([(key("a2"), None)]));
            single.check();
            if !above.is_empty() {
                single.change(&BTreeMap::from([(key(above), None)]));
                single.check();
            }
            assert!(!single.nodes.is_empty(), "{kind}");
        }
    }
}

#[test]
fn deleting_everything_below_a_branch_and_inserting_beside_it_needs_no_order() {
    let mut single = Single::new();
    let value = Some(vec![9; 40]);
    single.change(&["a1", "a2", "a3", "b1"].map(|nibbles| (key(nibbles), value.clone())).into());
    single.change(&BTreeMap::from([
        (key("a1"), None),
        (key("a2"), None),
        (key("a3"), None),
        (key("b1"), None),
        (key("c"), value.clone()),
    ]));
    single.check();
    single.change(&BTreeMap::from([(key("c"), None), (key("d"), None)]));
    single.check();
    assert!(single.nodes.is_empty());
}
