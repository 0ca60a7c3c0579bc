//! The pool's contents, taken out so that the slow part, writing JSON, happens beside the pool.

use std::sync::Arc;

use alloy_primitives::Address;
use serde_json::{Map, Value};

use super::TxPool;
use super::lane::{Held, Lane};
use crate::tx::{Decoded, pending_json};

/// Transactions by sender (ascending) and nonce (ascending).
type Groups = Vec<(Address, Vec<(u64, Arc<Decoded>)>)>;

/// What `txpool_content` shows.
#[derive(Debug, Default)]
pub struct Content {
    pub executable: Groups,
    pub gapped: Groups,
}

impl TxPool {
    /// Contents of all senders or of one, at most `limit` transactions, executable ones first.
    #[must_use]
    pub fn content(&self, sender: Option<&Address>, limit: usize) -> Content {
        let mut lanes: Vec<&Lane> = match sender {
            Some(sender) => self.by_sender.get(sender).map(|index| &self.lanes[*index]).into_iter().collect(),
            None => self.by_sender.values().map(|index| &self.lanes[*index]).collect(),
        };
        lanes.sort_unstable_by_key(|lane| lane.sender);
        let mut left = limit;
        let executable = groups(&lanes, &mut left, |lane| lane.run.iter());
        Content { executable, gapped: groups(&lanes, &mut left, |lane| lane.rest.iter()) }
    }
}

impl Content {
    /// `{"pending": {address: {nonce: tx}}, "queued": {...}}`, addresses with checksum, nonces decimal, as geth has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let object = |groups: &Groups| {
            let group = |(sender, txs): &(Address, Vec<(u64, Arc<Decoded>)>)| {
                let txs: Map<String, Value> =
                    txs.iter().map(|(nonce, tx)| (nonce.to_string(), pending_json(tx))).collect();
                (sender.to_checksum(None), Value::Object(txs))
            };
            Value::Object(groups.iter().map(group).collect())
        };
        Value::Object(Map::from_iter([
            ("pending".to_owned(), object(&self.executable)),
            ("queued".to_owned(), object(&self.gapped)),
        ]))
    }
}

fn groups<'a, I: Iterator<Item = &'a Held>>(
    lanes: &[&'a Lane],
    left: &mut usize,
    of: impl Fn(&'a Lane) -> I,
) -> Groups {
    let mut groups = Groups::new();
    for lane in lanes {
        if *left == 0 {
            break;
        }
        let group: Vec<_> = of(lane).take(*left).map(|held| (held.nonce, Arc::clone(&held.tx))).collect();
        *left -= group.len();
        if !group.is_empty() {
            groups.push((lane.sender, group));
        }
    }
    groups
}
