//! Hashing dirty nodes, bottom-up, and listing which stored nodes there are then.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;

use super::node::{Branch, Node, encode_branch, encode_extension, encode_leaf};

/// Depth above which the children of a branch are hashed side by side (256 subtries).
const PARALLEL_DEPTH: usize = 2;

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

impl Sealed {
    fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
        self.kept.append(&mut other.kept);
    }
}

/// Root hash of the trie, with all dirty nodes hashed. The root always has a key of its own, however short.
pub fn seal_root(root: &mut Node, parallel: bool) -> (B256, Sealed) {
    let mut sealed = Sealed::default();
    let hash = match root {
        Node::Empty => EMPTY_ROOT_HASH,
        Node::Blind(hash) => *hash,
        _ => {
            let reference = seal(root, Nibbles::new(), parallel, &mut sealed, &mut Vec::new());
            reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
        }
    };
    (hash, sealed)
}

fn seal(node: &mut Node, path: Nibbles, parallel: bool, out: &mut Sealed, buffer: &mut Vec<u8>) -> RlpNode {
    if let Some(reference) = clean(node) {
        keep(node, path, out);
        return reference;
    }
    match node {
        Node::Empty => RlpNode::from_raw(&[alloy_rlp::EMPTY_STRING_CODE]).unwrap_or_default(),
        Node::Blind(hash) => RlpNode::word_rlp(hash),
        Node::Leaf(leaf) => {
            buffer.clear();
            encode_leaf(leaf, buffer);
            let reference = finish(path, buffer, out);
            leaf.reference = Some(reference.clone());
            reference
        }
        Node::Extension(extension) => {
            let child = seal(&mut extension.child, path.join(&extension.path), parallel, out, buffer);
            buffer.clear();
            encode_extension(&extension.path, &child, buffer);
            let reference = finish(path, buffer, out);
            extension.reference = Some(reference.clone());
            reference
        }
        Node::Branch(branch) => {
            let children = if parallel && path.len() < PARALLEL_DEPTH {
                children_in_parallel(branch, path, out)
            } else {
                let mut children: [RlpNode; 16] = Default::default();
                for (nibble, (child, reference)) in (0_u8..).zip(branch.children.iter_mut().zip(&mut children)) {
                    *reference = seal(child, below(path, nibble), parallel, out, buffer);
                }
                children
            };
            buffer.clear();
            encode_branch(&children, buffer);
            let reference = finish(path, buffer, out);
            branch.reference = Some(reference.clone());
            reference
        }
    }
}

fn children_in_parallel(branch: &mut Branch, path: Nibbles, out: &mut Sealed) -> [RlpNode; 16] {
    let sealed: Vec<(RlpNode, Sealed)> = branch
        .children
        .par_iter_mut()
        .zip(NIBBLES)
        .map(|(child, nibble)| {
            let mut part = Sealed::default();
            let reference = seal(child, below(path, nibble), true, &mut part, &mut Vec::new());
            (reference, part)
        })
        .collect();
    let mut children: [RlpNode; 16] = Default::default();
    for (slot, (reference, part)) in children.iter_mut().zip(sealed) {
        *slot = reference;
        out.append(part);
    }
    children
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

/// A dirty node's reference; it is written when it has a key of its own: 32 bytes and more, and the root.
fn finish(path: Nibbles, rlp: &[u8], out: &mut Sealed) -> RlpNode {
    if rlp.len() < 32 && !path.is_empty() {
        return RlpNode::from_rlp(rlp);
    }
    let hash = keccak256(rlp);
    out.writes.push((path, hash, rlp.into()));
    RlpNode::word_rlp(&hash)
}

/// List the stored nodes of a clean part.
fn keep(node: &Node, path: Nibbles, out: &mut Sealed) {
    if clean(node).is_some_and(|reference| reference.is_hash()) {
        out.kept.push(path);
    }
    match node {
        Node::Extension(extension) => keep(&extension.child, path.join(&extension.path), out),
        Node::Branch(branch) => {
            for (nibble, child) in (0_u8..).zip(&branch.children) {
                if !child.is_empty() {
                    keep(child, below(path, nibble), out);
                }
            }
        }
        _ => {}
    }
}
