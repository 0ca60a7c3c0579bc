//! Blocks, transactions, receipts and logs as Ethereum's JSON-RPC shows them (field by field as go-ethereum does), and
//! what indices need of them. Everything is rendered from stored bytes; nothing here decides.

mod block;
mod json;
mod logs;
mod receipts;
mod stored;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a failing test may panic; numbers are small")]
mod tests;
mod transaction;

pub use block::{Attached, block_json, block_size, ommer_json, write_header, write_withdrawal};
pub use json::{Object, array, data};
pub use logs::{Filter, log_terms, logs_json};
pub use receipts::{raw_receipts, receipts_json};
pub use transaction::{transaction_json, write_authorizations, write_pending};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, keccak256};

use crate::error::{InputError, InputResult};
use crate::header::Header;
use crate::pack;
use crate::tx::Envelope;

/// A block's header and what stands beside it, one entry per transaction.
struct Block<'a> {
    header: Header,
    transactions: Vec<&'a [u8]>,
    senders: &'a [[u8; 20]],
}

impl<'a> Block<'a> {
    fn read(header: &[u8], transactions: &'a [u8], senders: &'a [u8]) -> InputResult<Self> {
        let block = Self {
            header: Header::decode("header", header)?,
            transactions: pack::read_packed("transactions", transactions)?,
            senders: pack::fixed::<20>("senders", senders)?,
        };
        same_count("senders", block.transactions.len(), block.senders.len())?;
        Ok(block)
    }

    fn sender(&self, index: usize) -> Address {
        self.senders.get(index).map_or(Address::ZERO, Address::from)
    }

    fn transaction(&self, index: usize) -> InputResult<Envelope> {
        let raw = self
            .transactions
            .get(index)
            .ok_or_else(|| InputError::new("index", format!("below {}", self.transactions.len()), index))?;
        Envelope::decode(raw, keccak256(raw)).map_err(|error| {
            InputError::new("transactions", format!("an EIP-2718 transaction at {index}"), error.message)
        })
    }

    /// Wei per gas that the transaction paid.
    fn gas_price(&self, transaction: &Envelope) -> u128 {
        transaction.effective_gas_price(self.header.inner.base_fee_per_gas)
    }
}

fn same_count(field: &str, expected: usize, got: usize) -> InputResult<()> {
    if expected == got { Ok(()) } else { Err(InputError::new(field, format!("{expected} entries"), got)) }
}
