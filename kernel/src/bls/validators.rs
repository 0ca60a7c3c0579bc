//! Verification by index against an ordered set of keys, and batches with coefficients from a hash.
//!
//! A plain sum of signatures can hold although its parts do not (two members can shift theirs by opposite amounts), so
//! votes that will be aggregated again in other groups are checked as a sum with coefficients. These come from a hash
//! of all inputs: nobody can choose an input after its coefficient, and every member computes the same.

use alloy_primitives::{Keccak256, keccak256};
use blst::min_sig::{AggregatePublicKey, AggregateSignature, PublicKey, Signature};
use blst::{
    BLST_ERROR, Pairing, blst_p1, blst_p1_affine, blst_p1_from_affine, blst_p1_mult, blst_p2, blst_p2_affine,
    blst_p2_from_affine, blst_p2_mult,
};
use rayon::prelude::*;

use super::{PUBLIC_KEY_BYTES, VALIDATORS_MAX, VOTE_DST, pairing_holds, read_key, read_signature, signers_of};
use crate::error::{InputError, InputResult};

/// Bytes of a coefficient. They follow from the inputs, so a forger may search for inputs at leisure: 128 bits.
const COEFFICIENT_BYTES: usize = 16;
/// Certificates per task of a batch.
const BATCH_CHUNK: usize = 8;

type Coefficient = [u8; COEFFICIENT_BYTES];

/// The ordered keys of a validator set, checked once. Possession must have been proved at registration.
#[derive(Debug, Clone)]
pub struct ValidatorKeys {
    keys: Vec<PublicKey>,
}

/// A certificate as it came: bitmap of signers, message, aggregate signature.
#[derive(Debug, Clone, Copy)]
pub struct CertificateClaim<'a> {
    pub bitmap: &'a [u8],
    pub message: &'a [u8],
    pub signature: &'a [u8],
}

