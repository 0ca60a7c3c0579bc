//! The root of a state after a block that changes 1,000 accounts, in states of a million and of ten million.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{B256, keccak256};
use hansa_kernel::threads;
use hansa_kernel::trie::{TrieCache, TrieJob, TrieOutcome, TrieStep};

use crate::Options;
use crate::forest::{self, Nodes};
use crate::measure::{Figure, Report, Target, Times};

/// Changed accounts of a block.
const CHANGED: usize = 1_000;
/// Nodes that the cache holds, as the executor's does.
pub const CACHED_NODES: usize = 200_000;
/// Blocks before the first that is measured, so that the cache knows the top of the trie.
const WARM_UP: usize = 5;
const SIZES: [(&str, u64); 2] = [("1 million", 1_000_000), ("10 million", 10_000_000)];

/// Distinct numbers below `below`, the same in every run.
pub fn chosen(seed: u64, below: u64) -> BTreeSet<u64> {
    let number = |at: u64| {
        let hash = keccak256([seed.to_be_bytes(), at.to_be_bytes()].concat());
        u64::from_be_bytes(*hash.first_chunk::<8>().expect("32 bytes")) % below
    };
    let mut chosen = BTreeSet::new();
    let mut at = 0;
    while chosen.len() < CHANGED {
        chosen.insert(number(at));
        at += 1;
    }
    chosen
}

/// Run a job on the kernel's threads. The time that it spends inside, and on `wait`; not on making the store's answers.
pub fn timed(
    root: B256,
    write_set: &[u8],
    records: &[u8],
    cache: &Arc<TrieCache>,
    nodes: &Nodes,
    mut wait: impl FnMut(usize),
) -> (Duration, TrieOutcome) {
    let began = Instant::now();
    let mut job =
        threads::install(|| TrieJob::new(root, write_set, records, Some(Arc::clone(cache)))).expect("a write set");
    let mut spent = began.elapsed();
    let mut answers = Vec::new();
    loop {
        let began = Instant::now();
        let step = threads::install(|| job.step(&answers, &[])).expect("a sound trie");
        spent += began.elapsed();
        match step {
            TrieStep::Done(outcome) => return (spent, outcome),
            TrieStep::Need(ask) => {
                answers = nodes.read(&ask.paths);
                let began = Instant::now();
                wait(answers.len());
                spent += began.elapsed();
            }
        }
    }
}

struct State {
    name: &'static str,
    blocks: Vec<BTreeSet<u64>>,
    nodes: Nodes,
    root: B256,
    cache: Arc<TrieCache>,
    times: Times,
    asked: u64,
}

impl State {
    fn new(name: &'static str, accounts: u64, blocks: usize) -> Self {
        let blocks: Vec<BTreeSet<u64>> = (0..blocks as u64).map(|seed| chosen(seed, accounts)).collect();
        let wanted = blocks.iter().flatten().map(|index| keccak256(forest::address(*index))).collect();
        let (nodes, root) = threads::install(|| forest::state(accounts, &BTreeMap::new(), &wanted));
        let cache = Arc::new(TrieCache::new(CACHED_NODES));
        Self { name, blocks, nodes, root, cache, times: Times::default(), asked: 0 }
    }

    fn run(&mut self, block: usize) {
        let (write_set, records) = forest::payments(&self.blocks[block], block as u64 + 1);
        let (spent, outcome) = timed(self.root, &write_set, &records, &self.cache, &self.nodes, |_| {});
        if block >= WARM_UP {
            self.times.push(spent.as_secs_f64());
            self.asked = outcome.stats.asked;
        }
        self.root = outcome.root;
        self.nodes.apply(&outcome);
    }
}

/// Blocks on both states, in turns.
pub fn bench(options: &Options, report: &mut Report) {
    let blocks = WARM_UP + options.runs * 2;
    let mut states = SIZES.map(|(name, accounts)| State::new(name, accounts, blocks));
    for block in 0..blocks {
        for state in &mut states {
            state.run(block);
        }
    }
    let [small, large] = &states;
    for state in &states {
        let who = format!("{CHANGED} changed, {} nodes read", state.asked);
        let alone = std::ptr::eq(state, small);
        report.push(&Figure {
            part: "root",
            case: state.name,
            who: &who,
            threads: 2,
            median: state.times.median() * 1e3,
            fastest: state.times.fastest() * 1e3,
            unit: "ms",
            ratio: (!alone).then(|| ("1 million", 1.0 / large.times.speed_of(&small.times))),
            target: Some(if alone { Target::AtMost(10.0) } else { Target::AtMost(1.2) }),
        });
    }
}
