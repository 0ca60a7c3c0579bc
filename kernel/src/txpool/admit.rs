//! Admission: one verdict per transaction, in geth's words.

use std::sync::Arc;

use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, B256, U256};

use super::account::Account;
use super::config::REPLACEMENT_PERCENT;
use super::lane::{Held, Lane};
use super::{Place, TxPool};
use crate::tx::{Decoded, TxBatch, TxCode, TxError};

/// None: accepted, into the run or into the rest.
pub type Verdict = Option<TxError>;

/// The block that a new transaction could be in at the earliest.
#[derive(Debug, Clone, Copy)]
pub struct NextBlock {
    pub number: u64,
    pub gas_limit: u64,
    pub base_fee: u128,
}

impl TxPool {
    /// Admit the transactions of `batch`, in order.
    ///
    /// `accounts` are records of senders that `unknown_senders` named, read at the block before `next`; those of
    /// senders that the pool follows already are ignored, and so are all of them when a block was committed since
    /// they were read (`next.number` tells). A sender without an account gets `account_unknown`: read and add again.
    /// `local`: this member promised them to a client. A known transaction added as local becomes local.
    pub fn add(
        &mut self,
        batch: &TxBatch,
        accounts: &[(Address, Account)],
        next: NextBlock,
        now_ms: u64,
        local: bool,
    ) -> Vec<Verdict> {
        self.now_ms = self.now_ms.max(now_ms);
        self.next_number = self.next_number.max(next.number);
        let fresh = self.head_number.is_none_or(|head| next.number > head);
        let accounts = if fresh { accounts } else { &[] };
        self.reread_accounts(accounts);
        let given: AddressMap<Account> = accounts.iter().copied().collect();
        batch
            .entries()
            .iter()
            .map(|entry| match entry {
                Ok(tx) => self.add_one(tx, &given, next, local).err(),
                Err(refused) => Some(refused.error.clone()),
            })
            .collect()
    }

    /// Hashes dropped since the last call without being asked about: evicted for a better transaction, or found stale
    /// when an account was read again. At most `transactions_max` are remembered.
    pub fn take_dropped(&mut self) -> Vec<B256> {
        std::mem::take(&mut self.dropped).into()
    }

    fn reread_accounts(&mut self, accounts: &[(Address, Account)]) {
        for (sender, account) in accounts {
            let Some(&index) = self.by_sender.get(sender) else { continue };
            if self.lanes[index].reread {
                self.lanes[index].reread = false;
                self.lanes[index].account = *account;
                for held in self.refresh(index) {
                    self.note_dropped(held.tx.hash);
                }
            }
        }
    }

    fn add_one(
        &mut self,
        tx: &Arc<Decoded>,
        given: &AddressMap<Account>,
        next: NextBlock,
        local: bool,
    ) -> Result<(), TxError> {
        if let Some(place) = self.by_hash.get(&tx.hash).copied() {
            if local {
                self.promise(place);
            }
            return Err(TxError::already_known());
        }
        let mut held = Held::new(Arc::clone(tx));
        if held.gas > next.gas_limit {
            return Err(TxError::exceeds_block_gas_limit(next.gas_limit, held.gas));
        }
        if held.fee_cap < next.base_fee {
            return Err(TxError::fee_cap_too_low(tx.sender, held.fee_cap, next.base_fee));
        }
        held.added_ms = self.now_ms;
        held.added_number = self.next_number;
        held.local = local;
        let index = self.by_sender.get(&tx.sender).copied();
        let account = match index {
            Some(index) => self.lanes[index].account,
            None => *given.get(&tx.sender).ok_or_else(|| account_unknown(tx.sender))?,
        };
        if held.nonce < account.nonce {
            return Err(TxError::nonce_too_low(account.nonce, held.nonce));
        }
        if let Some(index) = index
            && self.lanes[index].get(held.nonce).is_some()
        {
            return self.replace(index, held);
        }
        let executable = self.check_sender(index.map(|index| &self.lanes[index]), account, &held)?;
        self.make_room(&held, executable)?;
        let index = index.unwrap_or_else(|| self.open_lane(tx.sender, account));
        self.insert(index, held, executable);
        Ok(())
    }

