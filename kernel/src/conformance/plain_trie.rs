//! A Merkle-Patricia trie as the yellow paper writes it (appendix D), from scratch and for any keys: what the kernel's
//! own trie is compared with, and what runs vectors with keys that no state has (one key the beginning of another).

use std::collections::BTreeMap;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Encodable, Header};

/// A key as nibbles, and its value.
type Item = (Vec<u8>, Vec<u8>);

/// Root of the trie of `leaves`; no value is empty.
#[must_use]
pub fn root(leaves: &BTreeMap<Vec<u8>, Vec<u8>>) -> B256 {
    let items: Vec<Item> = leaves
        .iter()
        .map(|(key, value)| (key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect(), value.clone()))
        .collect();
    if items.is_empty() { EMPTY_ROOT_HASH } else { keccak256(node(&items, 0)) }
}

/// RLP of the node over `items`, which share their first `depth` nibbles; ascending, not empty.
fn node(items: &[Item], depth: usize) -> Vec<u8> {
    let (first, last) = (&items[0].0, &items[items.len() - 1].0);
    if let [(key, value)] = items {
        return list(&[text(&compact(&key[depth..], true)), text(value)]);
    }
    let shared = first[depth..].iter().zip(&last[depth..]).take_while(|(one, other)| one == other).count();
    if shared > 0 {
        let child = node(items, depth + shared);
        return list(&[text(&compact(&first[depth..depth + shared], false)), reference(child)]);
    }
    let mut fields = Vec::with_capacity(17);
    let (ended, rest) = items.split_at(usize::from(first.len() == depth));
    for nibble in 0..16 {
        let below: Vec<Item> = rest.iter().filter(|(key, _)| key[depth] == nibble).cloned().collect();
        fields.push(if below.is_empty() { text(&[]) } else { reference(node(&below, depth + 1)) });
    }
    fields.push(text(ended.first().map_or(&[][..], |(_, value)| value)));
    list(&fields)
}

/// A node below 32 bytes stands in its parent, others by their hash.
fn reference(rlp: Vec<u8>) -> Vec<u8> {
    if rlp.len() < 32 { rlp } else { text(keccak256(rlp).as_slice()) }
}

/// Hex-prefix encoding (appendix C).
fn compact(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = u8::from(leaf) * 2 + u8::from(nibbles.len() % 2 == 1);
    let (head, pairs) = nibbles.split_at(nibbles.len() % 2);
    let mut out = vec![flag << 4 | head.first().copied().unwrap_or_default()];
    out.extend(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    out
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes.encode(&mut out);
    out
}

fn list(fields: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    Header { list: true, payload_length: fields.iter().map(Vec::len).sum() }.encode(&mut out);
    out.extend(fields.concat());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack;
    use crate::trie::trie_root;

    #[test]
    fn hashed_keys_give_the_same_root_as_the_kernels_builder() {
        let leaves: BTreeMap<Vec<u8>, Vec<u8>> =
            (0u32..300).map(|i| (keccak256(i.to_be_bytes()).to_vec(), vec![1; 1 + i as usize % 60])).collect();
        let mut items = Vec::new();
        for (key, value) in &leaves {
            pack::push_packed(&mut items, key);
            pack::push_packed(&mut items, value);
        }
        assert_eq!(trie_root(&items), Ok(root(&leaves)));
    }

    #[test]
    fn nothing_has_the_empty_root() {
        assert_eq!(root(&BTreeMap::new()), EMPTY_ROOT_HASH);
    }
}
