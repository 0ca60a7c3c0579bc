//! Ranges of addresses that a transaction promises to stay in.

use std::sync::Arc;

use alloy_primitives::Address;
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};

use crate::error::{InputError, InputResult};
use crate::pack;

/// Most ranges of one transaction: every access is checked against them.
pub const RANGES_MAX: usize = 16;

/// Addresses from `first` to `last`, both inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct AddressRange {
    pub first: Address,
    pub last: Address,
}

/// Ascending ranges without overlap; none means that nothing is promised. Cheap to clone.
///
/// RLP: list of `[first, last]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRanges(Arc<[AddressRange]>);

impl AddressRanges {
    /// `None` when there are more than [`RANGES_MAX`], one ends before it begins, or they do not ascend.
    #[must_use]
    pub fn new(ranges: Vec<AddressRange>) -> Option<Self> {
        let ordered = ranges.iter().all(|range| range.first <= range.last)
            && ranges.windows(2).all(|pair| pair[0].last < pair[1].first);
        (ordered && ranges.len() <= RANGES_MAX).then(|| Self(ranges.into()))
    }

    /// First and last address of each range, 40 bytes each.
    ///
    /// # Errors
    /// As [`Self::new`], and for another length.
    pub fn from_packed(packed: &[u8]) -> InputResult<Self> {
        let ranges = pack::fixed::<40>("address_ranges", packed)?
            .iter()
            .map(|range| AddressRange {
                first: Address::from_slice(&range[..20]),
                last: Address::from_slice(&range[20..]),
            })
            .collect();
        Self::new(ranges).ok_or_else(|| {
            let expected = format!("at most {RANGES_MAX}, ascending, without overlap");
            InputError::new("address_ranges", expected, "others")
        })
    }

    /// Whether nothing is promised.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[AddressRange] {
        &self.0
    }

    /// Whether `address` may be touched: it lies in a range, or nothing is promised.
    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        self.is_empty() || self.contain(address)
    }

    /// Whether `address` lies in one of the ranges.
    #[must_use]
    pub fn contain(&self, address: &Address) -> bool {
        // The first range that does not end before it.
        let place = self.0.partition_point(|range| range.last < *address);
        self.0.get(place).is_some_and(|range| range.first <= *address)
    }

    /// Whether both promise something, and no address lies in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        if left.peek().is_none() || right.peek().is_none() {
            return false;
        }
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            if a.last < b.first {
                left.next();
            } else if b.last < a.first {
                right.next();
            } else {
                return false;
            }
        }
        true
    }
}

impl Encodable for AddressRanges {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        alloy_rlp::encode_list(self.as_slice(), out);
    }

    fn length(&self) -> usize {
        alloy_rlp::list_length(self.as_slice())
    }
}

impl Decodable for AddressRanges {
    fn decode(rest: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut list = Header::decode_bytes(rest, true)?;
        let mut ranges = Vec::new();
        while !list.is_empty() {
            if ranges.len() == RANGES_MAX {
                return Err(alloy_rlp::Error::Custom("address ranges: more than 16"));
            }
            ranges.push(AddressRange::decode(&mut list)?);
        }
        Self::new(ranges).ok_or(alloy_rlp::Error::Custom("address ranges: not ascending, or overlapping"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(pairs: &[(u8, u8)]) -> Option<AddressRanges> {
        let range = |(first, last): &(u8, u8)| AddressRange {
            first: Address::with_last_byte(*first),
            last: Address::with_last_byte(*last),
        };
        AddressRanges::new(pairs.iter().map(range).collect())
    }

    #[test]
    fn ranges_that_overlap_or_run_backwards_are_none() {
        assert!(ranges(&[(1, 3), (3, 4)]).is_none());
        assert!(ranges(&[(5, 6), (1, 2)]).is_none());
        assert!(ranges(&[(2, 1)]).is_none());
        assert!(ranges(&(0..17).map(|n| (2 * n, 2 * n)).collect::<Vec<_>>()).is_none());
        assert!(ranges(&[(1, 3), (4, 4)]).is_some());
    }

    #[test]
    fn nothing_promised_is_disjoint_from_nothing() {
        let some = ranges(&[(1, 2)]).expect("good");
        assert!(!AddressRanges::default().is_disjoint(&some) && !some.is_disjoint(&AddressRanges::default()));
        assert!(AddressRanges::default().allow(&Address::ZERO) && !AddressRanges::default().contain(&Address::ZERO));
    }

    fn some_ranges() -> impl Strategy<Value = AddressRanges> {
        prop::collection::btree_set(any::<u8>(), 0..12).prop_map(|ends| {
            let ends: Vec<u8> = ends.into_iter().collect();
            ranges(&ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()).expect("ascending")
        })
    }

    proptest! {
        #[test]
        fn membership_and_disjointness_are_those_of_the_sets(a in some_ranges(), b in some_ranges()) {
            let holds = |ranges: &AddressRanges, n: u8| {
                let address = Address::with_last_byte(n);
                ranges.as_slice().iter().any(|range| range.first <= address && address <= range.last)
            };
            for n in 0..=u8::MAX {
                prop_assert_eq!(a.contain(&Address::with_last_byte(n)), holds(&a, n));
            }
            let apart = !(0..=u8::MAX).any(|n| holds(&a, n) && holds(&b, n));
            prop_assert_eq!(a.is_disjoint(&b), apart && !a.is_empty() && !b.is_empty());
            prop_assert_eq!(alloy_rlp::decode_exact::<AddressRanges>(alloy_rlp::encode(&a)), Ok(a));
        }
    }
}
