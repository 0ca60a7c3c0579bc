//! What a job asks for and what it is answered (`spec/kernel.md`, section 3).

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};

use crate::error::{InputError, InputResult};
use crate::keccak::keccak256_all;
use crate::pack;

/// Bytes of an account record at the border.
pub const ACCOUNT_BYTES: usize = 105;
/// Bytes of a slot key at the border.
pub const SLOT_KEY_BYTES: usize = 52;

/// An account as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    /// Zero where it is not known.
    pub storage_root: B256,
    pub code_hash: B256,
}

impl Record {
    /// Whether there is neither code nor nonce, so that storage alone would keep a contract from being created here.
    #[must_use]
    pub fn may_bar_creation(&self) -> bool {
        self.nonce == 0 && self.code_hash == KECCAK256_EMPTY
    }

    /// Read 105 bytes; `None` is an account that does not exist.
    ///
    /// # Errors
    /// Names `field` when the record is neither a whole account nor all zero.
    pub fn decode(field: &str, bytes: &[u8; ACCOUNT_BYTES]) -> InputResult<Option<Self>> {
        let (nonce, rest) = bytes[1..].split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let (balance, rest) = rest.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        let (storage_root, rest) = rest.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        let code_hash = rest.first_chunk::<32>().unwrap_or(&[0; 32]);
        match bytes[0] {
            0 if bytes.iter().all(|byte| *byte == 0) => Ok(None),
            1 if *code_hash != [0; 32] => Ok(Some(Self {
                nonce: u64::from_be_bytes(*nonce),
                balance: U256::from_be_bytes(*balance),
                storage_root: B256::from(*storage_root),
                code_hash: B256::from(*code_hash),
            })),
            0 => Err(InputError::new(field, "an absent account of 105 zero bytes", "other bytes after exists = 0")),
            1 => Err(InputError::new(field, "the code hash of an existing account", "zero")),
            exists => Err(InputError::new(field, "exists of 0 or 1", exists)),
        }
    }

    /// The 105 bytes of an account, or of an absent one.
    #[must_use]
    pub fn encode(record: Option<&Self>) -> [u8; ACCOUNT_BYTES] {
        let mut bytes = [0; ACCOUNT_BYTES];
        if let Some(record) = record {
            bytes[0] = 1;
            bytes[1..9].copy_from_slice(&record.nonce.to_be_bytes());
            bytes[9..41].copy_from_slice(&record.balance.to_be_bytes::<32>());
            bytes[41..73].copy_from_slice(record.storage_root.as_slice());
            bytes[73..].copy_from_slice(record.code_hash.as_slice());
        }
        bytes
    }
}

/// Keys of a state, sorted and without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    pub accounts: BTreeSet<Address>,
    pub slots: BTreeSet<(Address, U256)>,
    pub codes: BTreeSet<B256>,
    pub blocks: BTreeSet<u64>,
}

impl Keys {
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len() + self.slots.len() + self.codes.len() + self.blocks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The four arrays of a `Need`: accounts, slots, codes, blocks.
    #[must_use]
    pub fn arrays(&self) -> [Vec<u8>; 4] {
        [
            self.accounts.iter().flat_map(|address| address.0.0).collect(),
            self.slots
                .iter()
                .flat_map(|(address, slot)| address.into_iter().copied().chain(slot.to_be_bytes::<32>()))
                .collect(),
            self.codes.iter().flat_map(|hash| hash.0).collect(),
            self.blocks.iter().flat_map(|number| number.to_be_bytes()).collect(),
        ]
    }

    /// The four arrays as a packed list: what a proposer sends as hints.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for array in self.arrays() {
            pack::push_packed(&mut out, &array);
        }
        out
    }

    /// Read a packed list of four arrays; order and duplicates do not matter.
    ///
    /// # Errors
    /// Names `field` when it is not that.
    pub fn unpack(field: &str, bytes: &[u8]) -> InputResult<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let items = pack::read_packed(field, bytes)?;
        let [accounts, slots, codes, blocks] = items.as_slice() else {
            return Err(InputError::new(field, "four items", items.len()));
        };
        Ok(Self {
            accounts: pack::fixed::<20>(field, accounts)?.iter().map(Address::from).collect(),
            slots: pack::fixed::<SLOT_KEY_BYTES>(field, slots)?.iter().map(slot_key).collect(),
            codes: pack::fixed::<32>(field, codes)?.iter().map(B256::from).collect(),
            blocks: pack::fixed::<8>(field, blocks)?.iter().map(|number| u64::from_be_bytes(*number)).collect(),
        })
    }
}

fn slot_key(bytes: &[u8; SLOT_KEY_BYTES]) -> (Address, U256) {
    let (address, slot) = bytes.split_at(20);
    (Address::from_slice(address), U256::from_be_slice(slot))
}

/// The answer to a `Need`, as bytes in the same order.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawValues<'a> {
    pub accounts: &'a [u8],
    pub slots: &'a [u8],
    pub codes: &'a [u8],
    pub blocks: &'a [u8],
    pub account_codes: &'a [u8],
}

