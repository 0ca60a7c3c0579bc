//! The root of a state after a write set: storage tries side by side, then the trie of accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;

use super::cache::TrieCache;
use super::forest::Forest;
use super::known::Known;
use super::node::Node;
use super::seal::below;
use super::sparse::{Edit, Update};
use super::tree::{Diff, Tree};
use super::write_set::{self, AccountWrite};
use super::{TrieError, node_key};
use crate::error::{InputError, InputResult};
use crate::pack;

/// Length of an account record.
pub const ACCOUNT_RECORD_BYTES: usize = 105;

/// What the job lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrieAsk {
    /// Packed list of node keys, ascending.
    pub paths: Vec<u8>,
    /// Owners whose whole storage trie must be listed, 32 bytes each, ascending.
    pub wiped: Vec<u8>,
}

/// Counters, beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub rounds: u64,
    pub asked: u64,
    pub revealed: u64,
    pub cache_hits: u64,
    pub written: u64,
    pub deleted: u64,
    pub tries: u64,
    pub leaves: u64,
}

/// The new root and the node diff (layouts as in `_kernel.pyi`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrieOutcome {
    pub root: B256,
    pub node_writes: Vec<u8>,
    pub node_deletes: Vec<u8>,
    pub node_old: Vec<u8>,
    pub storage_roots: Vec<u8>,
    pub stats: Stats,
}

#[derive(Debug)]
pub enum TrieStep {
    Need(TrieAsk),
    Done(TrieOutcome),
}

/// An account of the write set.
#[derive(Debug)]
struct Account {
    nonce: u64,
    balance: U256,
    code_hash: B256,
    deleted: bool,
    storage_root: B256,
    /// Its leaf's place among the account trie's updates.
    update: u32,
    /// Its storage trie's place in `storage`, when slots change.
    tree: Option<usize>,
}

/// A storage trie that goes as a whole.
#[derive(Debug)]
struct Wipe {
    owner: B256,
    root: B256,
    nodes: BTreeMap<Vec<u8>, Arc<[u8]>>,
}

/// See [`TrieJob::step`].
#[derive(Debug)]
pub struct TrieJob {
    known: Known,
    accounts: Vec<Account>,
    forest: Forest,
    wipes: Vec<Wipe>,
    /// The running round asks for listings of wiped tries.
    wiped_asked: bool,
    wiped_known: bool,
    finished: bool,
    stats: Stats,
}

/// Storage root that an account record names; that of an account that does not exist is the empty one.
pub fn prior_storage_root(record: &[u8; ACCOUNT_RECORD_BYTES]) -> InputResult<B256> {
    match record[0] {
        0 if record.iter().all(|&byte| byte == 0) => Ok(EMPTY_ROOT_HASH),
        1 => Ok(B256::from_slice(&record[41..73])),
        _ => Err(InputError::new("accounts", "105-byte account records", "a bad exists byte")),
    }
}

fn account_leaf(account: &Account) -> Edit {
    if account.deleted {
        return Edit::Remove;
    }
    let payload_length = account.nonce.length() + account.balance.length() + 66;
    let mut out = Vec::with_capacity(payload_length + 2);
    Header { list: true, payload_length }.encode(&mut out);
    account.nonce.encode(&mut out);
    account.balance.encode(&mut out);
    account.storage_root.encode(&mut out);
    account.code_hash.encode(&mut out);
    Edit::Set(out.into())
}

fn slot_updates(slots: &[[u8; 64]]) -> Vec<Update> {
    let mut updates: Vec<Update> = slots
        .iter()
        .map(|slot| {
            let value = U256::from_be_slice(&slot[32..]);
            Update {
                key: Nibbles::unpack_array(&keccak256(&slot[..32]).0),
                edit: if value.is_zero() { Edit::Remove } else { Edit::Set(alloy_rlp::encode(value).into()) },
            }
        })
        .collect();
    updates.sort_unstable_by_key(|update| update.key);
    updates
}

impl TrieJob {
    /// `parent_root` must be the root under which `records` (one per account of `write_set`, same order) hold.
    ///
    /// # Errors
    /// For a malformed write set or record, or another number of records.
    pub fn new(
        parent_root: B256,
        write_set: &[u8],
        records: &[u8],
        cache: Option<Arc<TrieCache>>,
    ) -> InputResult<Self> {
        Self::knowing(parent_root, write_set, records, cache.map_or(Known::Nothing, Known::Cache))
    }

