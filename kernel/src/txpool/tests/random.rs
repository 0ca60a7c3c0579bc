//! Random calls: the pool and the naive model agree on every verdict, count and payload.

use proptest::prelude::*;

use super::model::Model;
use super::*;

const SENDERS: u8 = 4;
const CONFIG: PoolConfig = PoolConfig {
    transactions_max: 12,
    executable_per_sender_max: 5,
    gapped_per_sender_max: 3,
    bytes_max: 2_500,
    life_ms: 1_000,
};

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<Wish>, bool),
    /// Commit this many of the payload and set balances of some senders.
    Block(usize, Vec<(u8, u64)>),
    /// A sender's account moves on by this many nonces without our transactions.
    Skip(u8, u64),
    Drop(usize),
    Payload(u64, u128, usize, u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    (1..=SENDERS, 0..9u64, 0..30u128, 0..30u128, 21_000..60_000u64, 0..1_000u64, 0..300usize).prop_map(
        |(sender, nonce, fee_cap, tip_cap, gas, value, size)| Wish {
            sender,
            nonce,
            fee_cap,
            tip_cap: tip_cap.min(fee_cap),
            gas,
            value,
            size,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let balances = prop::collection::vec((1..=SENDERS, 0..6_000_000u64), 0..3);
    prop_oneof![
        6 => (prop::collection::vec(wish(), 1..8), any::<bool>()).prop_map(|(wishes, local)| Step::Add(wishes, local)),
        2 => (0..6usize, balances).prop_map(|(count, balances)| Step::Block(count, balances)),
        1 => (1..=SENDERS, 1..3u64).prop_map(|(sender, by)| Step::Skip(sender, by)),
        1 => (0..12usize).prop_map(Step::Drop),
        2 => (0..300_000u64, 0..20u128, 0..12usize, 20_000..200_000u64)
            .prop_map(|(gas, fee, count, share)| Step::Payload(gas, fee, count, share)),
    ]
}

/// Both pools side by side.
struct Pair {
    pool: TxPool,
    model: Model,
    number: u64,
}

impl Pair {
    fn new(balance: u64) -> Self {
        let account = Account { nonce: 0, balance: U256::from(balance) };
        let model = Model { accounts: (1..=SENDERS).map(|index| (index, account)).collect(), ..Model::default() };
        Self { pool: TxPool::new(CONFIG), model, number: 0 }
    }

    fn accounts(&self) -> Vec<(Address, Account)> {
        self.model.accounts.iter().map(|(index, account)| (sender(*index), *account)).collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(wishes, local) => {
                let next = NextBlock { number: self.number + 1, gas_limit: 55_000, base_fee: 2 };
                let verdicts = self.pool.add(&batch(wishes), &self.accounts(), next, 0, *local);
                for (wish, verdict) in wishes.iter().zip(verdicts) {
                    let code = verdict.as_ref().map_or("", |error| error.code.as_str());
                    assert_eq!(code, self.model.add(*wish, next, *local, &CONFIG), "{wish:?}");
                }
            }
            Step::Block(count, balances) => {
                let payload = order(&self.pool.payload(PayloadLimits { count_max: *count, ..ALL }, &[]));
                let mut changed: Vec<(u8, Account)> = Vec::new();
                for (index, balance) in balances {
                    let nonce = self.model.accounts[index].nonce;
                    changed.push((*index, Account { nonce, balance: U256::from(*balance) }));
                }
                let hashes: Vec<B256> = payload.iter().map(|key| hash(self.model.items[key].wish)).collect();
                for (index, nonce) in payload {
                    let account = self.model.accounts[&index];
                    let balance =
                        changed.iter().rev().find(|(of, _)| *of == index).map_or(account.balance, |(_, a)| a.balance);
                    changed.push((index, Account { nonce: nonce + 1, balance }));
                }
                self.block(&hashes, &changed, 0);
            }
            Step::Skip(index, by) => {
                let account = self.model.accounts[index];
                let account = Account { nonce: account.nonce + by, ..account };
                let stale = self.model.items.range((*index, 0)..(*index, account.nonce)).count();
                self.block(&[], &[(*index, account)], stale);
            }
            Step::Drop(nth) => {
                let Some((key, item)) = self.model.items.iter().nth(*nth) else { return };
                let (key, hash) = (*key, hash(item.wish));
                self.pool.drop_invalid(&[hash]);
                self.model.items.remove(&key);
                // The account was right: only the mark that it must be read again differs from the model.
                self.pool.add(&batch(&[]), &self.accounts(), NextBlock { number: self.number + 1, ..NEXT }, 0, false);
            }
            Step::Payload(gas_limit, base_fee, count_max, sender_gas_max) => {
                let limits = PayloadLimits {
                    gas_limit: *gas_limit,
                    base_fee: *base_fee,
                    count_max: *count_max,
                    sender_gas_max: *sender_gas_max,
                    ..ALL
                };
                let payload = self.pool.payload(limits, &[]);
                assert_eq!(order(&payload), self.model.payload(limits, &CONFIG));
            }
        }
        self.compare();
    }

    fn block(&mut self, hashes: &[B256], changed: &[(u8, Account)], stale: usize) {
        self.number += 1;
        let accounts: Vec<_> = changed.iter().map(|(index, account)| (sender(*index), *account)).collect();
        let dropped = self.pool.on_block(self.number, hashes, &accounts, 0);
        assert_eq!(dropped.len(), stale);
        self.model.on_block(changed);
    }

    fn compare(&self) {
        self.pool.check();
        let run = |index: u8| self.model.run(index, &CONFIG).len();
        let executable: usize = (1..=SENDERS).map(run).sum();
        assert_eq!(self.pool.counts().executable, executable);
        assert_eq!(self.pool.counts().executable + self.pool.counts().gapped, self.model.items.len());
        for item in self.model.items.values() {
            assert!(self.pool.contains(&hash(item.wish)));
        }
        assert_eq!(order(&self.pool.payload(ALL, &[])), self.model.payload(ALL, &CONFIG));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_agrees_with_the_naive_model(
        balance in 0..8_000_000u64,
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut pair = Pair::new(balance);
        for step in &steps {
            pair.step(step);
        }
    }

    #[test]
    fn equal_calls_give_equal_outcomes(steps in prop::collection::vec(step(), 1..15)) {
        let (mut one, mut two) = (Pair::new(4_000_000), Pair::new(4_000_000));
        for step in &steps {
            one.step(step);
            two.step(step);
            prop_assert_eq!(one.pool.payload(ALL, &[]).hashes(), two.pool.payload(ALL, &[]).hashes());
            prop_assert_eq!(one.pool.take_dropped(), two.pool.take_dropped());
            prop_assert_eq!(one.pool.content(None, 99).to_json(), two.pool.content(None, 99).to_json());
        }
    }
}
