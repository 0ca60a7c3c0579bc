//! The two fields of an account that the pool judges by.

use alloy_primitives::{Address, U256};

use crate::error::{InputError, InputResult};
use crate::pack;

/// Size of an account record: exists, nonce, balance, storage root, code hash.
pub const ACCOUNT_BYTES: usize = 105;

/// Nonce and balance; both zero where no account exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    pub nonce: u64,
    pub balance: U256,
}

/// Pair 20-byte addresses with 105-byte account records.
///
/// # Errors
/// When the lengths do not fit, or a record does not begin with 0 or 1.
pub fn read_accounts(addresses: &[u8], accounts: &[u8]) -> InputResult<Vec<(Address, Account)>> {
    let addresses = pack::fixed::<20>("addresses", addresses)?;
    let records = pack::fixed::<ACCOUNT_BYTES>("accounts", accounts)?;
    if records.len() != addresses.len() {
        return Err(InputError::new("accounts", format!("{} records", addresses.len()), records.len()));
    }
    addresses
        .iter()
        .zip(records)
        .map(|(address, record)| Ok((Address::from(*address), read_account(record)?)))
        .collect()
}

fn read_account(record: &[u8; ACCOUNT_BYTES]) -> InputResult<Account> {
    let [exists, fields @ ..] = record;
    match exists {
        0 => Ok(Account::default()),
        1 => {
            let mut nonce = [0u8; 8];
            nonce.copy_from_slice(&fields[..8]);
            Ok(Account { nonce: u64::from_be_bytes(nonce), balance: U256::from_be_slice(&fields[8..40]) })
        }
        other => Err(InputError::new("accounts", "a record that begins with 0 or 1", other)),
    }
}
