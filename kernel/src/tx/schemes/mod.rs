//! Account signatures other than Ethereum's, behind one trait.
//!
//! A chain spec turns each on by name and sets its price; nothing here counts before. A scheme is one file and one line
//! of the list below; docs/internals/account-schemes.md says what the chain sees of it. Identifiers are part of what is
//! signed and of the account's address, so they never change.

#[cfg(feature = "ed25519")]
mod ed25519;
#[cfg(feature = "ml-dsa")]
mod ml_dsa;
#[cfg(feature = "p256")]
mod p256;
mod price;
#[cfg(feature = "slh-dsa")]
mod slh_dsa;
#[cfg(feature = "sm2")]
mod sm2;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;

use alloy_primitives::{Address, Keccak256};

#[cfg(feature = "ed25519")]
pub use ed25519::verify as ed25519_verify;
pub use price::{SchemePrice, SchemePrices};

use crate::error::InputResult;

/// Identifier of secp256k1, Ethereum's own, in our envelope: its key is recovered, never carried.
pub const SECP256K1: u8 = 0;
/// Largest identifier plus one: tables by identifier have that many places.
pub const SCHEMES: u8 = 6;

/// What is to be verified: `message` is the transaction's signing hash.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub key: &'a [u8],
    pub message: &'a [u8; 32],
    pub signature: &'a [u8],
}

/// One way of signing for an account.
pub trait AccountScheme: Sync {
    /// 1 to [`SCHEMES`] - 1, for ever.
    fn id(&self) -> u8;

    /// Name in the chain spec and at the command line.
    fn name(&self) -> &'static str;

    /// Exact length of a public key.
    fn key_bytes(&self) -> usize;

    /// Exact length of a signature.
    fn signature_bytes(&self) -> usize;

    /// Gas of one verification where the chain spec sets none. Bytes are paid beside it.
    fn gas(&self) -> u64;

    /// Whether the signature is the one form of it that the chain takes. Others would let anybody change the hash of
    /// somebody's transaction.
    fn is_canonical(&self, _signature: &[u8]) -> bool {
        true
    }

    /// One verdict per claim, in order; false for anything malformed. The verdict on a claim never depends on its
    /// neighbours, or members who batch differently would disagree.
    fn verify_batch(&self, claims: &[Claim<'_>]) -> Vec<bool>;

    /// Public key of a secret of 32 bytes.
    ///
    /// # Errors
    /// When the secret is no key of the scheme. Its value is never named.
    fn public_key(&self, secret: &[u8; 32]) -> InputResult<Vec<u8>>;

    /// Signature of `message`; equal input gives equal bytes.
    ///
    /// # Errors
    /// As [`Self::public_key`].
    fn sign(&self, secret: &[u8; 32], message: &[u8; 32]) -> InputResult<Vec<u8>>;

    /// Account of a key: the last 20 bytes of the Keccak hash of identifier and key. Keys of secp256k1 are hashed as 64
    /// bytes, CREATE's addresses as an RLP list and CREATE2's as 85 bytes, so no two kinds share a preimage.
    fn address(&self, key: &[u8]) -> Address {
        let mut hash = Keccak256::new();
        hash.update([self.id()]);
        hash.update(key);
        Address::from_word(hash.finalize())
    }
}

/// A key x || y (64 bytes) as SEC 1 has it, 0x04 in front; `None` for another length.
#[cfg(any(feature = "p256", feature = "sm2"))]
fn uncompressed(key: &[u8]) -> Option<[u8; 65]> {
    let mut point = [4; 65];
    let coordinates: &[u8; 64] = key.try_into().ok()?;
    point[1..].copy_from_slice(coordinates);
    Some(point)
}

const ALL: &[&dyn AccountScheme] = &[
    #[cfg(feature = "ed25519")]
    &ed25519::Ed25519,
    #[cfg(feature = "p256")]
    &p256::P256,
    #[cfg(feature = "sm2")]
    &sm2::Sm2,
    #[cfg(feature = "ml-dsa")]
    &ml_dsa::MlDsa,
    #[cfg(feature = "slh-dsa")]
    &slh_dsa::SlhDsa,
];

/// Every scheme that is built in, ascending by identifier.
#[must_use]
pub fn all() -> &'static [&'static dyn AccountScheme] {
    ALL
}

#[must_use]
pub fn by_id(id: u8) -> Option<&'static dyn AccountScheme> {
    ALL.iter().copied().find(|scheme| scheme.id() == id)
}

#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn AccountScheme> {
    ALL.iter().copied().find(|scheme| scheme.name() == name)
}

/// Name of an identifier, for people.
#[must_use]
pub fn name_of(id: u8) -> &'static str {
    if id == SECP256K1 { "secp256k1" } else { by_id(id).map_or("unknown", AccountScheme::name) }
}
