//! The pool's contents, taken out so that the slow part, writing JSON, happens beside the pool.

use std::sync::Arc;

use alloy_primitives::Address;

use super::TxPool;
use super::lane::{Held, Lane};
use crate::tx::Decoded;
use crate::views::{Object, array, write_pending};

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
            None => self.by_sender.values().map(|index| &self.lanes[*index]).filter(|lane| !lane.is_empty()).collect(),
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
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Object::write(&mut out, |content| {
            content.value("pending", |out| write_groups(out, &self.executable));
            content.value("queued", |out| write_groups(out, &self.gapped));
        });
        out
    }
}

/// Array of pending transaction objects, null where there is none.
#[must_use]
pub fn transactions_json(found: &[Option<Arc<Decoded>>]) -> Vec<u8> {
    let mut out = Vec::new();
    array(&mut out, found, |out, tx| match tx {
        Some(tx) => write_pending(out, tx),
        None => out.extend_from_slice(b"null"),
    });
    out
}

fn write_groups(out: &mut Vec<u8>, groups: &Groups) {
    Object::write(out, |senders| {
        for (sender, txs) in groups {
            senders.value(&sender.to_checksum(None), |out| {
                Object::write(out, |nonces| {
                    for (nonce, tx) in txs {
                        nonces.value(&nonce.to_string(), |out| write_pending(out, tx));
                    }
                });
            });
        }
    });
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