    /// As [`Self::new`], over any source of nodes. Over a set, no wiped trie has to be listed.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn knowing(parent_root: B256, write_set: &[u8], records: &[u8], known: Known) -> InputResult<Self> {
        let writes = write_set::parse(write_set)?;
        let records = pack::fixed::<ACCOUNT_RECORD_BYTES>("accounts", records)?;
        if records.len() != writes.len() {
            return Err(InputError::new("accounts", format!("{} records", writes.len()), records.len()));
        }
        let prepared: Vec<InputResult<Prepared>> = writes
            .par_iter()
            .zip(records)
            .with_min_len(64)
            .map(|(write, record)| prepare(write, record, &known))
            .collect();
        let (mut accounts, mut storage, mut wipes) = (Vec::with_capacity(writes.len()), Vec::new(), Vec::new());
        let mut leaves = Vec::with_capacity(writes.len());
        for prepared in prepared {
            let (hashed, mut account, tree, wipe) = prepared?;
            if let Some(tree) = tree {
                account.tree = Some(storage.len());
                storage.push(tree);
            }
            wipes.extend(wipe);
            leaves.push((hashed, accounts.len()));
            accounts.push(account);
        }
        leaves.sort_unstable();
        let mut updates = Vec::with_capacity(leaves.len());
        for (place, (hashed, index)) in (0..).zip(leaves) {
            accounts[index].update = place;
            updates.push(Update { key: Nibbles::unpack_array(&hashed.0), edit: account_leaf(&accounts[index]) });
        }
        wipes.sort_unstable_by_key(|wipe| wipe.owner);
        if matches!(known, Known::Set(_)) {
            wipes.clear();
        }
        let forest = Forest::new(Tree::new(None, parent_root, updates, &known), storage);
        let stats = Stats {
            tries: forest.trees().count() as u64,
            leaves: forest.trees().map(|tree| tree.updates_len() as u64).sum(),
            ..Stats::default()
        };
        Ok(Self { known, accounts, forest, wipes, wiped_asked: false, wiped_known: false, finished: false, stats })
    }

    /// Go on with the nodes asked for (one per path, `None` = absent) and the listings of wiped tries (one packed list
    /// of node key and RLP, alternating, per owner asked).
    ///
    /// # Errors
    /// `Input` for an answer that does not fit the question, `Corrupt` for a node that its parent does not name.
    pub fn step(&mut self, nodes: &[Option<&[u8]>], wiped: &[&[u8]]) -> Result<TrieStep, TrieError> {
        if self.finished {
            return Err(InputError::new("step", "an unfinished job", "one that has given its result or failed").into());
        }
        self.finished = true;
        self.forest.answer(nodes)?;
        self.take_wiped(wiped)?;
        let ask = self.pass()?;
        if let Some(ask) = ask {
            self.finished = false;
            self.stats.rounds += 1;
            return Ok(TrieStep::Need(ask));
        }
        self.finish().map(TrieStep::Done)
    }

    fn take_wiped(&mut self, wiped: &[&[u8]]) -> Result<(), TrieError> {
        let expected = if self.wiped_asked { self.wipes.len() } else { 0 };
        if wiped.len() != expected {
            return Err(InputError::new("wiped", format!("{expected} listings"), wiped.len()).into());
        }
        if self.wiped_asked {
            self.wiped_asked = false;
            self.wiped_known = true;
            self.wipes.par_iter_mut().zip(wiped).try_for_each(|(wipe, listing)| wipe.read(listing))?;
        }
        Ok(())
    }

    /// One pass over all tries; what is missing, if anything is.
    fn pass(&mut self) -> Result<Option<TrieAsk>, TrieError> {
        let mut ask = TrieAsk { paths: self.forest.pass(&self.known)?, wiped: Vec::new() };
        let list_wiped = !self.wiped_known && !self.wipes.is_empty();
        if ask.paths.is_empty() && !list_wiped {
            return Ok(None);
        }
        self.stats.asked += self.forest.asked() as u64;
        if list_wiped {
            self.wiped_asked = true;
            for wipe in &self.wipes {
                ask.wiped.extend_from_slice(wipe.owner.as_slice());
            }
        }
        Ok(Some(ask))
    }

    fn finish(&mut self) -> Result<TrieOutcome, TrieError> {
        let mut diffs: Vec<Diff> = self.forest.storage.par_iter_mut().map(Tree::seal).collect();
        let mut edits = Vec::new();
        let mut storage_roots = Vec::with_capacity(self.accounts.len() * 32);
        for account in &mut self.accounts {
            if let Some(place) = account.tree {
                account.storage_root = diffs[place].root;
                edits.push((account.update, account_leaf(account)));
            }
            storage_roots.extend_from_slice(account.storage_root.as_slice());
        }
        self.forest.accounts.set_edits(edits)?;
        let account_diff = self.forest.accounts.seal();
        let root = account_diff.root;
        diffs.push(account_diff);
        let mut outcome = TrieOutcome { root, storage_roots, ..TrieOutcome::default() };
        self.write_changes(&diffs, &mut outcome);
        self.stats.cache_hits = self.forest.trees().map(|tree| tree.cache_hits).sum();
        self.stats.revealed = self.forest.trees().map(|tree| tree.revealed).sum();
        outcome.stats = self.stats;
        if let Known::Cache(cache) = &self.known {
            cache.learn(self.forest.trees().zip(diffs).map(|(tree, diff)| tree.lesson(diff)));
        }
        Ok(outcome)
    }

    /// The diff of all tries in the order of node keys.
    fn write_changes(&mut self, diffs: &[Diff], outcome: &mut TrieOutcome) {
        let mut changes: Vec<Change> = Vec::new();
        for wipe in &mut self.wipes {
            let nodes = std::mem::take(&mut wipe.nodes);
            changes.extend(nodes.into_iter().map(|(key, old)| Change { key, new: None, old: Some(old) }));
        }
        for (tree, diff) in self.forest.trees().zip(diffs) {
            let key = |path| node_key(tree.owner.as_ref(), path);
            let (write_old, delete_old) = diff.old.split_at(diff.writes.len());
            changes.extend(diff.writes.iter().zip(write_old).map(|((path, _, rlp), old)| Change {
                key: key(path),
                new: Some(rlp.clone()),
                old: old.clone(),
            }));
            changes.extend(diff.deletes.iter().zip(delete_old).map(|(path, old)| Change {
                key: key(path),
                new: None,
                old: old.clone(),
            }));
        }
        // Of sorted runs, and stable: a wiped trie's old node stands before the new node with the same key.
        changes.sort_by(|left, right| left.key.cmp(&right.key));
        changes.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same {
                first.new = later.new.take();
            }
            same
        });
        let written: usize = changes.iter().map(|change| change.key.len() + 8 + length_of(change.new.as_ref())).sum();
        let replaced: usize = changes.iter().map(|change| change.key.len() + 8 + length_of(change.old.as_ref())).sum();
        outcome.node_writes.reserve(written);
        outcome.node_old.reserve(replaced);
        for Change { key, new, old } in changes.iter().filter(|change| change.new != change.old) {
            if let Some(rlp) = new {
                self.stats.written += 1;
                pack::push_packed(&mut outcome.node_writes, key);
                pack::push_packed(&mut outcome.node_writes, rlp);
            } else {
                self.stats.deleted += 1;
                pack::push_packed(&mut outcome.node_deletes, key);
            }
            pack::push_packed(&mut outcome.node_old, key);
            pack::push_packed(&mut outcome.node_old, old.as_deref().unwrap_or_default());
        }
    }
}

