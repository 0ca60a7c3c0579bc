//! What a block changes in the state, and its bytes at the border (layout in `_kernel.pyi`).

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use crate::error::{InputError, InputResult};

const DELETED: u8 = 1;
const WIPED: u8 = 2;
const CODE: u8 = 4;

/// New fields of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWrite {
    pub address: Address,
    /// The account is gone; all else is zero and `wiped` is set.
    pub deleted: bool,
    /// The storage before `slots` is gone.
    pub wiped: bool,
    pub nonce: u64,
    pub balance: U256,
    pub code_hash: B256,
    /// Code that the state may not hold yet.
    pub code: Option<Bytes>,
    /// Ascending by slot; zero deletes.
    pub slots: Vec<(U256, U256)>,
}

/// Accounts ascending by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteSet {
    pub accounts: Vec<AccountWrite>,
}

impl WriteSet {
    /// Bytes as in `_kernel.pyi`.
    ///
    /// # Panics
    /// With 2^32 accounts, slots or code bytes: gas bounds them far below.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).expect("gas bounds the write set").to_be_bytes();
        let mut out = Vec::with_capacity(4 + self.accounts.len() * 101);
        out.extend_from_slice(&count(self.accounts.len()));
        for account in &self.accounts {
            out.extend_from_slice(account.address.as_slice());
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            out.push(flag(account.deleted, DELETED) | flag(account.wiped, WIPED) | flag(account.code.is_some(), CODE));
            out.extend_from_slice(&account.nonce.to_be_bytes());
            out.extend_from_slice(&account.balance.to_be_bytes::<32>());
            out.extend_from_slice(account.code_hash.as_slice());
            if let Some(code) = &account.code {
                out.extend_from_slice(&count(code.len()));
                out.extend_from_slice(code);
            }
            out.extend_from_slice(&count(account.slots.len()));
            for (slot, value) in &account.slots {
                out.extend_from_slice(&slot.to_be_bytes::<32>());
                out.extend_from_slice(&value.to_be_bytes::<32>());
            }
        }
        out
    }

    /// Read the bytes back, checking order, flags and code hashes.
    ///
    /// # Errors
    /// Names `write_set` with what is wrong where.
    pub fn decode(bytes: &[u8]) -> InputResult<Self> {
        let mut reader = Reader { rest: bytes };
        let count = reader.u32("account count")?;
        let mut accounts: Vec<AccountWrite> = Vec::new();
        for index in 0..count {
            let account = reader.account()?;
            if accounts.last().is_some_and(|last| last.address >= account.address) {
                return Err(bad("accounts ascending by address", format!("account {index} out of order")));
            }
            accounts.push(account);
        }
        if reader.rest.is_empty() {
            Ok(Self { accounts })
        } else {
            Err(bad("the end after the last account", format!("{} more bytes", reader.rest.len())))
        }
    }
}

fn bad(expected: impl Into<String>, got: impl ToString) -> InputError {
    InputError::new("write_set", expected, got)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, what: &str, length: usize) -> InputResult<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| bad(format!("{length} bytes of {what}"), format!("{} bytes", self.rest.len())))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &str) -> InputResult<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    fn u32(&mut self, what: &str) -> InputResult<u32> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    fn account(&mut self) -> InputResult<AccountWrite> {
        let address = Address::from(self.array::<20>("address")?);
        let [flags] = self.array::<1>("flags")?;
        if flags & !(DELETED | WIPED | CODE) != 0 {
            return Err(bad("flags of 1, 2 and 4", flags));
        }
        let nonce = u64::from_be_bytes(self.array("nonce")?);
        let balance = U256::from_be_bytes(self.array::<32>("balance")?);
        let code_hash = B256::from(self.array::<32>("code hash")?);
        let code = if flags & CODE != 0 {
            let length = self.u32("code length")? as usize;
            let code = Bytes::copy_from_slice(self.take("code", length)?);
            if keccak256(&code) != code_hash {
                return Err(bad("code of its hash", format!("other code at {address}")));
            }
            Some(code)
        } else {
            None
        };
        let count = self.u32("slot count")?;
        let mut slots: Vec<(U256, U256)> = Vec::new();
        for _ in 0..count {
            let slot = U256::from_be_bytes(self.array::<32>("slot")?);
            let value = U256::from_be_bytes(self.array::<32>("slot value")?);
            if slots.last().is_some_and(|(last, _)| *last >= slot) {
                return Err(bad("slots ascending", format!("slot {slot} of {address} out of order")));
            }
            slots.push((slot, value));
        }
        let deleted = flags & DELETED != 0;
        let wiped = flags & WIPED != 0;
        let blank = nonce == 0 && balance.is_zero() && code_hash.is_zero() && code.is_none() && slots.is_empty();
        if deleted && !(blank && wiped) {
            return Err(bad("a deleted account wiped and blank", address));
        }
        Ok(AccountWrite { address, deleted, wiped, nonce, balance, code_hash, code, slots })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> WriteSet {
        let code = Bytes::from_static(b"\x60\x00");
        WriteSet {
            accounts: vec![
                AccountWrite {
                    address: Address::repeat_byte(1),
                    deleted: true,
                    wiped: true,
                    nonce: 0,
                    balance: U256::ZERO,
                    code_hash: B256::ZERO,
                    code: None,
                    slots: vec![],
                },
                AccountWrite {
                    address: Address::repeat_byte(2),
                    deleted: false,
                    wiped: false,
                    nonce: 7,
                    balance: U256::from(9),
                    code_hash: keccak256(&code),
                    code: Some(code),
                    slots: vec![(U256::from(1), U256::ZERO), (U256::from(2), U256::MAX)],
                },
            ],
        }
    }

    #[test]
    fn a_write_set_comes_back_from_its_bytes() {
        let set = sample();
        assert_eq!(WriteSet::decode(&set.encode()), Ok(set));
    }

    #[test]
    fn every_cut_of_the_bytes_is_refused_by_name() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert_eq!(WriteSet::decode(&bytes[..length]).expect_err("cut").field, "write_set");
        }
    }
}
