//! Which transactions run at once, and how: chosen from the number of threads, the proposer's list and what went wrong so
//! far. The choice never shows in the result.

use std::ops::Range;

use super::access_list::AccessList;
use super::commit::Ahead;
use super::jitter::Jitter;
use super::lanes::{self, Lanes};
use super::sequential::{self, Committed, Pass, Plan};
use super::state::JobState;
use super::view::Over;
use super::{stm, window};
use crate::spec::Fork;

/// First and widest window, transactions.
const WINDOW_FIRST: usize = 32;
const WINDOW_MAX: usize = 512;
/// Narrowest window.
const WINDOW_MIN: usize = 16;
/// Transactions run at once by a list or on multi-version memory.
const STRETCH_MAX: usize = 512;
/// Transactions that go in order after a window with many conflicts; four times as many from one such window to the next.
const IN_ORDER_FIRST: usize = 128;
const IN_ORDER_MAX: usize = 4_096;
/// One conflict in so many runs is many: then little was won, and what ran in vain was lost.
const MANY_CONFLICTS: usize = 4;
/// Fewest transactions for which threads are woken.
const WORTH_IT: usize = 16;
/// Threads from which multi-version memory beats windows on a contended block.
const STM_THREADS: usize = 4;

/// How the transactions of a block are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runner {
    /// By threads, list and conflicts.
    #[default]
    Auto,
    /// One after the other.
    Sequential,
    /// Adaptive windows on the state before them.
    Window,
    /// Block-STM.
    Stm,
    /// All on what the proposer's list says.
    AccessList,
    /// By the ranges of addresses that transactions promised, else windows.
    Lanes,
}

impl Runner {
    /// The runner of that name at the border.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "sequential" => Some(Self::Sequential),
            "window" => Some(Self::Window),
            "stm" => Some(Self::Stm),
            "access-list" => Some(Self::AccessList),
            "lanes" => Some(Self::Lanes),
            _ => None,
        }
    }
}

/// How a block is run, as its job is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    pub runner: Runner,
    /// Tests only: where threads hold back.
    pub jitter: Jitter,
}

/// Numbers of what ran at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that ran apart from those before them.
    pub apart: u64,
    /// Those of them that ran again in their place.
    pub conflicts: u64,
    /// Runs that Block-STM repeated.
    pub repeated: u64,
    pub windows: u64,
}

#[derive(Debug)]
enum How {
    Window,
    Stm,
    List,
    Lanes(Lanes),
}

/// Chooses, block by block, and learns while the block runs.
#[derive(Debug)]
pub struct Schedule {
    running: Running,
    list: Option<AccessList>,
    width: usize,
    in_order: usize,
    in_order_next: usize,
    /// The last windows had many conflicts.
    contended: bool,
    counts: Counts,
}

