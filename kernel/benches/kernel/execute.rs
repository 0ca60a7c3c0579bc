//! Execution alone, of transactions decoded before, on values at hand: every runner beside bare revm.

use alloy_primitives::B256;
use hansa_kernel::conformance::answers::run_block;
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::evm;
use hansa_kernel::exec::access_list::read_list;
use hansa_kernel::exec::block_job::{BlockRequest, BlockResult, STEP_WORK};
use hansa_kernel::exec::cache::StateCache;
use hansa_kernel::exec::need::Keys;
use hansa_kernel::exec::schedule::{Runner, Running, Schedule};
use hansa_kernel::exec::sequential::{Committed, Pass, Plan};
use hansa_kernel::exec::state::{JobState, bytecode};
use hansa_kernel::header::Attached;
use hansa_kernel::spec::{Fork, Spec};
use hansa_kernel::tx::TxBatch;
use rayon::ThreadPool;

use crate::measure::{Figure, Report, Target, Times};
use crate::world::{self, Kind, World};
use crate::{Options, bare};

pub const HEAD: B256 = B256::repeat_byte(0x55);

/// A runner on a number of threads.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    runner: Runner,
    threads: usize,
}

const fn way(name: &'static str, runner: Runner, threads: usize) -> Way {
    Way { name, runner, threads }
}

/// The first is what the others are compared with.
const WAYS: [Way; 7] = [
    way("sequential", Runner::Sequential, 1),
    way("window", Runner::Window, 1),
    way("automatic", Runner::Auto, 2),
    way("window", Runner::Window, 2),
    way("stm", Runner::Stm, 2),
    way("access-list", Runner::AccessList, 1),
    way("access-list", Runner::AccessList, 2),
];

/// A block of one kind, with what its execution finds.
pub struct Case<'w> {
    pub state: &'w FullState,
    pub batch: TxBatch,
    pub spec: Spec,
    pub first: BlockResult,
    pub keys: Keys,
}

impl<'w> Case<'w> {
    pub fn new(state: &'w FullState, raw: &[u8]) -> Self {
        let (spec, batch) = (world::spec(), world::decoded(raw));
        let first =
            run_block(request(&spec, &batch, Runner::Sequential), state, |_| B256::ZERO).expect("a valid block");
        let (keys, _) = read_list("hints", &first.access_list).expect("our own list");
        Self { state, batch, spec, first, keys }
    }

    pub fn request(&self, runner: Runner) -> BlockRequest {
        request(&self.spec, &self.batch, runner)
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

    fn job_state(&self) -> JobState {
        let mut state = JobState::new(Fork::Osaka.spec_id(), None, usize::MAX);
        for address in &self.keys.accounts {
            let record = self.state.record(*address);
            state.put_record(*address, record.as_ref());
            if let Some(account) = self.state.0.get(address).filter(|account| !account.code.is_empty()) {
                state.put_code(record.expect("there").code_hash, bytecode(account.code.clone()));
            }
        }
        for (address, slot) in &self.keys.slots {
            state.put_slot(*address, *slot, self.state.slot(*address, *slot));
        }
        state
    }

    /// All values that the block reads, as committed ones.
    pub fn warm(&self) -> StateCache {
        let cache = StateCache::new(1_000_000, 4);
        cache.reset(HEAD);
        let codes = self.keys.accounts.iter().filter_map(|address| {
            let account = self.state.0.get(address).filter(|account| !account.code.is_empty())?;
            Some((self.state.record(*address)?.code_hash, bytecode(account.code.clone())))
        });
        cache.view(HEAD).expect("the head is held").keep(
            self.keys.accounts.iter().map(|address| (*address, self.state.record(*address))),
            self.keys.slots.iter().map(|(address, slot)| ((*address, *slot), self.state.slot(*address, *slot))),
            codes,
        );
        cache
    }
}

fn request(spec: &Spec, batch: &TxBatch, runner: Runner) -> BlockRequest {
    BlockRequest {
        spec: spec.clone(),
        env: world::env(),
        batch: batch.clone(),
        attached: Attached::default(),
        cache: None,
        building: false,
        hints: Vec::new(),
        system_calls: false,
        rounds_max: 64,
        running: Running { runner, ..Running::default() },
    }
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

struct Found {
    bare: Times,
    /// Both halves of the block on bare revm at once.
    halves: Times,
    executes: Vec<Times>,
    blocks: Vec<Times>,
    conflicts: Vec<u64>,
}

/// Rounds of all ways, beginning with another one each time. Everything runs on threads of a pool, as in the kernel, and
/// the clock runs there: waking a thread is no part of it.
fn rounds(case: &Case<'_>, apart: bool, pools: &[ThreadPool], options: &Options) -> Found {
    let (cache, plan, database) = (case.warm(), case.plan(), bare::database(case.state));
    let ways: Vec<Way> = WAYS.into_iter().filter(|way| options.wants_runner(way.name)).collect();
    let mut found = Found {
        bare: Times::default(),
        halves: Times::default(),
        executes: vec![Times::default(); ways.len()],
        blocks: vec![Times::default(); ways.len()],
        conflicts: vec![0; ways.len()],
    };
    let txs = || plan.txs.iter().flatten().map(|tx| tx.ethereum.clone()).collect::<Vec<_>>();
    for round in 0..options.runs {
        for turn in 0..=ways.len() {
            let Some(at) = ((round + turn) % (ways.len() + 1)).checked_sub(1) else {
                let (own, txs_) = (database.clone(), txs());
                let (gas, _) = pools[0].install(|| found.bare.time(|| bare::run(own, &case.spec, &plan.env, txs_)));
                assert_eq!(gas, case.first.gas_used, "bare revm does the same");
                if apart {
                    let (own, txs_) = ((database.clone(), database.clone()), txs());
                    let halves = || bare::run_halves(own, &case.spec, &plan.env, txs_);
                    let (gas, _) = pools[1].install(|| found.halves.time(halves));
                    assert_eq!(gas, case.first.gas_used, "two threads do the same");
                }
                continue;
            };
            let way = ways[at];
            let pool = &pools[way.threads - 1];
            let hints = if way.runner == Runner::AccessList { case.first.access_list.clone() } else { Vec::new() };
            let list = read_list("hints", &hints).expect("our own list").1;
            let running = Running { runner: way.runner, ..Running::default() };
            if options.wants_part("execute") {
                // Made anew, as bare revm's are: what was written just now is in the processor's caches.
                let (plan, state, schedule) = (case.plan(), case.job_state(), Schedule::new(running, list));
                let times = &mut found.executes[at];
                let (gas, ..) = pool.install(|| times.time(|| execute(&plan, state, schedule)));
                assert_eq!(gas, case.first.gas_used, "every runner does the same");
            }
            if !options.wants_part("block") {
                continue;
            }
            let request = BlockRequest { cache: cache.view(HEAD), hints, ..case.request(way.runner) };
            let times = &mut found.blocks[at];
            let result = pool.install(|| times.time(|| run_block(request, case.state, |_| B256::ZERO)));
            let result = result.expect("a valid block");
            assert_eq!(result.stats.rounds, 0, "the cache is warm");
            assert!(result.write_set == case.first.write_set && result.receipts_root == case.first.receipts_root);
            found.conflicts[at] = result.stats.parallel.conflicts;
        }
    }
    found
}

/// Microseconds per transaction.
fn figure<'f>(part: &'f str, case: &'f str, options: &Options, who: &'f str, times: &Times) -> Figure<'f> {
    let per_tx = |seconds: f64| seconds / f64::from(options.count) * 1e6;
    let (median, fastest) = (per_tx(times.median()), per_tx(times.fastest()));
    Figure { part, case, who, threads: 1, median, fastest, unit: "us/tx", ratio: None, target: None }
}

