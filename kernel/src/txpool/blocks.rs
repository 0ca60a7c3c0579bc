//! What a committed block, a failed build and the passing of time do to the pool.

use alloy_primitives::map::B256Set;
use alloy_primitives::{Address, B256};

use super::TxPool;
use super::account::Account;
use super::lane::Held;

impl TxPool {
    /// Block `number` is committed: remove its transactions, update accounts, promote and drop.
    ///
    /// `accounts` must hold every account whose nonce or balance the block changed; those the pool does not follow
    /// are skipped. Returns the hashes of transactions dropped because their nonce has been used by another.
    pub fn on_block(
        &mut self,
        number: u64,
        hashes: &[B256],
        accounts: &[(Address, Account)],
        now_ms: u64,
    ) -> Vec<B256> {
        self.now_ms = self.now_ms.max(now_ms);
        self.head_number = Some(number);
        let mut touched = Vec::new();
        for (sender, account) in accounts {
            if let Some(&index) = self.by_sender.get(sender) {
                self.lanes[index].account = *account;
                self.lanes[index].reread = false;
                touched.push(index);
            }
        }
        let mut committed = B256Set::default();
        for hash in hashes {
            if let Some(place) = self.by_hash.get(hash) {
                // A committed transaction has used its nonce, whatever the accounts given say.
                let account = &mut self.lanes[place.lane].account;
                account.nonce = account.nonce.max(place.nonce.saturating_add(1));
                touched.push(place.lane);
                committed.insert(*hash);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let mut stale = Vec::new();
        for index in touched {
            let gone = self.refresh(index);
            stale.extend(gone.iter().map(|held| held.tx.hash).filter(|hash| !committed.contains(hash)));
        }
        stale
    }

    /// Forget transactions that a build found invalid; the sender's later ones wait. The sender's account is read
    /// again at the next chance (`unknown_senders`), since the pool was wrong about it.
    pub fn drop_invalid(&mut self, hashes: &[B256]) {
        let mut touched = Vec::new();
        for hash in hashes {
            let Some(place) = self.by_hash.get(hash).copied() else { continue };
            self.take(place);
            self.lanes[place.lane].reread = true;
            touched.push(place.lane);
        }
        touched.sort_unstable();
        touched.dedup();
        for index in touched {
            self.settle(index);
        }
    }

    /// Drop what is `life_ms` old or older; returns their hashes, oldest first.
    pub fn expire(&mut self, now_ms: u64) -> Vec<B256> {
        self.now_ms = self.now_ms.max(now_ms);
        let mut expired = Vec::new();
        let mut touched = Vec::new();
        while let Some(place) = self.by_arrival.values().next().copied() {
            let young = |held: &Held| held.added_ms.saturating_add(self.config.life_ms) > self.now_ms;
            if self.at(place).is_none_or(young) {
                break;
            }
            expired.extend(self.take(place).map(|held| held.tx.hash));
            touched.push(place.lane);
        }
        touched.sort_unstable();
        touched.dedup();
        for index in touched {
            self.settle(index);
        }
        expired
    }

    /// Fit a lane to its account: what is below the nonce goes (returned), what the balance does not pay for waits.
    pub(super) fn refresh(&mut self, index: usize) -> Vec<Held> {
        let account = self.lanes[index].account;
        let mut gone = Vec::new();
        while self.lanes[index].run.front().is_some_and(|held| held.nonce < account.nonce) {
            let Some(held) = self.lanes[index].pop_run_front() else { break };
            self.unlist(&held, true);
            gone.push(held);
        }
        while self.lanes[index].rest.front().is_some_and(|held| held.nonce < account.nonce) {
            let Some(held) = self.lanes[index].rest.pop_front() else { break };
            self.unlist(&held, false);
            gone.push(held);
        }
        let lane = &self.lanes[index];
        let gapless = lane.run.front().is_some_and(|held| held.nonce == account.nonce);
        let keep = if gapless { lane.affordable() } else { 0 };
        self.demote(index, keep);
        self.settle(index);
        gone
    }
}
