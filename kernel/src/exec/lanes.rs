//! Lanes: transactions that promised to stay in ranges of addresses, by who may meet whom.
//!
//! Two whose ranges share no address cannot disturb each other, so lanes of those that do run at once, each in its order on
//! what it wrote before. Nothing is guessed: the check by value (`commit`) that every run passes only meets transactions
//! that are left out of the block.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::Address;
use rayon::prelude::*;

use super::commit::{Ahead, run_apart};
use super::jitter::Jitter;
use super::sequential::{Plan, WORK_PER_TX};
use super::state::JobState;
use super::stm::memory::Memory;
use super::stm::written::write;
use super::view::{Over, View};
use crate::evm::{self, Purpose};
use crate::tx::AddressRanges;

/// Parts per thread, so that a thread which is done early finds more.
const PARTS_PER_THREAD: usize = 4;
/// The longest lane may hold so many times a thread's share before threads idle too long.
const SHARES_MAX: usize = 2;

/// The lanes of a stretch of transactions.
#[derive(Debug, PartialEq, Eq)]
pub struct Lanes {
    range: Range<usize>,
    /// Indices of transactions, ascending; lanes by their first.
    lanes: Vec<Vec<usize>>,
}

impl Lanes {
    /// Lanes of the first transactions of `ahead`, as far as they promise ranges that leave out the beneficiary, whose
    /// fees they might read. `None` where that is one lane.
    #[must_use]
    pub fn find(plan: &Plan, ahead: &Range<usize>) -> Option<Self> {
        let promised = plan.txs.get(ahead.clone())?.iter().map_while(|tx| {
            let ranges = &tx.as_ref()?.ranges;
            (!ranges.is_empty() && !ranges.contain(&plan.env.beneficiary)).then_some(ranges)
        });
        let promised: Vec<&AddressRanges> = promised.collect();
        let mut lanes: Vec<Vec<usize>> = Vec::new();
        let mut lane_of_root = vec![None; promised.len()];
        for (at, root) in roots(&promised).into_iter().enumerate() {
            let lane = *lane_of_root[root].get_or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
            lanes[lane].push(ahead.start + at);
        }
        (lanes.len() > 1).then(|| Self { range: ahead.start..ahead.start + promised.len(), lanes })
    }

    /// Transactions in lanes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether so many threads all have work most of the time.
    #[must_use]
    pub fn feed(&self, threads: usize) -> bool {
        let longest = self.lanes.iter().map(Vec::len).max().unwrap_or_default();
        longest * threads <= self.range.len() * SHARES_MAX
    }

    /// Lanes put together to so many parts of about the same length; the indices of each ascend.
    fn parts(&self, count: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<&Vec<usize>> = self.lanes.iter().collect();
        order.sort_by_key(|lane| std::cmp::Reverse(lane.len()));
        let mut parts = vec![Vec::new(); count.clamp(1, self.lanes.len())];
        for lane in order {
            if let Some(shortest) = parts.iter_mut().min_by_key(|part| part.len()) {
                shortest.extend_from_slice(lane);
            }
        }
        for part in &mut parts {
            part.sort_unstable();
        }
        parts
    }
}

/// For each of `promised` the first that it meets, directly or through others.
fn roots(promised: &[&AddressRanges]) -> Vec<usize> {
    let mut spans: Vec<(Address, Address, usize)> = promised
        .iter()
        .enumerate()
        .flat_map(|(at, ranges)| ranges.as_slice().iter().map(move |range| (range.first, range.last, at)))
        .collect();
    spans.sort_unstable();
    let mut parents: Vec<usize> = (0..promised.len()).collect();
    let mut reached: Option<(Address, usize)> = None;
    for (first, last, at) in spans {
        reached = Some(match reached {
            Some((end, other)) if first <= end => {
                let (one, two) = (root(&mut parents, at), root(&mut parents, other));
                parents[one.max(two)] = one.min(two);
                (end.max(last), at)
            }
            _ => (last, at),
        });
    }
    (0..promised.len()).map(|at| root(&mut parents, at)).collect()
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

/// Run the lanes; the runs in order of the transactions. What is not begun when `budget` gas is spent does not run.
#[must_use]
pub fn run(plan: &Plan, base: &JobState, lanes: &Lanes, budget: u64, jitter: Jitter) -> Vec<Ahead> {
    let first = u32::try_from(lanes.range.start).unwrap_or(u32::MAX);
    let spent = AtomicU64::new(0);
    let parts = lanes.parts(rayon::current_num_threads() * PARTS_PER_THREAD);
    let runs: Vec<Vec<(usize, Ahead)>> = parts
        .into_par_iter()
        .map(|part| {
            // Lanes of one part share no address, so they may share a memory.
            let memory = Memory::default();
            let mut view = View::new(base, Over::Memory(&memory), first);
            let mut evm = evm::build(&plan.spec, &plan.env, &mut view, Purpose::Block, None);
            let run = |index: usize| {
                jitter.pause(index as u64, 0);
                if spent.load(Ordering::Relaxed) >= budget {
                    return (index, Ahead::NotBegun);
                }
                let run = run_apart(plan, &mut evm, index);
                if let (Some(run), Ok(place)) = (&run, u32::try_from(index)) {
                    write(&memory, plan.env.beneficiary, place, run);
                }
                let gas = run.as_ref().map_or(0, |run| run.result.tx_gas_used());
                spent.fetch_add(gas + WORK_PER_TX, Ordering::Relaxed);
                (index, Ahead::of(run))
            };
            part.into_iter().map(run).collect()
        })
        .collect();
    let mut ordered: Vec<Ahead> = lanes.range().map(|_| Ahead::NotBegun).collect();
    for (index, run) in runs.into_iter().flatten() {
        ordered[index - lanes.range.start] = run;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tx::AddressRange;

    fn ranges(spans: &[(u8, u8)]) -> AddressRanges {
        let range = |(first, last): &(u8, u8)| AddressRange {
            first: Address::repeat_byte(*first),
            last: Address::repeat_byte(*last),
        };
        AddressRanges::new(spans.iter().map(range).collect()).expect("ascending")
    }

    #[test]
    fn who_meets_whom_is_followed_through_others() {
        let promised = [
            ranges(&[(1, 2)]),
            ranges(&[(5, 6), (20, 21)]),
            ranges(&[(2, 3)]),
            ranges(&[(9, 9)]),
            ranges(&[(3, 3), (21, 30)]),
        ];
        let promised: Vec<&AddressRanges> = promised.iter().collect();
        assert_eq!(roots(&promised), [0, 0, 0, 3, 0]);
    }

    #[test]
    fn a_wide_range_meets_all_inside_it() {
        let promised = [ranges(&[(4, 4)]), ranges(&[(1, 9)]), ranges(&[(6, 6)]), ranges(&[(10, 10)])];
        let promised: Vec<&AddressRanges> = promised.iter().collect();
        assert_eq!(roots(&promised), [0, 0, 0, 3]);
    }

    #[test]
    fn parts_hold_every_transaction_once_and_in_order() {
        let lanes = Lanes { range: 0..7, lanes: vec![vec![0, 2, 5], vec![1], vec![3, 6], vec![4]] };
        let parts = lanes.parts(2);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3]);
        assert!(parts.iter().all(|part| part.is_sorted()));
        let mut all: Vec<usize> = parts.concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        assert!(lanes.feed(4) && !lanes.feed(5));
    }
}