/// What happens to one stored node.
#[derive(Debug)]
struct Change {
    key: Vec<u8>,
    new: Option<Arc<[u8]>>,
    old: Option<Arc<[u8]>>,
}

fn length_of(rlp: Option<&Arc<[u8]>>) -> usize {
    rlp.map_or(0, |rlp| rlp.len())
}

type Prepared = (B256, Account, Option<Tree>, Option<Wipe>);

fn prepare(write: &AccountWrite<'_>, record: &[u8; ACCOUNT_RECORD_BYTES], known: &Known) -> InputResult<Prepared> {
    let prior_root = prior_storage_root(record)?;
    let owner = keccak256(write.address);
    let base = if write.is_wiped() { EMPTY_ROOT_HASH } else { prior_root };
    let tree = (!write.slots.is_empty()).then(|| Tree::new(Some(owner), base, slot_updates(write.slots), known));
    let wipe = (write.is_wiped() && prior_root != EMPTY_ROOT_HASH).then(|| Wipe {
        owner,
        root: prior_root,
        nodes: BTreeMap::new(),
    });
    let account = Account {
        nonce: write.nonce,
        balance: write.balance,
        code_hash: write.code_hash,
        deleted: write.is_deleted(),
        storage_root: base,
        update: 0,
        tree: None,
    };
    Ok((owner, account, tree, wipe))
}

impl Wipe {
    /// Take a listing (packed list of node key and RLP, alternating); it must hold the whole trie.
    fn read(&mut self, listing: &[u8]) -> Result<(), TrieError> {
        let items = pack::read_packed("wiped", listing)?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(InputError::new("wiped", "a node for each key", format!("{} items", items.len())).into());
        }
        for [key, rlp] in pairs {
            if !key.starts_with(self.owner.as_slice()) {
                let got = alloy_primitives::hex::encode(key);
                return Err(InputError::new("wiped", format!("node keys of {}", self.owner), got).into());
            }
            self.nodes.insert(key.to_vec(), Arc::from(*rlp));
        }
        self.check(Nibbles::new(), &Node::Blind(self.root))
    }

    fn check(&self, path: Nibbles, node: &Node) -> Result<(), TrieError> {
        match node {
            Node::Empty | Node::Leaf(_) => Ok(()),
            Node::Blind(hash) => {
                let key = node_key(Some(&self.owner), &path);
                let node = self
                    .nodes
                    .get(&key)
                    .filter(|rlp| keccak256(rlp) == *hash)
                    .and_then(|rlp| Node::decode(rlp, path.len(), RlpNode::word_rlp(hash)))
                    .ok_or(TrieError::Corrupt(key))?;
                self.check(path, &node)
            }
            Node::Extension(extension) => self.check(path.join(&extension.path), &extension.child),
            Node::Branch(branch) => {
                (0_u8..).zip(&branch.children).try_for_each(|(nibble, child)| self.check(below(path, nibble), child))
            }
        }
    }
}
