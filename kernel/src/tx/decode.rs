//! Raw bytes to [`TxBatch`], on all threads of the pool.

use std::sync::Arc;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use rayon::prelude::*;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};

use super::batch::{Decoded, Entry, Refused, TxBatch};
use super::envelope::{Envelope, SignedAccountTx};
use super::error::{TxCode, TxError};
use super::rules::{RAW_BYTES_MAX, TxRules, invalid_signature};
use super::schemes::{self, Claim, SCHEMES};
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
    let entries: Vec<Entry> =
        threads::install(|| raws.par_chunks(CHUNK).flat_map_iter(|chunk| decode_chunk(chunk, rules)).collect());
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

/// Decode some transactions; account signatures of one scheme are verified together.
fn decode_chunk(raws: &[&[u8]], rules: &TxRules) -> Vec<Entry> {
    let mut entries: Vec<Result<Decoded, TxError>> = raws.iter().map(|raw| unverified(raw, rules, None)).collect();
    for id in 0..SCHEMES {
        verify_scheme(id, &mut entries);
    }
    raws.iter().zip(entries).map(|(raw, decoded)| entry_of(raw, decoded)).collect()
}

/// Refuse transactions of one scheme whose signature does not hold.
fn verify_scheme(id: u8, entries: &mut [Result<Decoded, TxError>]) {
    let Some(scheme) = schemes::by_id(id) else { return };
    let mut places = Vec::new();
    let mut hashes = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        if let Ok(Decoded { tx: Envelope::Account(account), .. }) = entry
            && account.tx.scheme == id
        {
            places.push((place, account));
            hashes.push(account.tx.signing_hash());
        }
    }
    let claims: Vec<Claim<'_>> = places
        .iter()
        .zip(&hashes)
        .map(|((_, account), hash)| Claim {
            key: &account.tx.public_key,
            message: &hash.0,
            signature: &account.signature,
        })
        .collect();
    if claims.is_empty() {
        return;
    }
    let verdicts = scheme.verify_batch(&claims);
    let bad: Vec<usize> =
        places.iter().zip(verdicts).filter(|(_, holds)| !holds).map(|((place, _), _)| *place).collect();
    for place in bad {
        entries[place] = Err(invalid_account_signature());
    }
}

/// One raw transaction; `sender` if it is already known.
///
/// # Errors
/// The first rule that the transaction breaks.
pub fn decode_one(raw: &[u8], rules: &TxRules, sender: Option<Address>) -> Result<Decoded, TxError> {
    let mut decoded = [unverified(raw, rules, sender)];
    if sender.is_none()
        && let [Ok(Decoded { tx: Envelope::Account(account), .. })] = &decoded
    {
        let id = account.tx.scheme;
        verify_scheme(id, &mut decoded);
    }
    let [decoded] = decoded;
    decoded
}

/// As [`decode_one`], but whether an account signature other than secp256k1's holds is left open.
fn unverified(raw: &[u8], rules: &TxRules, sender: Option<Address>) -> Result<Decoded, TxError> {
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
    let tx = Envelope::decode(raw, hash)?;
    rules.check(&tx)?;
    let sender = match &tx {
        Envelope::Ethereum(tx) => {
            rules.check_signature(tx.signature())?;
            match sender {
                Some(sender) => sender,
                None => recover(tx.signature_hash(), tx.signature())?,
            }
        }
        Envelope::Account(account) => account_sender(account, rules, sender)?,
    };
    check_ranges(&tx, sender)?;
    let extra_gas = rules.extra_gas(&tx);
    Ok(Decoded { tx, sender, hash, raw: Bytes::copy_from_slice(raw), extra_gas })
}

/// Who sends an envelope, by what stands in it.
fn account_sender(account: &SignedAccountTx, rules: &TxRules, sender: Option<Address>) -> Result<Address, TxError> {
    let (key, signature) = (&account.tx.public_key, &account.signature);
    let Some(scheme) = schemes::by_id(account.tx.scheme) else {
        // secp256k1: the rules have refused everything else.
        let signature = secp256k1_signature(signature).filter(|_| key.is_empty()).ok_or_else(invalid_signature)?;
        rules.check_signature(&signature)?;
        return sender.map_or_else(|| recover(account.tx.signing_hash(), &signature), Ok);
    };
    let shaped = key.len() == scheme.key_bytes() && signature.len() == scheme.signature_bytes();
    if !shaped || !scheme.is_canonical(signature) {
        return Err(invalid_account_signature());
    }
    let address = scheme.address(key);
    match sender {
        Some(sender) if sender != address => {
            Err(TxError::new(TxCode::Sender, format!("invalid sender: the key is that of {address}")))
        }
        _ => Ok(address),
    }
}

/// What is known to be touched before anything runs lies in the declared ranges.
fn check_ranges(tx: &Envelope, sender: Address) -> Result<(), TxError> {
    let Some(account) = tx.as_account() else { return Ok(()) };
    let target = match tx.kind() {
        TxKind::Call(to) => to,
        TxKind::Create => sender.create(tx.nonce()),
    };
    let listed = tx.access_list().into_iter().flat_map(|list| list.iter()).map(|item| item.address);
    match [sender, target].into_iter().chain(listed).find(|address| !account.tx.ranges.allow(address)) {
        None => Ok(()),
        Some(address) => {
            let message = format!("address {address} lies outside the transaction's ranges");
            Err(TxError::new(TxCode::AddressRanges, message))
        }
    }
}

fn recover(hash: B256, signature: &Signature) -> Result<Address, TxError> {
    recover_signer(hash, signature)
        .ok_or_else(|| TxError::new(TxCode::Sender, "invalid sender: the signature recovers to no key"))
}

/// r, s and y parity (0 or 1).
fn secp256k1_signature(bytes: &[u8]) -> Option<Signature> {
    let (rs, parity) = bytes.split_at_checked(64)?;
    let parity = match parity {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    Some(Signature::from_bytes_and_parity(rs, parity))
}

fn invalid_account_signature() -> TxError {
    TxError::new(TxCode::Signature, "invalid account signature")
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
    entry_of(raw, decode_one(raw, rules, sender))
}

fn entry_of(raw: &[u8], decoded: Result<Decoded, TxError>) -> Entry {
    match decoded {
        Ok(decoded) => Ok(Arc::new(decoded)),
        Err(error) => Err(Arc::new(Refused { raw: Bytes::copy_from_slice(raw), hash: keccak256(raw), error })),
    }
}
