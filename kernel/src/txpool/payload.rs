//! Candidates of the next block, best first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use alloy_primitives::B256;

use super::TxPool;
use super::lane::effective_tip;
use crate::tx::{Entry, TxBatch};

/// Cheapest transaction: with less gas left, no other fits.
const TX_GAS_MIN: u64 = 21_000;

/// Bounds of one payload.
#[derive(Debug, Clone, Copy)]
pub struct PayloadLimits {
    /// Sum of gas limits.
    pub gas_limit: u64,
    pub base_fee: u128,
    /// Sum of raw sizes.
    pub bytes_max: usize,
    pub count_max: usize,
    /// Sum of one sender's gas limits: where gas costs nothing, nobody may fill a block alone
    /// (`spec/reliability.md` 6.3).
    pub sender_gas_max: u64,
}

/// The next transaction of one sender; ordered so that the best is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    tip: u128,
    arrival: Reverse<u64>,
    lane: usize,
    offset: usize,
    /// What the sender's transactions taken so far may use.
    gas_used: u64,
}

impl TxPool {
    /// Executable transactions by effective tip descending, then arrival, each sender's in nonce order.
    ///
    /// `in_flight` are hashes of staged but uncommitted blocks: they and what precedes them in their senders' runs
    /// are passed over. A transaction that no longer fits ends its sender's part, since nonces allow no hole.
    /// O(senders + taken * log senders).
    #[must_use]
    pub fn payload(&self, limits: PayloadLimits, in_flight: &[B256]) -> TxBatch {
        let skip = self.skipped(in_flight);
        let mut heap = self.candidates(limits.base_fee, &skip);
        let mut gas_left = limits.gas_limit;
        let mut bytes_left = limits.bytes_max;
        let mut taken: Vec<Entry> = Vec::new();
        while taken.len() < limits.count_max && gas_left >= TX_GAS_MIN {
            let Some(mut best) = heap.peek_mut() else { break };
            let lane = &self.lanes[best.lane];
            let Some(held) = lane.run.get(best.offset) else { break };
            let size = held.tx.raw.len();
            let gas_used = best.gas_used.saturating_add(held.gas);
            if held.gas > gas_left || size > bytes_left || gas_used > limits.sender_gas_max {
                std::collections::binary_heap::PeekMut::pop(best);
                continue;
            }
            gas_left -= held.gas;
            bytes_left -= size;
            taken.push(Ok(held.tx.clone()));
            let offset = best.offset + 1;
            let next = lane.run.get(offset).and_then(|held| Some((held.effective_tip(limits.base_fee)?, held.arrival)));
            match next {
                // Replacing the top in place costs one sift instead of two.
                Some((tip, arrival)) => {
                    *best = Candidate { tip, arrival: Reverse(arrival), lane: best.lane, offset, gas_used };
                }
                None => {
                    std::collections::binary_heap::PeekMut::pop(best);
                }
            }
        }
        taken.into()
    }

    /// Per lane, how many of the run are in flight.
    fn skipped(&self, in_flight: &[B256]) -> BTreeMap<usize, usize> {
        let mut skip = BTreeMap::new();
        for place in in_flight.iter().filter_map(|hash| self.by_hash.get(hash)) {
            if let Some(offset) = self.lanes[place.lane].run_offset(place.nonce) {
                let count: &mut usize = skip.entry(place.lane).or_default();
                *count = (*count).max(offset + 1);
            }
        }
        skip
    }

    fn candidates(&self, base_fee: u128, skip: &BTreeMap<usize, usize>) -> BinaryHeap<Candidate> {
        let mut candidates = Vec::new();
        for (lane, head) in self.heads.iter().enumerate() {
            if !head.live {
                continue;
            }
            let (head, offset) = match skip.get(&lane) {
                None => (Some((head.fee_cap, head.tip_cap, head.arrival)), 0),
                Some(&offset) => {
                    let held = self.lanes[lane].run.get(offset);
                    (held.map(|held| (held.fee_cap, held.tip_cap, held.arrival)), offset)
                }
            };
            let Some((fee_cap, tip_cap, arrival)) = head else { continue };
            if let Some(tip) = effective_tip(fee_cap, tip_cap, base_fee) {
                candidates.push(Candidate { tip, arrival: Reverse(arrival), lane, offset, gas_used: 0 });
            }
        }
        candidates.into()
    }
}
