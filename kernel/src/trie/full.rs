//! Roots of tries built from scratch: the reference, and the lists of a block.

use alloy_primitives::B256;
use alloy_rlp::BufMut;
use alloy_trie::root::ordered_trie_root_with_encoder;
use alloy_trie::{HashBuilder, Nibbles};

use crate::error::{InputError, InputResult};
use crate::pack;

/// Root of the trie of `items`: a packed list of 32-byte key and value, alternating, ascending by key.
///
/// # Errors
/// For keys of another length or order, or an empty value.
pub fn trie_root(items: &[u8]) -> InputResult<B256> {
    let items = pack::read_packed("items", items)?;
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(InputError::new("items", "a value for each key", format!("{} items", items.len())));
    }
    let mut builder = HashBuilder::default();
    let mut previous: Option<[u8; 32]> = None;
    for [key, value] in pairs {
        let key = pack::exact::<32>("items", key)?;
        if previous.is_some_and(|previous| previous >= key) {
            return Err(InputError::new("items", "keys ascending", alloy_primitives::hex::encode(key)));
        }
        if value.is_empty() {
            return Err(InputError::new("items", "a value", "an empty one"));
        }
        builder.add_leaf(Nibbles::unpack_array(&key), value);
        previous = Some(key);
    }
    Ok(builder.root())
}

/// Root of the trie of `items` keyed by RLP(index).
#[must_use]
pub fn ordered_root(items: &[&[u8]]) -> B256 {
    ordered_trie_root_with_encoder(items, |item, out| out.put_slice(item))
}
