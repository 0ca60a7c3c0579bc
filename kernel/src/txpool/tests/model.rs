//! A pool that recomputes everything from a flat list at each step, and the invariants of the real one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[derive(Debug, Clone)]
pub struct Item {
    pub wish: Wish,
    pub arrival: u64,
    pub local: bool,
}

impl Item {
    fn cost(&self) -> U256 {
        U256::from(self.wish.gas) * U256::from(self.wish.fee_cap) + U256::from(self.wish.value)
    }
}

/// Senders and their transactions by nonce.
#[derive(Debug, Default)]
pub struct Model {
    pub accounts: BTreeMap<u8, Account>,
    pub items: BTreeMap<(u8, u64), Item>,
    pub arrivals: u64,
}

impl Model {
    /// Nonces of a sender that are executable: the longest gapless, affordable prefix within the bound.
    pub fn run(&self, sender: u8, config: &PoolConfig) -> Vec<u64> {
        let account = self.accounts.get(&sender).copied().unwrap_or_default();
        let (mut run, mut left) = (Vec::new(), account.balance);
        for nonce in account.nonce.. {
            let Some(item) = self.items.get(&(sender, nonce)) else { break };
            let Some(rest) = left.checked_sub(item.cost()) else { break };
            if run.len() == config.executable_per_sender_max {
                break;
            }
            left = rest;
            run.push(nonce);
        }
        run
    }

    fn held(&self, sender: u8) -> usize {
        self.items.keys().filter(|(of, _)| *of == sender).count()
    }

    fn bytes(&self) -> usize {
        self.items.values().map(|item| tx(item.wish).raw.len()).sum()
    }

    /// Code of the refusal, "" when accepted; the item is then in the model.
    pub fn add(&mut self, wish: Wish, next: NextBlock, local: bool, config: &PoolConfig) -> &'static str {
        let key = (wish.sender, wish.nonce);
        if let Some(known) = self.items.get_mut(&key).filter(|item| item.wish == wish) {
            known.local |= local;
            return "already_known";
        }
        if wish.gas > next.gas_limit {
            return "exceeds_block_gas_limit";
        }
        if wish.fee_cap < next.base_fee {
            return "fee_cap_too_low";
        }
        let account = self.accounts[&wish.sender];
        if wish.nonce < account.nonce {
            return "nonce_too_low";
        }
        let run = self.run(wish.sender, config);
        let item = Item { wish, arrival: self.arrivals, local };
        let costs = |nonces: &[u64]| -> U256 {
            nonces
                .iter()
                .filter(|nonce| **nonce != wish.nonce)
                .map(|nonce| self.items[&(wish.sender, *nonce)].cost())
                .sum()
        };
        let size = tx(wish).raw.len();
        if let Some(old) = self.items.get(&key) {
            let enough = |new: u128, old: u128| new > old && new >= old * 110 / 100;
            if !enough(wish.fee_cap, old.wish.fee_cap) || !enough(wish.tip_cap, old.wish.tip_cap) {
                return "replacement_underpriced";
            }
            let others = if run.contains(&wish.nonce) { costs(&run) } else { U256::ZERO };
            if others + item.cost() > account.balance {
                return "insufficient_funds";
            }
            if self.bytes() - tx(old.wish).raw.len() + size > config.bytes_max {
                return "pool_full";
            }
        } else {
            if item.cost() > account.balance {
                return "insufficient_funds";
            }
            let executable = wish.nonce == account.nonce + run.len() as u64;
            if executable {
                if run.len() >= config.executable_per_sender_max {
                    return "account_limit_exceeded";
                }
                if costs(&run) + item.cost() > account.balance {
                    return "insufficient_funds";
                }
            } else if self.held(wish.sender) - run.len() >= config.gapped_per_sender_max {
                return "account_limit_exceeded";
            }
            let Some(victims) = self.victims(wish, executable, size, config) else { return "pool_full" };
            for victim in victims {
                self.items.remove(&victim);
            }
        }
        self.items.insert(key, item);
        self.arrivals += 1;
        ""
    }

    fn victims(&self, wish: Wish, executable: bool, size: usize, config: &PoolConfig) -> Option<Vec<(u8, u64)>> {
        let runs: BTreeSet<(u8, u64)> = self
            .accounts
            .keys()
            .flat_map(|sender| self.run(*sender, config).into_iter().map(|nonce| (*sender, nonce)))
            .collect();
        let mut waiting: Vec<(&(u8, u64), &Item)> =
            self.items.iter().filter(|(key, item)| !runs.contains(*key) && !item.local).collect();
        waiting.sort_by_key(|(_, item)| (item.wish.tip_cap, item.wish.fee_cap, u64::MAX - item.arrival));
        let (mut count, mut bytes) = (self.items.len() + 1, self.bytes() + size);
        let mut victims = Vec::new();
        let mut waiting = waiting.into_iter();
        while count > config.transactions_max || bytes > config.bytes_max {
            let (key, item) = waiting.next()?;
            let (theirs, ours) = ((item.wish.tip_cap, item.wish.fee_cap), (wish.tip_cap, wish.fee_cap));
            if !(theirs < ours || executable && theirs == ours) {
                return None;
            }
            count -= 1;
            bytes -= tx(item.wish).raw.len();
            victims.push(*key);
        }
        Some(victims)
    }

    /// The payload by repeated search for the best next transaction.
    pub fn payload(&self, limits: PayloadLimits, config: &PoolConfig) -> Vec<(u8, u64)> {
        let mut lanes: BTreeMap<u8, Vec<u64>> =
            self.accounts.keys().map(|sender| (*sender, self.run(*sender, config))).collect();
        let (mut gas, mut bytes, mut out) = (limits.gas_limit, limits.bytes_max, Vec::new());
        while out.len() < limits.count_max {
            let best = lanes
                .iter()
                .filter_map(|(sender, run)| self.items.get(&(*sender, *run.first()?)))
                .filter(|item| item.wish.fee_cap >= limits.base_fee)
                .max_by_key(|item| {
                    let tip = item.wish.tip_cap.min(item.wish.fee_cap - limits.base_fee);
                    (tip, u64::MAX - item.arrival)
                });
            let Some(item) = best else { break };
            let size = tx(item.wish).raw.len();
            let used: u64 =
                out.iter().filter(|(of, _)| *of == item.wish.sender).map(|key| self.items[key].wish.gas).sum();
            if item.wish.gas > gas || size > bytes || used + item.wish.gas > limits.sender_gas_max {
                lanes.remove(&item.wish.sender);
                continue;
            }
            gas -= item.wish.gas;
            bytes -= size;
            out.push((item.wish.sender, item.wish.nonce));
            lanes.entry(item.wish.sender).and_modify(|run| {
                run.remove(0);
            });
        }
        out
    }

    pub fn on_block(&mut self, accounts: &[(u8, Account)]) {
        self.accounts.extend(accounts.iter().copied());
        let accounts = &self.accounts;
        self.items.retain(|(sender, nonce), _| *nonce >= accounts[sender].nonce);
    }
}

