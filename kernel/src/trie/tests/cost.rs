//! What a root costs: `cargo test --profile kernel-dev -- --ignored --nocapture measure_`.
//!
//! The state is made up: only the nodes that the measured blocks touch are kept, so ten million accounts fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{B256, keccak256};
use alloy_trie::Nibbles;
use alloy_trie::nodes::RlpNode;
use proptest::prelude::Rng;
use proptest::test_runner::TestRng;
use rayon::prelude::*;

use super::{Change, Nodes, State, apply, borrow, encode, read, records, rng};
use crate::threads;
use crate::trie::node::{Leaf, encode_branch, encode_extension, encode_leaf};
use crate::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, TrieCache, TrieJob, TrieOutcome, TrieStep, node_key};

/// Changed accounts of a block.
const CHANGED: usize = 1_000;
const REPEATS: u64 = 30;
/// Subtries of this depth are made side by side.
const PARALLEL_DEPTH: usize = 2;

fn address(index: u64) -> [u8; 20] {
    let mut address = [0; 20];
    address[12..].copy_from_slice(&index.to_be_bytes());
    address
}

/// A trie of accounts that are all alike, as far as `wanted` keys need it.
struct MadeUp<'a> {
    /// Ascending.
    keys: &'a [B256],
    leaf: Arc<[u8]>,
    wanted: &'a BTreeSet<B256>,
}

impl MadeUp<'_> {
    /// The node over `keys[from..to]` at `depth`; nodes on wanted paths are kept.
    fn make(&self, from: usize, to: usize, depth: usize, kept: &mut Nodes) -> RlpNode {
        let (first, last) = (Nibbles::unpack(self.keys[from]), Nibbles::unpack(self.keys[to - 1]));
        let mut out = Vec::new();
        if from + 1 == to {
            encode_leaf(&Leaf { suffix: first.slice(depth..), value: self.leaf.clone(), reference: None }, &mut out);
        } else {
            let shared = first.common_prefix_length(&last);
            if shared > depth {
                let child = self.make(from, to, shared, kept);
                encode_extension(&first.slice(depth..shared), &child, &mut out);
            } else {
                encode_branch(&self.children(from, to, depth, kept), &mut out);
            }
        }
        let wanted = self.wanted.range(self.keys[from]..=self.keys[to - 1]).next().is_some();
        if out.len() < 32 {
            return RlpNode::from_rlp(&out);
        }
        let reference = RlpNode::word_rlp(&keccak256(&out));
        if wanted {
            kept.insert(node_key(None, &first.slice(..depth)), out);
        }
        reference
    }

    fn children(&self, from: usize, to: usize, depth: usize, kept: &mut Nodes) -> [RlpNode; 16] {
        let nibble = |key: &B256| if depth.is_multiple_of(2) { key[depth / 2] >> 4 } else { key[depth / 2] & 15 };
        let ends = super::super::seal::NIBBLES
            .map(|child| from + self.keys[from..to].partition_point(|key| nibble(key) <= child));
        let child = |index: usize, kept: &mut Nodes| {
            let start = if index == 0 { from } else { ends[index - 1] };
            if start == ends[index] {
                RlpNode::from_raw(&[alloy_rlp::EMPTY_STRING_CODE]).unwrap()
            } else {
                self.make(start, ends[index], depth + 1, kept)
            }
        };
        let parts: Vec<(RlpNode, Nodes)> = if depth < PARALLEL_DEPTH {
            let part = |index| {
                let mut kept = Nodes::new();
                (child(index, &mut kept), kept)
            };
            (0..16).into_par_iter().map(part).collect()
        } else {
            (0..16).map(|index| (child(index, kept), Nodes::new())).collect()
        };
        let mut children: [RlpNode; 16] = Default::default();
        for (slot, (reference, mut part)) in children.iter_mut().zip(parts) {
            *slot = reference;
            kept.append(&mut part);
        }
        children
    }
}