    /// Balance and bounds of one sender; whether the transaction continues its run.
    fn check_sender(&self, lane: Option<&Lane>, account: Account, held: &Held) -> Result<bool, TxError> {
        if held.cost > account.balance {
            return Err(TxError::insufficient_funds(account.balance, U256::ZERO, held.cost));
        }
        let (next, running, waiting) =
            lane.map_or((account.nonce, 0, 0), |lane| (lane.next_nonce(), lane.run.len(), lane.rest.len()));
        if held.nonce != next {
            return if waiting < self.config.gapped_per_sender_max {
                Ok(false)
            } else {
                Err(account_limit("gapped", self.config.gapped_per_sender_max, waiting))
            };
        }
        if running >= self.config.executable_per_sender_max {
            return Err(account_limit("executable", self.config.executable_per_sender_max, running));
        }
        match lane {
            Some(lane) if lane.cost_with(held.cost).is_none() => {
                Err(TxError::insufficient_funds(account.balance, lane.run_cost, held.cost))
            }
            _ => Ok(true),
        }
    }

    /// Evict cheaper waiting transactions until one more fits, or refuse without evicting any.
    ///
    /// Against an executable transaction an equally cheap waiting one loses, too; else a chain without fees could be
    /// blocked by transactions that never become executable. Local ones stay: this member promised them.
    fn make_room(&mut self, held: &Held, executable: bool) -> Result<(), TxError> {
        let config = &self.config;
        let mut count = self.counts.executable + self.counts.gapped + 1;
        let mut bytes = self.counts.bytes + held.tx.raw.len();
        if count <= config.transactions_max && bytes <= config.bytes_max {
            return Ok(());
        }
        let price = (held.tip_cap, held.fee_cap);
        let mut victims = Vec::new();
        let mut candidates = self.evictable.iter();
        while count > config.transactions_max || bytes > config.bytes_max {
            let candidate = candidates.next().filter(|(worth, _)| {
                let theirs = (worth.tip_cap, worth.fee_cap);
                theirs < price || (executable && theirs == price)
            });
            let Some((_, place)) = candidate else {
                return Err(pool_full(config.transactions_max, config.bytes_max, self.counts));
            };
            count -= 1;
            bytes -= self.at(*place).map_or(0, |victim| victim.tx.raw.len());
            victims.push(*place);
        }
        for place in victims {
            if let Some(victim) = self.take(place) {
                self.note_dropped(victim.tx.hash);
            }
            self.settle(place.lane);
        }
        Ok(())
    }

    fn open_lane(&mut self, sender: Address, account: Account) -> usize {
        let lane = Lane::new(sender, account);
        let index = if let Some(index) = self.free_lanes.pop() {
            self.lanes[index] = lane;
            index
        } else {
            self.lanes.push(lane);
            self.heads.push(super::Head::default());
            self.lanes.len() - 1
        };
        self.by_sender.insert(sender, index);
        index
    }

    fn insert(&mut self, index: usize, mut held: Held, executable: bool) {
        self.list(index, &mut held);
        let place = Place { lane: index, nonce: held.nonce };
        let lane = &mut self.lanes[index];
        if executable {
            self.counts.executable += 1;
            lane.run_cost += held.cost;
            lane.run.push_back(held);
        } else {
            self.counts.gapped += 1;
            if !held.local {
                self.evictable.insert(held.worth(), place);
            }
            let at = lane.rest_index(held.nonce).unwrap_or_else(|at| at);
            lane.rest.insert(at, held);
        }
        self.settle(index);
    }

    /// Give the transaction its arrival and enter it in every index but the lane's own.
    fn list(&mut self, index: usize, held: &mut Held) {
        let place = Place { lane: index, nonce: held.nonce };
        held.arrival = self.next_arrival;
        self.next_arrival += 1;
        self.by_hash.insert(held.tx.hash, place);
        self.by_arrival.insert(held.arrival, place);
        if held.local {
            self.local.insert(held.arrival, place);
            self.counts.local += 1;
        }
        self.counts.bytes += held.tx.raw.len();
    }

