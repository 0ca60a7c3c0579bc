//! The bytes that every vote signs (design, "Certificates").

use alloy_rlp::{Encodable, Header};

use crate::error::{InputError, InputResult};
use crate::pack;

/// First item of the list: the format's name and version.
const VERSION: &str = "hansa/vote/v1";
/// Phases in which a member votes.
const PHASES: [&str; 3] = ["prepare", "commit", "view-change"];

/// What is voted on. Hashes are 32 bytes; `next_set_hash` may be empty.
#[derive(Debug, Clone, Copy)]
pub struct Vote<'a> {
    pub genesis_hash: &'a [u8],
    pub shard: u64,
    pub epoch: u64,
    pub level: u64,
    pub phase: &'a str,
    pub from_hash: &'a [u8],
    pub from_height: u64,
    pub to_hash: &'a [u8],
    pub to_height: u64,
    pub view: u64,
    pub next_set_hash: &'a [u8],
}

/// RLP list of version, then the fields in the order of [`Vote`].
///
/// # Errors
/// For an unknown phase, or a hash that is not 32 bytes.
pub fn vote_message(vote: &Vote<'_>) -> InputResult<Vec<u8>> {
    if !PHASES.contains(&vote.phase) {
        return Err(InputError::new("phase", PHASES.join(", "), vote.phase));
    }
    if !vote.next_set_hash.is_empty() {
        pack::exact::<32>("next_set_hash", vote.next_set_hash)?;
    }
    let genesis_hash = pack::exact::<32>("genesis_hash", vote.genesis_hash)?;
    let from_hash = pack::exact::<32>("from_hash", vote.from_hash)?;
    let to_hash = pack::exact::<32>("to_hash", vote.to_hash)?;
    let items: [&dyn Encodable; 12] = [
        &VERSION,
        &genesis_hash,
        &vote.shard,
        &vote.epoch,
        &vote.level,
        &vote.phase,
        &from_hash,
        &vote.from_height,
        &to_hash,
        &vote.to_height,
        &vote.view,
        &vote.next_set_hash,
    ];
    let payload_length = items.into_iter().map(Encodable::length).sum();
    let mut out = Vec::with_capacity(payload_length + 3);
    Header { list: true, payload_length }.encode(&mut out);
    for item in items {
        item.encode(&mut out);
    }
    Ok(out)
}
