//! `eth_getBlockBy*`.

use alloy_consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_rlp::length_of_length;
use rayon::prelude::*;

use super::json::{Object, data};
use super::transaction::write_transaction;
use super::{Block, same_count};
use crate::error::{InputError, InputResult};
use crate::header::Header;
use crate::pack;

/// The block object, with transaction objects (`full`) or hashes.
///
/// # Errors
/// For bytes that are no block, and for blocks with ommers or withdrawals, whose bodies are not kept.
pub fn block_json(
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    hashes: &[u8],
    full: bool,
) -> InputResult<Vec<u8>> {
    let block = Block::read(header, transactions, senders)?;
    let hashes = pack::fixed::<32>("hashes", hashes)?;
    same_count("hashes", block.transactions.len(), hashes.len())?;
    let inner = &block.header.inner;
    if inner.ommers_hash != EMPTY_OMMER_ROOT_HASH {
        return Err(InputError::new("header", "a block without ommers", inner.ommers_hash));
    }
    if inner.withdrawals_root.is_some_and(|root| root != EMPTY_WITHDRAWALS) {
        return Err(InputError::new("header", "a block without withdrawals", "a withdrawals root"));
    }
    let items: Vec<Vec<u8>> = if full {
        (0..hashes.len())
            .into_par_iter()
            .with_min_len(64)
            .map(|index| {
                let mut out = Vec::with_capacity(1_024);
                write_transaction(&mut out, &block, index).map(|()| out)
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<InputResult<_>>()?
    } else {
        Vec::new()
    };
    let mut out = Vec::with_capacity(2_048 + hashes.len() * 70 + items.iter().map(Vec::len).sum::<usize>());
    Object::write(&mut out, |fields| {
        write_header(fields, &block.header);
        fields.quantity("size", block_size(&block.header, &block.transactions));
        if full {
            fields.array("transactions", &items, |out, item| out.extend_from_slice(item));
        } else {
            fields.array("transactions", hashes, |out, hash| data(out, hash));
        }
        fields.array("uncles", [(); 0], |_, ()| {});
        if inner.withdrawals_root.is_some() {
            fields.array("withdrawals", [(); 0], |_, ()| {});
        }
    });
    Ok(out)
}

/// The fields of a block object that its header tells.
pub fn write_header(fields: &mut Object<'_>, whole: &Header) {
    let header = &whole.inner;
    fields.quantity("number", header.number);
    fields.data("hash", whole.hash);
    fields.data("parentHash", header.parent_hash);
    fields.data("nonce", header.nonce);
    fields.data("mixHash", header.mix_hash);
    fields.data("sha3Uncles", header.ommers_hash);
    fields.data("logsBloom", header.logs_bloom);
    fields.data("stateRoot", header.state_root);
    fields.data("miner", header.beneficiary);
    fields.quantity("difficulty", header.difficulty);
    fields.data("extraData", &header.extra_data);
    fields.quantity("gasLimit", header.gas_limit);
    fields.quantity("gasUsed", header.gas_used);
    fields.quantity("timestamp", header.timestamp);
    fields.data("transactionsRoot", header.transactions_root);
    fields.data("receiptsRoot", header.receipts_root);
    fields.quantity_if("baseFeePerGas", header.base_fee_per_gas);
    fields.data_if("withdrawalsRoot", header.withdrawals_root);
    fields.quantity_if("blobGasUsed", header.blob_gas_used);
    fields.quantity_if("excessBlobGas", header.excess_blob_gas);
    fields.data_if("parentBeaconBlockRoot", header.parent_beacon_block_root);
    fields.data_if("requestsHash", header.requests_hash);
}

/// Bytes of the block's RLP: `[header, [transaction...], [], [] with withdrawals]`, typed transactions as strings.
#[must_use]
pub fn block_size(header: &Header, transactions: &[&[u8]]) -> usize {
    let listed = |raw: &&[u8]| match raw.first() {
        Some(0xc0..) | None => raw.len(),
        Some(_) => raw.len() + length_of_length(raw.len()),
    };
    let transactions: usize = transactions.iter().map(listed).sum();
    let withdrawals = usize::from(header.inner.withdrawals_root.is_some());
    let payload = header.rlp.len() + transactions + length_of_length(transactions) + 1 + withdrawals;
    payload + length_of_length(payload)
}
