//! The block's access list: which keys it reads, and what its transactions write that later ones read.
//!
//! A proposer sends it beside the block. It is advice: a validator fetches all keys in one round and runs every
//! transaction on the state before the block plus what the list says of earlier ones, all at once. Folding in checks every
//! value (`commit`), and the list that the validator's own execution gives is compared with the one received.
//!
//! Values that do not make a later transaction differ are left out: balances that are only added to, and nonces of
//! senders, which their next transactions name.

use std::collections::BTreeMap;

use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, B256, U256};

use super::need::Keys;
use super::state::Fields;
use crate::error::{InputError, InputResult};
use crate::pack;

/// A value that one transaction wrote and a later one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Account {
        address: Address,
        /// Place of the writing transaction in the block.
        index: u32,
        fields: Option<Fields>,
    },
    Slot {
        address: Address,
        slot: U256,
        index: u32,
        value: U256,
    },
}

/// What transactions write, by key, ascending by the writing transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessList {
    accounts: AddressMap<Vec<(u32, Option<Fields>)>>,
    slots: HashMap<(Address, U256), Vec<(u32, U256)>>,
}

/// The latest value of a transaction from `first` on and before `index`.
fn latest<T: Copy>(values: &[(u32, T)], first: u32, index: u32) -> Option<T> {
    let below = values.partition_point(|(writer, _)| *writer < index);
    values[..below].last().filter(|(writer, _)| *writer >= first).map(|(_, value)| *value)
}

impl AccessList {
    /// Nothing to run on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.slots.is_empty()
    }

    /// The account as the list has it before transaction `index`, if one from `first` on wrote it.
    #[must_use]
    pub fn account(&self, address: Address, first: u32, index: u32) -> Option<Option<Fields>> {
        latest(self.accounts.get(&address)?, first, index)
    }

    /// The slot as the list has it before transaction `index`, if one from `first` on wrote it.
    #[must_use]
    pub fn slot(&self, address: Address, slot: U256, first: u32, index: u32) -> Option<U256> {
        latest(self.slots.get(&(address, slot))?, first, index)
    }

    /// Read the fifth item of an access list.
    ///
    /// # Errors
    /// Names `field` when it is not laid out as [`pack_links`] does.
    fn read(field: &str, bytes: &[u8]) -> InputResult<Self> {
        let mut list = Self::default();
        let mut reader = Reader { field, rest: bytes };
        for _ in 0..reader.u32()? {
            let address = Address::from(reader.array::<20>()?);
            let mut values = Vec::new();
            for _ in 0..reader.u32()? {
                let index = reader.u32()?;
                let fields = match reader.array::<1>()? {
                    [0] => None,
                    [1] => Some(Fields {
                        nonce: u64::from_be_bytes(reader.array()?),
                        balance: reader.number()?,
                        code_hash: B256::from(reader.array::<32>()?),
                    }),
                    [exists] => return Err(InputError::new(field, "exists of 0 or 1", exists)),
                };
                values.push((index, fields));
            }
            list.accounts.insert(address, ascending(field, values)?);
        }
        while !reader.rest.is_empty() {
            let address = Address::from(reader.array::<20>()?);
            let slot = U256::from_be_bytes(reader.array::<32>()?);
            let mut values = Vec::new();
            for _ in 0..reader.u32()? {
                values.push((reader.u32()?, reader.number()?));
            }
            list.slots.insert((address, slot), ascending(field, values)?);
        }
        Ok(list)
    }
}

fn ascending<T>(field: &str, values: Vec<(u32, T)>) -> InputResult<Vec<(u32, T)>> {
    if values.is_sorted_by(|one, next| one.0 < next.0) {
        Ok(values)
    } else {
        Err(InputError::new(field, "writers ascending", "another order"))
    }
}

struct Reader<'a> {
    field: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> InputResult<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| InputError::new(self.field, format!("{length} more bytes"), self.rest.len()))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> InputResult<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> InputResult<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A length byte and that many bytes, big-endian.
    fn number(&mut self) -> InputResult<U256> {
        let [length] = self.array::<1>()?;
        U256::try_from_be_slice(self.take(usize::from(length))?)
            .ok_or_else(|| InputError::new(self.field, "a number of at most 32 bytes", length))
    }
}

