//! A window of transactions at once, each on the state that is folded in already and, if given, a proposer's list.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::commit::{Ahead, run_apart};
use super::jitter::Jitter;
use super::schedule::Parts;
use super::sequential::{Plan, WORK_PER_TX};
use super::state::JobState;
use super::view::{Over, View};
use crate::evm::{self, Purpose};

/// Fewest transactions that are worth handing to a thread: an EVM is set up for them.
const PART_MIN: usize = 16;
/// Parts per thread, so that a thread which is done early finds more.
const PARTS_PER_THREAD: usize = 3;

/// Run the transactions of `range`. What is not begun when `budget` gas is spent does not run.
#[must_use]
pub fn run(plan: &Plan, base: &JobState, over: Over<'_>, range: Range<usize>, budget: u64, jitter: Jitter) -> Parts {
    let parts = rayon::current_num_threads() * PARTS_PER_THREAD;
    let part = range.len().div_ceil(parts.max(1)).max(PART_MIN);
    let first = u32::try_from(range.start).unwrap_or(u32::MAX);
    let spent = AtomicU64::new(0);
    let starts: Vec<usize> = range.clone().step_by(part).collect();
    let parts: Vec<Vec<Ahead>> = starts
        .into_par_iter()
        .map(|start| {
            let mut view = View::new(base, over, first);
            let mut evm = evm::build(&plan.spec, &plan.env, &mut view, Purpose::Block, None);
            let run = |index| {
                jitter.pause(index as u64, 0);
                if spent.load(Ordering::Relaxed) >= budget {
                    return Ahead::NotBegun;
                }
                let run = run_apart(plan, &mut evm, index);
                let gas = run.as_ref().map_or(0, |run| run.result.tx_gas_used());
                spent.fetch_add(gas + WORK_PER_TX, Ordering::Relaxed);
                Ahead::of(run)
            };
            (start..range.end.min(start + part)).map(run).collect()
        })
        .collect();
    Parts { each: part, parts }
}