/// A checked answer.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub accounts: Vec<Option<Record>>,
    pub slots: Vec<U256>,
    /// `None`: the state has no code of that hash.
    pub codes: Vec<Option<Bytes>>,
    pub blocks: Vec<B256>,
    /// Code beyond what was asked for, under its hash.
    pub advice: Vec<(B256, Bytes)>,
}

impl Values {
    /// Check an answer against what was asked.
    ///
    /// # Errors
    /// Names the array that is short, long or malformed, or the code that is not of its hash.
    pub fn read(asked: &Keys, raw: &RawValues<'_>) -> InputResult<Self> {
        let accounts = pack::fixed::<ACCOUNT_BYTES>("accounts", raw.accounts)?;
        counted("accounts", asked.accounts.len(), accounts.len())?;
        let slots = pack::fixed::<32>("slots", raw.slots)?;
        counted("slots", asked.slots.len(), slots.len())?;
        let codes = pack::read_packed("codes", raw.codes)?;
        counted("codes", asked.codes.len(), codes.len())?;
        let blocks = pack::fixed::<32>("blocks", raw.blocks)?;
        counted("blocks", asked.blocks.len(), blocks.len())?;
        let advice = pack::read_packed("account_codes", raw.account_codes)?;
        if advice.len() > accounts.len() {
            let most = format!("at most one code for each of {} accounts", accounts.len());
            return Err(InputError::new("account_codes", most, advice.len()));
        }
        let advice: Vec<&[u8]> = advice.into_iter().filter(|code| !code.is_empty()).collect();
        let (found, advised) = (keccak256_all(&codes), keccak256_all(&advice));
        let code = |((hash, code), found): ((&B256, &&[u8]), B256)| {
            if code.is_empty() && *hash != KECCAK256_EMPTY {
                return Ok(None);
            }
            if found != *hash {
                return Err(InputError::new(
                    "codes",
                    format!("code of hash {hash}"),
                    format!("{} other bytes", code.len()),
                ));
            }
            Ok(Some(Bytes::copy_from_slice(code)))
        };
        Ok(Self {
            accounts: accounts.iter().map(|bytes| Record::decode("accounts", bytes)).collect::<InputResult<_>>()?,
            slots: slots.iter().map(|bytes| U256::from_be_bytes(*bytes)).collect(),
            codes: asked.codes.iter().zip(&codes).zip(found).map(code).collect::<InputResult<_>>()?,
            blocks: blocks.iter().map(B256::from).collect(),
            advice: advised.into_iter().zip(advice).map(|(hash, code)| (hash, Bytes::copy_from_slice(code))).collect(),
        })
    }
}

fn counted(field: &str, expected: usize, got: usize) -> InputResult<()> {
    if expected == got {
        Ok(())
    } else {
        Err(InputError::new(field, format!("{expected} values, one per key asked for"), got))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    fn asked() -> Keys {
        Keys {
            accounts: [Address::repeat_byte(1)].into(),
            slots: [(Address::repeat_byte(1), U256::from(2))].into(),
            codes: [keccak256([0x60])].into(),
            blocks: [7].into(),
        }
    }

    fn refused(raw: &RawValues<'_>) -> String {
        Values::read(&asked(), raw).expect_err("hostile").field
    }

    #[test]
    fn keys_come_back_from_their_packed_list() {
        assert_eq!(Keys::unpack("hints", &asked().pack()), Ok(asked()));
        assert_eq!(Keys::unpack("hints", b""), Ok(Keys::default()));
        assert_eq!(Keys::unpack("hints", &[0, 0, 0, 0]).expect_err("one item").field, "hints");
    }

    #[test]
    fn a_hostile_answer_is_refused_by_the_name_of_its_array() {
        let codes = [0, 0, 0, 1, 0x60];
        let good =
            RawValues { accounts: &[0; 105], slots: &[0; 32], codes: &codes, blocks: &[0; 32], account_codes: &[] };
        assert!(Values::read(&asked(), &good).is_ok());
        let mut existing_without_code_hash = [0; 105];
        existing_without_code_hash[0] = 1;
        let mut absent_with_nonce = [0; 105];
        absent_with_nonce[5] = 1;
        for accounts in [&[][..], &[0; 104], &[0; 210], &existing_without_code_hash, &absent_with_nonce] {
            assert_eq!(refused(&RawValues { accounts, ..good }), "accounts");
        }
        for slots in [&[][..], &[0; 31], &[0; 64]] {
            assert_eq!(refused(&RawValues { slots, ..good }), "slots");
        }
        for codes in [&[][..], &[0, 0, 0, 1, 0x61], &[0, 0, 0, 9, 1]] {
            assert_eq!(refused(&RawValues { codes, ..good }), "codes");
        }
        assert_eq!(refused(&RawValues { blocks: &[0; 64], ..good }), "blocks");
        assert_eq!(refused(&RawValues { account_codes: &[0, 0, 0, 0, 0, 0, 0, 0], ..good }), "account_codes");
    }
}
