//! `ed25519Verify`: key (32 bytes), signature (64), message (the rest).
//!
//! One acceptance rule everywhere (`verify_strict`): canonical encodings, no key or nonce of small order, and the
//! equation without cofactor. So no two members can disagree on a crafted signature.

use alloy_primitives::Bytes;

use super::{BadInput, GasSchedule, Precompile, no_items, verdict};
use crate::tx::schemes::ed25519_verify;

pub const PRECOMPILES: &[Precompile] = &[Precompile {
    name: "ed25519Verify",
    gas: GasSchedule { base: 4_000, per_word: 12, per_item: 0 },
    items: no_items,
    keep: true,
    run,
}];

#[expect(clippy::unnecessary_wraps, reason = "the signature of the registry")]
fn run(input: &[u8]) -> Result<Bytes, BadInput> {
    let holds = input
        .split_at_checked(96)
        .is_some_and(|(head, message)| ed25519_verify(&head[..32], message, &head[32..]));
    Ok(verdict(holds))
}
