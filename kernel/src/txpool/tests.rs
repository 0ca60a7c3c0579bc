//! Traces of calls and outcomes, and random calls against a naive model.

mod model;
mod random;
mod traces;

use std::sync::Arc;

use alloy_consensus::{Signed, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};

use super::{Account, NextBlock, PayloadLimits, PoolConfig, TxPool};
use crate::tx::{Decoded, Entry, TxBatch};

/// What a test says about a transaction; the rest is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    sender: u8,
    nonce: u64,
    fee_cap: u128,
    tip_cap: u128,
    gas: u64,
    value: u64,
    /// Extra bytes of calldata.
    size: usize,
}

const TRANSFER: Wish = Wish { sender: 1, nonce: 0, fee_cap: 10, tip_cap: 1, gas: 21_000, value: 0, size: 0 };

fn sender(index: u8) -> Address {
    Address::repeat_byte(index)
}

/// A decoded transaction without a true signature: the pool never looks at it.
fn tx(wish: Wish) -> Arc<Decoded> {
    let raw = [&[2, wish.sender][..], format!("{wish:?}").as_bytes(), &vec![0; wish.size]].concat();
    let hash = keccak256(&raw);
    let inner = TxEip1559 {
        chain_id: 1,
        nonce: wish.nonce,
        gas_limit: wish.gas,
        max_fee_per_gas: wish.fee_cap,
        max_priority_fee_per_gas: wish.tip_cap,
        to: TxKind::Call(Address::ZERO),
        value: U256::from(wish.value),
        input: Bytes::from(vec![0; wish.size]),
        ..TxEip1559::default()
    };
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    let tx = TxEnvelope::Eip1559(Signed::new_unchecked(inner, signature, hash));
    Arc::new(Decoded { tx: tx.into(), sender: sender(wish.sender), hash, raw: raw.into(), extra_gas: 0 })
}

fn batch(wishes: &[Wish]) -> TxBatch {
    wishes.iter().map(|wish| Entry::Ok(tx(*wish))).collect()
}

fn hash(wish: Wish) -> B256 {
    tx(wish).hash
}

const NEXT: NextBlock = NextBlock { number: 1, gas_limit: 30_000_000, base_fee: 0 };
const ALL: PayloadLimits = PayloadLimits {
    gas_limit: 1 << 40,
    base_fee: 0,
    bytes_max: 1 << 30,
    count_max: 1_000_000,
    sender_gas_max: u64::MAX,
};
const RICH: Account = Account { nonce: 0, balance: U256::MAX };

/// Sender, nonce of each payload item.
fn order(payload: &TxBatch) -> Vec<(u8, u64)> {
    use alloy_consensus::Transaction;
    payload.entries().iter().flatten().map(|tx| (tx.sender[0], tx.tx.nonce())).collect()
}
