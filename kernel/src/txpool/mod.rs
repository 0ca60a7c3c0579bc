//! The transaction pool's order and bounds (`spec/reliability.md` 6.1), without I/O and without a clock.
//!
//! Per sender there are two places: the *run*, gapless from the account's nonce, affordable in sum and therefore
//! executable, and the *rest*, which waits. The run is always the longest prefix that nonces, balance and
//! `executable_per_sender_max` allow, so it is a function of what is held, not of the order of calls. A falling
//! balance or a dropped transaction moves the end of a run to the rest even beyond `gapped_per_sender_max`: what was
//! accepted is not lost for that. New transactions respect the bound.
//!
//! Nothing here iterates over a hash map: equal calls give equal outcomes.

mod account;
mod admit;
mod blocks;
mod config;
mod json;
mod lane;
mod payload;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use alloy_primitives::map::{AddressMap, B256Map};
use alloy_primitives::{Address, B256};

pub use account::{ACCOUNT_BYTES, Account, read_accounts};
pub use admit::{NextBlock, Verdict};
pub use config::{IDLE_ACCOUNTS_MAX, PoolConfig, REPLACEMENT_PERCENT};
pub use json::{Content, transactions_json};
use lane::{Held, Lane};
pub use payload::PayloadLimits;

use crate::tx::{Decoded, Entry, TxBatch};

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    lane: usize,
    nonce: u64,
}

/// Order in which waiting transactions may be evicted: lowest tip, then lowest fee cap, then latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    tip_cap: u128,
    fee_cap: u128,
    arrival: Reverse<u64>,
}

/// What the scan over all senders reads of a lane: kept apart and dense, since payloads look at every one.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    fee_cap: u128,
    tip_cap: u128,
    arrival: u64,
    /// Whether the lane has an executable transaction.
    live: bool,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub executable: usize,
    pub gapped: usize,
    /// Raw bytes; memory is about three times that plus 1 KiB a transaction.
    pub bytes: usize,
    pub local: usize,
}

/// The pool. One writer at a time; the border wraps it in a mutex.
#[derive(Debug)]
pub struct TxPool {
    config: PoolConfig,
    lanes: Vec<Lane>,
    heads: Vec<Head>, // one per lane, same index
    free_lanes: Vec<usize>,
    by_sender: AddressMap<usize>,
    by_hash: B256Map<Place>,
    by_arrival: BTreeMap<u64, Place>,
    local: BTreeMap<u64, Place>,       // by arrival
    evictable: BTreeMap<Worth, Place>, // waiting and not local
    idle: BTreeSet<(u64, usize)>,      // lanes without transactions, longest idle first
    dropped: VecDeque<B256>,           // see `take_dropped`
    counts: Counts,
    next_arrival: u64,
    next_idle: u64,
    now_ms: u64,              // greatest time seen: ages never run backwards
    next_number: u64,         // greatest number of a next block seen by `add`
    head_number: Option<u64>, // last `on_block`
}

impl TxPool {
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        Self {
            config,
            lanes: Vec::new(),
            heads: Vec::new(),
            free_lanes: Vec::new(),
            by_sender: AddressMap::default(),
            by_hash: B256Map::default(),
            by_arrival: BTreeMap::new(),
            local: BTreeMap::new(),
            evictable: BTreeMap::new(),
            idle: BTreeSet::new(),
            dropped: VecDeque::new(),
            counts: Counts::default(),
            next_arrival: 0,
            next_idle: 0,
            now_ms: 0,
            next_number: 0,
            head_number: None,
        }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    #[must_use]
    pub fn contains(&self, hash: &B256) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// Those held, in the order asked, and the hashes that are not.
    #[must_use]
    pub fn get(&self, hashes: &[B256]) -> (TxBatch, Vec<B256>) {
        let mut missing = Vec::new();
        let found: Vec<Entry> = hashes
            .iter()
            .filter_map(|hash| {
                let held = self.held(hash);
                if held.is_none() {
                    missing.push(*hash);
                }
                held.map(|held| Ok(held.tx.clone()))
            })
            .collect();
        (found.into(), missing)
    }

    /// In the order asked, None where unknown.
    #[must_use]
    pub fn find(&self, hashes: &[B256]) -> Vec<Option<Arc<Decoded>>> {
        hashes.iter().map(|hash| self.held(hash).map(|held| Arc::clone(&held.tx))).collect()
    }

