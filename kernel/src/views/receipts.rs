//! `eth_getTransactionReceipt`, `eth_getBlockReceipts`, and consensus receipts.

use alloy_consensus::{Transaction, Typed2718};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::B256;

use super::json::{Object, array};
use super::logs::{Place, write_log};
use super::stored::{Outcome, Receipt, parse};
use super::{Block, same_count};
use crate::error::{InputError, InputResult};
use crate::pack;

/// One receipt object, or the array of all when `index` is `None`.
///
/// `blob_gas_price` (wei) is for blocks with blob transactions under rules newer than Prague's; without it the price
/// follows from the header by Cancun's or Prague's schedule.
///
/// # Errors
/// For bytes that are no block, receipts that are not its own, or an index beyond the end.
pub fn receipts_json(
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    receipts: &[u8],
    index: Option<usize>,
    blob_gas_price: Option<u128>,
) -> InputResult<Vec<u8>> {
    let block = Block::read(header, transactions, senders)?;
    let receipts = parse(receipts)?;
    same_count("receipts", block.transactions.len(), receipts.len())?;
    if let Some(index) = index.filter(|index| *index >= receipts.len()) {
        return Err(InputError::new("index", format!("below {}", receipts.len()), index));
    }
    let blob_gas_price = blob_gas_price.or_else(|| header_blob_gas_price(&block));
    let mut written: Vec<Vec<u8>> = Vec::new();
    let (mut gas_before, mut logs_before) = (0, 0);
    for (place, receipt) in receipts.iter().enumerate() {
        if index.is_none_or(|index| index == place) {
            let mut out = Vec::with_capacity(2_048);
            let view = View { block: &block, receipt, index: place, gas_before, logs_before, blob_gas_price };
            view.write(&mut out)?;
            written.push(out);
        }
        gas_before = receipt.cumulative_gas_used;
        logs_before += receipt.logs.len();
    }
    if index.is_some() {
        return Ok(written.pop().unwrap_or_default());
    }
    let mut out = Vec::with_capacity(written.iter().map(|item| item.len() + 1).sum::<usize>() + 2);
    array(&mut out, &written, |out, item| out.extend_from_slice(item));
    Ok(out)
}

/// Price of blob gas by the schedule of Cancun, or Prague where the header has requests.
fn header_blob_gas_price(block: &Block<'_>) -> Option<u128> {
    let header = &block.header.inner;
    let schedule = if header.requests_hash.is_some() { BlobParams::prague() } else { BlobParams::cancun() };
    header.excess_blob_gas.map(|excess| schedule.calc_blob_fee(excess))
}

/// One receipt and what stands before it in its block.
struct View<'a> {
    block: &'a Block<'a>,
    receipt: &'a Receipt<'a>,
    index: usize,
    gas_before: u64,
    logs_before: usize,
    blob_gas_price: Option<u128>,
}

impl View<'_> {
    fn write(&self, out: &mut Vec<u8>) -> InputResult<()> {
        let (block, receipt) = (self.block, self.receipt);
        let transaction = block.transaction(self.index)?;
        if transaction.ty() != receipt.tx_type {
            let expected = format!("type {} at {}", transaction.ty(), self.index);
            return Err(InputError::new("receipts", expected, format!("type {}", receipt.tx_type)));
        }
        let gas_used = receipt
            .cumulative_gas_used
            .checked_sub(self.gas_before)
            .ok_or_else(|| InputError::new("receipts", "cumulative gas that rises", receipt.cumulative_gas_used))?;
        let hash: B256 = transaction.hash();
        let sender = block.sender(self.index);
        let created = transaction.to().is_none().then(|| sender.create(transaction.nonce()));
        Object::write(out, |fields| {
            fields.data("blockHash", block.header.hash);
            fields.quantity("blockNumber", block.header.inner.number);
            fields.data_or_null("contractAddress", created);
            fields.quantity("cumulativeGasUsed", receipt.cumulative_gas_used);
            fields.quantity("effectiveGasPrice", block.gas_price(&transaction));
            fields.data("from", sender);
            fields.quantity("gasUsed", gas_used);
            fields.array("logs", receipt.logs.iter().enumerate(), |out, (index, log)| {
                let place = Place {
                    header: &block.header,
                    transaction_hash: &hash.0,
                    transaction_index: self.index,
                    log_index: self.logs_before + index,
                };
                write_log(out, log, &place);
            });
            fields.data("logsBloom", receipt.bloom());
            match receipt.outcome {
                Outcome::Status(status) => fields.quantity("status", u8::from(status)),
                Outcome::Root(root) => fields.data("root", root),
            }
            if let Some(reason) = receipt.reason {
                fields.text("failureReason", reason.name());
            }
            fields.data_or_null("to", transaction.to());
            fields.data("transactionHash", hash);
            fields.quantity("transactionIndex", self.index);
            fields.quantity("type", receipt.tx_type);
            if let Some(gas) = transaction.blob_gas_used() {
                fields.quantity("blobGasUsed", gas);
                fields.quantity_if("blobGasPrice", self.blob_gas_price);
            }
        });
        Ok(())
    }
}

/// Packed list of consensus receipts, as their root commits to them.
///
/// # Errors
/// For receipts that do not fit the transactions.
pub fn raw_receipts(transactions: &[u8], receipts: &[u8]) -> InputResult<Vec<u8>> {
    let transactions = pack::read_packed("transactions", transactions)?;
    let receipts = parse(receipts)?;
    same_count("receipts", transactions.len(), receipts.len())?;
    let mut out = Vec::new();
    for (raw, receipt) in transactions.iter().zip(&receipts) {
        let tx_type = raw.first().copied().filter(|first| *first < 0xc0).unwrap_or_default();
        if tx_type != receipt.tx_type {
            let got = format!("type {}", receipt.tx_type);
            return Err(InputError::new("receipts", format!("type {tx_type}, as the transaction"), got));
        }
        pack::push_packed(&mut out, &receipt.consensus());
    }
    Ok(out)
}
