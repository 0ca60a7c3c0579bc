//! Nodes of a sparse trie and their RLP. Branch values do not exist: all keys of a trie have one length.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rlp::{Encodable, Header};
use alloy_trie::Nibbles;
use alloy_trie::nodes::RlpNode;

use super::PATH_NIBBLES_MAX;

/// A node, as far as it is known. `reference` is what the parent holds, absent while the node is dirty.
#[derive(Debug, Clone, Default)]
pub enum Node {
    #[default]
    Empty,
    /// Stored, not read yet.
    Blind(B256),
    Leaf(Box<Leaf>),
    Extension(Box<Extension>),
    Branch(Box<Branch>),
}

#[derive(Debug, Clone)]
pub struct Leaf {
    pub suffix: Nibbles,
    pub value: Arc<[u8]>,
    pub reference: Option<RlpNode>,
}

#[derive(Debug, Clone)]
pub struct Extension {
    pub path: Nibbles,
    pub child: Node,
    pub reference: Option<RlpNode>,
}

#[derive(Debug, Clone, Default)]
pub struct Branch {
    pub children: [Node; 16],
    pub reference: Option<RlpNode>,
}

impl Node {
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub fn leaf(suffix: Nibbles, value: Arc<[u8]>) -> Self {
        Self::Leaf(Box::new(Leaf { suffix, value, reference: None }))
    }

    /// `child` below `path`; just `child` when `path` is empty.
    pub fn extended(path: Nibbles, child: Self) -> Self {
        if path.is_empty() { child } else { Self::Extension(Box::new(Extension { path, child, reference: None })) }
    }

    /// Node `rlp` at a path of `depth` nibbles, known to its parent as `reference`. `None` when malformed.
    pub fn decode(rlp: &[u8], depth: usize, reference: RlpNode) -> Option<Self> {
        let mut rest = rlp;
        let header = Header::decode(&mut rest).ok()?;
        if !header.list || header.payload_length != rest.len() {
            return None;
        }
        let mut items = [Item::default(); 17];
        let mut count = 0;
        while !rest.is_empty() {
            *items.get_mut(count)? = Item::next(&mut rest)?;
            count += 1;
        }
        match count {
            2 => Self::decode_short(&items[0], &items[1], depth, reference),
            17 => {
                if depth >= PATH_NIBBLES_MAX || items[16].list || !items[16].payload.is_empty() {
                    return None;
                }
                let mut branch = Branch { reference: Some(reference), ..Branch::default() };
                for (child, item) in branch.children.iter_mut().zip(&items) {
                    *child = item.child(depth + 1)?;
                }
                Some(Self::Branch(Box::new(branch)))
            }
            _ => None,
        }
    }

    fn decode_short(path: &Item<'_>, second: &Item<'_>, depth: usize, reference: RlpNode) -> Option<Self> {
        if path.list {
            return None;
        }
        let (is_leaf, path) = decode_path(path.payload)?;
        if is_leaf {
            if depth + path.len() > PATH_NIBBLES_MAX || second.list || second.payload.is_empty() {
                return None;
            }
            return Some(Self::Leaf(Box::new(Leaf {
                suffix: path,
                value: second.payload.into(),
                reference: Some(reference),
            })));
        }
        if path.is_empty() || depth + path.len() >= PATH_NIBBLES_MAX {
            return None;
        }
        let child = second.child(depth + path.len())?;
        match child {
            Self::Blind(_) | Self::Branch(_) => {
                Some(Self::Extension(Box::new(Extension { path, child, reference: Some(reference) })))
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Item<'a> {
    list: bool,
    payload: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Item<'a> {
    fn next(rest: &mut &'a [u8]) -> Option<Self> {
        let start = *rest;
        let header = Header::decode(rest).ok()?;
        let (payload, next) = rest.split_at_checked(header.payload_length)?;
        *rest = next;
        Some(Self { list: header.list, payload, raw: &start[..start.len() - next.len()] })
    }

    /// The child that this reference of a parent stands for.
    fn child(&self, depth: usize) -> Option<Node> {
        match (self.list, self.payload.len()) {
            (false, 0) => Some(Node::Empty),
            (false, 32) => Some(Node::Blind(B256::from_slice(self.payload))),
            (true, _) if self.raw.len() < 32 => Node::decode(self.raw, depth, RlpNode::from_raw(self.raw)?),
            _ => None,
        }
    }
}

/// Hex-prefix decoding (yellow paper, appendix C): whether it ends in a leaf, and the nibbles.
fn decode_path(bytes: &[u8]) -> Option<(bool, Nibbles)> {
    let (&first, rest) = bytes.split_first()?;
    if first >> 4 > 3 || rest.len() > PATH_NIBBLES_MAX / 2 {
        return None;
    }
    let odd = first & 0x10 != 0;
    if (!odd && first & 0x0f != 0) || (odd && rest.len() == PATH_NIBBLES_MAX / 2) {
        return None;
    }
    let tail = Nibbles::unpack(rest);
    let path = if odd { Nibbles::from_nibbles([first & 0x0f]).join(&tail) } else { tail };
    Some((first & 0x20 != 0, path))
}

/// Hex-prefix encoding as an RLP string.
fn encode_path(path: &Nibbles, is_leaf: bool, out: &mut Vec<u8>) {
    let flag = if is_leaf { 0x20 } else { 0 };
    let mut bytes = [0_u8; 33];
    let rest = if path.len() % 2 == 1 {
        bytes[0] = flag | 0x10 | path.get_unchecked(0);
        path.slice(1..)
    } else {
        bytes[0] = flag;
        *path
    };
    let length = rest.len() / 2;
    bytes[1..=length].copy_from_slice(&rest.pack());
    bytes[..=length].encode(out);
}

fn path_length(path: &Nibbles) -> usize {
    // One byte (below 0x80, as all flags are) stands for itself.
    let bytes = path.len() / 2 + 1;
    if bytes == 1 { 1 } else { bytes + 1 }
}

pub fn encode_leaf(leaf: &Leaf, out: &mut Vec<u8>) {
    Header { list: true, payload_length: path_length(&leaf.suffix) + leaf.value.length() }.encode(out);
    encode_path(&leaf.suffix, true, out);
    leaf.value.encode(out);
}

pub fn encode_extension(path: &Nibbles, child: &RlpNode, out: &mut Vec<u8>) {
    Header { list: true, payload_length: path_length(path) + child.len() }.encode(out);
    encode_path(path, false, out);
    out.extend_from_slice(child);
}

pub fn encode_branch(children: &[RlpNode; 16], out: &mut Vec<u8>) {
    Header { list: true, payload_length: children.iter().map(|child| child.len()).sum::<usize>() + 1 }.encode(out);
    for child in children {
        out.extend_from_slice(child);
    }
    out.push(alloy_rlp::EMPTY_STRING_CODE);
}
