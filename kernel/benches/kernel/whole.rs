//! A block from raw bytes to the state root, in a state of a million accounts; the same with a store that takes its time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, keccak256};
use alloy_trie::TrieAccount;
use hansa_kernel::conformance::answers::Answer;
use hansa_kernel::exec::block_job::{BlockJob, BlockRequest, BlockResult, Step};
use hansa_kernel::exec::cache::StateCache;
use hansa_kernel::exec::need::Record;
use hansa_kernel::exec::schedule::Runner;
use hansa_kernel::exec::write_set::{AccountWrite, WriteSet};
use hansa_kernel::spec::Alloc;
use hansa_kernel::threads;
use hansa_kernel::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, TrieCache};
use hansa_kernel::tx::{TxRules, decode_transactions};

use crate::Options;
use crate::execute::{Case, HEAD};
use crate::forest::{self, Nodes};
use crate::measure::{Figure, Report, Target, Times};
use crate::roots::{CACHED_NODES, chosen, timed};
use crate::world::{self, Kind, World};

/// Accounts beside those of the block.
const OTHERS: u64 = 1_000_000;
/// How long the store takes for one read.
const READ: Duration = Duration::from_micros(100);
/// Reads that it works on at a time where each is counted.
const READS_AT_ONCE: usize = 64;
const KINDS: [(&str, Kind, Option<Target>); 3] = [
    ("transfer", Kind::Transfer, Some(Target::AtMost(45.0))),
    ("erc20", Kind::Erc20, None),
    ("swap", Kind::Swap, None),
];

/// What a store's answers cost beside the kernel's work.
#[derive(Debug, Clone, Copy)]
enum Store {
    InMemory,
    /// 100 us for each request, whatever it asks for.
    PerRequest,
    /// 100 us for each key, 64 at a time.
    PerKey,
}

impl Store {
    fn wait(self, keys: usize) {
        let wait = match self {
            Self::InMemory => return,
            Self::PerRequest => READ,
            Self::PerKey => READ * u32::try_from(keys.div_ceil(READS_AT_ONCE)).expect("few"),
        };
        // Sleeping would take longer by what the system's timer is late.
        let began = Instant::now();
        while began.elapsed() < wait {
            std::hint::spin_loop();
        }
    }
}

/// The tries of the parent state.
struct Parent {
    /// Before a block of other accounts, which shows the cache the top of the trie, and after it.
    earlier: (Nodes, B256),
    nodes: Nodes,
    root: B256,
    storage_roots: BTreeMap<Address, B256>,
    /// That block's write set and records.
    before: (Vec<u8>, Vec<u8>),
}

impl Parent {
    /// Of a state in which `touched` accounts may change.
    fn new(world: &World, touched: impl Iterator<Item = Address>) -> Self {
        let write = |(address, account): (&Address, &Alloc)| AccountWrite {
            address: *address,
            deleted: false,
            wiped: false,
            nonce: account.nonce,
            balance: account.balance,
            code_hash: world.state.record(*address).map_or(EMPTY_CODE_HASH, |record| record.code_hash),
            code: None,
            slots: account.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
        };
        let set = WriteSet { accounts: world.state.0.iter().map(write).collect() };
        let none: Vec<u8> = set.accounts.iter().flat_map(|_| Record::encode(None)).collect();
        let nothing = Arc::new(TrieCache::new(0));
        let (_, tries) = timed(EMPTY_ROOT, &set.encode(), &none, &nothing, &Nodes::default(), |_| {});
        let roots = tries.storage_roots.as_chunks::<32>().0.iter().map(B256::from);
        let storage_roots: BTreeMap<Address, B256> =
            set.accounts.iter().map(|write| write.address).zip(roots).collect();
        let leaf = |write: &AccountWrite| {
            let account = TrieAccount {
                nonce: write.nonce,
                balance: write.balance,
                storage_root: storage_roots[&write.address],
                code_hash: write.code_hash,
            };
            (keccak256(write.address), alloy_rlp::encode(account))
        };
        let others = chosen(0, OTHERS);
        let wanted: BTreeSet<B256> =
            touched.chain(others.iter().map(|index| forest::address(*index))).map(keccak256).collect();
        let (accounts, root) =
            threads::install(|| forest::state(OTHERS, &set.accounts.iter().map(leaf).collect(), &wanted));
        let mut nodes = Nodes::default();
        nodes.apply(&tries);
        nodes.replace_accounts(accounts);
        let before = forest::payments(&others, 1);
        let (_, outcome) = timed(root, &before.0, &before.1, &nothing, &nodes, |_| {});
        let earlier = (nodes.clone(), root);
        nodes.apply(&outcome);
        Self { earlier, nodes, root: outcome.root, storage_roots, before }
    }

    /// What the cache of a member holds that has just committed the block before.
    fn cache(&self) -> Arc<TrieCache> {
        let cache = Arc::new(TrieCache::new(CACHED_NODES));
        timed(self.earlier.1, &self.before.0, &self.before.1, &cache, &self.earlier.0, |_| {});
        cache
    }

    fn records(&self, world: &World, writes: &WriteSet) -> Vec<u8> {
        let record = |address: Address| {
            let record = world.state.record(address)?;
            Some(Record { storage_root: self.storage_roots[&address], ..record })
        };
        writes.accounts.iter().flat_map(|write| Record::encode(record(write.address).as_ref())).collect()
    }
}

