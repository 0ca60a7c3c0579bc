//! The transactions of one sender.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, U256};

use super::Worth;
use super::account::Account;
use crate::tx::Decoded;

/// A transaction in the pool, with what the pool compares.
#[derive(Debug)]
pub(super) struct Held {
    pub tx: Arc<Decoded>,
    pub cost: U256,
    pub fee_cap: u128,
    pub tip_cap: u128,
    pub gas: u64,
    pub nonce: u64,
    /// Unique, ascending.
    pub arrival: u64,
    pub added_ms: u64,
    /// Number of the next block when it came.
    pub added_number: u64,
    pub local: bool,
}

impl Held {
    pub fn new(tx: Arc<Decoded>) -> Self {
        let fee_cap = tx.tx.max_fee_per_gas();
        Self {
            cost: tx.cost_max(),
            fee_cap,
            tip_cap: tx.tx.max_priority_fee_per_gas().unwrap_or(fee_cap),
            gas: tx.tx.gas_limit(),
            nonce: tx.tx.nonce(),
            tx,
            arrival: 0,
            added_ms: 0,
            added_number: 0,
            local: false,
        }
    }

    pub fn worth(&self) -> Worth {
        Worth { tip_cap: self.tip_cap, fee_cap: self.fee_cap, arrival: Reverse(self.arrival) }
    }

    /// What the proposer earns per gas, or None when the fee cap does not reach the base fee.
    pub fn effective_tip(&self, base_fee: u128) -> Option<u128> {
        effective_tip(self.fee_cap, self.tip_cap, base_fee)
    }
}

/// EIP-1559: min(tip cap, fee cap - base fee).
pub(super) fn effective_tip(fee_cap: u128, tip_cap: u128, base_fee: u128) -> Option<u128> {
    fee_cap.checked_sub(base_fee).map(|room| room.min(tip_cap))
}

/// What a demotion reports of each transaction it moved.
pub(super) struct Demoted {
    pub worth: Worth,
    pub nonce: u64,
    pub local: bool,
}

/// Run and rest of one sender.
#[derive(Debug)]
pub(super) struct Lane {
    pub sender: Address,
    pub account: Account,
    /// `run[i].nonce == account.nonce + i`, always after `settle`.
    pub run: VecDeque<Held>,
    /// Sum of the run's costs, <= account.balance, always after `settle`.
    pub run_cost: U256,
    /// Ascending by nonce, all behind the run.
    pub rest: VecDeque<Held>,
    /// The account may be wrong: a build refused one of its transactions.
    pub reread: bool,
    pub idle_since: Option<u64>,
}

impl Lane {
    pub fn new(sender: Address, account: Account) -> Self {
        Self {
            sender,
            account,
            run: VecDeque::new(),
            run_cost: U256::ZERO,
            rest: VecDeque::new(),
            reread: false,
            idle_since: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.rest.is_empty()
    }

    pub fn next_nonce(&self) -> u64 {
        self.account.nonce.saturating_add(self.run.len() as u64)
    }

    /// Index in the run of the transaction with that nonce.
    pub fn run_offset(&self, nonce: u64) -> Option<usize> {
        let first = self.run.front()?.nonce;
        let offset = usize::try_from(nonce.checked_sub(first)?).ok()?;
        (offset < self.run.len()).then_some(offset)
    }

    pub fn get(&self, nonce: u64) -> Option<&Held> {
        match self.run_offset(nonce) {
            Some(offset) => self.run.get(offset),
            None => self.rest.get(self.rest_index(nonce).ok()?),
        }
    }

    pub fn get_mut(&mut self, nonce: u64) -> Option<&mut Held> {
        if let Some(offset) = self.run_offset(nonce) {
            return self.run.get_mut(offset);
        }
        let index = self.rest_index(nonce).ok()?;
        self.rest.get_mut(index)
    }

    /// Ok(index) of that nonce in the rest, or Err(where it belongs).
    pub fn rest_index(&self, nonce: u64) -> Result<usize, usize> {
        self.rest.binary_search_by_key(&nonce, |held| held.nonce)
    }

    /// The run's cost with one more, if the balance covers it.
    pub fn cost_with(&self, cost: U256) -> Option<U256> {
        self.run_cost.checked_add(cost).filter(|sum| *sum <= self.account.balance)
    }

    /// Move the first of the rest to the run if it continues it; its worth, so that it is no longer evictable.
    pub fn promote_one(&mut self, executable_max: usize) -> Option<Worth> {
        let first = self.rest.front()?;
        if first.nonce != self.next_nonce() || self.run.len() >= executable_max {
            return None;
        }
        self.run_cost = self.cost_with(first.cost)?;
        let held = self.rest.pop_front()?;
        let worth = held.worth();
        self.run.push_back(held);
        Some(worth)
    }

    /// Move all but the first `keep` of the run to the rest.
    pub fn demote(&mut self, keep: usize) -> Vec<Demoted> {
        if keep >= self.run.len() {
            return Vec::new();
        }
        let tail = self.run.split_off(keep);
        for held in &tail {
            self.run_cost -= held.cost;
        }
        let demoted =
            tail.iter().map(|held| Demoted { worth: held.worth(), nonce: held.nonce, local: held.local }).collect();
        for held in tail.into_iter().rev() {
            self.rest.push_front(held);
        }
        demoted
    }

    pub fn pop_run(&mut self) -> Option<Held> {
        let held = self.run.pop_back()?;
        self.run_cost -= held.cost;
        Some(held)
    }

    pub fn pop_run_front(&mut self) -> Option<Held> {
        let held = self.run.pop_front()?;
        self.run_cost -= held.cost;
        Some(held)
    }

    pub fn remove_rest(&mut self, nonce: u64) -> Option<Held> {
        let index = self.rest_index(nonce).ok()?;
        self.rest.remove(index)
    }

    /// How many of the run the balance pays for.
    pub fn affordable(&self) -> usize {
        let mut sum = self.run_cost;
        let mut count = self.run.len();
        for held in self.run.iter().rev() {
            if sum <= self.account.balance {
                break;
            }
            sum -= held.cost;
            count -= 1;
        }
        count
    }
}