impl Schedule {
    #[must_use]
    pub fn new(running: Running, list: Option<AccessList>) -> Self {
        Self {
            running,
            list,
            width: WINDOW_FIRST,
            in_order: 0,
            in_order_next: IN_ORDER_FIRST,
            contended: false,
            counts: Counts::default(),
        }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn how(&self, threads: usize, left: usize) -> Option<How> {
        match self.running.runner {
            Runner::Sequential => None,
            Runner::Auto if threads < 2 || left < WORTH_IT => None,
            Runner::AccessList => Some(How::List),
            Runner::Auto if self.list.is_some() => Some(How::List),
            Runner::Stm => Some(How::Stm),
            Runner::Auto if self.contended && threads >= STM_THREADS => Some(How::Stm),
            Runner::Window | Runner::Lanes | Runner::Auto => Some(How::Window),
        }
    }

    /// Go on from `done.next` until the end, a miss, a broken rule or `work` gas.
    pub fn run(&mut self, plan: &Plan, state: &mut JobState, done: &mut Committed, work: u64) -> Pass {
        let threads = rayon::current_num_threads();
        let mut left = work;
        loop {
            let ahead = plan.transactions_from(done.next);
            let alone = plan.fork < Fork::Byzantium || (plan.fork < Fork::Cancun && state.destroyed());
            let how = if alone { None } else { self.how(threads, ahead.len()) };
            let (Some(how), false) = (how, ahead.is_empty()) else {
                return sequential::run(plan, state, done, &mut left, &mut Runs::default());
            };
            if plan.tx_at(done.next).is_none() || self.in_order > 0 {
                // System calls before the block, or transactions that would only disturb each other.
                let count = self.in_order.min(ahead.len());
                let until = plan.position_of(ahead.start + count);
                let before = done.next;
                let mut runs = Runs { until: Some(until), ..Runs::default() };
                let pass = sequential::run(plan, state, done, &mut left, &mut runs);
                if before >= plan.position_of(ahead.start) {
                    self.in_order = self.in_order.saturating_sub(done.next - before);
                }
                match pass {
                    Pass::Until => continue,
                    pass => return pass,
                }
            }
            if left == 0 {
                return Pass::Limit;
            }
            let how = self.lanes(plan, &ahead, threads).map_or(how, How::Lanes);
            let mut runs = self.run_ahead(plan, state, &how, &ahead, left);
            let pass = sequential::run(plan, state, done, &mut left, &mut runs);
            self.learn(&how, &runs);
            match pass {
                Pass::Until => {}
                pass => return pass,
            }
        }
    }

    /// Lanes, where they are worth it: beside a list, only those that keep all threads at work.
    fn lanes(&self, plan: &Plan, ahead: &Range<usize>, threads: usize) -> Option<Lanes> {
        if !matches!(self.running.runner, Runner::Auto | Runner::Lanes) {
            return None;
        }
        let lanes = Lanes::find(plan, &(ahead.start..ahead.end.min(ahead.start + STRETCH_MAX)))?;
        let worth_it = lanes.range().len() >= WORTH_IT && (self.list.is_none() || lanes.feed(threads));
        (worth_it || self.running.runner == Runner::Lanes).then_some(lanes)
    }

    fn run_ahead(&mut self, plan: &Plan, state: &JobState, how: &How, ahead: &Range<usize>, left: u64) -> Runs {
        let threads = rayon::current_num_threads() as u64;
        let budget = left.saturating_mul(threads);
        let most = if matches!(how, How::Window) { self.width } else { STRETCH_MAX };
        let mut range = ahead.start..ahead.end.min(ahead.start + most);
        let jitter = self.running.jitter;
        let runs = match how {
            How::Window => window::run(plan, state, Over::Nothing, range.clone(), budget, jitter),
            How::List => {
                let over = self.list.as_ref().map_or(Over::Nothing, Over::List);
                window::run(plan, state, over, range.clone(), budget, jitter)
            }
            How::Stm => {
                let (runs, repeated) = stm::run(plan, state, range.clone(), budget, jitter);
                self.counts.repeated += u64::from(repeated);
                runs.into()
            }
            How::Lanes(lanes) => {
                range = lanes.range();
                lanes::run(plan, state, lanes, budget, jitter).into()
            }
        };
        let begun = runs.iter().take_while(|run| !matches!(run, Ahead::NotBegun)).count();
        self.counts.windows += 1;
        self.counts.apart += begun as u64;
        // When nothing was begun, one goes in order.
        let until = plan.position_of(range.start + begun.max(1));
        Runs { first: range.start, until: Some(until), ahead: runs, threads, held: 0, again: 0 }
    }

    fn learn(&mut self, how: &How, runs: &Runs) {
        self.counts.conflicts += runs.again as u64;
        let many = runs.again * MANY_CONFLICTS > runs.held + runs.again;
        match how {
            How::List => {
                if many {
                    // A list that is wrong this often is no help.
                    self.list = None;
                }
            }
            How::Stm => self.contended = true,
            How::Lanes(_) => {}
            How::Window => {
                self.contended = many;
                if many {
                    self.width = WINDOW_MIN;
                    if self.running.runner == Runner::Auto {
                        self.in_order = self.in_order_next;
                        self.in_order_next = (self.in_order_next * 4).min(IN_ORDER_MAX);
                    }
                } else if runs.again == 0 {
                    self.width = (self.width * 2).min(WINDOW_MAX);
                    self.in_order_next = IN_ORDER_FIRST;
                }
            }
        }
    }
}

/// Runs in order, in parts of `each` as threads made them.
#[derive(Debug, Default)]
pub struct Parts {
    pub each: usize,
    pub parts: Vec<Vec<Ahead>>,
}

impl From<Vec<Ahead>> for Parts {
    fn from(runs: Vec<Ahead>) -> Self {
        Self { each: runs.len(), parts: vec![runs] }
    }
}

impl Parts {
    fn iter(&self) -> impl Iterator<Item = &Ahead> {
        self.parts.iter().flatten()
    }

    fn get(&self, at: usize) -> Option<&Ahead> {
        self.parts.get(at.checked_div(self.each)?)?.get(at % self.each)
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut Ahead> {
        self.parts.get_mut(at.checked_div(self.each)?)?.get_mut(at % self.each)
    }
}

/// What ran ahead and is to be folded in.
#[derive(Debug, Default)]
pub struct Runs {
    /// Index of the first run's transaction.
    first: usize,
    /// Position at which to stop and choose anew.
    until: Option<usize>,
    ahead: Parts,
    /// Threads that shared the work.
    threads: u64,
    held: usize,
    again: usize,
}

impl Runs {
    /// Whether to stop at this position.
    #[must_use]
    pub fn ends_at(&self, position: usize) -> bool {
        self.until.is_some_and(|until| position >= until)
    }

    /// What ran ahead for a transaction, once.
    pub fn take(&mut self, index: usize) -> Ahead {
        let run = index.checked_sub(self.first).and_then(|at| self.ahead.get_mut(at));
        run.map(std::mem::take).unwrap_or_default()
    }

    /// Whether something ran ahead for a transaction.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        let run = index.checked_sub(self.first).and_then(|at| self.ahead.get(at));
        run.is_some_and(|run| !matches!(run, Ahead::NotBegun))
    }

    /// The run stands; what `work` gas on one thread comes to.
    pub fn held(&mut self, work: u64) -> u64 {
        self.held += 1;
        work / self.threads.max(1)
    }

    /// The transaction has to run again.
    pub fn again(&mut self) {
        self.again += 1;
    }

    /// Forget the runs that are left.
    pub fn drop_rest(&mut self) {
        self.ahead = Parts::default();
    }
}
