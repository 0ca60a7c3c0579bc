//! Raw bytes to [`TxBatch`], on all threads of the pool.

use std::sync::Arc;

use alloy_consensus::transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx};
use alloy_consensus::{Signed, TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use rayon::prelude::*;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};

use super::batch::{Decoded, Entry, Refused, TxBatch};
use super::error::{TxCode, TxError};
use super::rules::{RAW_BYTES_MAX, TxRules, invalid_signature, type_not_supported};
use super::sign::address_of_public_key;
use crate::error::{InputError, InputResult};
use crate::{pack, threads};

/// Most transactions of one batch: bounds the time and memory of one call.
pub const BATCH_COUNT_MAX: usize = 10_000;

/// Transactions per unit of parallel work: about a millisecond of recoveries, so that stealing costs nothing.
const CHUNK: usize = 32;

/// Decode and check a packed list of raw transactions and recover their senders.
///
/// A bad transaction is refused in its slot. Costs about 1 us of one core a transaction for decoding and 30 us for
/// recovery.
///
/// # Errors
/// Only when the list itself is malformed or has more than [`BATCH_COUNT_MAX`] items.
pub fn decode_transactions(packed: &[u8], rules: &TxRules) -> InputResult<TxBatch> {
    let raws = read_batch(packed)?;
    let decode = |raw: &&[u8]| entry(raw, rules, None);
    let entries: Vec<Entry> =
        threads::install(|| raws.par_chunks(CHUNK).flat_map_iter(|chunk| chunk.iter().map(decode)).collect());
    Ok(entries.into())
}

/// As [`decode_transactions`] with senders that this member recovered before, 20 bytes each. A zero sender (it stands
/// where a transaction was refused) is recovered again.
///
/// # Errors
/// As there, and when there is not one sender per transaction.
pub fn attach_senders(packed: &[u8], senders: &[u8], rules: &TxRules) -> InputResult<TxBatch> {
    let raws = read_batch(packed)?;
    let senders = pack::fixed::<20>("senders", senders)?;
    if senders.len() != raws.len() {
        return Err(InputError::new("senders", format!("{} senders", raws.len()), senders.len()));
    }
    let decode = |(raw, sender): (&&[u8], &[u8; 20])| {
        let sender = Address::from(*sender);
        entry(raw, rules, (!sender.is_zero()).then_some(sender))
    };
    let entries: Vec<Entry> = threads::install(|| {
        raws.par_chunks(CHUNK)
            .zip(senders.par_chunks(CHUNK))
            .flat_map_iter(|(raws, senders)| raws.iter().zip(senders).map(decode))
            .collect()
    });
    Ok(entries.into())
}

/// One raw transaction; `sender` if it is already known.
///
/// # Errors
/// The first rule that the transaction breaks.
pub fn decode_one(raw: &[u8], rules: &TxRules, sender: Option<Address>) -> Result<Decoded, TxError> {
    // Before anything that costs more than reading the length.
    if rules.bounded && raw.len() > RAW_BYTES_MAX {
        let size = raw.len();
        return Err(TxError::with(
            TxCode::Oversized,
            format!("oversized data: transaction size {size}, limit {RAW_BYTES_MAX}"),
            U256::from(RAW_BYTES_MAX),
            U256::from(size),
        ));
    }
    let hash = keccak256(raw);
    let tx = envelope(raw, hash)?;
    rules.check(&tx)?;
    let signature = tx.signature();
    rules.check_signature(signature)?;
    let sender = match sender {
        Some(sender) => sender,
        None => recover_signer(tx.signature_hash(), signature)
            .ok_or_else(|| TxError::new(TxCode::Sender, "invalid sender: the signature recovers to no key"))?,
    };
    Ok(Decoded { tx, sender, hash, raw: Bytes::copy_from_slice(raw) })
}

/// Address whose key made `signature` over `hash`. Does not check for a low `s`.
#[must_use]
pub fn recover_signer(hash: B256, signature: &Signature) -> Option<Address> {
    let mut compact = [0u8; 64];
    compact[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    compact[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
    let parity = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    let signature = RecoverableSignature::from_compact(&compact, parity).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(hash.0), &signature).ok()?;
    Some(address_of_public_key(&key))
}

fn read_batch(packed: &[u8]) -> InputResult<Vec<&[u8]>> {
    let raws = pack::read_packed("packed", packed)?;
    if raws.len() > BATCH_COUNT_MAX {
        return Err(InputError::new("packed", format!("at most {BATCH_COUNT_MAX} transactions"), raws.len()));
    }
    Ok(raws)
}

fn entry(raw: &[u8], rules: &TxRules, sender: Option<Address>) -> Entry {
    match decode_one(raw, rules, sender) {
        Ok(decoded) => Ok(Arc::new(decoded)),
        Err(error) => Err(Arc::new(Refused { raw: Bytes::copy_from_slice(raw), hash: keccak256(raw), error })),
    }
}

/// The EIP-2718 form only: a list is a legacy transaction, anything else begins with its type.
fn envelope(raw: &[u8], hash: B256) -> Result<TxEnvelope, TxError> {
    Ok(match raw {
        [] => return Err(TxError::new(TxCode::Malformed, "typed transaction too short")),
        [0xc0..=0xff, ..] => TxEnvelope::Legacy(signed::<TxLegacy>(raw, hash)?),
        [1, ..] => TxEnvelope::Eip2930(signed::<TxEip2930>(raw, hash)?),
        [2, ..] => TxEnvelope::Eip1559(signed::<TxEip1559>(raw, hash)?),
        [3, ..] => TxEnvelope::Eip4844(signed::<TxEip4844>(raw, hash)?.map(TxEip4844Variant::TxEip4844)),
        [4, ..] => TxEnvelope::Eip7702(signed::<TxEip7702>(raw, hash)?),
        [kind @ ..0x80, ..] => return Err(type_not_supported(*kind)),
        [..] => return Err(TxError::new(TxCode::Malformed, "rlp: expected input list for a transaction")),
    })
}

/// Decode all of `raw`. The decoder refuses every form that is not canonical, so `hash` is the transaction's.
fn signed<T: RlpEcdsaDecodableTx + RlpEcdsaEncodableTx>(raw: &[u8], hash: B256) -> Result<Signed<T>, TxError> {
    // A legacy transaction has no type byte.
    let mut rest = if raw.first().is_some_and(|byte| *byte >= 0xc0) { raw } else { raw.get(1..).unwrap_or_default() };
    match T::rlp_decode_with_signature(&mut rest) {
        Ok((tx, signature)) if rest.is_empty() => Ok(Signed::new_unchecked(tx, signature, hash)),
        Ok(_) => Err(TxError::new(TxCode::Malformed, format!("rlp: {} bytes after the transaction", rest.len()))),
        // The only custom error of these decoders is a `v` that no rule allows.
        Err(alloy_rlp::Error::Custom(_)) => Err(invalid_signature()),
        Err(error) => Err(TxError::new(TxCode::Malformed, format!("rlp: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_transaction_is_malformed() {
        assert_eq!(envelope(&[], B256::ZERO).expect_err("empty").code, TxCode::Malformed);
    }
}
