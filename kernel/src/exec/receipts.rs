//! Receipts of a block, the roots and bloom that follow from it, and its requests.

use alloy_primitives::{Address, B256, Bloom, Bytes, Log, b256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use rayon::prelude::*;
use revm::context::result::ExecutionResult;
use revm::precompile::crypto;

use crate::evm::ranges;

use crate::trie::ordered_root;

/// Topic of the deposit contract's event (EIP-6110).
const DEPOSIT_TOPIC: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// EIP-7685 type of deposits.
const DEPOSIT_REQUEST: u8 = 0;
/// Fields of a deposit event: offset of the length word, length.
const DEPOSIT_FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
const DEPOSIT_EVENT_BYTES: usize = 576;

/// Why a transaction failed, kept beside its receipt where Ethereum's receipt could not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// It touched an address outside the ranges that it had declared.
    OutOfRange,
}

impl FailureReason {
    /// The reason of a result, if it is one of these.
    #[must_use]
    pub fn of(result: &ExecutionResult) -> Option<Self> {
        match result {
            ExecutionResult::Halt { reason, .. } if ranges::out_of_range_text(reason).is_some() => {
                Some(Self::OutOfRange)
            }
            _ => None,
        }
    }

    /// Name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutOfRange => ranges::OUT_OF_RANGE,
        }
    }

    /// Number in stored receipts: 1 to 127, so that its RLP is one byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::OutOfRange => 1,
        }
    }

    /// The reason of that number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::OutOfRange),
            _ => None,
        }
    }
}

/// Receipt of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub tx_type: u8,
    pub success: bool,
    /// Before Byzantium, instead of the status: the state root after the transaction, zero until it is known.
    pub state_root: Option<B256>,
    pub cumulative_gas_used: u64,
    pub logs: Vec<Log>,
    /// In no hash: it stands in stored receipts only.
    pub reason: Option<FailureReason>,
}

impl Receipt {
    fn outcome(&self) -> &dyn Encodable {
        match &self.state_root {
            Some(root) => root,
            None => &self.success,
        }
    }

    fn body_length(&self, bloom: Option<&Bloom>) -> usize {
        self.outcome().length()
            + self.cumulative_gas_used.length()
            + bloom.map_or(0, Encodable::length)
            + self.logs.length()
    }

    fn stored_payload(&self) -> usize {
        self.tx_type.length() + self.body_length(None) + usize::from(self.reason.is_some())
    }

    /// `[type, status, cumulative_gas_used, logs]`, with the reason's number behind if there is one.
    fn encode_stored(&self, out: &mut Vec<u8>) {
        RlpHeader { list: true, payload_length: self.stored_payload() }.encode(out);
        self.tx_type.encode(out);
        self.outcome().encode(out);
        self.cumulative_gas_used.encode(out);
        self.logs.encode(out);
        if let Some(reason) = self.reason {
            reason.number().encode(out);
        }
    }

    fn stored_length(&self) -> usize {
        let payload = self.stored_payload();
        payload + alloy_rlp::length_of_length(payload)
    }

    /// Consensus bytes: EIP-2718 type, status, cumulative gas, bloom, logs.
    fn encode_consensus(&self, bloom: &Bloom) -> Vec<u8> {
        let payload_length = self.body_length(Some(bloom));
        let mut out = Vec::with_capacity(payload_length + 8);
        if self.tx_type != 0 {
            out.push(self.tx_type);
        }
        RlpHeader { list: true, payload_length }.encode(&mut out);
        self.outcome().encode(&mut out);
        self.cumulative_gas_used.encode(&mut out);
        bloom.encode(&mut out);
        self.logs.encode(&mut out);
        out
    }
}

/// What a header says of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptsSummary {
    /// RLP list of stored receipts.
    pub rlp: Vec<u8>,
    pub root: B256,
    pub bloom: Bloom,
}

