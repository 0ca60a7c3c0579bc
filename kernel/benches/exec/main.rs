//! Execution by every runner on one and two threads, beside bare revm, in one run: medians and ratios.
//!
//! `make bench-kernel`, or `cargo bench --bench exec -- [--count N] [--runs N] [--json FILE]`. Nothing is asserted of times:
//! machines differ. "execute" is the part that bare revm does, too; "block" goes from decoded transactions to receipts,
//! roots of transactions and receipts, bloom, write set and access list.

mod bare;
mod world;

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use hansa_kernel::conformance::answers::run_block;
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::evm;
use hansa_kernel::exec::block_job::{BlockRequest, BlockResult, STEP_WORK};
use hansa_kernel::exec::cache::StateCache;
use hansa_kernel::exec::need::Keys;
use hansa_kernel::exec::schedule::{Runner, Running, Schedule};
use hansa_kernel::exec::sequential::{Committed, Pass, Plan};
use hansa_kernel::exec::state::{JobState, bytecode};
use hansa_kernel::header::Attached;
use hansa_kernel::spec::{Fork, Spec};
use hansa_kernel::tx::TxBatch;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::json;

const HEAD: B256 = B256::repeat_byte(0x55);
const RUNNERS: [(&str, Runner); 5] = [
    ("sequential", Runner::Sequential),
    ("window", Runner::Window),
    ("stm", Runner::Stm),
    ("access-list", Runner::AccessList),
    ("auto", Runner::Auto),
];
/// Time that statedb takes for one round in the runs with slow reads.
const ROUND: Duration = Duration::from_micros(100);

/// Times of one thing, seconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = black_box(work());
        self.0.push(began.elapsed().as_secs_f64());
        result
    }

    fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }

    /// The fastest run: what a busy machine disturbs least.
    fn fastest(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

struct Case<'w> {
    world: &'w FullState,
    batch: TxBatch,
    spec: Spec,
}

impl Case<'_> {
    fn request(&self, runner: Runner) -> BlockRequest {
        BlockRequest {
            spec: self.spec.clone(),
            env: world::env(),
            batch: self.batch.clone(),
            attached: Attached::default(),
            cache: None,
            building: false,
            hints: Vec::new(),
            system_calls: false,
            rounds_max: 64,
            running: Running { runner, ..Running::default() },
        }
    }

    fn run(&self, request: BlockRequest) -> BlockResult {
        run_block(request, self.world, |_| B256::ZERO).expect("a valid block")
    }

    fn plan(&self) -> Plan {
        let entries = self.batch.entries().iter();
        Plan {
            spec: self.spec.clone(),
            env: world::env(),
            fork: Fork::Osaka,
            txs: entries.map(|entry| entry.as_ref().ok().map(|decoded| evm::tx_env(decoded))).collect(),
            batch: self.batch.clone(),
            before: Vec::new(),
            after: Vec::new(),
            building: false,
        }
    }

    fn state(&self, keys: &Keys) -> JobState {
        let mut state = JobState::new(Fork::Osaka.spec_id(), None, usize::MAX);
        for address in &keys.accounts {
            let record = self.world.record(*address);
            state.put_record(*address, record.as_ref());
            if let Some(account) = self.world.0.get(address).filter(|account| !account.code.is_empty()) {
                state.put_code(record.expect("there").code_hash, bytecode(account.code.clone()));
            }
        }
        for (address, slot) in &keys.slots {
            state.put_slot(*address, *slot, self.world.slot(*address, *slot));
        }
        state
    }
}

/// All values that `keys` names, as committed ones.
fn warm(world: &FullState, keys: &Keys) -> StateCache {
    let cache = StateCache::new(1_000_000, 4);
    cache.reset(HEAD);
    let view = cache.view(HEAD).expect("the head is held");
    let codes = keys.accounts.iter().filter_map(|address| {
        let account = world.0.get(address).filter(|account| !account.code.is_empty())?;
        Some((world.record(*address)?.code_hash, bytecode(account.code.clone())))
    });
    view.keep(
        keys.accounts.iter().map(|address| (*address, world.record(*address))),
        keys.slots.iter().map(|(address, slot)| ((*address, *slot), world.slot(*address, *slot))),
        codes,
    );
    cache
}

/// Gas, and the state, so that it is freed after the clock has stopped.
fn execute(plan: &Plan, mut state: JobState, mut schedule: Schedule) -> (u64, JobState, Committed) {
    let mut done = Committed::default();
    loop {
        match schedule.run(plan, &mut state, &mut done, STEP_WORK) {
            Pass::Done => return (done.gas_used, state, done),
            Pass::Limit | Pass::Until => {}
            other => panic!("{other:?}"),
        }
    }
}

struct Options {
    count: u32,
    runs: u32,
    json: Option<String>,
}

fn options() -> Options {
    let mut options = Options { count: 1_000, runs: 15, json: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<u32>().ok()).expect("a number");
        match argument.as_str() {
            "--count" => options.count = number(),
            "--runs" => options.runs = number(),
            "--json" => options.json = arguments.next(),
            _ => {}
        }
    }
    options
}

