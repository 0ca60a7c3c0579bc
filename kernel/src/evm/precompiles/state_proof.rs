//! `stateProofVerify`: what an account and one of its slots hold under a state root, by Merkle proof (EIP-1186's).
//!
//! Input: state root (32 bytes), address (20), slot (32), RLP of `[account nodes]` or `[account nodes, storage nodes]`,
//! each a list of the nodes' RLP from the root down, none to spare. Output, 32 bytes each: nonce, balance, storage root,
//! code hash, and the slot's value (0 without storage nodes). Of an absent account all are 0. A proof that does not hold
//! fails the call with all its gas, so that no caller can forget to look.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Header;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

use super::{BadInput, GasSchedule, Precompile, no_items};
use crate::trie::proven_value;

/// Most nodes of one proof: a path has 64 nibbles.
const NODES_MAX: usize = 65;
const HEAD_BYTES: usize = 84;

pub const PRECOMPILES: &[Precompile] = &[Precompile {
    name: "stateProofVerify",
    gas: GasSchedule { base: 3_000, per_word: 15, per_item: 0 },
    items: no_items,
    keep: true,
    run,
}];

fn run(input: &[u8]) -> Result<Bytes, BadInput> {
    let (head, proof) = input
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(BadInput("state proof: root, address, slot and proof were expected"))?;
    let root = B256::from_slice(&head[..32]);
    let (account_nodes, storage_nodes) = read(proof).ok_or(BadInput("state proof: RLP of one or two lists of nodes"))?;
    let holds_not = BadInput("state proof: the proof does not hold");
    let leaf = proven_value(root, keccak256(&head[32..52]).as_slice(), &account_nodes).ok_or(holds_not)?;
    let account = match leaf {
        Some(leaf) => Some(alloy_rlp::decode_exact::<TrieAccount>(&leaf).map_err(|_| holds_not)?),
        None => None,
    };
    let value = match storage_nodes {
        None => U256::ZERO,
        Some(nodes) => {
            let root = account.as_ref().map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
            match proven_value(root, keccak256(&head[52..]).as_slice(), &nodes).ok_or(holds_not)? {
                Some(value) => alloy_rlp::decode_exact::<U256>(&value).map_err(|_| holds_not)?,
                None => U256::ZERO,
            }
        }
    };
    let mut out = [0; 160];
    if let Some(account) = account {
        out[..32].copy_from_slice(&U256::from(account.nonce).to_be_bytes::<32>());
        out[32..64].copy_from_slice(&account.balance.to_be_bytes::<32>());
        out[64..96].copy_from_slice(account.storage_root.as_slice());
        out[96..128].copy_from_slice(account.code_hash.as_slice());
    }
    out[128..].copy_from_slice(&value.to_be_bytes::<32>());
    Ok(Bytes::copy_from_slice(&out))
}

type Nodes<'a> = Vec<&'a [u8]>;

fn read(proof: &[u8]) -> Option<(Nodes<'_>, Option<Nodes<'_>>)> {
    let mut rest = proof;
    let mut lists = Header::decode_bytes(&mut rest, true).ok()?;
    let account = nodes(&mut lists)?;
    let storage = if lists.is_empty() { None } else { Some(nodes(&mut lists)?) };
    (rest.is_empty() && lists.is_empty()).then_some((account, storage))
}

/// Nodes stand as byte strings, as `eth_getProof` gives them.
fn nodes<'a>(lists: &mut &'a [u8]) -> Option<Nodes<'a>> {
    let mut list = Header::decode_bytes(lists, true).ok()?;
    let mut nodes = Vec::new();
    while !list.is_empty() {
        if nodes.len() == NODES_MAX {
            return None;
        }
        nodes.push(Header::decode_bytes(&mut list, false).ok()?);
    }
    Some(nodes)
}
