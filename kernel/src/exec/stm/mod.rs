//! Block-STM: all transactions of a stretch at once on multi-version memory, checked and repeated until every one read what
//! those before it wrote (Gelashvili et al. 2022).
//!
//! Workers never wait for each other inside a run: one that meets a value about to change puts its transaction off and
//! takes other work, so a single worker finishes the stretch alone. Nothing here decides the result: runs are folded in
//! after a check by value (`commit`).

pub mod memory;
pub mod tasks;
pub mod written;

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use self::memory::{Memory, Place};
use self::tasks::{Task, Tasks};
use self::written::write;
use super::commit::{Ahead, Run, account_holds, run_apart};
use super::jitter::Jitter;
use super::sequential::{Plan, WORK_PER_TX};
use super::state::JobState;
use super::view::{Over, View};
use crate::evm::{self, Evm, Purpose};

/// Runs of one transaction, after which what is left goes in order.
const RUNS_MAX: u32 = 8;
/// Looks for work in vain before a worker lets others have its core.
const SPINS: u32 = 64;

/// One transaction of the stretch.
#[derive(Debug, Default)]
struct Last {
    run: Option<Run>,
    begun: bool,
    written: Vec<Place>,
}

struct Stretch<'b> {
    plan: &'b Plan,
    base: &'b JobState,
    first: usize,
    memory: &'b Memory,
    tasks: Tasks,
    lasts: Vec<Mutex<Last>>,
    spent: AtomicU64,
    budget: u64,
    repeated: AtomicU32,
    jitter: Jitter,
}

/// Ends the stretch for everybody when a worker panics.
struct Alarm<'a>(&'a Tasks);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// Run the transactions of `range` on all threads of the pool; the runs in order, and how many were repeated.
#[must_use]
pub fn run(plan: &Plan, base: &JobState, range: Range<usize>, budget: u64, jitter: Jitter) -> (Vec<Ahead>, u32) {
    let memory = Memory::default();
    let stretch = Stretch {
        plan,
        base,
        first: range.start,
        memory: &memory,
        tasks: Tasks::new(range.len()),
        lasts: range.map(|_| Mutex::default()).collect(),
        spent: AtomicU64::new(0),
        budget,
        repeated: AtomicU32::new(0),
        jitter,
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| stretch.work());
        }
    });
    let runs = stretch.lasts.into_iter().map(|last| {
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        if last.begun { Ahead::of(last.run) } else { Ahead::NotBegun }
    });
    (runs.collect(), stretch.repeated.into_inner())
}

impl<'b> Stretch<'b> {
    fn work(&self) {
        let _alarm = Alarm(&self.tasks);
        let first = u32::try_from(self.first).unwrap_or(u32::MAX);
        let mut view = View::new(self.base, Over::Memory(self.memory), first);
        let mut evm = evm::build(&self.plan.spec, &self.plan.env, &mut view, Purpose::Block, None);
        let (mut task, mut vain) = (None, 0);
        while !self.tasks.done() {
            task = match task.or_else(|| self.tasks.next()) {
                Some(Task::Run { at, incarnation }) => self.execute(&mut evm, at, incarnation),
                Some(Task::Check { at, incarnation }) => self.check(&mut evm, at, incarnation),
                None => {
                    vain += 1;
                    if vain % SPINS == 0 {
                        std::thread::yield_now();
                    }
                    std::hint::spin_loop();
                    continue;
                }
            };
            vain = 0;
        }
    }

    fn place(&self, at: usize) -> u32 {
        u32::try_from(self.first + at).unwrap_or(u32::MAX)
    }

    fn last(&self, at: usize) -> std::sync::MutexGuard<'_, Last> {
        self.lasts[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(&self, evm: &mut Evm<'_, View<'b>>, at: usize, incarnation: u32) -> Option<Task> {
        if incarnation >= RUNS_MAX || self.spent.load(Ordering::Relaxed) >= self.budget {
            self.tasks.stop();
            return None;
        }
        self.jitter.pause(at as u64, u64::from(incarnation));
        loop {
            let run = run_apart(self.plan, evm, self.first + at);
            if run.is_none()
                && let Some(on) = evm::state_of(evm).waits_for()
            {
                let on = usize::try_from(on).unwrap_or_default() - self.first;
                if self.tasks.wait(at, on) {
                    return None;
                }
                continue;
            }
            let gas = run.as_ref().map_or(0, |run| run.result.tx_gas_used());
            self.spent.fetch_add(gas + WORK_PER_TX, Ordering::Relaxed);
            self.repeated.fetch_add(u32::from(incarnation > 0), Ordering::Relaxed);
            let wider = self.record(at, run);
            self.jitter.pause(at as u64, 1_000);
            return self.tasks.ran(at, incarnation, wider);
        }
    }

    /// Put what a run wrote into the memory. True if it wrote a key that its last run did not.
    fn record(&self, at: usize, run: Option<Run>) -> bool {
        let place = self.place(at);
        let written =
            run.as_ref().map(|run| write(self.memory, self.plan.env.beneficiary, place, run)).unwrap_or_default();
        let before = {
            let mut last = self.last(at);
            last.run = run;
            last.begun = true;
            std::mem::replace(&mut last.written, written.clone())
        };
        for gone in before.iter().filter(|one| !written.contains(one)) {
            self.memory.forget(*gone, place);
        }
        written.iter().any(|one| !before.contains(one))
    }

    fn check(&self, evm: &mut Evm<'_, View<'b>>, at: usize, incarnation: u32) -> Option<Task> {
        self.jitter.pause(at as u64, 2_000);
        let holds = self.holds(evm::state_of(evm), at);
        let aborted = !holds && self.tasks.try_abort(at, incarnation);
        if aborted {
            let place = self.place(at);
            for one in &self.last(at).written {
                self.memory.estimate(*one, place);
            }
        }
        self.tasks.checked(at, aborted)
    }

    /// Whether the last run of `at` read what it would read now. One without an outcome is looked at when folded in.
    fn holds(&self, view: &mut View<'b>, at: usize) -> bool {
        let Some(tx) = self.plan.txs.get(self.first + at).and_then(Option::as_ref) else { return true };
        let last = self.last(at);
        let Some(run) = &last.run else { return true };
        view.aim(self.place(at), tx.caller, tx.nonce);
        let accounts =
            run.accounts.iter().map(|account| &account.read).all(|read| {
                view.account_again(read.address).is_some_and(|now| account_holds(tx, run.strict, read, now))
            });
        accounts
            && run
                .slots
                .iter()
                .map(|slot| &slot.read)
                .all(|read| view.slot_again(read.address, read.slot) == Some(read.value))
    }
}
