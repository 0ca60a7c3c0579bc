//! Hashing dirty nodes, bottom-up and level by level, and listing which stored nodes there are then.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;

use super::node::{Node, encode_branch, encode_extension, encode_leaf};
use crate::keccak::keccak256_all;

/// Nodes of a level that are hashed in one go.
const CHUNK: usize = 64;

/// Children of a branch.
pub const NIBBLES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// What became of the revealed part of a trie.
#[derive(Debug, Default)]
pub struct Sealed {
    /// Path, hash and RLP of every dirty node that has a key of its own.
    pub writes: Vec<(Nibbles, B256, Arc<[u8]>)>,
    /// Paths of revealed stored nodes that stay as they were.
    pub kept: Vec<Nibbles>,
}

/// A dirty node.
struct Dirty<'a> {
    node: &'a Node,
    path: Nibbles,
    /// Place of its first dirty child on the level below; the others follow.
    children: usize,
}

/// Root hash of the trie, with all dirty nodes hashed. The root always has a key of its own, however short.
pub fn seal_root(root: &Node, parallel: bool) -> (B256, Sealed) {
    let mut sealed = Sealed::default();
    match root {
        Node::Empty => return (EMPTY_ROOT_HASH, sealed),
        Node::Blind(hash) => return (*hash, sealed),
        _ => {}
    }
    let mut references = Vec::new();
    if let Some(reference) = clean(root) {
        keep(root, Nibbles::new(), &mut sealed.kept);
        references.push(reference);
    } else {
        for level in levels(root, &mut sealed.kept).iter().rev() {
            references = hash_level(level, &references, parallel, &mut sealed.writes);
        }
    }
    let reference = references.pop().unwrap_or_default();
    (reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice())), sealed)
}

/// Dirty nodes by their distance from the root, each level in the order of paths.
fn levels<'a>(root: &'a Node, kept: &mut Vec<Nibbles>) -> Vec<Vec<Dirty<'a>>> {
    let mut done = Vec::new();
    let mut level = vec![Dirty { node: root, path: Nibbles::new(), children: 0 }];
    while !level.is_empty() {
        let mut next = Vec::new();
        let mut visit = |node: &'a Node, path: Nibbles, next: &mut Vec<Dirty<'a>>| match node {
            Node::Empty | Node::Blind(_) => {}
            _ if clean(node).is_some() => keep(node, path, kept),
            _ => next.push(Dirty { node, path, children: 0 }),
        };
        for dirty in &mut level {
            dirty.children = next.len();
            match dirty.node {
                Node::Extension(extension) => visit(&extension.child, dirty.path.join(&extension.path), &mut next),
                Node::Branch(branch) => {
                    for (nibble, child) in NIBBLES.into_iter().zip(&branch.children) {
                        visit(child, below(dirty.path, nibble), &mut next);
                    }
                }
                _ => {}
            }
        }
        done.push(std::mem::replace(&mut level, next));
    }
    done
}

type Writes = Vec<(Nibbles, B256, Arc<[u8]>)>;

/// References of a level's nodes, given those of the level below.
fn hash_level(level: &[Dirty<'_>], below: &[RlpNode], parallel: bool, writes: &mut Writes) -> Vec<RlpNode> {
    if !parallel || level.len() <= CHUNK {
        return level.chunks(CHUNK).flat_map(|chunk| hash_chunk(chunk, below, writes)).collect();
    }
    let chunk = |chunk: &[Dirty<'_>]| {
        let mut writes = Writes::with_capacity(chunk.len());
        (hash_chunk(chunk, below, &mut writes), writes)
    };
    let parts: Vec<(Vec<RlpNode>, Writes)> = level.par_chunks(CHUNK).map(chunk).collect();
    let mut references = Vec::with_capacity(level.len());
    for (mut part, mut written) in parts {
        references.append(&mut part);
        writes.append(&mut written);
    }
    references
}

fn hash_chunk(chunk: &[Dirty<'_>], below: &[RlpNode], writes: &mut Writes) -> Vec<RlpNode> {
    let mut buffer = Vec::with_capacity(chunk.len() * 600);
    let mut ends = Vec::with_capacity(chunk.len());
    for dirty in chunk {
        encode(dirty, below, &mut buffer);
        ends.push(buffer.len());
    }
    let mut start = 0;
    let rlps: Vec<&[u8]> = ends.iter().map(|end| &buffer[std::mem::replace(&mut start, *end)..*end]).collect();
    // Nodes of 32 bytes and more, and the root, have a key of their own; others stand in their parents.
    let keyed = |dirty: &Dirty<'_>, rlp: &[u8]| rlp.len() >= 32 || dirty.path.is_empty();
    let with_key: Vec<&[u8]> =
        chunk.iter().zip(&rlps).filter(|(dirty, rlp)| keyed(dirty, rlp)).map(|(_, rlp)| *rlp).collect();
    let mut hashes = keccak256_all(&with_key).into_iter();
    let reference = |(dirty, rlp): (&Dirty<'_>, &[u8])| match keyed(dirty, rlp).then(|| hashes.next()).flatten() {
        Some(hash) => {
            writes.push((dirty.path, hash, rlp.into()));
            RlpNode::word_rlp(&hash)
        }
        None => RlpNode::from_rlp(rlp),
    };
    chunk.iter().zip(rlps).map(reference).collect()
}

fn encode(dirty: &Dirty<'_>, below: &[RlpNode], out: &mut Vec<u8>) {
    let mut dirty_children = below.iter().skip(dirty.children);
    let mut reference = |child: &Node| match child {
        Node::Empty => RlpNode::from_raw(&[alloy_rlp::EMPTY_STRING_CODE]).unwrap_or_default(),
        Node::Blind(hash) => RlpNode::word_rlp(hash),
        _ => clean(child).or_else(|| dirty_children.next().cloned()).unwrap_or_default(),
    };
    match dirty.node {
        Node::Empty | Node::Blind(_) => {}
        Node::Leaf(leaf) => encode_leaf(leaf, out),
        Node::Extension(extension) => encode_extension(&extension.path, &reference(&extension.child), out),
        Node::Branch(branch) => {
            let mut children: [RlpNode; 16] = Default::default();
            for (slot, child) in children.iter_mut().zip(&branch.children) {
                *slot = reference(child);
            }
            encode_branch(&children, out);
        }
    }
}

/// `path` and one nibble more.
pub fn below(mut path: Nibbles, nibble: u8) -> Nibbles {
    path.push(nibble);
    path
}

fn clean(node: &Node) -> Option<RlpNode> {
    match node {
        Node::Empty | Node::Blind(_) => None,
        Node::Leaf(leaf) => leaf.reference.clone(),
        Node::Extension(extension) => extension.reference.clone(),
        Node::Branch(branch) => branch.reference.clone(),
    }
}

/// List the stored nodes of a clean part.
fn keep(node: &Node, path: Nibbles, kept: &mut Vec<Nibbles>) {
    if clean(node).is_some_and(|reference| reference.is_hash()) {
        kept.push(path);
    }
    match node {
        Node::Extension(extension) => keep(&extension.child, path.join(&extension.path), kept),
        Node::Branch(branch) => {
            for (nibble, child) in NIBBLES.into_iter().zip(&branch.children) {
                if !child.is_empty() {
                    keep(child, below(path, nibble), kept);
                }
            }
        }
        _ => {}
    }
}
