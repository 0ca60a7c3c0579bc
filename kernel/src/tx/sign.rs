//! Keys and signed EIP-1559 transactions, for load generators and the command line.

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use rayon::prelude::*;
use secp256k1::ecdsa::RecoveryId;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use super::envelope::AccountTx;
use super::ranges::AddressRanges;
use super::rules::RAW_BYTES_MAX;
use super::schemes::{self, AccountScheme};
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
pub(crate) fn sign_hash(key: &SecretKey, hash: [u8; 32]) -> Signature {
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

/// One transaction in the chain's envelope; see `envelope.rs`.
#[derive(Debug, Clone, Copy)]
pub struct EnvelopeRequest<'a> {
    /// Name of the scheme; `secp256k1` for Ethereum's own.
    pub scheme: &'a str,
    /// 32 bytes.
    pub secret_key: &'a [u8],
    pub chain_id: u64,
    pub nonce: u64,
    /// 20 bytes, or empty to create a contract.
    pub to: &'a [u8],
    /// u256.
    pub value_wei: &'a [u8],
    pub data: &'a [u8],
    pub gas_limit: u64,
    pub max_fee_per_gas: u128,
    pub max_priority_fee_per_gas: u128,
    /// First and last address of each range, 40 bytes each; empty promises nothing.
    pub address_ranges: &'a [u8],
}

/// Identifier of a scheme's name; the empty name is secp256k1, too.
///
/// # Errors
/// For an unknown scheme.
pub fn scheme_id(name: &str) -> InputResult<u8> {
    if name.is_empty() {
        Ok(schemes::SECP256K1)
    } else {
        Ok(scheme_named(name)?.map_or(schemes::SECP256K1, AccountScheme::id))
    }
}

/// The scheme of a name; `None` for secp256k1.
fn scheme_named(name: &str) -> InputResult<Option<&'static dyn AccountScheme>> {
    if name == schemes::name_of(schemes::SECP256K1) {
        return Ok(None);
    }
    let unknown = || {
        let known: Vec<&str> = schemes::all().iter().map(|scheme| scheme.name()).collect();
        InputError::new("scheme", format!("secp256k1 or one of {}", known.join(", ")), name)
    };
    schemes::by_name(name).map(Some).ok_or_else(unknown)
}

/// Public key of a 32-byte secret; empty for secp256k1, whose key is recovered.
///
/// # Errors
/// For an unknown scheme, or a secret that is no key of it.
pub fn scheme_public_key(scheme: &str, secret_key: &[u8]) -> InputResult<Vec<u8>> {
    let secret = pack::exact::<32>("secret_key", secret_key)?;
    scheme_named(scheme)?.map_or(Ok(Vec::new()), |scheme| scheme.public_key(&secret))
}

/// Account of a public key.
///
/// # Errors
/// For an unknown scheme, secp256k1 (see `address_of_secret_keys`), or a key of another length.
pub fn scheme_address(scheme: &str, public_key: &[u8]) -> InputResult<Address> {
    let found = scheme_named(scheme)?
        .ok_or_else(|| InputError::new("scheme", "a scheme whose accounts follow from public keys", scheme))?;
    if public_key.len() != found.key_bytes() {
        let expected = format!("{} bytes", found.key_bytes());
        return Err(InputError::new("public_key", expected, format!("{} bytes", public_key.len())));
    }
    Ok(found.address(public_key))
}

/// The signed envelope. Takes seconds for SLH-DSA.
///
/// # Errors
/// As [`scheme_public_key`], and for fields of another length or ranges that do not ascend.
pub fn sign_envelope(request: &EnvelopeRequest<'_>) -> InputResult<Vec<u8>> {
    let secret = pack::exact::<32>("secret_key", request.secret_key)?;
    let scheme = scheme_named(request.scheme)?;
    let to = match request.to {
        [] => TxKind::Create,
        to => TxKind::Call(pack::exact::<20>("to", to)?.into()),
    };
    let ranges = AddressRanges::from_packed(request.address_ranges)?;
    let tx = AccountTx {
        ethereum: TxEip1559 {
            chain_id: request.chain_id,
            nonce: request.nonce,
            gas_limit: request.gas_limit,
            max_fee_per_gas: request.max_fee_per_gas,
            max_priority_fee_per_gas: request.max_priority_fee_per_gas,
            to,
            value: U256::from_be_bytes(pack::exact::<32>("value_wei", request.value_wei)?),
            access_list: AccessList::default(),
            input: Bytes::copy_from_slice(request.data),
        },
        ranges,
        scheme: scheme.map_or(schemes::SECP256K1, AccountScheme::id),
        public_key: scheme_public_key(request.scheme, request.secret_key)?.into(),
    };
    let hash = tx.signing_hash();
    let signature = if let Some(scheme) = scheme {
        scheme.sign(&secret, &hash.0)?
    } else {
        let key = SecretKey::from_byte_array(secret).map_err(|_| {
            InputError::new("secret_key", "32 bytes, not zero and below the group order", "something else")
        })?;
        let signature = sign_hash(&key, hash.0);
        let mut bytes = signature.r().to_be_bytes_vec();
        bytes.extend(signature.s().to_be_bytes_vec());
        bytes.push(signature.v().into());
        bytes
    };
    Ok(tx.signed(signature))
}
