//! Decoded transactions, shared.

use std::sync::Arc;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256};

use super::envelope::Envelope;
use super::error::TxError;
use crate::error::{InputError, InputResult};
use crate::pack;

/// A transaction that passed every check that needs no state.
#[derive(Debug, Clone)]
pub struct Decoded {
    pub tx: Envelope,
    pub sender: Address,
    /// Keccak of `raw`.
    pub hash: B256,
    /// EIP-2718 bytes, a copy of their own: a long-lived transaction never keeps its whole batch in memory.
    pub raw: Bytes,
    /// Gas beside Ethereum's intrinsic gas: the account's signature and the declared ranges, at the chain's prices.
    pub extra_gas: u64,
}

impl Decoded {
    /// Most that the sender can pay: gas limit * fee cap + value, saturating at 2^256 - 1.
    #[must_use]
    pub fn cost_max(&self) -> U256 {
        // 64 + 128 bits cannot overflow; adding the value can.
        let gas = U256::from(self.tx.gas_limit()) * U256::from(self.tx.max_fee_per_gas());
        gas.saturating_add(self.tx.value())
    }
}

/// A refused transaction in its place.
#[derive(Debug, Clone)]
pub struct Refused {
    pub raw: Bytes,
    /// Keccak of `raw`.
    pub hash: B256,
    pub error: TxError,
}

/// One slot of a batch.
pub type Entry = Result<Arc<Decoded>, Arc<Refused>>;

/// Frozen sequence of entries. Slices and selections share the decoded transactions.
#[derive(Debug, Clone, Default)]
pub struct TxBatch {
    entries: Arc<[Entry]>,
}

impl From<Vec<Entry>> for TxBatch {
    fn from(entries: Vec<Entry>) -> Self {
        Self { entries: entries.into() }
    }
}

impl FromIterator<Entry> for TxBatch {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl TxBatch {
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The decoded transaction in `index`, or `None` when out of range or refused.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Decoded>> {
        self.entries.get(index)?.as_ref().ok()
    }

    /// `[start, stop)`.
    ///
    /// # Errors
    /// When the range does not lie inside the batch.
    pub fn slice(&self, start: usize, stop: usize) -> InputResult<Self> {
        let part = self.entries.get(start..stop).ok_or_else(|| {
            let expected = format!("0 <= start <= stop <= {}", self.len());
            InputError::new("slice", expected, format!("{start}..{stop}"))
        })?;
        Ok(Self { entries: part.into() })
    }

    /// The entries at `indices`, in that order.
    ///
    /// # Errors
    /// Names the first index outside the batch.
    pub fn select(&self, indices: &[usize]) -> InputResult<Self> {
        indices
            .iter()
            .map(|&index| {
                let entry = self.entries.get(index).cloned();
                entry.ok_or_else(|| InputError::new("indices", format!("below {}", self.len()), index))
            })
            .collect()
    }

    #[must_use]
    pub fn concat<'a>(batches: impl IntoIterator<Item = &'a Self>) -> Self {
        batches.into_iter().flat_map(|batch| batch.entries.iter().cloned()).collect()
    }

    /// 32 bytes each; a refused slot has a hash, too.
    #[must_use]
    pub fn hashes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 * self.len());
        for entry in &*self.entries {
            out.extend_from_slice(match entry {
                Ok(tx) => tx.hash.as_slice(),
                Err(refused) => refused.hash.as_slice(),
            });
        }
        out
    }

    /// 20 bytes each, zero where the slot is refused.
    #[must_use]
    pub fn senders(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20 * self.len());
        for entry in &*self.entries {
            out.extend_from_slice(entry.as_ref().map_or(Address::ZERO, |tx| tx.sender).as_slice());
        }
        out
    }

    /// u64 each, zero where the slot is refused.
    #[must_use]
    pub fn nonces(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 * self.len());
        for entry in &*self.entries {
            out.extend_from_slice(&entry.as_ref().map_or(0, |tx| tx.tx.nonce()).to_be_bytes());
        }
        out
    }

    /// The raw transactions as a packed list, refused ones included.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        let raws = || {
            self.entries.iter().map(|entry| match entry {
                Ok(tx) => &tx.raw,
                Err(refused) => &refused.raw,
            })
        };
        let mut out = Vec::with_capacity(raws().map(|raw| raw.len() + 4).sum());
        for raw in raws() {
            pack::push_packed(&mut out, raw);
        }
        out
    }

    /// Why each refused slot is refused.
    pub fn errors(&self) -> impl Iterator<Item = Option<&TxError>> {
        self.entries.iter().map(|entry| entry.as_ref().err().map(|refused| &refused.error))
    }

    #[must_use]
    pub fn all_valid(&self) -> bool {
        self.entries.iter().all(Result::is_ok)
    }
}
