//! Contracts that a block calls before its first and after its last transaction.

use alloy_primitives::{Address, B256, Bytes, U256, address};

use crate::header::BlockEnv;
use crate::spec::Fork;

/// EIP-4788: parent beacon block roots.
pub const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// EIP-2935: hashes of earlier blocks.
pub const HISTORY: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
/// EIP-7002: withdrawal requests.
pub const WITHDRAWAL_REQUESTS: Address = address!("00000961Ef480Eb55e80D19ad83579A64c007002");
/// EIP-7251: consolidation requests.
pub const CONSOLIDATION_REQUESTS: Address = address!("0000BBdDc7CE488642fb579F8B00f3a590007251");

/// Ring length of EIP-4788 and EIP-2935, slots.
const RING: u64 = 8_191;
/// Slots of the request contracts' excess, count, queue head and queue tail.
const QUEUE_SLOTS: u64 = 4;

/// A call that the protocol makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemCall {
    pub address: Address,
    pub data: Bytes,
    /// EIP-7685 type of the request that its output is; `None` where the output means nothing.
    pub request: Option<u8>,
}

/// Calls before the first transaction.
#[must_use]
pub fn before(env: &BlockEnv, fork: Fork) -> Vec<SystemCall> {
    let call = |address, word: B256| SystemCall { address, data: Bytes::copy_from_slice(&word.0), request: None };
    let mut calls = Vec::new();
    if fork >= Fork::Cancun && env.number > 0 {
        calls.push(call(BEACON_ROOTS, env.parent_beacon_block_root));
    }
    if fork >= Fork::Prague && env.number > 0 {
        calls.push(call(HISTORY, env.parent_hash));
    }
    calls
}

/// Calls after the last transaction, in the order of their request types.
#[must_use]
pub fn after(fork: Fork) -> Vec<SystemCall> {
    if fork < Fork::Prague {
        return Vec::new();
    }
    let call = |address, request| SystemCall { address, data: Bytes::new(), request: Some(request) };
    vec![call(WITHDRAWAL_REQUESTS, 1), call(CONSOLIDATION_REQUESTS, 2)]
}

/// Slots that the calls will read, for the first round. Advice: another contract at the address reads what it likes.
#[must_use]
pub fn slots(env: &BlockEnv, fork: Fork) -> Vec<(Address, U256)> {
    let mut slots = Vec::new();
    if fork >= Fork::Cancun {
        let at = env.timestamp % RING;
        slots.push((BEACON_ROOTS, U256::from(at)));
        slots.push((BEACON_ROOTS, U256::from(at + RING)));
    }
    if fork >= Fork::Prague {
        slots.push((HISTORY, U256::from(env.number.saturating_sub(1) % RING)));
        for address in [WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS] {
            slots.extend((0..QUEUE_SLOTS).map(|slot| (address, U256::from(slot))));
        }
    }
    slots
}
