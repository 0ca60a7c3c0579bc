//! `eth_getLogs` within one block, and index terms.

use alloy_primitives::{Bloom, BloomInput};

use super::json::{Object, data};
use super::same_count;
use super::stored::{Log, parse};
use crate::error::{InputError, InputResult};
use crate::header::Header;
use crate::pack;

/// Most topics of a log, and so of a filter.
pub const TOPICS_MAX: usize = 4;
/// Bytes of an index term: place, then the address (left-padded) or topic.
const TERM_BYTES: usize = 33;

/// What logs are wanted: any of the addresses (none named: all), and at each place any of the topics.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    addresses: &'a [[u8; 20]],
    topics: [&'a [[u8; 32]]; TOPICS_MAX],
    /// Places named, even if as "any": a log must have at least as many topics.
    places: usize,
}

impl<'a> Filter<'a> {
    /// `addresses`: 20 bytes each; `topics[i]`: 32-byte alternatives one after the other.
    ///
    /// # Errors
    /// For lengths that do not fit, or more places than a log has topics.
    pub fn read(addresses: &'a [u8], topics: &[&'a [u8]]) -> InputResult<Self> {
        if topics.len() > TOPICS_MAX {
            return Err(InputError::new("topics", format!("at most {TOPICS_MAX} places"), topics.len()));
        }
        let mut filter = Self {
            addresses: pack::fixed::<20>("addresses", addresses)?,
            topics: [&[]; TOPICS_MAX],
            places: topics.len(),
        };
        for (slot, alternatives) in filter.topics.iter_mut().zip(topics) {
            *slot = pack::fixed::<32>("topics", alternatives)?;
        }
        Ok(filter)
    }

    /// Whether a block with this bloom may hold such a log.
    #[must_use]
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        let holds = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        (self.addresses.is_empty() || self.addresses.iter().any(|address| holds(address)))
            && self.topics.iter().all(|place| place.is_empty() || place.iter().any(|topic| holds(topic)))
    }

    /// As [`Filter::may_match`], for the 256 bytes of a bloom.
    ///
    /// # Errors
    /// For another length.
    pub fn may_match_bytes(&self, bloom: &[u8]) -> InputResult<bool> {
        Ok(self.may_match(&Bloom::from(pack::exact::<256>("bloom", bloom)?)))
    }

    fn matches(&self, log: &Log<'_>) -> bool {
        self.places <= log.topics.len()
            && (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.iter().zip(&log.topics).all(|(place, topic)| place.is_empty() || place.contains(topic))
    }
}

/// Where a log stands.
pub struct Place<'a> {
    pub header: &'a Header,
    pub transaction_hash: &'a [u8; 32],
    pub transaction_index: usize,
    pub log_index: usize,
}

pub fn write_log(out: &mut Vec<u8>, log: &Log<'_>, place: &Place<'_>) {
    Object::write(out, |fields| {
        fields.data("address", log.address);
        fields.array("topics", &log.topics, |out, topic| data(out, topic));
        fields.data("data", log.data);
        fields.quantity("blockNumber", place.header.inner.number);
        fields.data("transactionHash", place.transaction_hash);
        fields.quantity("transactionIndex", place.transaction_index);
        fields.data("blockHash", place.header.hash);
        fields.quantity("blockTimestamp", place.header.inner.timestamp);
        fields.quantity("logIndex", place.log_index);
        fields.boolean("removed", false);
    });
}

/// Logs of a block that match: how many there are, and the JSON array of the first `limit` of them.
///
/// # Errors
/// For bytes that are no header, or receipts that do not fit the hashes.
pub fn logs_json(
    header: &[u8],
    hashes: &[u8],
    receipts: &[u8],
    filter: &Filter<'_>,
    limit: usize,
) -> InputResult<(usize, Vec<u8>)> {
    let header = Header::decode("header", header)?;
    let hashes = pack::fixed::<32>("hashes", hashes)?;
    if !filter.may_match(&header.inner.logs_bloom) {
        return Ok((0, b"[]".to_vec()));
    }
    let receipts = parse(receipts)?;
    same_count("hashes", receipts.len(), hashes.len())?;
    let (mut count, mut log_index) = (0, 0);
    let mut out = vec![b'['];
    for (transaction_index, (receipt, transaction_hash)) in receipts.iter().zip(hashes).enumerate() {
        for log in &receipt.logs {
            if filter.matches(log) {
                if count < limit {
                    if count > 0 {
                        out.push(b',');
                    }
                    write_log(
                        &mut out,
                        log,
                        &Place { header: &header, transaction_hash, transaction_index, log_index },
                    );
                }
                count += 1;
            }
            log_index += 1;
        }
    }
    out.push(b']');
    Ok((count, out))
}

/// Distinct index terms of a block's logs, ascending, 33 bytes each.
///
/// # Errors
/// For bytes that are no receipts.
pub fn log_terms(receipts: &[u8]) -> InputResult<Vec<u8>> {
    let mut terms: Vec<[u8; TERM_BYTES]> = Vec::new();
    for receipt in parse(receipts)? {
        for log in receipt.logs {
            let mut term = [0; TERM_BYTES];
            term[13..].copy_from_slice(&log.address);
            terms.push(term);
            for (place, topic) in (1..).zip(&log.topics) {
                let mut term = [place; TERM_BYTES];
                term[1..].copy_from_slice(topic);
                terms.push(term);
            }
        }
    }
    terms.sort_unstable();
    terms.dedup();
    Ok(terms.concat())
}