    /// Put `held` in the place of the transaction with its nonce.
    fn replace(&mut self, index: usize, mut held: Held) -> Result<(), TxError> {
        let lane = &self.lanes[index];
        let Some(old) = lane.get(held.nonce) else { return Ok(()) };
        check_bump(old, &held)?;
        let executable = lane.run_offset(held.nonce).is_some();
        let others = if executable { lane.run_cost - old.cost } else { U256::ZERO };
        let affordable = others.checked_add(held.cost).is_some_and(|sum| sum <= lane.account.balance);
        if !affordable {
            return Err(TxError::insufficient_funds(lane.account.balance, others, held.cost));
        }
        if self.counts.bytes - old.tx.raw.len() + held.tx.raw.len() > self.config.bytes_max {
            return Err(pool_full(self.config.transactions_max, self.config.bytes_max, self.counts));
        }
        self.list(index, &mut held);
        let place = Place { lane: index, nonce: held.nonce };
        let (cost, worth, local) = (held.cost, held.worth(), held.local);
        let lane = &mut self.lanes[index];
        let Some(slot) = lane.get_mut(place.nonce) else { return Ok(()) };
        let old = std::mem::replace(slot, held);
        if executable {
            lane.run_cost = others + cost;
            self.counts.executable += 1;
        } else {
            self.counts.gapped += 1;
            if !local {
                self.evictable.insert(worth, place);
            }
        }
        self.unlist(&old, executable);
        self.settle(index);
        Ok(())
    }

    /// This member now promises a transaction that it held for others.
    fn promise(&mut self, place: Place) {
        let Some(held) = self.lanes[place.lane].get_mut(place.nonce) else { return };
        if held.local {
            return;
        }
        held.local = true;
        let (arrival, worth) = (held.arrival, held.worth());
        self.local.insert(arrival, place);
        self.counts.local += 1;
        self.evictable.remove(&worth);
    }

    fn note_dropped(&mut self, hash: B256) {
        if self.dropped.len() >= self.config.transactions_max {
            self.dropped.pop_front();
        }
        self.dropped.push_back(hash);
    }
}

/// geth's rule: both fee fields strictly greater, and at least 110 % of the old ones (rounded down).
fn check_bump(old: &Held, new: &Held) -> Result<(), TxError> {
    let needed = |old: u128| {
        let share = U256::from(old) * U256::from(REPLACEMENT_PERCENT) / U256::from(100);
        share.max(U256::from(old) + U256::ONE)
    };
    let (fee_cap, tip_cap) = (needed(old.fee_cap), needed(old.tip_cap));
    if U256::from(new.fee_cap) >= fee_cap && U256::from(new.tip_cap) >= tip_cap {
        return Ok(());
    }
    let message = format!(
        "replacement transaction underpriced: maxFeePerGas: {}, needed {fee_cap}, maxPriorityFeePerGas: {}, needed {tip_cap}",
        new.fee_cap, new.tip_cap
    );
    let (expected, got) =
        if U256::from(new.fee_cap) < fee_cap { (fee_cap, new.fee_cap) } else { (tip_cap, new.tip_cap) };
    Err(TxError::with(TxCode::ReplacementUnderpriced, message, expected, U256::from(got)))
}

fn account_unknown(sender: Address) -> TxError {
    TxError::new(TxCode::AccountUnknown, format!("sender account not read: address {sender}"))
}

fn account_limit(kind: &str, limit: usize, held: usize) -> TxError {
    TxError::with(
        TxCode::AccountLimit,
        format!("account limit exceeded: {held} {kind} transactions of this sender, limit {limit}"),
        U256::from(limit),
        U256::from(held + 1),
    )
}

fn pool_full(transactions_max: usize, bytes_max: usize, counts: super::Counts) -> TxError {
    let held = counts.executable + counts.gapped;
    let (message, limit, got) = if held >= transactions_max {
        (format!("pool full: {held} transactions, limit {transactions_max}"), transactions_max, held)
    } else {
        (format!("pool full: {} bytes, limit {bytes_max}", counts.bytes), bytes_max, counts.bytes)
    };
    TxError::with(TxCode::PoolFull, message, U256::from(limit), U256::from(got))
}
