//! Tries of states with millions of accounts, of which only the nodes that a measurement touches are kept.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode};
use alloy_trie::{Nibbles, TrieAccount, TrieMask};
use hansa_kernel::exec::need::Record;
use hansa_kernel::exec::write_set::{AccountWrite, WriteSet};
use hansa_kernel::pack::read_packed;
use hansa_kernel::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, TrieOutcome, node_key};
use rayon::prelude::*;

/// Subtries of this depth are made side by side.
const PARALLEL_DEPTH: usize = 2;

/// Trie nodes by node key.
#[derive(Debug, Clone, Default)]
pub struct Nodes(BTreeMap<Vec<u8>, Vec<u8>>);

impl Nodes {
    /// Answers to a packed list of node keys.
    pub fn read(&self, paths: &[u8]) -> Vec<Option<&[u8]>> {
        let keys = read_packed("paths", paths).expect("a job's own list");
        keys.into_iter().map(|key| self.0.get(key).map(Vec::as_slice)).collect()
    }

    /// Put these nodes in the place of the accounts' own trie, and keep those of storage.
    pub fn replace_accounts(&mut self, mut accounts: Self) {
        // Node keys of storage begin with an owner of 32 bytes; no leaf of accounts lies 64 nibbles deep.
        self.0.retain(|key, _| key.len() > 32);
        self.0.append(&mut accounts.0);
    }

    /// Take over what a job changed.
    pub fn apply(&mut self, outcome: &TrieOutcome) {
        let writes = read_packed("writes", &outcome.node_writes).expect("a job's own list");
        for [key, rlp] in writes.as_chunks::<2>().0 {
            self.0.insert(key.to_vec(), rlp.to_vec());
        }
        for key in read_packed("deletes", &outcome.node_deletes).expect("a job's own list") {
            self.0.remove(key);
        }
    }
}

/// Account number `index` of a made-up state.
pub fn address(index: u64) -> Address {
    let mut address = Address::ZERO;
    address.0[12..].copy_from_slice(&index.to_be_bytes());
    address
}

/// What every made-up account holds.
pub fn account() -> TrieAccount {
    TrieAccount { nonce: 1, balance: U256::from(1_000_000), storage_root: EMPTY_ROOT, code_hash: EMPTY_CODE_HASH }
}

struct MadeUp<'a> {
    /// Ascending.
    keys: &'a [B256],
    leaf: Vec<u8>,
    /// Accounts that are not alike.
    leaves: &'a BTreeMap<B256, Vec<u8>>,
    wanted: &'a BTreeSet<B256>,
}

impl MadeUp<'_> {
    /// The node over `keys[from..to]` at `depth`; nodes on wanted paths are kept.
    fn make(&self, from: usize, to: usize, depth: usize, kept: &mut Nodes) -> RlpNode {
        let (first, last) = (Nibbles::unpack(self.keys[from]), Nibbles::unpack(self.keys[to - 1]));
        let mut out = Vec::new();
        if from + 1 == to {
            let leaf = self.leaves.get(&self.keys[from]).unwrap_or(&self.leaf);
            LeafNodeRef::new(&first.slice(depth..), leaf).rlp(&mut out);
        } else {
            let shared = first.common_prefix_length(&last);
            if shared > depth {
                let child = self.make(from, to, shared, kept);
                ExtensionNodeRef::new(&first.slice(depth..shared), &child).rlp(&mut out);
            } else {
                let (children, mask) = self.children(from, to, depth, kept);
                BranchNodeRef::new(&children, mask).rlp(&mut out);
            }
        }
        let (low, high) = bounds(&first.slice(..depth));
        if self.wanted.range(low..=high).next().is_some() {
            kept.0.insert(node_key(None, &first.slice(..depth)), out.clone());
        }
        RlpNode::from_rlp(&out)
    }

    fn children(&self, from: usize, to: usize, depth: usize, kept: &mut Nodes) -> (Vec<RlpNode>, TrieMask) {
        let nibble = |key: &B256| if depth.is_multiple_of(2) { key[depth / 2] >> 4 } else { key[depth / 2] & 15 };
        let end = |child: u8| from + self.keys[from..to].partition_point(|key| nibble(key) <= child);
        let start = |child: u8| child.checked_sub(1).map_or(from, end);
        let there: Vec<u8> = (0..16).filter(|child| start(*child) < end(*child)).collect();
        let mut mask = TrieMask::default();
        for child in &there {
            mask.set_bit(*child);
        }
        let make = |child: &u8, kept: &mut Nodes| self.make(start(*child), end(*child), depth + 1, kept);
        if depth >= PARALLEL_DEPTH {
            return (there.iter().map(|child| make(child, kept)).collect(), mask);
        }
        let part = |child: &u8| {
            let mut kept = Nodes::default();
            (make(child, &mut kept), kept)
        };
        let parts: Vec<(RlpNode, Nodes)> = there.par_iter().map(part).collect();
        let children = parts.into_iter().map(|(reference, mut part)| {
            kept.0.append(&mut part.0);
            reference
        });
        (children.collect(), mask)
    }
}

/// The least and the greatest key under a path.
fn bounds(path: &Nibbles) -> (B256, B256) {
    let (mut least, mut most) = (B256::ZERO, B256::repeat_byte(0xff));
    for (place, nibble) in path.to_vec().into_iter().enumerate() {
        let (shift, keep) = if place.is_multiple_of(2) { (4, 0x0f) } else { (0, 0xf0) };
        for key in [&mut least, &mut most] {
            key[place / 2] = (key[place / 2] & keep) | (nibble << shift);
        }
    }
    (least, most)
}

/// Nodes on the paths of `wanted` keys, and the root, of a state of `count` made-up accounts and of `leaves`: the RLP of
/// accounts by hashed address.
pub fn state(count: u64, leaves: &BTreeMap<B256, Vec<u8>>, wanted: &BTreeSet<B256>) -> (Nodes, B256) {
    let mut keys: Vec<B256> = (0..count).into_par_iter().map(|index| keccak256(address(index))).collect();
    keys.extend(leaves.keys());
    keys.par_sort_unstable();
    let made = MadeUp { keys: &keys, leaf: alloy_rlp::encode(account()), leaves, wanted };
    let mut nodes = Nodes::default();
    let root = made.make(0, keys.len(), 0, &mut nodes).as_hash().expect("more than 32 bytes");
    (nodes, root)
}

/// The write set of accounts that each receive something, and their records before it; as a job takes them.
pub fn payments(accounts: &BTreeSet<u64>, amount: u64) -> (Vec<u8>, Vec<u8>) {
    let held = account();
    let balance = held.balance + U256::from(amount);
    let write = |index: &u64| AccountWrite {
        address: address(*index),
        deleted: false,
        wiped: false,
        nonce: held.nonce,
        balance,
        code_hash: held.code_hash,
        code: None,
        slots: Vec::new(),
    };
    // Numbers of accounts ascend as their addresses do.
    let writes = WriteSet { accounts: accounts.iter().map(write).collect() };
    let record =
        Record { nonce: held.nonce, balance: held.balance, storage_root: held.storage_root, code_hash: held.code_hash };
    (writes.encode(), accounts.iter().flat_map(|_| Record::encode(Some(&record))).collect())
}