impl TxPool {
    /// Every index agrees with the lanes, every bound holds, every run is executable and as long as it may be.
    pub(super) fn check(&self) {
        let (mut executable, mut gapped, mut bytes, mut local) = (0, 0, 0, 0);
        let mut evictable = BTreeSet::new();
        for (address, &index) in &self.by_sender {
            let lane = &self.lanes[index];
            assert_eq!(lane.sender, *address);
            let mut cost = U256::ZERO;
            for (offset, held) in lane.run.iter().enumerate() {
                assert_eq!(held.nonce, lane.account.nonce + offset as u64, "gapless from the account's nonce");
                cost += held.cost;
            }
            assert_eq!(cost, lane.run_cost);
            assert!(cost <= lane.account.balance);
            assert!(lane.run.len() <= self.config.executable_per_sender_max);
            let most = self.config.executable_per_sender_max + self.config.gapped_per_sender_max;
            assert!(lane.run.len() + lane.rest.len() <= most);
            assert!(lane.rest.iter().is_sorted_by(|a, b| a.nonce < b.nonce));
            assert!(lane.rest.front().is_none_or(|held| held.nonce >= lane.next_nonce()));
            for held in lane.run.iter().chain(&lane.rest) {
                assert_eq!(self.by_hash[&held.tx.hash].nonce, held.nonce);
                assert_eq!(self.by_arrival[&held.arrival].lane, index);
                assert_eq!(self.local.contains_key(&held.arrival), held.local);
                bytes += held.tx.raw.len();
                local += usize::from(held.local);
            }
            evictable.extend(lane.rest.iter().filter(|held| !held.local).map(super::super::lane::Held::worth));
            executable += lane.run.len();
            gapped += lane.rest.len();
            assert_eq!(lane.is_empty(), lane.idle_since.is_some());
            assert_eq!(self.heads[index].live, !lane.run.is_empty());
            assert_eq!(self.heads[index].arrival, lane.run.front().map_or(0, |held| held.arrival));
        }
        assert_eq!(self.counts, super::super::Counts { executable, gapped, bytes, local });
        assert_eq!(self.by_hash.len(), executable + gapped);
        assert_eq!(self.by_arrival.len(), executable + gapped);
        assert!(self.evictable.keys().copied().eq(evictable));
        assert!(executable + gapped <= self.config.transactions_max);
        assert!(bytes <= self.config.bytes_max);
    }
}
