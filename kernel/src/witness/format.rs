//! The bytes of a witness, versions 1 and 2. All integers are big-endian; a packed list is `u32 length || bytes`, repeated.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `HANSAWIT` |
//! | 2 | version, 1; 2 for blocks with ommers or withdrawals |
//! | 32 | hash of the chain's genesis block |
//! | 32 | hash of the block |
//! | rest | packed list of exactly five items, in version 2 seven, below |
//!
//! 1. the block's header, RLP
//! 2. its transactions, packed list of EIP-2718 bytes
//! 3. headers of earlier blocks, packed list of RLP, ascending without gaps up to the parent
//! 4. codes, packed list, ascending by Keccak hash
//! 5. trie nodes, packed list of RLP, ascending by Keccak hash
//! 6. headers of its ommers, packed list of RLP in the block's order
//! 7. its withdrawals, one RLP list as in the block; empty bytes for none
//!
//! Nothing stands twice, and nothing that the block does not need.

use alloy_primitives::{B256, keccak256};

use crate::error::{InputError, InputResult};
use crate::pack;
use crate::trie::NODE_BYTES_MIN;

/// First bytes of every version.
pub const MAGIC: [u8; 8] = *b"HANSAWIT";
/// The version of blocks of our own.
pub const VERSION: u16 = 1;
/// The version of blocks of other chains that carry ommers or withdrawals.
pub const VERSION_ATTACHED: u16 = 2;
/// Most headers: BLOCKHASH looks back 256 blocks.
const HEADERS_MAX: usize = 256;

/// A witness as far as its bytes tell; whether it shows what it should is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness<'a> {
    pub genesis_hash: B256,
    pub block_hash: B256,
    /// RLP.
    pub header: &'a [u8],
    /// Packed list.
    pub transactions: &'a [u8],
    /// RLP, ascending, the parent last.
    pub headers: Vec<&'a [u8]>,
    /// Ascending by hash.
    pub codes: Vec<&'a [u8]>,
    /// Ascending by hash.
    pub nodes: Vec<&'a [u8]>,
    /// Packed list of RLP.
    pub ommers: &'a [u8],
    /// RLP list; empty for none.
    pub withdrawals: &'a [u8],
}

impl<'a> Witness<'a> {
    /// Read the bytes, and check that lists are bounded and sorted.
    ///
    /// # Errors
    /// Names the part that is not as the layout says, `witness.…`.
    pub fn decode(bytes: &'a [u8]) -> InputResult<Self> {
        let mut rest = bytes;
        let magic = take::<8>(&mut rest, "witness.magic")?;
        if *magic != MAGIC {
            return Err(InputError::new("witness.magic", "HANSAWIT", alloy_primitives::hex::encode(magic)));
        }
        let version = u16::from_be_bytes(*take::<2>(&mut rest, "witness.version")?);
        if version != VERSION && version != VERSION_ATTACHED {
            return Err(InputError::new("witness.version", format!("{VERSION} or {VERSION_ATTACHED}"), version));
        }
        let genesis_hash = B256::from(take::<32>(&mut rest, "witness.genesis_hash")?);
        let block_hash = B256::from(take::<32>(&mut rest, "witness.block_hash")?);
        let items = pack::read_packed("witness.items", rest)?;
        let [header, transactions, headers, codes, nodes, attached @ ..] = items.as_slice() else {
            return Err(InputError::new("witness.items", "five items", items.len()));
        };
        let (ommers, withdrawals): (&[u8], &[u8]) = match attached {
            [] if version == VERSION => (&[], &[]),
            [ommers, withdrawals] if version == VERSION_ATTACHED && !(ommers.is_empty() && withdrawals.is_empty()) => {
                (ommers, withdrawals)
            }
            _ => return Err(InputError::new("witness.items", "five; seven in version 2, not both empty", items.len())),
        };
        let headers = pack::read_packed("witness.headers", headers)?;
        if headers.is_empty() || headers.len() > HEADERS_MAX {
            return Err(InputError::new("witness.headers", format!("1 to {HEADERS_MAX} headers"), headers.len()));
        }
        let codes = pack::read_packed("witness.codes", codes)?;
        ascending("witness.codes", &codes)?;
        let nodes = pack::read_packed("witness.nodes", nodes)?;
        if let Some(short) = nodes.iter().find(|node| node.len() < NODE_BYTES_MIN) {
            return Err(InputError::new(
                "witness.nodes",
                format!("nodes of {NODE_BYTES_MIN} bytes and more"),
                short.len(),
            ));
        }
        ascending("witness.nodes", &nodes)?;
        Ok(Self { genesis_hash, block_hash, header, transactions, headers, codes, nodes, ommers, withdrawals })
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let list = |items: &[&[u8]]| {
            let mut out = Vec::with_capacity(items.iter().map(|item| item.len() + 4).sum());
            for item in items {
                pack::push_packed(&mut out, item);
            }
            out
        };
        let (headers, codes, nodes) = (list(&self.headers), list(&self.codes), list(&self.nodes));
        let is_plain = self.ommers.is_empty() && self.withdrawals.is_empty();
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(if is_plain { VERSION } else { VERSION_ATTACHED }).to_be_bytes());
        out.extend_from_slice(self.genesis_hash.as_slice());
        out.extend_from_slice(self.block_hash.as_slice());
        for item in [self.header, self.transactions, &headers, &codes, &nodes] {
            pack::push_packed(&mut out, item);
        }
        if !is_plain {
            pack::push_packed(&mut out, self.ommers);
            pack::push_packed(&mut out, self.withdrawals);
        }
        out
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8], field: &str) -> InputResult<&'a [u8; N]> {
    let (head, tail) = rest
        .split_first_chunk::<N>()
        .ok_or_else(|| InputError::new(field, format!("{N} bytes"), format!("{} bytes", rest.len())))?;
    *rest = tail;
    Ok(head)
}

fn ascending(field: &str, items: &[&[u8]]) -> InputResult<()> {
    let mut last: Option<B256> = None;
    for (index, item) in items.iter().enumerate() {
        let hash = keccak256(item);
        if last.is_some_and(|last| last >= hash) {
            return Err(InputError::new(field, "items ascending by hash", format!("item {index}, hash {hash}")));
        }
        last = Some(hash);
    }
    Ok(())
}
