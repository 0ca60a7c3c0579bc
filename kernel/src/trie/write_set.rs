//! Reading a write set (layout in `_kernel.pyi`).

use alloy_primitives::{B256, U256};

use crate::error::{InputError, InputResult};

/// Bit of `flags`: the account is gone.
pub const DELETED: u8 = 1;
/// Bit of `flags`: its storage was wiped before the slots of the write set.
pub const WIPED: u8 = 2;
/// Bit of `flags`: its code follows.
pub const CODE: u8 = 4;

/// One account of a write set, borrowing from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWrite<'a> {
    pub address: [u8; 20],
    pub flags: u8,
    pub nonce: u64,
    pub balance: U256,
    pub code_hash: B256,
    pub code: Option<&'a [u8]>,
    /// Slot and value, 64 bytes each, ascending by slot.
    pub slots: &'a [[u8; 64]],
}

impl AccountWrite<'_> {
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    #[must_use]
    pub fn is_wiped(&self) -> bool {
        self.flags & WIPED != 0
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &str) -> InputResult<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or_else(|| {
            InputError::new("write_set", format!("{length} bytes of {what}"), format!("{} bytes left", self.rest.len()))
        })?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &str) -> InputResult<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn count(&mut self, what: &str) -> InputResult<usize> {
        Ok(u32::from_be_bytes(self.array(what)?) as usize)
    }
}

/// All accounts of a write set, checked: order, flags, lengths.
///
/// # Errors
/// Names what of the write set is not as the layout says.
pub fn parse(write_set: &[u8]) -> InputResult<Vec<AccountWrite<'_>>> {
    let mut reader = Reader { rest: write_set };
    let count = reader.count("account count")?;
    let mut accounts: Vec<AccountWrite<'_>> = Vec::with_capacity(count.min(write_set.len() / 97));
    for index in 0..count {
        let account = parse_account(&mut reader)?;
        if accounts.last().is_some_and(|last| last.address >= account.address) {
            return Err(InputError::new("write_set", "accounts ascending by address", format!("account {index}")));
        }
        accounts.push(account);
    }
    if reader.rest.is_empty() {
        Ok(accounts)
    } else {
        Err(InputError::new("write_set", format!("{count} accounts"), format!("{} bytes more", reader.rest.len())))
    }
}

fn parse_account<'a>(reader: &mut Reader<'a>) -> InputResult<AccountWrite<'a>> {
    let address = reader.array("address")?;
    let [flags] = reader.array("flags")?;
    let nonce = u64::from_be_bytes(reader.array("nonce")?);
    let balance = U256::from_be_bytes(reader.array::<32>("balance")?);
    let code_hash = B256::from(reader.array("code hash")?);
    let code = if flags & CODE == 0 {
        None
    } else {
        let length = reader.count("code length")?;
        Some(reader.take(length, "code")?)
    };
    let slot_count = reader.count("slot count")?;
    let slots = reader.take(slot_count.saturating_mul(64), "slots")?.as_chunks::<64>().0;
    let account = AccountWrite { address, flags, nonce, balance, code_hash, code, slots };
    let named = || format!("account {}", alloy_primitives::Address::from(address));
    if flags & !(DELETED | WIPED | CODE) != 0 {
        return Err(InputError::new("write_set", "flags 1, 2 and 4", format!("flags {flags} of {}", named())));
    }
    if slots.windows(2).any(|pair| pair[0][..32] >= pair[1][..32]) {
        return Err(InputError::new("write_set", "slots ascending", named()));
    }
    let is_zero = nonce == 0 && balance.is_zero() && code_hash.is_zero() && code.is_none() && slots.is_empty();
    if account.is_deleted() && !(account.is_wiped() && is_zero) {
        return Err(InputError::new("write_set", "a deleted account without contents, wiped", named()));
    }
    if !account.is_deleted() && code_hash.is_zero() {
        return Err(InputError::new("write_set", "a code hash", format!("zero for {}", named())));
    }
    Ok(account)
}

/// Addresses (20 bytes each) and slot keys (52 bytes each) in write-set order; a wiped account's slots are left out.
///
/// # Errors
/// As [`parse`].
pub fn keys(write_set: &[u8]) -> InputResult<(Vec<u8>, Vec<u8>)> {
    let (mut addresses, mut slots) = (Vec::new(), Vec::new());
    for account in parse(write_set)? {
        addresses.extend_from_slice(&account.address);
        if !account.is_wiped() {
            for slot in account.slots {
                slots.extend_from_slice(&account.address);
                slots.extend_from_slice(&slot[..32]);
            }
        }
    }
    Ok((addresses, slots))
}
