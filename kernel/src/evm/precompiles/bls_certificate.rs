//! `blsCertificateVerify`: whether a certificate holds under a list of keys, and how many signed.
//!
//! Input: number of keys n (32 bytes, 1 to [`KEYS_MAX`]), n keys of 96 bytes, bitmap of signers (`ceil(n / 8)` bytes,
//! little-endian bits), aggregate signature (48), message (the rest). Output: the number of signers in 32 bytes, or
//! nothing. The keys' possession must have been proven before: take them from a validator set, not from a caller.

use alloy_primitives::{Bytes, U256};

use super::{BadInput, GasSchedule, Precompile, number};
use crate::bls::{self, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};

/// Most keys of one call.
pub const KEYS_MAX: usize = 1_024;

pub const PRECOMPILES: &[Precompile] = &[Precompile {
    name: "blsCertificateVerify",
    gas: GasSchedule { base: 120_000, per_word: 6, per_item: 12_000 },
    items,
    keep: true,
    run,
}];

fn items(input: &[u8]) -> u64 {
    Certificate::read(input).map_or(0, |certificate| certificate.keys.len() as u64)
}

struct Certificate<'a> {
    keys: &'a [[u8; PUBLIC_KEY_BYTES]],
    bitmap: &'a [u8],
    signature: &'a [u8],
    message: &'a [u8],
}

impl<'a> Certificate<'a> {
    fn read(input: &'a [u8]) -> Option<Self> {
        let (count, rest) = input.split_at_checked(32)?;
        let count = U256::from_be_slice(count);
        if count.is_zero() || count > U256::from(KEYS_MAX) {
            return None;
        }
        let count: usize = count.saturating_to();
        let (keys, rest) = rest.split_at_checked(count * PUBLIC_KEY_BYTES)?;
        let (bitmap, rest) = rest.split_at_checked(count.div_ceil(8))?;
        let (signature, message) = rest.split_at_checked(SIGNATURE_BYTES)?;
        Some(Self { keys: keys.as_chunks().0, bitmap, signature, message })
    }
}

fn run(input: &[u8]) -> Result<Bytes, BadInput> {
    let certificate = Certificate::read(input)
        .ok_or(BadInput("certificate: number of keys, keys, bitmap, signature and message were expected"))?;
    let signers =
        bls::verify_listed(certificate.keys, certificate.bitmap, certificate.message, certificate.signature);
    Ok(signers.map_or_else(Bytes::new, |signers| number(signers as u64)))
}
