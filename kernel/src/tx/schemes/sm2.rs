//! SM2 (GB/T 32918.2): key x || y (64 bytes), signature r || s (64).
//!
//! What is signed is SM3(Z || signing hash), Z being the digest of the signer's name, the curve and the key. The name
//! is the standard's default, "1234567812345678", so that ordinary devices can sign.

use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::sec1::ToEncodedPoint;

use super::{AccountScheme, Claim, uncompressed};
use crate::error::{InputError, InputResult};

/// Distinguishing identifier that goes into Z (GB/T 35276).
const DISTID: &str = "1234567812345678";

#[derive(Debug)]
pub struct Sm2;

fn verify(claim: &Claim<'_>) -> bool {
    let Some(point) = uncompressed(claim.key) else { return false };
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_sec1_bytes(DISTID, &point), Signature::from_slice(claim.signature))
    else {
        return false;
    };
    key.verify(claim.message, &signature).is_ok()
}

fn signing_key(secret: &[u8; 32]) -> InputResult<SigningKey> {
    SigningKey::from_slice(DISTID, secret)
        .map_err(|_| InputError::new("secret_key", "32 bytes, not zero and below the group order", "something else"))
}

impl AccountScheme for Sm2 {
    fn id(&self) -> u8 {
        3
    }

    fn name(&self) -> &'static str {
        "sm2"
    }

    fn key_bytes(&self) -> usize {
        64
    }

    fn signature_bytes(&self) -> usize {
        64
    }

    fn gas(&self) -> u64 {
        12_000
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
            .try_sign(message)
            .map_err(|_| InputError::new("message", "a hash that can be signed", "another"))?;
        Ok(signature.to_bytes().to_vec())
    }
}
