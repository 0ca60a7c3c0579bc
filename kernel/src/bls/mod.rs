//! Group signatures on BLS12-381: signatures in G1 (48 bytes), keys in G2 (96 bytes), both compressed.
//!
//! Every point from outside is checked: encoding, curve, subgroup, and not infinity. Keys count only with a proof of
//! possession (its own domain), which is what makes plain sums of keys safe against rogue keys (Ristenpart and Yilek
//! 2007; IETF draft-irtf-cfrg-bls-signature, section 3.3).

mod bitmap;
mod message;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;
mod validators;

use blst::min_sig::{AggregatePublicKey, AggregateSignature, PublicKey, SecretKey, Signature};
use blst::{BLST_ERROR, Pairing, blst_p1_affine, blst_p2_affine};

pub use bitmap::{VALIDATORS_MAX, bitmap_of, signers_of};
pub use message::{Vote, vote_message};
pub use validators::{CertificateClaim, ValidatorKeys};

use crate::error::{InputError, InputResult};

/// Domain of votes.
pub const VOTE_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Domain of proofs of possession.
pub const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

pub const SECRET_KEY_BYTES: usize = 32;
pub const PUBLIC_KEY_BYTES: usize = 96;
pub const SIGNATURE_BYTES: usize = 48;
/// Least seed of a secret key (the draft's `KeyGen`).
pub const SEED_BYTES_MIN: usize = 32;

/// `KeyGen` of the IETF draft, without key info: a scalar from at least 32 bytes of secret seed.
///
/// # Errors
/// For a shorter seed.
pub fn secret_key(seed: &[u8]) -> InputResult<[u8; SECRET_KEY_BYTES]> {
    SecretKey::key_gen(seed, &[]).map(|key| key.to_bytes()).map_err(|_| {
        InputError::new("seed", format!("at least {SEED_BYTES_MIN} bytes"), format!("{} bytes", seed.len()))
    })
}

fn read_secret(bytes: &[u8]) -> InputResult<SecretKey> {
    // The key itself never shows up in an error.
    SecretKey::from_bytes(bytes)
        .map_err(|_| InputError::new("secret_key", "32 bytes, not zero and below the group order", "something else"))
}

/// The 96-byte public key.
///
/// # Errors
/// For a key that is not 32 bytes, zero, or not below the group order.
pub fn public_key(secret_key: &[u8]) -> InputResult<[u8; PUBLIC_KEY_BYTES]> {
    Ok(read_secret(secret_key)?.sk_to_pk().compress())
}

/// Signature of `message` under [`VOTE_DST`].
///
/// # Errors
/// As [`public_key`].
pub fn sign(secret_key: &[u8], message: &[u8]) -> InputResult<[u8; SIGNATURE_BYTES]> {
    sign_in(VOTE_DST, secret_key, message)
}

fn sign_in(domain: &[u8], secret_key: &[u8], message: &[u8]) -> InputResult<[u8; SIGNATURE_BYTES]> {
    Ok(read_secret(secret_key)?.sign(message, domain, &[]).compress())
}

/// Whether `signature` is that of `message`; false for any malformed, infinity or out-of-subgroup point.
#[must_use]
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify_in(VOTE_DST, public_key, message, signature)
}

fn verify_in(domain: &[u8], public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match (read_key(public_key), read_signature(signature)) {
        (Some(key), Some(signature)) => pairing_holds(domain, &key, message, &signature),
        _ => false,
    }
}

/// Signature of one's own public key under [`POSSESSION_DST`].
///
/// # Errors
/// As [`public_key`].
pub fn prove_possession(secret_key: &[u8]) -> InputResult<[u8; SIGNATURE_BYTES]> {
    sign_in(POSSESSION_DST, secret_key, &public_key(secret_key)?)
}

#[must_use]
pub fn verify_possession(public_key: &[u8], proof: &[u8]) -> bool {
    verify_in(POSSESSION_DST, public_key, public_key, proof)
}

/// Plain sum of signatures.
///
/// # Errors
/// For an empty list, or a signature that is malformed, infinity or out of the subgroup.
pub fn aggregate(signatures: &[&[u8]]) -> InputResult<[u8; SIGNATURE_BYTES]> {
    let mut points = Vec::with_capacity(signatures.len());
    for (index, bytes) in signatures.iter().enumerate() {
        points
            .push(read_signature(bytes).ok_or_else(|| {
                InputError::new("signatures", "points of the group", format!("a bad one at {index}"))
            })?);
    }
    let points: Vec<&Signature> = points.iter().collect();
    AggregateSignature::aggregate(&points, false)
        .map(|sum| sum.to_signature().compress())
        .map_err(|_| InputError::new("signatures", "at least one", 0))
}

/// Number of signers of a certificate under keys that are listed with it, or `None` when it does not hold: a malformed
/// or repeated key, a bitmap of another size or without signers, a sum that is not that of the signers. On the calling
/// thread; about a pairing, and a check of the subgroup per key.
#[must_use]
pub fn verify_listed(
    keys: &[[u8; PUBLIC_KEY_BYTES]],
    bitmap: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Option<usize> {
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let signers = signers_of(bitmap, keys.len()).ok()?;
    let signature = read_signature(signature)?;
    let keys: Vec<PublicKey> = keys.iter().map(|key| read_key(key)).collect::<Option<_>>()?;
    let signed: Vec<&PublicKey> = signers.iter().filter_map(|signer| keys.get(*signer)).collect();
    let sum = AggregatePublicKey::aggregate(&signed, false).ok()?.to_public_key();
    pairing_holds(VOTE_DST, &sum, message, &signature).then_some(signers.len())
}

/// A checked public key from its compressed form.
fn read_key(bytes: &[u8]) -> Option<PublicKey> {
    if bytes.len() != PUBLIC_KEY_BYTES {
        return None;
    }
    PublicKey::key_validate(bytes).ok()
}

/// A checked signature from its compressed form.
fn read_signature(bytes: &[u8]) -> Option<Signature> {
    if bytes.len() != SIGNATURE_BYTES {
        return None;
    }
    Signature::sig_validate(bytes, true).ok()
}

/// The pairing equation for checked points, on the calling thread. A key at infinity (a sum may be) never holds.
fn pairing_holds(domain: &[u8], key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let (key, signature): (blst_p2_affine, blst_p1_affine) = ((*key).into(), (*signature).into());
    let mut pairing = Pairing::new(true, domain);
    if pairing.aggregate(&key, false, &signature, false, message, &[]) != BLST_ERROR::BLST_SUCCESS {
        return false;
    }
    pairing.commit();
    pairing.finalverify(None)
}