    /// Account nonce plus the run, or None when the pool knows no account of that sender.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.by_sender.get(sender).map(|lane| self.lanes[*lane].next_nonce())
    }

    /// Distinct valid senders of `batch`, ascending, whose account must be read before `add`.
    #[must_use]
    pub fn unknown_senders(&self, batch: &TxBatch) -> Vec<Address> {
        let known = |sender: &Address| self.by_sender.get(sender).is_some_and(|lane| !self.lanes[*lane].reread);
        let mut senders: Vec<Address> =
            batch.entries().iter().filter_map(|entry| entry.as_ref().ok()).map(|tx| tx.sender).collect();
        senders.sort_unstable();
        senders.dedup();
        senders.retain(|sender| !known(sender));
        senders
    }

    /// Local transactions that wait since before block `number`, oldest first, at most `limit`.
    #[must_use]
    pub fn local_older_than(&self, number: u64, limit: usize) -> TxBatch {
        self.local
            .values()
            .filter_map(|place| self.at(*place))
            .take_while(|held| held.added_number < number)
            .take(limit)
            .map(|held| Ok(held.tx.clone()))
            .collect()
    }

    fn held(&self, hash: &B256) -> Option<&Held> {
        self.at(*self.by_hash.get(hash)?)
    }

    fn at(&self, place: Place) -> Option<&Held> {
        self.lanes[place.lane].get(place.nonce)
    }

    /// Bring a lane's run, the head, and the list of idle lanes up to date after any change.
    fn settle(&mut self, index: usize) {
        self.promote(index);
        let lane = &self.lanes[index];
        self.heads[index] = lane.run.front().map_or_else(Head::default, |held| Head {
            fee_cap: held.fee_cap,
            tip_cap: held.tip_cap,
            arrival: held.arrival,
            live: true,
        });
        match (lane.is_empty(), lane.idle_since) {
            (true, None) => {
                // An empty queue keeps its buffer; thousands of idle senders should not.
                self.lanes[index].run = VecDeque::new();
                self.lanes[index].rest = VecDeque::new();
                self.lanes[index].idle_since = Some(self.next_idle);
                self.idle.insert((self.next_idle, index));
                self.next_idle += 1;
                self.forget_idle();
            }
            (false, Some(since)) => {
                self.idle.remove(&(since, index));
                self.lanes[index].idle_since = None;
            }
            _ => {}
        }
    }

    fn forget_idle(&mut self) {
        while self.idle.len() > IDLE_ACCOUNTS_MAX {
            let Some((_, index)) = self.idle.pop_first() else { return };
            self.by_sender.remove(&self.lanes[index].sender);
            self.free_lanes.push(index);
        }
    }

    /// Move from the rest into the run what now continues it.
    fn promote(&mut self, index: usize) {
        let executable_max = self.config.executable_per_sender_max;
        while let Some(held) = self.lanes[index].promote_one(executable_max) {
            self.evictable.remove(&held);
            self.counts.gapped -= 1;
            self.counts.executable += 1;
        }
    }

    /// Cut a run so that `keep` transactions stay; the others wait.
    fn demote(&mut self, index: usize, keep: usize) {
        for held in self.lanes[index].demote(keep) {
            self.counts.executable -= 1;
            self.counts.gapped += 1;
            if !held.local {
                self.evictable.insert(held.worth, Place { lane: index, nonce: held.nonce });
            }
        }
    }

    /// Forget everything about a transaction that has already left its lane.
    fn unlist(&mut self, held: &Held, executable: bool) {
        self.by_hash.remove(&held.tx.hash);
        self.by_arrival.remove(&held.arrival);
        if held.local {
            self.local.remove(&held.arrival);
            self.counts.local -= 1;
        }
        if executable {
            self.counts.executable -= 1;
        } else {
            self.counts.gapped -= 1;
            self.evictable.remove(&held.worth());
        }
        self.counts.bytes -= held.tx.raw.len();
    }

    /// Take one transaction out; those of its sender after it wait from now on. The caller settles the lane.
    fn take(&mut self, place: Place) -> Option<Held> {
        let lane = &self.lanes[place.lane];
        if let Some(offset) = lane.run_offset(place.nonce) {
            self.demote(place.lane, offset + 1);
            let held = self.lanes[place.lane].pop_run()?;
            self.unlist(&held, true);
            return Some(held);
        }
        let held = self.lanes[place.lane].remove_rest(place.nonce)?;
        self.unlist(&held, false);
        Some(held)
    }
}
