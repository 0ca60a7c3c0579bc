//! The pool as Ethereum JSON.

use alloy_primitives::{Address, B256};
use serde_json::{Map, Value};

use super::TxPool;
use super::lane::{Held, Lane};
use crate::tx::pending_json;

impl TxPool {
    /// `txpool_content` (all senders, ascending) or `txpool_contentFrom` (one) in the shape
    /// `{"pending": {address: {nonce: tx}}, "queued": {...}}`, at most `limit` transactions, executable ones first.
    #[must_use]
    pub fn content_json(&self, sender: Option<&Address>, limit: usize) -> Value {
        let mut lanes: Vec<&Lane> = match sender {
            Some(sender) => self.by_sender.get(sender).map(|index| &self.lanes[*index]).into_iter().collect(),
            None => self.by_sender.values().map(|index| &self.lanes[*index]).collect(),
        };
        lanes.sort_unstable_by_key(|lane| lane.sender);
        let mut left = limit;
        let pending = group(&lanes, &mut left, |lane| lane.run.iter().collect());
        let queued = group(&lanes, &mut left, |lane| lane.rest.iter().collect());
        Value::Object(Map::from_iter([("pending".to_owned(), pending), ("queued".to_owned(), queued)]))
    }

    /// Array of pending transaction objects, null where unknown.
    #[must_use]
    pub fn transactions_json(&self, hashes: &[B256]) -> Value {
        hashes.iter().map(|hash| self.held(hash).map_or(Value::Null, |held| pending_json(&held.tx))).collect()
    }
}

fn group<'a>(lanes: &[&'a Lane], left: &mut usize, of: impl Fn(&'a Lane) -> Vec<&'a Held>) -> Value {
    let mut groups = Map::new();
    for lane in lanes {
        let mut group = Map::new();
        for held in of(lane).into_iter().take(*left) {
            group.insert(held.nonce.to_string(), pending_json(&held.tx));
        }
        *left -= group.len();
        if !group.is_empty() {
            groups.insert(lane.sender.to_checksum(None), Value::Object(group));
        }
    }
    Value::Object(groups)
}
