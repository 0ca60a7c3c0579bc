//! Keys and signed EIP-1559 transactions, for load generators and the command line.

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use rayon::prelude::*;
use secp256k1::ecdsa::RecoveryId;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use super::rules::RAW_BYTES_MAX;
use crate::error::{InputError, InputResult};
use crate::{pack, threads};

/// Most keys or transactions of one call: some seconds of one core.
pub const SIGN_COUNT_MAX: usize = 100_000;
const CHUNK: usize = 32;

/// What to sign: one transaction per secret key; all arrays have that many items.
#[derive(Debug, Clone, Copy)]
pub struct SignRequest<'a> {
    pub chain_id: u64,
    /// 32 bytes each.
    pub secret_keys: &'a [u8],
    /// u64 each.
    pub nonces: &'a [u8],
    /// 20 bytes each.
    pub to: &'a [u8],
    /// u256 each.
    pub values_wei: &'a [u8],
    /// Packed list.
    pub data: &'a [u8],
    pub gas_limit: u64,
    pub max_fee_per_gas: u128,
    pub max_priority_fee_per_gas: u128,
}

/// Address of a public key: the last 20 bytes of the Keccak hash of its 64 bytes.
#[must_use]
pub fn address_of_public_key(key: &PublicKey) -> Address {
    Address::from_raw_public_key(&key.serialize_uncompressed()[1..])
}

/// 20 bytes per 32-byte secret key.
///
/// # Errors
/// When a key is not in 1..n (its place is named, never its value), or there are more than [`SIGN_COUNT_MAX`].
pub fn address_of_secret_keys(secret_keys: &[u8]) -> InputResult<Vec<u8>> {
    let keys = read_keys(secret_keys)?;
    let addresses: Vec<[u8; 20]> = threads::install(|| {
        keys.par_iter().with_min_len(CHUNK).map(|key| *address_of_public_key(&key.public_key(SECP256K1)).0).collect()
    });
    Ok(addresses.concat())
}

/// Signed EIP-1559 transactions as a packed list, in order. Nonces of the signatures follow RFC 6979, so that equal
/// input gives equal bytes.
///
/// # Errors
/// As `address_of_secret_keys`, and when an array has not one item per key or calldata no transaction can hold.
pub fn sign_transactions(request: &SignRequest<'_>) -> InputResult<Vec<u8>> {
    let keys = read_keys(request.secret_keys)?;
    let nonces = same_count("nonces", pack::fixed::<8>("nonces", request.nonces)?, keys.len())?;
    let recipients = same_count("to", pack::fixed::<20>("to", request.to)?, keys.len())?;
    let values = same_count("values_wei", pack::fixed::<32>("values_wei", request.values_wei)?, keys.len())?;
    let data = pack::read_packed("data", request.data)?;
    let data = same_count("data", &data, keys.len())?;
    if let Some(long) = data.iter().find(|item| item.len() > RAW_BYTES_MAX) {
        return Err(InputError::new("data", format!("at most {RAW_BYTES_MAX} bytes each"), long.len()));
    }
    let sign = |index: usize| {
        let tx = TxEip1559 {
            chain_id: request.chain_id,
            nonce: u64::from_be_bytes(nonces[index]),
            gas_limit: request.gas_limit,
            max_fee_per_gas: request.max_fee_per_gas,
            max_priority_fee_per_gas: request.max_priority_fee_per_gas,
            to: TxKind::Call(Address::from(recipients[index])),
            value: U256::from_be_bytes(values[index]),
            input: Bytes::copy_from_slice(data[index]),
            ..TxEip1559::default()
        };
        let signature = sign_hash(&keys[index], tx.signature_hash().0);
        let mut raw = Vec::with_capacity(tx.eip2718_encoded_length(&signature));
        tx.eip2718_encode(&signature, &mut raw);
        raw
    };
    let raws: Vec<Vec<u8>> =
        threads::install(|| (0..keys.len()).into_par_iter().with_min_len(CHUNK).map(sign).collect());
    let mut out = Vec::with_capacity(raws.iter().map(|raw| raw.len() + 4).sum());
    for raw in &raws {
        pack::push_packed(&mut out, raw);
    }
    Ok(out)
}

/// Recoverable signature with low `s`.
pub(super) fn sign_hash(key: &SecretKey, hash: [u8; 32]) -> Signature {
    let (parity, compact) = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash), key).serialize_compact();
    // libsecp256k1 gives r >= n (ids 2 and 3) with chance 2^-128; Ethereum cannot express it.
    Signature::from_bytes_and_parity(&compact, matches!(parity, RecoveryId::One | RecoveryId::Three))
}

fn read_keys(secret_keys: &[u8]) -> InputResult<Vec<SecretKey>> {
    let keys = pack::fixed::<32>("secret_keys", secret_keys)?;
    if keys.len() > SIGN_COUNT_MAX {
        return Err(InputError::new("secret_keys", format!("at most {SIGN_COUNT_MAX} keys"), keys.len()));
    }
    let read = |(index, key): (usize, &[u8; 32])| {
        // Never the key itself in an error.
        SecretKey::from_byte_array(*key)
            .map_err(|_| InputError::new("secret_keys", "secp256k1 keys (1 to n-1)", format!("a bad key at {index}")))
    };
    keys.iter().enumerate().map(read).collect()
}

fn same_count<'a, T>(field: &str, items: &'a [T], count: usize) -> InputResult<&'a [T]> {
    if items.len() == count {
        Ok(items)
    } else {
        Err(InputError::new(field, format!("{count} items, one per secret key"), items.len()))
    }
}
