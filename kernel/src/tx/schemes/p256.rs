//! ECDSA on P-256 (secp256r1) over the signing hash: key x || y (64 bytes), signature r || s (64).
//!
//! Verified as EIP-7951 has it; of the two forms (r, s) and (r, n - s) the chain takes the one with the lower s, as
//! EIP-2 does for secp256k1.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};

use super::{AccountScheme, Claim, uncompressed};
use crate::error::{InputError, InputResult};

#[derive(Debug)]
pub struct P256;

fn verify(claim: &Claim<'_>) -> bool {
    let Some(point) = uncompressed(claim.key) else { return false };
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(&point), Signature::from_slice(claim.signature))
    else {
        return false;
    };
    key.verify_prehash(claim.message, &signature).is_ok()
}

fn signing_key(secret: &[u8; 32]) -> InputResult<SigningKey> {
    SigningKey::from_slice(secret)
        .map_err(|_| InputError::new("secret_key", "32 bytes, not zero and below the group order", "something else"))
}

impl AccountScheme for P256 {
    fn id(&self) -> u8 {
        2
    }

    fn name(&self) -> &'static str {
        "p256"
    }

    fn key_bytes(&self) -> usize {
        64
    }

    fn signature_bytes(&self) -> usize {
        64
    }

    fn gas(&self) -> u64 {
        6_900 // as P256VERIFY
    }

    fn is_canonical(&self, signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| signature.normalize_s().is_none())
    }

    fn verify_batch(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(verify).collect()
    }

    fn public_key(&self, secret: &[u8; 32]) -> InputResult<Vec<u8>> {
        let point = signing_key(secret)?.verifying_key().to_encoded_point(false);
        Ok(point.as_bytes().get(1..).unwrap_or_default().to_vec())
    }

    fn sign(&self, secret: &[u8; 32], message: &[u8; 32]) -> InputResult<Vec<u8>> {
        let signature: Signature = signing_key(secret)?
            .sign_prehash(message)
            .map_err(|_| InputError::new("message", "a hash that can be signed", "another"))?;
        Ok(signature.normalize_s().unwrap_or(signature).to_vec())
    }
}