/// How a block comes in.
struct Way {
    name: &'static str,
    /// Everything that it reads is in the cache.
    warm: bool,
    hinted: bool,
    store: Store,
}

const WAYS: [Way; 5] = [
    Way { name: "in memory, cache warm", warm: true, hinted: false, store: Store::InMemory },
    Way { name: "in memory, hinted", warm: false, hinted: true, store: Store::InMemory },
    Way { name: "100 us a request, hinted", warm: false, hinted: true, store: Store::PerRequest },
    Way { name: "100 us a key (64 at once), hinted", warm: false, hinted: true, store: Store::PerKey },
    Way { name: "100 us a request, no hints", warm: false, hinted: false, store: Store::PerRequest },
];

/// The way that slow stores are compared with.
const IN_MEMORY: usize = 1;

#[derive(Debug, Default, Clone)]
struct Spent {
    whole: Times,
    recover: Times,
    execute: Times,
    root: Times,
    rounds: u32,
}

/// Seconds to execute, waiting for the store included and the making of its answers not, and the result.
fn executed(world: &World, request: BlockRequest, store: Store) -> (f64, BlockResult) {
    let began = Instant::now();
    let mut job = threads::install(|| BlockJob::new(request)).expect("a request of our own");
    let mut step = threads::install(|| job.step(None)).expect("a valid block");
    let mut spent = began.elapsed();
    loop {
        step = match step {
            Step::Done(result) => return (spent.as_secs_f64(), *result),
            Step::Progress => {
                let began = Instant::now();
                let step = threads::install(|| job.step(None)).expect("a valid block");
                spent += began.elapsed();
                step
            }
            Step::Need(keys) => {
                let answer = Answer::new(&keys, &world.state, |_| B256::ZERO);
                let began = Instant::now();
                store.wait(keys.len());
                let step = threads::install(|| job.step(Some(&answer.raw()))).expect("a valid block");
                spent += began.elapsed();
                step
            }
        };
    }
}

fn run(world: &World, case: &Case<'_>, parent: &Parent, raw: &[u8], way: &Way, spent: &mut Spent) -> B256 {
    let env = world::env();
    let rules = TxRules::of(&case.spec, env.number, env.timestamp);
    let trie_cache = parent.cache();
    let cache = if way.warm { case.warm() } else { StateCache::new(1_000_000, 4) };
    if !way.warm {
        cache.reset(HEAD);
    }
    let hints = if way.hinted { case.first.access_list.clone() } else { Vec::new() };
    let mut recover = Times::default();
    let batch = recover.time(|| decode_transactions(raw, &rules).expect("our own list"));
    let request = BlockRequest { batch, hints, cache: cache.view(HEAD), ..case.request(Runner::Auto) };
    let (execute, result) = executed(world, request, way.store);
    assert!(result.receipts_root == case.first.receipts_root && result.write_set == case.first.write_set);
    let records = parent.records(world, &result.write_set);
    let mut encode = Times::default();
    let write_set = encode.time(|| result.write_set.encode());
    let (root, outcome) =
        timed(parent.root, &write_set, &records, &trie_cache, &parent.nodes, |keys| way.store.wait(keys));
    let root = root.as_secs_f64() + encode.median();
    spent.recover.push(recover.median());
    spent.execute.push(execute);
    spent.root.push(root);
    spent.whole.push(recover.median() + execute + root);
    spent.rounds = result.stats.rounds;
    outcome.root
}

/// All ways in turns, for each kind of block.
pub fn bench(world: &World, options: &Options, report: &mut Report) {
    for (name, kind, target) in KINDS.into_iter().filter(|(name, ..)| options.wants_case(name)) {
        let raw = world.raw(kind);
        let case = Case::new(&world.state, &raw);
        let parent = Parent::new(world, case.keys.accounts.iter().copied());
        let mut spent = vec![Spent::default(); WAYS.len()];
        let mut root = None;
        for round in 0..options.runs {
            for turn in 0..WAYS.len() {
                let at = (round + turn) % WAYS.len();
                let found = run(world, &case, &parent, &raw, &WAYS[at], &mut spent[at]);
                assert_eq!(*root.get_or_insert(found), found, "every way gives the same state");
            }
        }
        show(name, target, &spent, report);
    }
}

fn show(name: &str, target: Option<Target>, spent: &[Spent], report: &mut Report) {
    for (way, times) in WAYS.iter().zip(spent) {
        let slow = !matches!(way.store, Store::InMemory);
        let who = format!("{}, {} rounds", way.name, times.rounds);
        let target = if way.warm { target } else { (slow && way.hinted).then_some(Target::AtMost(1.25)) };
        report.push(&Figure {
            part: "whole",
            case: name,
            who: &who,
            threads: 2,
            median: times.whole.median() * 1e3,
            fastest: times.whole.fastest() * 1e3,
            unit: "ms",
            ratio: slow.then(|| ("in memory, hinted", 1.0 / times.whole.speed_of(&spent[IN_MEMORY].whole))),
            target,
        });
    }
    let warm = &spent[0];
    for (who, times) in [("recover", &warm.recover), ("execute", &warm.execute), ("root", &warm.root)] {
        report.push(&Figure {
            part: "whole",
            case: name,
            who: &format!("of which {who}, cache warm"),
            threads: 2,
            median: times.median() * 1e3,
            fastest: times.fastest() * 1e3,
            unit: "ms",
            ratio: None,
            target: None,
        });
    }
}