fn push_number(out: &mut Vec<u8>, number: U256) {
    let bytes = number.to_be_bytes_trimmed_vec();
    out.push(bytes.len().to_le_bytes()[0]);
    out.extend_from_slice(&bytes);
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    // Gas bounds transactions and keys far below.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// The links, by key and writer: u32 accounts, for each its address, u32 writers, for each its u32 place, 0 or 1 and, if
/// there, u64 nonce, balance, code hash; then slots to the end, for each its address, slot, u32 writers, for each its u32
/// place and value. Balances and values are a length byte and that many bytes. All big-endian.
fn pack_links(links: &[Link]) -> Vec<u8> {
    let mut accounts: BTreeMap<Address, BTreeMap<u32, Option<Fields>>> = BTreeMap::new();
    let mut slots: BTreeMap<(Address, U256), BTreeMap<u32, U256>> = BTreeMap::new();
    for link in links {
        match *link {
            Link::Account { address, index, fields } => {
                accounts.entry(address).or_default().insert(index, fields);
            }
            Link::Slot { address, slot, index, value } => {
                slots.entry((address, slot)).or_default().insert(index, value);
            }
        }
    }
    let mut out = Vec::new();
    push_count(&mut out, accounts.len());
    for (address, values) in accounts {
        out.extend_from_slice(address.as_slice());
        push_count(&mut out, values.len());
        for (index, fields) in values {
            out.extend_from_slice(&index.to_be_bytes());
            out.push(u8::from(fields.is_some()));
            if let Some(fields) = fields {
                out.extend_from_slice(&fields.nonce.to_be_bytes());
                push_number(&mut out, fields.balance);
                out.extend_from_slice(fields.code_hash.as_slice());
            }
        }
    }
    for ((address, slot), values) in slots {
        out.extend_from_slice(address.as_slice());
        out.extend_from_slice(&slot.to_be_bytes::<32>());
        push_count(&mut out, values.len());
        for (index, value) in values {
            out.extend_from_slice(&index.to_be_bytes());
            push_number(&mut out, value);
        }
    }
    out
}

/// The bytes of a block's access list: a packed list of the four arrays of keys, and the links.
#[must_use]
pub fn pack_list(keys: &Keys, links: &[Link]) -> Vec<u8> {
    let mut out = keys.pack();
    pack::push_packed(&mut out, &pack_links(links));
    out
}

/// Read an access list. Keys alone are one, too, as are no bytes.
///
/// # Errors
/// Names `field` with what is malformed.
pub fn read_list(field: &str, bytes: &[u8]) -> InputResult<(Keys, Option<AccessList>)> {
    if bytes.is_empty() {
        return Ok((Keys::default(), None));
    }
    // The items are let go of before they are read.
    let keys_length = match pack::read_packed(field, bytes)?.as_slice() {
        [_, _, _, _, links] => Some(bytes.len() - links.len() - 4),
        _ => None,
    };
    let Some(keys_length) = keys_length else { return Ok((Keys::unpack(field, bytes)?, None)) };
    let keys = Keys::unpack(field, &bytes[..keys_length])?;
    Ok((keys, Some(AccessList::read(field, &bytes[keys_length + 4..])?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address::repeat_byte(0xa);
    const SLOT: U256 = U256::from_limbs([5, 0, 0, 0]);

    fn fields(nonce: u64) -> Fields {
        Fields { nonce, balance: U256::from(1_000), ..Fields::default() }
    }

    fn links() -> Vec<Link> {
        vec![
            Link::Slot { address: A, slot: SLOT, index: 4, value: U256::MAX },
            Link::Account { address: A, index: 7, fields: None },
            Link::Slot { address: A, slot: SLOT, index: 1, value: U256::ZERO },
            Link::Account { address: A, index: 2, fields: Some(fields(3)) },
        ]
    }

    fn list() -> AccessList {
        read_list("hints", &pack_list(&Keys::default(), &links())).expect("well formed").1.expect("links")
    }

    #[test]
    fn a_transaction_sees_the_last_write_before_it_that_is_not_folded_in() {
        let list = list();
        assert_eq!(
            [1, 2, 4, 5].map(|index| list.slot(A, SLOT, 0, index)),
            [None, Some(U256::ZERO), Some(U256::ZERO), Some(U256::MAX)]
        );
        assert_eq!(list.slot(A, SLOT, 2, 4), None);
        assert_eq!([2, 3, 8].map(|index| list.account(A, 0, index)), [None, Some(Some(fields(3))), Some(None)]);
        assert_eq!(list.account(A, 8, 9), None);
    }

    #[test]
    fn keys_alone_are_a_list_without_links() {
        let keys = Keys { accounts: [A].into(), ..Keys::default() };
        assert_eq!(read_list("hints", &keys.pack()), Ok((keys.clone(), None)));
        assert_eq!(read_list("hints", &pack_list(&keys, &[])), Ok((keys, Some(AccessList::default()))));
        assert_eq!(read_list("hints", &[]), Ok((Keys::default(), None)));
    }

    #[test]
    fn every_cut_of_the_bytes_is_refused_or_less() {
        let bytes = pack_list(&Keys::default(), &links());
        for length in 1..bytes.len() {
            match read_list("hints", &bytes[..length]) {
                Ok((_, links)) => assert!(links.is_none(), "{length} bytes"),
                Err(error) => assert_eq!(error.field, "hints"),
            }
        }
        let mut unordered = pack_list(&Keys::default(), &links()[1..2]);
        unordered.extend_from_slice(&[1]);
        assert_eq!(read_list("hints", &unordered).expect_err("trailing").field, "hints");
    }
}
