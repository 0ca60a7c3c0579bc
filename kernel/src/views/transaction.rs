//! Transaction objects of included transactions.

use alloy_consensus::{Transaction, Typed2718};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{B256, Signature, U256};

use super::Block;
use super::json::{Object, array, data};
use crate::error::InputResult;
use crate::tx::{Decoded, Envelope, SignedAccountTx, schemes};

/// The object of transaction `index` of a block.
///
/// # Errors
/// For bytes that are no block, or an index beyond its end.
pub fn transaction_json(header: &[u8], transactions: &[u8], senders: &[u8], index: usize) -> InputResult<Vec<u8>> {
    let block = Block::read(header, transactions, senders)?;
    let mut out = Vec::with_capacity(1_024);
    write_transaction(&mut out, &block, index)?;
    Ok(out)
}

pub fn write_transaction(out: &mut Vec<u8>, block: &Block<'_>, index: usize) -> InputResult<()> {
    let transaction = block.transaction(index)?;
    let header = &block.header.inner;
    Object::write(out, |fields| {
        fields.data("blockHash", block.header.hash);
        fields.quantity("blockNumber", header.number);
        fields.quantity("blockTimestamp", header.timestamp);
        fields.data("from", block.sender(index));
        write_before_place(fields, &transaction, block.gas_price(&transaction), transaction.hash());
        fields.quantity("transactionIndex", index);
        write_after_place(fields, &transaction);
    });
    Ok(())
}

/// The object of a transaction that is in no block yet: the fields of its place null, `gasPrice` the fee cap.
pub fn write_pending(out: &mut Vec<u8>, pending: &Decoded) {
    let transaction = &pending.tx;
    Object::write(out, |fields| {
        fields.null("blockHash");
        fields.null("blockNumber");
        fields.null("blockTimestamp");
        fields.data("from", pending.sender);
        write_before_place(fields, transaction, transaction.max_fee_per_gas(), pending.hash);
        fields.null("transactionIndex");
        write_after_place(fields, transaction);
    });
}

fn write_before_place(fields: &mut Object<'_>, transaction: &Envelope, gas_price: u128, hash: B256) {
    fields.quantity("gas", transaction.gas_limit());
    fields.quantity("gasPrice", gas_price);
    if transaction.is_dynamic_fee() {
        fields.quantity("maxFeePerGas", transaction.max_fee_per_gas());
        fields.quantity_if("maxPriorityFeePerGas", transaction.max_priority_fee_per_gas());
    }
    fields.quantity_if("maxFeePerBlobGas", transaction.max_fee_per_blob_gas());
    fields.data("hash", hash);
    fields.data("input", transaction.input());
    fields.quantity("nonce", transaction.nonce());
    fields.data_or_null("to", transaction.to());
}

fn write_after_place(fields: &mut Object<'_>, transaction: &Envelope) {
    fields.quantity("value", transaction.value());
    fields.quantity("type", transaction.ty());
    write_lists(fields, transaction);
    write_signature(fields, transaction);
}

fn write_lists(fields: &mut Object<'_>, transaction: &Envelope) {
    if let Some(list) = transaction.access_list() {
        write_access_list(fields, list);
    }
    fields.quantity_if("chainId", transaction.chain_id().filter(|id| *id != 0 || transaction.ty() != 0));
    if let Some(hashes) = transaction.blob_versioned_hashes() {
        fields.array("blobVersionedHashes", hashes, |out, hash| data(out, hash.as_slice()));
    }
    if let Some(list) = transaction.authorization_list() {
        fields.value("authorizationList", |out| write_authorizations(out, list));
    }
}

fn write_access_list(fields: &mut Object<'_>, list: &AccessList) {
    fields.array("accessList", &list.0, |out, item| {
        Object::write(out, |fields| {
            fields.data("address", item.address);
            fields.array("storageKeys", &item.storage_keys, |out, key| data(out, key.as_slice()));
        });
    });
}

fn write_signature(fields: &mut Object<'_>, transaction: &Envelope) {
    let transaction = match transaction {
        Envelope::Ethereum(transaction) => transaction,
        Envelope::Account(account) => return write_account(fields, account),
    };
    let signature: &Signature = transaction.signature();
    let parity = u8::from(signature.v());
    let v = match (transaction.ty(), transaction.chain_id()) {
        (0, Some(chain_id)) => U256::from(35 + parity) + U256::from(chain_id) * U256::from(2),
        (0, None) => U256::from(27 + parity),
        _ => U256::from(parity),
    };
    fields.quantity("v", v);
    fields.quantity("r", signature.r());
    fields.quantity("s", signature.s());
    if transaction.ty() != 0 {
        fields.quantity("yParity", parity);
    }
}

/// What the chain's envelope has of its own. Client libraries want v, r and s of every transaction: those of secp256k1,
/// and zeros for schemes that have none.
fn write_account(fields: &mut Object<'_>, account: &SignedAccountTx) {
    fields.array("addressRanges", account.tx.ranges.as_slice(), |out, range| {
        Object::write(out, |fields| {
            fields.data("first", range.first);
            fields.data("last", range.last);
        });
    });
    fields.text("signatureScheme", schemes::name_of(account.tx.scheme));
    fields.data("publicKey", &account.tx.public_key);
    fields.data("accountSignature", &account.signature);
    let ethereum = account.tx.scheme == schemes::SECP256K1;
    let word = |at: usize| {
        let word = if ethereum { account.signature.get(at..at + 32) } else { None };
        word.map_or(U256::ZERO, U256::from_be_slice)
    };
    let parity = if ethereum { account.signature.get(64).copied().unwrap_or_default() } else { 0 };
    fields.quantity("v", parity);
    fields.quantity("r", word(0));
    fields.quantity("s", word(32));
    fields.quantity("yParity", parity);
}

/// Signed authorisations (EIP-7702).
pub fn write_authorizations(out: &mut Vec<u8>, list: &[SignedAuthorization]) {
    array(out, list, |out, authorization| {
        Object::write(out, |fields| {
            fields.quantity("chainId", *authorization.chain_id());
            fields.data("address", authorization.address());
            fields.quantity("nonce", authorization.nonce());
            fields.quantity("yParity", authorization.y_parity());
            fields.quantity("r", authorization.r());
            fields.quantity("s", authorization.s());
        });
    });
}
