//! Ed25519 (RFC 8032): key 32 bytes, signature 64.
//!
//! One acceptance rule everywhere (`verify_strict`): canonical encodings, neither key nor nonce of small order, the
//! equation without cofactor. The usual batch equation is not that rule: parts of small order in two signatures can
//! cancel in the sum, so a member that batches would take what one that does not refuses. Batches are therefore spread
//! over threads by the caller, and verified one by one.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::{AccountScheme, Claim};
use crate::error::InputResult;

#[derive(Debug)]
pub struct Ed25519;

/// Whether `signature` (64 bytes) over `message` is that of `key` (32 bytes).
#[must_use]
pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (<&[u8; 32]>::try_from(key), Signature::from_slice(signature)) else {
        return false;
    };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

impl AccountScheme for Ed25519 {
    fn id(&self) -> u8 {
        1
    }

    fn name(&self) -> &'static str {
        "ed25519"
    }

    fn key_bytes(&self) -> usize {
        32
    }

    fn signature_bytes(&self) -> usize {
        64
    }

    fn gas(&self) -> u64 {
        1_000
    }

    fn verify_batch(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(|claim| verify(claim.key, claim.message, claim.signature)).collect()
    }

    fn public_key(&self, secret: &[u8; 32]) -> InputResult<Vec<u8>> {
        Ok(SigningKey::from_bytes(secret).verifying_key().to_bytes().to_vec())
    }

    fn sign(&self, secret: &[u8; 32], message: &[u8; 32]) -> InputResult<Vec<u8>> {
        Ok(SigningKey::from_bytes(secret).sign(message).to_vec())
    }
}
