//! SLH-DSA-SHA2-128s (FIPS 205): key 32 bytes, signature 7,856, with the empty context. Signing takes seconds.

use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use slh_dsa::signature::{Keypair, Signer, Verifier};
use slh_dsa::{Sha2_128s, Signature, SigningKey, VerifyingKey};

use super::{AccountScheme, Claim};
use crate::error::{InputError, InputResult};

/// Length of each of the three seeds of a key.
const SEED_BYTES: usize = 16;
/// Separates the expansion of the secret from every other use of it.
const SEED_DOMAIN: &[u8] = b"hansa/slh-dsa-sha2-128s/seed/v1";

#[derive(Debug)]
pub struct SlhDsa;

fn verify(claim: &Claim<'_>) -> bool {
    let Ok(key) = VerifyingKey::<Sha2_128s>::try_from(claim.key) else { return false };
    let Ok(signature) = Signature::<Sha2_128s>::try_from(claim.signature) else { return false };
    key.verify(claim.message, &signature).is_ok()
}

/// FIPS 205 wants 48 bytes of seeds; they are stretched from the secret by SHAKE256.
fn signing_key(secret: &[u8; 32]) -> SigningKey<Sha2_128s> {
    let mut seeds = [0; 3 * SEED_BYTES];
    let mut hash = Shake256::default();
    hash.update(SEED_DOMAIN);
    hash.update(secret);
    hash.finalize_xof().read(&mut seeds);
    let (secret_seed, rest) = seeds.split_at(SEED_BYTES);
    let (secret_prf, public_seed) = rest.split_at(SEED_BYTES);
    SigningKey::slh_keygen_internal(secret_seed, secret_prf, public_seed)
}

impl AccountScheme for SlhDsa {
    fn id(&self) -> u8 {
        5
    }

    fn name(&self) -> &'static str {
        "slh-dsa-sha2-128s"
    }

    fn key_bytes(&self) -> usize {
        32
    }

    fn signature_bytes(&self) -> usize {
        7_856
    }

    fn gas(&self) -> u64 {
        40_000
    }

    fn verify_batch(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(verify).collect()
    }

    fn public_key(&self, secret: &[u8; 32]) -> InputResult<Vec<u8>> {
        Ok(signing_key(secret).verifying_key().to_bytes().to_vec())
    }

    fn sign(&self, secret: &[u8; 32], message: &[u8; 32]) -> InputResult<Vec<u8>> {
        let signature = signing_key(secret)
            .try_sign(message)
            .map_err(|_| InputError::new("message", "a hash that can be signed", "another"))?;
        Ok(signature.to_bytes().to_vec())
    }
}
