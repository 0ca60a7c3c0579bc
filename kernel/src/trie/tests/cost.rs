//! What a root costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::Rng;

use super::{Change, Model, Nodes, State, apply, borrow, encode, genesis, read, records, rng, run};
use crate::trie::{EMPTY_ROOT, Stats, TrieCache, TrieJob, TrieStep};

/// Prints medians: `cargo test --profile kernel-dev -- --ignored --nocapture measure_transfers`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_transfers() {
    for accounts in [100_000_u64, 1_000_000] {
        let mut state = State::new();
        for index in 0..accounts {
            let mut address = [0; 20];
            address[12..].copy_from_slice(&index.to_be_bytes());
            state.insert(address, Model { nonce: 1, balance: 1_000_000, slots: BTreeMap::new() });
        }
        let all = genesis(&state);
        let start = std::time::Instant::now();
        let mut job = TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
        let outcome = run(&mut job, &Nodes::new()).unwrap();
        println!("{accounts} accounts: built in {:?}", start.elapsed());
        let mut nodes = Nodes::new();
        apply(&mut nodes, &outcome);
        for (label, cache) in [("no cache", None), ("cache", Some(Arc::new(TrieCache::new(200_000))))] {
            let (mut root, mut nodes, mut rng) = (outcome.root, nodes.clone(), rng(9));
            let mut times = Vec::new();
            let mut last = Stats::default();
            for round in 0..20_u64 {
                let mut changes = BTreeMap::new();
                while changes.len() < 2_000 {
                    let mut address = [0; 20];
                    address[12..].copy_from_slice(&(rng.next_u64() % accounts).to_be_bytes());
                    changes.insert(address, Change { account: Some((round + 2, rng.next_u64())), ..Change::default() });
                }
                let (write_set, records) = (encode(&changes), records(&state, &changes));
                let mut spent = std::time::Duration::ZERO;
                let start = std::time::Instant::now();
                let mut job = TrieJob::new(root, &write_set, &records, cache.clone()).unwrap();
                spent += start.elapsed();
                let mut answers = Vec::new();
                let outcome = loop {
                    let borrowed = borrow(&answers);
                    let start = std::time::Instant::now();
                    let step = job.step(&borrowed, &[]).unwrap();
                    spent += start.elapsed();
                    match step {
                        TrieStep::Done(outcome) => break outcome,
                        TrieStep::Need(ask) => answers = read(&nodes, &ask.paths),
                    }
                };
                times.push(spent);
                root = outcome.root;
                last = outcome.stats;
                apply(&mut nodes, &outcome);
            }
            times.sort();
            println!("{accounts} accounts, {label}: median {:?}, {last:?}", times[times.len() / 2]);
        }
    }
}