/// Whether nothing that one transaction writes is read by another.
fn is_apart(kind: Kind) -> bool {
    matches!(kind, Kind::Transfer | Kind::Erc20 | Kind::Swap)
}

/// One kind of block.
pub fn bench(name: &str, kind: Kind, world: &World, pools: &[ThreadPool], options: &Options, report: &mut Report) {
    let case = Case::new(&world.state, &world.raw(kind));
    let found = rounds(&case, is_apart(kind), pools, options);
    let ways: Vec<Way> = WAYS.into_iter().filter(|way| options.wants_runner(way.name)).collect();
    if options.wants_part("execute") {
        show_execution(name, kind, &ways, &found, options, report);
    }
    if options.wants_part("block") {
        for (way, times) in ways.iter().zip(&found.blocks) {
            let ratio = Some(("sequential", times.speed_of(&found.blocks[0])));
            report.push(&Figure { threads: way.threads, ratio, ..figure("block", name, options, way.name, times) });
        }
    }
}

fn show_execution(name: &str, kind: Kind, ways: &[Way], found: &Found, options: &Options, report: &mut Report) {
    report.push(&Figure { ..figure("execute", name, options, "bare revm", &found.bare) });
    let apart = is_apart(kind);
    if apart {
        let ratio = Some(("bare revm", found.halves.speed_of(&found.bare)));
        report.push(&Figure {
            threads: 2,
            ratio,
            ..figure("execute", name, options, "bare revm, two halves at once", &found.halves)
        });
    }
    for (way, times) in ways.iter().zip(&found.executes) {
        let ratio = Some(("bare revm", times.speed_of(&found.bare)));
        let target = (way.runner == Runner::Sequential && kind != Kind::HotSlot).then_some(Target::AtLeast(0.90));
        report.push(&Figure {
            threads: way.threads,
            ratio,
            target,
            ..figure("execute", name, options, way.name, times)
        });
    }
    let Some(sequential) = ways.iter().position(|way| way.runner == Runner::Sequential) else { return };
    for (at, way) in ways.iter().enumerate().filter(|(_, way)| way.threads == 2) {
        let target = match (way.runner, kind) {
            (Runner::Auto, _) if apart => Some(Target::AtLeast(1.6)),
            (Runner::Auto, Kind::HotSlot) => Some(Target::AtLeast(0.95)),
            _ => None,
        };
        let who = format!("{}, {} conflicts", way.name, found.conflicts[at]);
        let ratio = Some(("sequential", found.executes[at].speed_of(&found.executes[sequential])));
        report.push(&Figure {
            threads: 2,
            ratio,
            target,
            ..figure("threads", name, options, &who, &found.executes[at])
        });
    }
}