/// Nodes on the paths of the accounts `touched` in a state of `accounts` accounts, and its root.
fn state_of(accounts: u64, touched: &BTreeSet<u64>) -> (Nodes, B256) {
    let mut keys: Vec<B256> = (0..accounts).into_par_iter().map(|index| keccak256(address(index))).collect();
    keys.par_sort_unstable();
    let account = alloy_trie::TrieAccount {
        nonce: 1,
        balance: alloy_primitives::U256::from(1_000_000),
        storage_root: EMPTY_ROOT,
        code_hash: EMPTY_CODE_HASH,
    };
    let wanted = touched.iter().map(|index| keccak256(address(*index))).collect();
    let made = MadeUp { keys: &keys, leaf: alloy_rlp::encode(account).into(), wanted: &wanted };
    let mut nodes = Nodes::new();
    let root = made.make(0, keys.len(), 0, &mut nodes).as_hash().unwrap();
    (nodes, root)
}

/// Accounts of one block each.
fn blocks(accounts: u64, rng: &mut TestRng) -> Vec<BTreeSet<u64>> {
    let block = |rng: &mut TestRng| {
        let mut chosen = BTreeSet::new();
        while chosen.len() < CHANGED {
            chosen.insert(rng.next_u64() % accounts);
        }
        chosen
    };
    (0..REPEATS).map(|_| block(rng)).collect()
}

/// Write set and prior records.
fn transfers(chosen: &BTreeSet<u64>, nonce: u64, rng: &mut TestRng) -> (Vec<u8>, Vec<u8>) {
    let change =
        |index: &u64| (address(*index), Change { account: Some((nonce, rng.next_u64())), ..Change::default() });
    let changes: BTreeMap<_, _> = chosen.iter().map(change).collect();
    let state: State = changes.keys().map(|address| (*address, super::Model::default())).collect();
    (encode(&changes), records(&state, &changes))
}

/// Run a job, with the time that it spends inside; the store's answers are not counted, but kept.
fn timed(
    root: B256,
    (write_set, records): &(Vec<u8>, Vec<u8>),
    cache: Option<Arc<TrieCache>>,
    mut answer: impl FnMut(&[u8]) -> Vec<Option<Vec<u8>>>,
) -> (Duration, TrieOutcome) {
    let start = Instant::now();
    let mut job = threads::install(|| TrieJob::new(root, write_set, records, cache).unwrap());
    let mut spent = start.elapsed();
    let mut answers = Vec::new();
    loop {
        let borrowed = borrow(&answers);
        let start = Instant::now();
        let step = threads::install(|| job.step(&borrowed, &[]).unwrap());
        spent += start.elapsed();
        match step {
            TrieStep::Done(outcome) => return (spent, outcome),
            TrieStep::Need(ask) => answers = answer(&ask.paths),
        }
    }
}

fn print(label: &str, mut times: Vec<Duration>) {
    times.sort();
    println!("{label}: least {:?}, median {:?}", times[0], times[times.len() / 2]);
}

#[test]
#[ignore = "a measurement, not a check"]
fn measure_transfers() {
    for accounts in [10_000_u64, 1_000_000, 10_000_000] {
        let chosen = blocks(accounts, &mut rng(9));
        let (first_nodes, first_root) = state_of(accounts, &chosen.iter().flatten().copied().collect());
        for cached in [false, true] {
            let cache = cached.then(|| Arc::new(TrieCache::new(200_000)));
            let (mut root, mut nodes, mut rng) = (first_root, first_nodes.clone(), rng(9));
            let (mut times, mut counts) = (Vec::new(), None);
            for (block, nonce) in chosen.iter().zip(2..) {
                let block = transfers(block, nonce, &mut rng);
                let (spent, outcome) = timed(root, &block, cache.clone(), |paths| read(&nodes, paths));
                times.push(spent);
                root = outcome.root;
                counts = Some(outcome.stats);
                apply(&mut nodes, &outcome);
            }
            println!("{counts:?}");
            print(&format!("{CHANGED} of {accounts} accounts, cache {cached}"), times);
        }
    }
}

/// The same job again and again, for a profiler.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_one_job() {
    let accounts = 1_000_000;
    let chosen = blocks(accounts, &mut rng(9)).remove(0);
    let (nodes, root) = state_of(accounts, &chosen);
    let block = transfers(&chosen, 2, &mut rng(9));
    let mut rounds = Vec::new();
    timed(root, &block, None, |paths| {
        rounds.push(read(&nodes, paths));
        rounds[rounds.len() - 1].clone()
    });
    let mut times = Vec::new();
    for _ in 0..200 {
        let mut answers = rounds.iter();
        times.push(timed(root, &block, None, |_| answers.next().unwrap().clone()).0);
    }
    print(&format!("one job, {CHANGED} of {accounts} accounts, no cache"), times);
}
