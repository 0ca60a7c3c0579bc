//! Stored receipts: RLP list of `[type, status, cumulative_gas_used, [[address, [topic...], data]...]]`, with a number
//! behind where a reason of failure is kept.

use alloy_primitives::{B256, Bloom};
use alloy_rlp::{Decodable, Encodable, Header};

use crate::error::{InputError, InputResult};
use crate::exec::receipts::FailureReason;

/// First word of a receipt: since Byzantium whether it succeeded, before that the state root after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Status(bool),
    Root(B256),
}

#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    pub tx_type: u8,
    pub outcome: Outcome,
    pub cumulative_gas_used: u64,
    pub logs: Vec<Log<'a>>,
    /// Why it failed, where that is kept.
    pub reason: Option<FailureReason>,
    /// RLP of the list of logs.
    logs_rlp: &'a [u8],
}

#[derive(Debug, Clone)]
pub struct Log<'a> {
    pub address: [u8; 20],
    pub topics: Vec<[u8; 32]>,
    pub data: &'a [u8],
}

impl Receipt<'_> {
    pub fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in &self.logs {
            let topics: Vec<B256> = log.topics.iter().map(B256::from).collect();
            bloom.accrue_raw_log(log.address.into(), &topics);
        }
        bloom
    }

    /// EIP-2718 consensus bytes: type (if not 0), then `[outcome, cumulative_gas_used, bloom, logs]`.
    pub fn consensus(&self) -> Vec<u8> {
        let bloom = self.bloom();
        let outcome: &dyn Encodable = match &self.outcome {
            Outcome::Status(status) => status,
            Outcome::Root(root) => root,
        };
        let payload_length =
            outcome.length() + self.cumulative_gas_used.length() + bloom.length() + self.logs_rlp.len();
        let mut out = Vec::with_capacity(payload_length + 6);
        if self.tx_type != 0 {
            out.push(self.tx_type);
        }
        Header { list: true, payload_length }.encode(&mut out);
        outcome.encode(&mut out);
        self.cumulative_gas_used.encode(&mut out);
        bloom.encode(&mut out);
        out.extend_from_slice(self.logs_rlp);
        out
    }
}

/// All receipts of a block.
pub fn parse(receipts: &[u8]) -> InputResult<Vec<Receipt<'_>>> {
    parse_rlp(receipts).map_err(|error| InputError::new("receipts", "the RLP list of stored receipts", error))
}

fn parse_rlp(receipts: &[u8]) -> alloy_rlp::Result<Vec<Receipt<'_>>> {
    let mut rest = receipts;
    let mut list = Header::decode_bytes(&mut rest, true)?;
    if !rest.is_empty() {
        return Err(alloy_rlp::Error::UnexpectedLength);
    }
    let mut parsed = Vec::new();
    while !list.is_empty() {
        parsed.push(parse_receipt(&mut list)?);
    }
    Ok(parsed)
}

fn parse_receipt<'a>(rest: &mut &'a [u8]) -> alloy_rlp::Result<Receipt<'a>> {
    let mut fields = Header::decode_bytes(rest, true)?;
    let tx_type = u8::decode(&mut fields)?;
    let outcome = match fields.first() {
        Some(0x80 | 0x01) => Outcome::Status(bool::decode(&mut fields)?),
        _ => Outcome::Root(B256::decode(&mut fields)?),
    };
    let cumulative_gas_used = u64::decode(&mut fields)?;
    let from_logs = fields;
    let mut list = Header::decode_bytes(&mut fields, true)?;
    let logs_rlp = from_logs.get(..from_logs.len() - fields.len()).unwrap_or_default();
    let reason = match fields {
        [] => None,
        [number] => Some(FailureReason::from_number(*number).ok_or(alloy_rlp::Error::Custom("an unknown reason"))?),
        _ => return Err(alloy_rlp::Error::UnexpectedLength),
    };
    let mut logs = Vec::new();
    while !list.is_empty() {
        logs.push(parse_log(&mut list)?);
    }
    Ok(Receipt { tx_type, outcome, cumulative_gas_used, logs, reason, logs_rlp })
}

fn parse_log<'a>(rest: &mut &'a [u8]) -> alloy_rlp::Result<Log<'a>> {
    let mut fields = Header::decode_bytes(rest, true)?;
    let address = <[u8; 20]>::decode(&mut fields)?;
    let mut topic_list = Header::decode_bytes(&mut fields, true)?;
    let mut topics = Vec::with_capacity(4);
    while !topic_list.is_empty() {
        topics.push(<[u8; 32]>::decode(&mut topic_list)?);
    }
    let data = Header::decode_bytes(&mut fields, false)?;
    if !fields.is_empty() || topics.len() > 4 {
        return Err(alloy_rlp::Error::UnexpectedLength);
    }
    Ok(Log { address, topics, data })
}