impl ValidatorKeys {
    /// # Errors
    /// For an empty or oversized list, a bad key, or a key that stands there twice.
    pub fn new(public_keys: &[&[u8]]) -> InputResult<Self> {
        if public_keys.is_empty() || public_keys.len() > VALIDATORS_MAX {
            return Err(InputError::new("public_keys", format!("1 to {VALIDATORS_MAX} keys"), public_keys.len()));
        }
        let keys = public_keys
            .par_iter()
            .enumerate()
            .map(|(index, bytes)| {
                read_key(bytes).ok_or_else(|| {
                    let expected = format!("{PUBLIC_KEY_BYTES}-byte points of the group, not infinity");
                    InputError::new("public_keys", expected, format!("a bad one at {index}"))
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<InputResult<Vec<_>>>()?;
        let mut sorted = public_keys.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(InputError::new("public_keys", "each key once", "one twice"));
        }
        Ok(Self { keys })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// One verdict per vote on the same message: all at once when all are good, one by one otherwise.
    ///
    /// # Errors
    /// For lists of different lengths or a signer out of range. Bad signatures are verdicts.
    pub fn verify_votes(&self, signers: &[usize], message: &[u8], signatures: &[&[u8]]) -> InputResult<Vec<bool>> {
        if signers.len() != signatures.len() {
            return Err(InputError::new("signatures", format!("{} of them", signers.len()), signatures.len()));
        }
        let keys = self.pick(signers)?;
        let points: Vec<Option<Signature>> = signatures.par_iter().map(|bytes| read_signature(bytes)).collect();
        let readable: Vec<(usize, &PublicKey, &Signature)> = keys
            .iter()
            .zip(&points)
            .enumerate()
            .filter_map(|(place, (key, point))| Some((place, *key, point.as_ref()?)))
            .collect();
        let mut verdicts = vec![false; signers.len()];
        if readable.len() > 1 && weighted_sum_holds(signers, message, signatures, &readable) {
            for (place, _, _) in readable {
                verdicts[place] = true;
            }
            return Ok(verdicts);
        }
        let single: Vec<(usize, bool)> = readable
            .into_par_iter()
            .map(|(place, key, signature)| (place, pairing_holds(VOTE_DST, key, message, signature)))
            .collect();
        for (place, verdict) in single {
            verdicts[place] = verdict;
        }
        Ok(verdicts)
    }

    /// Whether `claim` is the aggregate of its signers' votes; false for anything malformed or without signers. Says
    /// nothing about a quorum.
    #[must_use]
    pub fn verify_certificate(&self, claim: &CertificateClaim<'_>) -> bool {
        match (self.sum(claim.bitmap), read_signature(claim.signature)) {
            (Some(key), Some(signature)) => pairing_holds(VOTE_DST, &key, claim.message, &signature),
            _ => false,
        }
    }

    /// Whether all of `claims` hold (true when there are none): one product of pairings with coefficients from a hash.
    #[must_use]
    pub fn verify_certificates(&self, claims: &[CertificateClaim<'_>]) -> bool {
        let mut seed = Keccak256::new();
        seed.update(b"hansa/certificate-batch/v1");
        for claim in claims {
            for part in [claim.bitmap, claim.message, claim.signature] {
                seed.update((part.len() as u64).to_be_bytes());
                seed.update(part);
            }
        }
        let seed = seed.finalize().0;
        let parts: Vec<Option<Pairing<'_>>> = claims
            .par_chunks(BATCH_CHUNK)
            .enumerate()
            .map(|(chunk, claims)| {
                let mut pairing = Pairing::new(true, VOTE_DST);
                for (place, claim) in claims.iter().enumerate() {
                    let key: blst_p2_affine = self.sum(claim.bitmap)?.into();
                    let signature: blst_p1_affine = read_signature(claim.signature)?.into();
                    let weight = coefficient(&seed, chunk * BATCH_CHUNK + place);
                    let bits = COEFFICIENT_BYTES * 8;
                    let done =
                        pairing.mul_n_aggregate(&key, false, &signature, false, &weight, bits, claim.message, &[]);
                    if done != BLST_ERROR::BLST_SUCCESS {
                        return None;
                    }
                }
                pairing.commit();
                Some(pairing)
            })
            .collect();
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return true };
        let Some(mut product) = first else { return false };
        for part in parts {
            let Some(part) = part else { return false };
            if product.merge(&part) != BLST_ERROR::BLST_SUCCESS {
                return false;
            }
        }
        product.finalverify(None)
    }

    fn pick(&self, signers: &[usize]) -> InputResult<Vec<&PublicKey>> {
        let pick = |&signer: &usize| {
            let limit = || InputError::new("signers", format!("below {}", self.keys.len()), signer);
            self.keys.get(signer).ok_or_else(limit)
        };
        signers.iter().map(pick).collect()
    }

    /// Sum of the keys of a bitmap; `None` for a malformed one or one without signers.
    fn sum(&self, bitmap: &[u8]) -> Option<PublicKey> {
        let keys = self.pick(&signers_of(bitmap, self.keys.len()).ok()?).ok()?;
        AggregatePublicKey::aggregate(&keys, false).ok().map(|sum| sum.to_public_key())
    }
}

/// Coefficient `index` under `seed`; zero has probability 2^-128 and is replaced, as it would leave its item unchecked.
fn coefficient(seed: &[u8; 32], index: usize) -> Coefficient {
    let mut input = [0; 40];
    input[..32].copy_from_slice(seed);
    input[32..].copy_from_slice(&(index as u64).to_be_bytes());
    let mut weight = [0; COEFFICIENT_BYTES];
    weight.copy_from_slice(&keccak256(input)[..COEFFICIENT_BYTES]);
    if weight == [0; COEFFICIENT_BYTES] {
        weight[0] = 1;
    }
    weight
}

/// Whether the sum of weighted signatures is that of the sum of equally weighted keys, for the same message.
fn weighted_sum_holds(
    signers: &[usize],
    message: &[u8],
    signatures: &[&[u8]],
    readable: &[(usize, &PublicKey, &Signature)],
) -> bool {
    let mut seed = Keccak256::new();
    seed.update(b"hansa/vote-batch/v1");
    seed.update(keccak256(message));
    for (signer, signature) in signers.iter().zip(signatures) {
        seed.update((*signer as u64).to_be_bytes());
        seed.update(keccak256(signature));
    }
    let seed = seed.finalize().0;
    let weighted: Vec<(AggregatePublicKey, AggregateSignature)> = readable
        .par_iter()
        .map(|(place, key, signature)| {
            let weight = coefficient(&seed, *place);
            (weighted_key(key, &weight), weighted_signature(signature, &weight))
        })
        .collect();
    let mut sums = weighted.into_iter();
    let Some((mut key, mut signature)) = sums.next() else { return false };
    for (next_key, next_signature) in sums {
        key.add_aggregate(&next_key);
        signature.add_aggregate(&next_signature);
    }
    pairing_holds(VOTE_DST, &key.to_public_key(), message, &signature.to_signature())
}

fn weighted_key(key: &PublicKey, weight: &Coefficient) -> AggregatePublicKey {
    let affine: &blst_p2_affine = key.into();
    let (mut point, mut product) = (blst_p2::default(), blst_p2::default());
    // SAFETY: all pointers are to live values of the types that the C functions name, and `weight` holds the 128 bits
    // that `blst_p2_mult` is told to read.
    unsafe {
        blst_p2_from_affine(&raw mut point, affine);
        blst_p2_mult(&raw mut product, &raw const point, weight.as_ptr(), COEFFICIENT_BYTES * 8);
    }
    product.into()
}

fn weighted_signature(signature: &Signature, weight: &Coefficient) -> AggregateSignature {
    let affine: &blst_p1_affine = signature.into();
    let (mut point, mut product) = (blst_p1::default(), blst_p1::default());
    // SAFETY: as in `weighted_key`.
    unsafe {
        blst_p1_from_affine(&raw mut point, affine);
        blst_p1_mult(&raw mut product, &raw const point, weight.as_ptr(), COEFFICIENT_BYTES * 8);
    }
    product.into()
}
