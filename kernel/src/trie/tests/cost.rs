//! What a root costs: `cargo test --profile kernel-dev -- --ignored --nocapture measure_`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use proptest::prelude::Rng;
use proptest::test_runner::TestRng;

use super::{Change, Model, Nodes, State, apply, borrow, encode, genesis, read, records, rng, run};
use crate::threads;
use crate::trie::{EMPTY_ROOT, TrieCache, TrieJob, TrieOutcome, TrieStep};

/// Accounts that 1,000 transfers between strangers change.
const CHANGED: usize = 2_000;
const REPEATS: u64 = 30;

fn address(index: u64) -> [u8; 20] {
    let mut address = [0; 20];
    address[12..].copy_from_slice(&index.to_be_bytes());
    address
}

fn state_of(accounts: u64) -> (State, Nodes, B256) {
    let state: State = (0..accounts)
        .map(|index| (address(index), Model { nonce: 1, balance: 1_000_000, slots: BTreeMap::new() }))
        .collect();
    let all = genesis(&state);
    let mut job = TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
    let outcome = run(&mut job, &Nodes::new()).unwrap();
    let mut nodes = Nodes::new();
    apply(&mut nodes, &outcome);
    (state, nodes, outcome.root)
}

/// Write set and prior records of a block of transfers.
fn transfers(state: &State, nonce: u64, rng: &mut TestRng) -> (Vec<u8>, Vec<u8>) {
    let mut changes = BTreeMap::new();
    while changes.len() < CHANGED {
        let account = Some((nonce, rng.next_u64()));
        changes.insert(address(rng.next_u64() % state.len() as u64), Change { account, ..Change::default() });
    }
    (encode(&changes), records(state, &changes))
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
    for accounts in [100_000_u64, 1_000_000] {
        let (state, nodes, first_root) = state_of(accounts);
        for cached in [false, true] {
            let cache = cached.then(|| Arc::new(TrieCache::new(200_000)));
            let (mut root, mut nodes, mut rng) = (first_root, nodes.clone(), rng(9));
            let mut times = Vec::new();
            let mut counts = None;
            for round in 0..REPEATS {
                let block = transfers(&state, round + 2, &mut rng);
                let (spent, outcome) = timed(root, &block, cache.clone(), |paths| read(&nodes, paths));
                times.push(spent);
                root = outcome.root;
                counts = Some(outcome.stats);
                apply(&mut nodes, &outcome);
            }
            println!("{counts:?}");
            print(&format!("{accounts} accounts, cache {cached}"), times);
        }
    }
}

/// The same job again and again, for a profiler.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_one_job() {
    let (state, nodes, root) = state_of(100_000);
    let block = transfers(&state, 2, &mut rng(9));
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
    print("one job, 100000 accounts, no cache", times);
}
