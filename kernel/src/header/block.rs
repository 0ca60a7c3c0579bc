//! Whole blocks as bytes: header, transactions, ommers and withdrawals.

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Decodable, Header as RlpHeader};

use super::Header;
use crate::error::{InputError, InputResult};
use crate::pack;
use crate::trie::ordered_root;

/// What a block carries beside its header and transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Headers of stale blocks (proof of work).
    pub ommers: Vec<Header>,
    /// Withdrawals of the beacon chain (EIP-4895); None counts as an empty list from Shanghai on.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

impl Attached {
    /// Hash that a header says of the ommers.
    #[must_use]
    pub fn ommers_hash(&self) -> B256 {
        let payload_length = self.ommers.iter().map(|ommer| ommer.rlp.len()).sum();
        let mut out = Vec::with_capacity(payload_length + 9);
        RlpHeader { list: true, payload_length }.encode(&mut out);
        for ommer in &self.ommers {
            out.extend_from_slice(&ommer.rlp);
        }
        keccak256(out)
    }

    /// Root that a header of Shanghai or later says of the withdrawals.
    #[must_use]
    pub fn withdrawals_root(&self) -> B256 {
        let items: Vec<Vec<u8>> = self.withdrawals.iter().flatten().map(alloy_rlp::encode).collect();
        ordered_root(&items.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Read a packed list of ommers' headers and an RLP list of withdrawals (None where the block has no such list).
    ///
    /// # Errors
    /// Names `ommers` or `withdrawals` when the bytes are not that.
    pub fn read(ommers: &[u8], withdrawals: Option<&[u8]>) -> InputResult<Self> {
        Ok(Self {
            ommers: pack::read_packed("ommers", ommers)?
                .into_iter()
                .map(|rlp| Header::decode("ommers", rlp))
                .collect::<InputResult<_>>()?,
            withdrawals: withdrawals.map(read_withdrawals).transpose()?,
        })
    }
}

/// A block taken apart. Nothing is checked but its form: the RLP is canonical down to headers and withdrawals, and
/// transactions are cut out as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBlock {
    pub header: Header,
    /// Packed list of EIP-2718 transactions.
    pub transactions: Vec<u8>,
    pub attached: Attached,
    /// RLP list of withdrawals as it stands in the block.
    pub withdrawals_rlp: Option<Vec<u8>>,
    /// Bytes of the whole block (EIP-7934).
    pub bytes: usize,
}

impl RawBlock {
    /// Take a block apart.
    ///
    /// # Errors
    /// Names `block` and what is malformed.
    pub fn decode(rlp: &[u8]) -> InputResult<Self> {
        Self::read(rlp).map_err(|error| match error {
            Malformed::Rlp(error) => InputError::new("block", "the RLP of a block", error),
            Malformed::Input(error) => error,
        })
    }

    fn read(rlp: &[u8]) -> Result<Self, Malformed> {
        let mut rest = rlp;
        let mut fields = RlpHeader::decode_bytes(&mut rest, true)?;
        if !rest.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        let header = Header::decode("block", item(&mut fields)?)?;
        let mut list = RlpHeader::decode_bytes(&mut fields, true)?;
        let mut transactions = Vec::with_capacity(list.len());
        while !list.is_empty() {
            let whole = item(&mut list)?;
            // A legacy transaction is a list, a typed one a string that holds it.
            let raw = if whole.first().is_some_and(|byte| *byte >= 0xc0) {
                whole
            } else {
                RlpHeader::decode_bytes(&mut { whole }, false)?
            };
            pack::push_packed(&mut transactions, raw);
        }
        let mut list = RlpHeader::decode_bytes(&mut fields, true)?;
        let mut ommers = Vec::new();
        while !list.is_empty() {
            ommers.push(Header::decode("block", item(&mut list)?)?);
        }
        let withdrawals_rlp = if fields.is_empty() { None } else { Some(item(&mut fields)?.to_vec()) };
        if !fields.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        let withdrawals = withdrawals_rlp.as_deref().map(read_withdrawals).transpose()?;
        Ok(Self { header, transactions, attached: Attached { ommers, withdrawals }, withdrawals_rlp, bytes: rlp.len() })
    }
}

enum Malformed {
    Rlp(alloy_rlp::Error),
    Input(InputError),
}

impl From<alloy_rlp::Error> for Malformed {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Rlp(error)
    }
}

impl From<InputError> for Malformed {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// The next item with its RLP header.
fn item<'a>(rest: &mut &'a [u8]) -> alloy_rlp::Result<&'a [u8]> {
    let start = *rest;
    let header = RlpHeader::decode(rest)?;
    // A single byte below 0x80 is its own payload and has no header.
    let length = start.len() - rest.len() + header.payload_length;
    let (whole, after) = start.split_at_checked(length).ok_or(alloy_rlp::Error::InputTooShort)?;
    *rest = after;
    Ok(whole)
}

fn read_withdrawals(rlp: &[u8]) -> InputResult<Vec<Withdrawal>> {
    let mut rest = rlp;
    let list = Vec::<Withdrawal>::decode(&mut rest)
        .map_err(|error| InputError::new("withdrawals", "the RLP list of withdrawals", error))?;
    if rest.is_empty() && alloy_rlp::encode(&list) == rlp {
        Ok(list)
    } else {
        Err(InputError::new("withdrawals", "the canonical RLP list of withdrawals", "another encoding"))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;

    fn block(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        RlpHeader { list: true, payload_length: parts.iter().map(Vec::len).sum() }.encode(&mut out);
        out.extend(parts.concat());
        out
    }

    fn parts() -> Vec<Vec<u8>> {
        let header = Header::new(alloy_consensus::Header::default());
        let withdrawal = Withdrawal { index: 1, validator_index: 2, address: Address::repeat_byte(3), amount: 4 };
        let legacy_then_typed = vec![0xc6, 0xc2, 0x01, 0x02, 0x82, 0x02, 0xc0];
        let ommers = [vec![0xf9, 0, 0], header.rlp.clone()].concat();
        let length = u16::try_from(header.rlp.len()).expect("short").to_be_bytes();
        let ommers = [&[0xf9, length[0], length[1]], &ommers[3..]].concat();
        vec![header.rlp, legacy_then_typed, ommers, alloy_rlp::encode(vec![withdrawal])]
    }

    #[test]
    fn a_block_is_taken_apart() {
        let raw = RawBlock::decode(&block(&parts())).expect("a block");
        assert_eq!(raw.transactions, [0, 0, 0, 3, 0xc2, 1, 2, 0, 0, 0, 2, 2, 0xc0]);
        assert_eq!(raw.attached.ommers.len(), 1);
        assert_eq!(raw.attached.withdrawals.map(|list| list.len()), Some(1));
    }

    #[test]
    fn every_cut_of_a_block_is_refused_by_name() {
        let bytes = block(&parts());
        for length in 0..bytes.len() {
            assert_eq!(RawBlock::decode(&bytes[..length]).expect_err("cut").field, "block");
        }
        let mut parts = parts();
        parts.push(vec![0xc0]);
        assert_eq!(RawBlock::decode(&block(&parts)).expect_err("five fields").field, "block");
        let mut padded = bytes;
        padded.push(0);
        assert!(RawBlock::decode(&padded).is_err());
    }

    #[test]
    fn nothing_attached_gives_the_empty_hashes() {
        let nothing = Attached::default();
        assert_eq!(nothing.ommers_hash(), alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH);
        assert_eq!(nothing.withdrawals_root(), alloy_consensus::constants::EMPTY_WITHDRAWALS);
    }
}
