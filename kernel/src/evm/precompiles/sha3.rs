//! `sha3_256`, `sha3_512`, `shake128`, `shake256` (FIPS 202).
//!
//! The hashes take the message as it is. SHAKE takes the wanted length in the first 32 bytes, a number of bytes up to
//! [`SHAKE_BYTES_MAX`], and the message after it.

use alloy_primitives::{Bytes, U256};
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256, Sha3_512, Shake128, Shake256};

use super::{BadInput, GasSchedule, Precompile, no_items};

/// Longest output of SHAKE, bytes.
pub const SHAKE_BYTES_MAX: usize = 8_192;

/// Twice SHA-256's price a word, since it takes as much longer; SHAKE pays for words of output, too.
const GAS: GasSchedule = GasSchedule { base: 60, per_word: 24, per_item: 24 };

pub const PRECOMPILES: &[Precompile] = &[
    Precompile { name: "sha3_256", gas: GAS, items: no_items, keep: false, run: sha3_256 },
    Precompile { name: "sha3_512", gas: GAS, items: no_items, keep: false, run: sha3_512 },
    Precompile { name: "shake128", gas: GAS, items: output_words, keep: false, run: shake::<Shake128> },
    Precompile { name: "shake256", gas: GAS, items: output_words, keep: false, run: shake::<Shake256> },
];

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn sha3_256(input: &[u8]) -> Result<Bytes, BadInput> {
    Ok(Bytes::copy_from_slice(&<Sha3_256 as Digest>::digest(input)))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn sha3_512(input: &[u8]) -> Result<Bytes, BadInput> {
    Ok(Bytes::copy_from_slice(&<Sha3_512 as Digest>::digest(input)))
}

fn output_bytes(input: &[u8]) -> Option<usize> {
    let length = U256::from_be_slice(input.get(..32)?);
    (length <= U256::from(SHAKE_BYTES_MAX)).then(|| length.saturating_to())
}

fn output_words(input: &[u8]) -> u64 {
    output_bytes(input).map_or(0, |bytes| bytes.div_ceil(32) as u64)
}

fn shake<X: Default + Update + ExtendableOutput>(input: &[u8]) -> Result<Bytes, BadInput> {
    let length = output_bytes(input).ok_or(BadInput("shake: the first word is a length of up to 8192 bytes"))?;
    let mut hash = X::default();
    hash.update(input.get(32..).unwrap_or_default());
    let mut out = vec![0; length];
    hash.finalize_xof().read(&mut out);
    Ok(out.into())
}
