//! Block headers: their RLP, their hash, and the environment that a block is executed in.

pub mod block;
mod env;
pub mod rules;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Decodable, Encodable};

pub use block::{Attached, RawBlock};
pub use env::BlockEnv;

use crate::error::{InputError, InputResult};

/// Most bytes of a header: far above what real ones have, so that a stranger cannot make us hash megabytes.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// A header with its bytes and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub inner: alloy_consensus::Header,
    pub rlp: Vec<u8>,
    pub hash: B256,
}

impl Header {
    /// Encode and hash.
    #[must_use]
    pub fn new(inner: alloy_consensus::Header) -> Self {
        let mut rlp = Vec::with_capacity(inner.length());
        inner.encode(&mut rlp);
        let hash = keccak256(&rlp);
        Self { inner, rlp, hash }
    }

    /// Decode canonical RLP; fields after Prague's last are refused.
    ///
    /// # Errors
    /// Names `field` and what is wrong with it.
    pub fn decode(field: &str, rlp: &[u8]) -> InputResult<Self> {
        if rlp.len() > HEADER_BYTES_MAX {
            return Err(InputError::new(field, format!("at most {HEADER_BYTES_MAX} bytes"), rlp.len()));
        }
        let mut rest = rlp;
        let inner = alloy_consensus::Header::decode(&mut rest)
            .map_err(|error| InputError::new(field, "the RLP of a header", error))?;
        if !rest.is_empty() {
            return Err(InputError::new(field, "the end after the header", format!("{} more bytes", rest.len())));
        }
        if inner.block_access_list_hash.is_some() || inner.slot_number.is_some() {
            return Err(InputError::new(field, "no field after requests_hash", "Amsterdam's fields"));
        }
        let header = Self::new(inner);
        if header.rlp != rlp {
            return Err(InputError::new(field, "canonical RLP", "another encoding of the same header"));
        }
        Ok(header)
    }

    /// The same header with another state root.
    #[must_use]
    pub fn sealed(&self, state_root: B256) -> Self {
        let mut inner = self.inner.clone();
        inner.state_root = state_root;
        Self::new(inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_trailing_byte_is_refused() {
        let mut rlp = Header::new(alloy_consensus::Header::default()).rlp;
        assert!(Header::decode("rlp", &rlp).is_ok());
        rlp.push(0);
        assert_eq!(Header::decode("rlp", &rlp).expect_err("trailing").field, "rlp");
    }

    #[test]
    fn sealing_changes_the_state_root_alone() {
        let template = Header::new(alloy_consensus::Header::default());
        let sealed = template.sealed(B256::repeat_byte(7));
        assert_eq!(sealed.inner.state_root, B256::repeat_byte(7));
        assert_ne!(sealed.hash, template.hash);
        assert_eq!(sealed.sealed(template.inner.state_root), template);
    }
}
