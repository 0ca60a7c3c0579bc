//! Packed lists and fixed-width arrays: how batches cross the border.

use crate::error::{InputError, InputResult};

/// Iterate over a packed list (`u32 big-endian length || bytes`, repeated). Stops with an error at the first bad length.
///
/// # Errors
/// Names `field` and what is wrong with it.
pub fn read_packed<'a>(field: &str, bytes: &'a [u8]) -> InputResult<Vec<&'a [u8]>> {
    let mut items = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((head, tail)) = rest.split_first_chunk::<4>() else {
            return Err(InputError::new(field, "a packed list", format!("{} trailing bytes", rest.len())));
        };
        let length = u32::from_be_bytes(*head) as usize;
        let Some((item, next)) = tail.split_at_checked(length) else {
            return Err(InputError::new(
                field,
                format!("item {} of {length} bytes", items.len()),
                format!("{} bytes left", tail.len()),
            ));
        };
        items.push(item);
        rest = next;
    }
    Ok(items)
}

/// Append one item to a packed list.
///
/// # Panics
/// When the item is 4 GiB or longer: our own bug, since every input is bounded far below.
pub fn push_packed(out: &mut Vec<u8>, item: &[u8]) {
    let length = u32::try_from(item.len()).expect("packed items are bounded below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(item);
}

/// View `bytes` as an array of `N`-byte records.
///
/// # Errors
/// Names `field` when it is not that.
pub fn fixed<'a, const N: usize>(field: &str, bytes: &'a [u8]) -> InputResult<&'a [[u8; N]]> {
    let (records, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        Ok(records)
    } else {
        Err(InputError::new(field, format!("a multiple of {N} bytes"), format!("{} bytes", bytes.len())))
    }
}

/// Exactly `N` bytes.
///
/// # Errors
/// Names `field` when it is not that.
pub fn exact<const N: usize>(field: &str, bytes: &[u8]) -> InputResult<[u8; N]> {
    bytes.try_into().map_err(|_| InputError::new(field, format!("{N} bytes"), format!("{} bytes", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_items_come_back_in_order() {
        let mut out = Vec::new();
        push_packed(&mut out, b"one");
        push_packed(&mut out, b"");
        assert_eq!(read_packed("x", &out), Ok(vec![b"one".as_slice(), b"".as_slice()]));
    }

    #[test]
    fn a_length_beyond_the_end_names_the_item() {
        let error = read_packed("x", &[0, 0, 0, 9, 1]).expect_err("too short");
        assert_eq!(error.expected, "item 0 of 9 bytes");
    }
}