fn main() {
    let options = options();
    let pools: Vec<ThreadPool> = [1, 2]
        .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started"))
        .into();
    let world = world::world(options.count as usize);
    let mut report = Vec::new();
    println!("{} transactions a block, median of {} runs\n", options.count, options.runs);
    println!(
        "{:9} {:11} {:>7} {:>12} {:>9} {:>12} {:>9} {:>12} {:>9}",
        "block", "runner", "threads", "execute us/tx", "/ revm", "fastest", "/ revm", "block us/tx", "conflicts"
    );
    for (name, kind) in world::KINDS {
        let case = Case {
            world: &world,
            batch: world::batch(kind, options.count as usize),
            spec: Spec::of_fork(Fork::Osaka, 1),
        };
        bench(name, &case, &pools, &options, &mut report);
    }
    if let Some(path) = options.json {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = json!({ "cores": cores, "architecture": std::env::consts::ARCH });
        let whole = json!({ "machine": machine, "count": options.count, "runs": options.runs, "exec": report });
        std::fs::write(&path, format!("{whole:#}\n")).expect("the report can be written");
        println!("\nwritten to {path}");
    }
}

fn bench(name: &str, case: &Case<'_>, pools: &[ThreadPool], options: &Options, report: &mut Vec<serde_json::Value>) {
    let first = pools[0].install(|| case.run(case.request(Runner::Sequential)));
    let (keys, _) = hansa_kernel::exec::access_list::read_list("hints", &first.access_list).expect("our own list");
    let cache = warm(case.world, &keys);
    let plan = case.plan();
    let database = bare::database(case.world);
    let ways: Vec<(usize, usize)> = (0..RUNNERS.len()).flat_map(|runner| [(runner, 0), (runner, 1)]).collect();
    let mut bare = Times::default();
    let mut executes: Vec<Times> = ways.iter().map(|_| Times::default()).collect();
    let mut blocks: Vec<Times> = ways.iter().map(|_| Times::default()).collect();
    let mut conflicts = vec![0; ways.len()];
    for _ in 0..options.runs {
        let txs = plan.txs.iter().flatten().map(|tx| tx.ethereum.clone()).collect();
        let database = database.clone();
        let (gas, _) = bare.time(|| bare::run(database, &case.spec, &plan.env, txs));
        assert_eq!(gas, first.gas_used, "bare revm does the same");
        for (way, (runner, pool)) in ways.iter().enumerate() {
            let runner = RUNNERS[*runner].1;
            let listed = runner == Runner::AccessList;
            let hints = if listed { first.access_list.clone() } else { Vec::new() };
            let list = hansa_kernel::exec::access_list::read_list("hints", &hints).expect("our own list").1;
            let schedule = Schedule::new(Running { runner, ..Running::default() }, list);
            let state = case.state(&keys);
            let (gas, ..) = executes[way].time(|| pools[*pool].install(|| execute(&plan, state, schedule)));
            assert_eq!(gas, first.gas_used, "every runner does the same");
            let request = BlockRequest { cache: cache.view(HEAD), hints, ..case.request(runner) };
            let result = blocks[way].time(|| pools[*pool].install(|| case.run(request)));
            assert_eq!(result.stats.rounds, 0, "the cache is warm");
            assert!(result.write_set == first.write_set && result.receipts_root == first.receipts_root);
            conflicts[way] = result.stats.parallel.conflicts;
        }
    }
    let per_tx = |seconds: f64| seconds / f64::from(options.count) * 1e6;
    let (best, bare) = (bare.fastest(), bare.median());
    println!("{name:9} {:11} {:>7} {:>12.2} {:>9} {:>12.2}", "bare revm", 1, per_tx(bare), "", per_tx(best));
    report.push(json!({
        "block": name, "runner": "bare revm", "threads": 1, "execute_us": per_tx(bare), "fastest_us": per_tx(best),
    }));
    for (way, (runner, pool)) in ways.iter().enumerate() {
        let (execute, fastest, block) = (executes[way].median(), executes[way].fastest(), blocks[way].median());
        let (runner, threads) = (RUNNERS[*runner].0, pools[*pool].current_num_threads());
        println!(
            "{name:9} {runner:11} {threads:>7} {:>12.2} {:>8.2}x {:>12.2} {:>8.2}x {:>12.2} {:>9}",
            per_tx(execute),
            bare / execute,
            per_tx(fastest),
            best / fastest,
            per_tx(block),
            conflicts[way]
        );
        report.push(json!({
            "block": name, "runner": runner, "threads": threads, "execute_us": per_tx(execute),
            "speed_of_bare": bare / execute, "fastest_us": per_tx(fastest), "block_us": per_tx(block), "conflicts": conflicts[way],
        }));
    }
    rounds(name, case, &pools[0], options, &first, report);
}

/// Rounds to statedb and time from an empty cache, with and without the proposer's list; every round takes 100 us.
fn rounds(
    name: &str,
    case: &Case<'_>,
    pool: &ThreadPool,
    options: &Options,
    first: &BlockResult,
    report: &mut Vec<serde_json::Value>,
) {
    for (about, hints) in [("cold", Vec::new()), ("hinted", first.access_list.clone())] {
        let (mut times, mut rounds) = (Times::default(), 0);
        for _ in 0..options.runs {
            let request = BlockRequest { hints: hints.clone(), ..case.request(Runner::Auto) };
            let result = times.time(|| pool.install(|| case.run(request)));
            rounds = result.stats.rounds;
        }
        let wait = ROUND.as_secs_f64() * f64::from(rounds);
        let per_tx = (times.median() + wait) / f64::from(options.count) * 1e6;
        println!("{name:9} {about:11} {:>7} {:>57.2} {rounds:>6} rounds", 1, per_tx);
        report.push(json!({ "block": name, "from": about, "block_us": per_tx, "rounds": rounds }));
    }
}