/// Encode the receipts, and compute root and bloom in parallel over them.
#[must_use]
pub fn summarize(receipts: &[Receipt]) -> ReceiptsSummary {
    let consensus: Vec<(Bloom, Vec<u8>)> = receipts
        .par_iter()
        .with_min_len(32)
        .map(|receipt| {
            let mut bloom = Bloom::ZERO;
            bloom.accrue_logs(&receipt.logs);
            let bytes = receipt.encode_consensus(&bloom);
            (bloom, bytes)
        })
        .collect();
    let items: Vec<&[u8]> = consensus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut bloom = Bloom::ZERO;
    for (part, _) in &consensus {
        bloom.accrue_bloom(part);
    }
    let payload_length = receipts.iter().map(Receipt::stored_length).sum();
    let mut rlp = Vec::with_capacity(payload_length + 9);
    RlpHeader { list: true, payload_length }.encode(&mut rlp);
    for receipt in receipts {
        receipt.encode_stored(&mut rlp);
    }
    ReceiptsSummary { rlp, root: ordered_root(&items), bloom }
}

/// RLP list of logs, `[[address, [topic...], data]...]`.
#[must_use]
pub fn encode_logs(logs: &[Log]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::encode_list(logs, &mut out);
    out
}

/// Deposit requests of a block (EIP-6110): type byte and the deposits, or nothing.
///
/// # Errors
/// When an event of the deposit contract is not laid out as the contract does.
pub fn deposits(receipts: &[Receipt], contract: Option<Address>) -> Result<Option<Bytes>, &'static str> {
    let Some(contract) = contract else { return Ok(None) };
    let mut request = vec![DEPOSIT_REQUEST];
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if log.address == contract && log.data.topics().first() == Some(&DEPOSIT_TOPIC) {
            append_deposit(&log.data.data, &mut request).ok_or("invalid deposit event layout")?;
        }
    }
    Ok((request.len() > 1).then(|| request.into()))
}

fn append_deposit(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if data.len() != DEPOSIT_EVENT_BYTES {
        return None;
    }
    let word = |at: usize| {
        let (high, low) = data.get(at..at + 32)?.split_at(24);
        (high.iter().all(|byte| *byte == 0)).then_some(u64::from_be_bytes(low.try_into().ok()?))
    };
    for (index, (offset, length)) in DEPOSIT_FIELDS.into_iter().enumerate() {
        if word(index * 32)? != offset as u64 || word(offset)? != length as u64 {
            return None;
        }
        out.extend_from_slice(data.get(offset + 32..offset + 32 + length)?);
    }
    Some(())
}

/// EIP-7685: hash over the hashes of all requests that have data. `requests` begin with their type byte.
#[must_use]
pub fn requests_hash(requests: &[Bytes]) -> B256 {
    let hashes: Vec<u8> =
        requests.iter().filter(|request| request.len() > 1).flat_map(|request| crypto().sha256(request)).collect();
    crypto().sha256(&hashes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;

    #[test]
    fn no_requests_hash_to_the_empty_hash() {
        assert_eq!(requests_hash(&[]), EMPTY_REQUESTS_HASH);
        assert_eq!(requests_hash(&[Bytes::from_static(&[1])]), EMPTY_REQUESTS_HASH);
    }

    #[test]
    fn a_deposit_event_of_another_layout_is_an_error() {
        let mut data = vec![0u8; DEPOSIT_EVENT_BYTES];
        for (index, (offset, length)) in DEPOSIT_FIELDS.into_iter().enumerate() {
            data[index * 32 + 24..index * 32 + 32].copy_from_slice(&(offset as u64).to_be_bytes());
            data[offset + 24..offset + 32].copy_from_slice(&(length as u64).to_be_bytes());
        }
        let mut out = Vec::new();
        assert_eq!(append_deposit(&data, &mut out), Some(()));
        assert_eq!(out.len(), 192);
        data[191] ^= 1;
        assert_eq!(append_deposit(&data, &mut Vec::new()), None);
        assert_eq!(append_deposit(&data[1..], &mut Vec::new()), None);
    }

    #[test]
    fn a_block_without_transactions_has_the_empty_roots() {
        let summary = summarize(&[]);
        assert_eq!(summary.rlp, [0xc0]);
        assert_eq!(summary.root, alloy_consensus::constants::EMPTY_ROOT_HASH);
    }
}
