//! ML-DSA-65 (FIPS 204): key 1,952 bytes, signature 3,309, with the empty context.

use ml_dsa::signature::{Keypair, Signer, Verifier};
use ml_dsa::{EncodedVerifyingKey, MlDsa65, Signature, SigningKey, VerifyingKey};

use super::{AccountScheme, Claim};
use crate::error::{InputError, InputResult};

#[derive(Debug)]
pub struct MlDsa;

fn verify(claim: &Claim<'_>) -> bool {
    let Ok(key) = <&EncodedVerifyingKey<MlDsa65>>::try_from(claim.key) else { return false };
    let Ok(signature) = Signature::<MlDsa65>::try_from(claim.signature) else { return false };
    VerifyingKey::<MlDsa65>::decode(key).verify(claim.message, &signature).is_ok()
}

impl AccountScheme for MlDsa {
    fn id(&self) -> u8 {
        4
    }

    fn name(&self) -> &'static str {
        "ml-dsa-65"
    }

    fn key_bytes(&self) -> usize {
        1_952
    }

    fn signature_bytes(&self) -> usize {
        3_309
    }

    fn gas(&self) -> u64 {
        12_000
    }

    fn verify_batch(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(verify).collect()
    }

    fn public_key(&self, secret: &[u8; 32]) -> InputResult<Vec<u8>> {
        Ok(SigningKey::<MlDsa65>::from_seed(&(*secret).into()).verifying_key().encode().to_vec())
    }

    fn sign(&self, secret: &[u8; 32], message: &[u8; 32]) -> InputResult<Vec<u8>> {
        let signature = SigningKey::<MlDsa65>::from_seed(&(*secret).into())
            .try_sign(message)
            .map_err(|_| InputError::new("message", "a hash that can be signed", "another"))?;
        Ok(signature.encode().to_vec())
    }
}
