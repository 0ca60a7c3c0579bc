//! Jobs of several threads on one cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Model, Nodes, State, apply, encode, genesis, read, records, run};
use crate::threads;
use crate::trie::{EMPTY_ROOT, TrieCache, TrieJob, TrieStep};

const ACCOUNTS: u8 = 250;
const THREADS: usize = 4;
const JOBS: u64 = 150;

fn address(index: u8) -> [u8; 20] {
    [index; 20]
}

#[test]
fn jobs_that_share_a_cache_never_wait_for_themselves() {
    // A job that waits for its other half runs a part of another job meanwhile: with a lock held over that, the pool stands.
    let state: State =
        (0..ACCOUNTS).map(|index| (address(index), Model { nonce: 1, balance: 1, slots: BTreeMap::new() })).collect();
    let all = genesis(&state);
    let outcome =
        run(&mut TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap(), &Nodes::new())
            .unwrap();
    let mut nodes = Nodes::new();
    apply(&mut nodes, &outcome);
    let cache = Arc::new(TrieCache::new(10_000));
    let changes: BTreeMap<[u8; 20], Change> = (0..ACCOUNTS)
        .map(|index| {
            let slots = BTreeMap::from([([1; 32], 7), ([2; 32], 9)]);
            (address(index), Change { account: Some((2, u64::from(index))), slots, ..Change::default() })
        })
        .collect();
    let (write_set, accounts) = (encode(&changes), records(&state, &changes));
    let roots: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut root = EMPTY_ROOT;
                    for _ in 0..JOBS {
                        let new = || TrieJob::new(outcome.root, &write_set, &accounts, Some(cache.clone())).unwrap();
                        let mut job = threads::install(new);
                        let mut answers = Vec::new();
                        root = loop {
                            let borrowed = super::borrow(&answers);
                            match threads::install(|| job.step(&borrowed, &[]).unwrap()) {
                                TrieStep::Done(done) => break done.root,
                                TrieStep::Need(ask) => answers = read(&nodes, &ask.paths),
                            }
                        };
                    }
                    root
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0] && *root != outcome.root));
}
