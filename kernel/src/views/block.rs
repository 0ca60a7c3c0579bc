//! `eth_getBlockBy*`.

use alloy_consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::keccak256;
use alloy_rlp::{Decodable, length_of_length};
use rayon::prelude::*;

use super::json::{Object, data};
use super::transaction::write_transaction;
use super::{Block, same_count};
use crate::error::{InputError, InputResult};
use crate::header::Header;
use crate::pack;

/// What a block carries beside its transactions: a packed list of headers and an RLP list, as they are stored. Empty bytes
/// mean none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attached<'a> {
    pub ommers: &'a [u8],
    pub withdrawals: &'a [u8],
}

/// The block object, with transaction objects (`full`) or hashes.
///
/// # Errors
/// For bytes that are no block, and where the header names ommers or withdrawals and they were not given.
pub fn block_json(
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    hashes: &[u8],
    attached: Attached<'_>,
    full: bool,
) -> InputResult<Vec<u8>> {
    let block = Block::read(header, transactions, senders)?;
    let hashes = pack::fixed::<32>("hashes", hashes)?;
    same_count("hashes", block.transactions.len(), hashes.len())?;
    let inner = &block.header.inner;
    let ommers = pack::read_packed("ommers", attached.ommers)?;
    if ommers.is_empty() != (inner.ommers_hash == EMPTY_OMMER_ROOT_HASH) {
        return Err(InputError::new("ommers", "those that the header names", format!("{} of them", ommers.len())));
    }
    let withdrawals = read_withdrawals(attached.withdrawals)?;
    if withdrawals.is_empty() != inner.withdrawals_root.is_none_or(|root| root == EMPTY_WITHDRAWALS) {
        let got = format!("{} of them", withdrawals.len());
        return Err(InputError::new("withdrawals", "those that the header names", got));
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
        fields.quantity("size", block_size(&block.header, &block.transactions, &ommers, attached.withdrawals));
        if full {
            fields.array("transactions", &items, |out, item| out.extend_from_slice(item));
        } else {
            fields.array("transactions", hashes, |out, hash| data(out, hash));
        }
        fields.array("uncles", &ommers, |out, ommer| data(out, keccak256(ommer).as_slice()));
        if inner.withdrawals_root.is_some() {
            fields.array("withdrawals", &withdrawals, write_withdrawal);
        }
    });
    Ok(out)
}

/// The header of an ommer, as `eth_getUncleBy*` shows it: a block of this header alone.
///
/// # Errors
/// For bytes that are no header.
pub fn ommer_json(header: &[u8]) -> InputResult<Vec<u8>> {
    let header = Header::decode("header", header)?;
    let mut out = Vec::with_capacity(2_048);
    Object::write(&mut out, |fields| {
        write_header(fields, &header);
        fields.quantity("size", block_size(&header, &[], &[], &[]));
        fields.array("uncles", [(); 0], |_, ()| {});
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

fn read_withdrawals(rlp: &[u8]) -> InputResult<Vec<Withdrawal>> {
    let mut rest = rlp;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    match Vec::<Withdrawal>::decode(&mut rest) {
        Ok(list) if rest.is_empty() => Ok(list),
        Ok(_) => Err(InputError::new("withdrawals", "one RLP list", "bytes behind it")),
        Err(error) => Err(InputError::new("withdrawals", "the RLP list of withdrawals", error)),
    }
}

/// One withdrawal.
pub fn write_withdrawal(out: &mut Vec<u8>, withdrawal: &Withdrawal) {
    Object::write(out, |fields| {
        fields.quantity("index", withdrawal.index);
        fields.quantity("validatorIndex", withdrawal.validator_index);
        fields.data("address", withdrawal.address);
        fields.quantity("amount", withdrawal.amount);
    });
}

/// Bytes of the block's RLP: `[header, [transaction...], [ommer...], withdrawals]`, typed transactions as strings.
#[must_use]
pub fn block_size(header: &Header, transactions: &[&[u8]], ommers: &[&[u8]], withdrawals: &[u8]) -> usize {
    let listed = |raw: &&[u8]| match raw.first() {
        Some(0xc0..) | None => raw.len(),
        Some(_) => raw.len() + length_of_length(raw.len()),
    };
    let transactions: usize = transactions.iter().map(listed).sum();
    let ommers: usize = ommers.iter().map(|ommer| ommer.len()).sum();
    let empty_list = usize::from(header.inner.withdrawals_root.is_some());
    let attached = ommers + length_of_length(ommers) + withdrawals.len().max(empty_list);
    let payload = header.rlp.len() + transactions + length_of_length(transactions) + attached;
    payload + length_of_length(payload)
}
