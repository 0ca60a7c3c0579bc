//! Merkle proofs: making them behind the miss protocol, and checking them.

use alloy_primitives::{B256, keccak256};
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::cache::{ACCOUNT_DEPTH_UNKNOWN, STORAGE_DEPTH_UNKNOWN};
use super::job::TrieAsk;
use super::node::Node;
use super::seal::below;
use super::sparse::Answers;
use super::{PATH_NIBBLES_MAX, TrieError, node_key};
use crate::error::{InputError, InputResult};
use crate::pack;

/// Proof nodes (RLP) from the root down. Nodes embedded in their parent do not stand alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProofOutcome {
    pub account_proof: Vec<Vec<u8>>,
    /// One per slot, same order.
    pub storage_proofs: Vec<Vec<Vec<u8>>>,
}

#[derive(Debug)]
pub enum ProofStep {
    Need(TrieAsk),
    Done(ProofOutcome),
}

/// One trie that is read: answers so far, and the paths of the running round.
#[derive(Debug)]
struct Reader {
    owner: Option<B256>,
    root: B256,
    answers: Answers,
}

/// Where a walk towards a key is after everything known.
enum Walked {
    Missing(Nibbles),
    /// RLP of the nodes passed, and the value at the key.
    Ended(Vec<Vec<u8>>, Option<Vec<u8>>),
}

impl Reader {
    fn walk(&self, key: Nibbles) -> Result<Walked, TrieError> {
        let mut proof: Vec<Vec<u8>> = Vec::new();
        let mut path = Nibbles::new();
        let mut node = if self.root == EMPTY_ROOT_HASH { Node::Empty } else { Node::Blind(self.root) };
        loop {
            node = match node {
                Node::Blind(hash) => {
                    let corrupt = || TrieError::Corrupt(node_key(self.owner.as_ref(), &path));
                    let Some(answer) = self.answers.get(&path) else { return Ok(Walked::Missing(path)) };
                    let (_, rlp) = answer.as_ref().filter(|(found, _)| *found == hash).ok_or_else(corrupt)?;
                    proof.push(rlp.to_vec());
                    Node::decode(rlp, path.len(), RlpNode::word_rlp(&hash)).ok_or_else(corrupt)?
                }
                other => match descend(other, &mut path, &key) {
                    Descent::Below(child) => child,
                    Descent::Value(value) => return Ok(Walked::Ended(proof, value)),
                },
            };
        }
    }
}

pub enum Descent {
    Below(Node),
    Value(Option<Vec<u8>>),
}

/// One step from `node` (not blind) at `path` towards `key`.
pub fn descend(node: Node, path: &mut Nibbles, key: &Nibbles) -> Descent {
    match node {
        Node::Empty | Node::Blind(_) => Descent::Value(None),
        Node::Leaf(leaf) => Descent::Value((path.join(&leaf.suffix) == *key).then(|| leaf.value.to_vec())),
        Node::Extension(extension) => {
            *path = path.join(&extension.path);
            if key.starts_with(path) { Descent::Below(extension.child) } else { Descent::Value(None) }
        }
        Node::Branch(mut branch) => match key.get(path.len()) {
            Some(nibble) => {
                *path = below(*path, nibble);
                Descent::Below(std::mem::take(&mut branch.children[usize::from(nibble)]))
            }
            None => Descent::Value(None),
        },
    }
}

/// See [`ProofJob::step`].
#[derive(Debug)]
pub struct ProofJob {
    account_key: Nibbles,
    slot_keys: Vec<Nibbles>,
    accounts: Reader,
    storage: Reader,
    /// Paths of the running round and whether they are the storage trie's.
    asked: Vec<(bool, Nibbles)>,
}

impl ProofJob {
    /// Proof of `address` under `root`, and of `slots` (32 bytes each) under the account's `storage_root` (zero counts
    /// as empty: the record of an account that does not exist).
    ///
    /// # Errors
    /// For slots that are not 32 bytes each.
    pub fn new(root: B256, address: [u8; 20], slots: &[u8], storage_root: B256) -> InputResult<Self> {
        let slots = pack::fixed::<32>("slots", slots)?;
        let owner = keccak256(address);
        let storage_root = if storage_root.is_zero() { EMPTY_ROOT_HASH } else { storage_root };
        Ok(Self {
            account_key: Nibbles::unpack_array(&owner.0),
            slot_keys: slots.iter().map(|slot| Nibbles::unpack_array(&keccak256(slot).0)).collect(),
            accounts: Reader { owner: None, root, answers: Answers::default() },
            storage: Reader { owner: Some(owner), root: storage_root, answers: Answers::default() },
            asked: Vec::new(),
        })
    }

    /// Go on with the nodes asked for.
    ///
    /// # Errors
    /// `Input` for an answer that does not fit, or a storage root that is not the account's; `Corrupt` as in `TrieJob`.
    pub fn step(&mut self, nodes: &[Option<&[u8]>]) -> Result<ProofStep, TrieError> {
        if nodes.len() != self.asked.len() {
            return Err(InputError::new("nodes", format!("{} nodes", self.asked.len()), nodes.len()).into());
        }
        for ((is_storage, path), node) in std::mem::take(&mut self.asked).into_iter().zip(nodes) {
            let reader = if is_storage { &mut self.storage } else { &mut self.accounts };
            reader.answers.insert(path, node.map(|rlp| (keccak256(rlp), rlp.into())));
        }
        let mut asked = Vec::new();
        let mut outcome = ProofOutcome::default();
        match self.accounts.walk(self.account_key)? {
            Walked::Missing(path) => guess(&self.accounts, path, self.account_key, ACCOUNT_DEPTH_UNKNOWN, &mut asked),
            Walked::Ended(proof, value) => {
                self.check_storage_root(value.as_deref())?;
                outcome.account_proof = proof;
            }
        }
        for key in &self.slot_keys {
            match self.storage.walk(*key)? {
                Walked::Missing(path) => guess(&self.storage, path, *key, STORAGE_DEPTH_UNKNOWN, &mut asked),
                Walked::Ended(proof, _) => outcome.storage_proofs.push(proof),
            }
        }
        if asked.is_empty() {
            return Ok(ProofStep::Done(outcome));
        }
        asked.sort_unstable();
        asked.dedup();
        let mut ask = TrieAsk::default();
        for (key, is_storage, path) in asked {
            pack::push_packed(&mut ask.paths, &key);
            self.asked.push((is_storage, path));
        }
        Ok(ProofStep::Need(ask))
    }

    fn check_storage_root(&self, leaf: Option<&[u8]>) -> Result<(), TrieError> {
        let Some(leaf) = leaf else { return Ok(()) };
        let key = || TrieError::Corrupt(node_key(None, &self.account_key));
        let account = alloy_rlp::decode_exact::<alloy_trie::TrieAccount>(leaf).map_err(|_| key())?;
        if account.storage_root == self.storage.root {
            return Ok(());
        }
        Err(InputError::new("storage_root", account.storage_root.to_string(), self.storage.root).into())
    }
}

/// Ask for `path` and what probably follows on the way to `key`.
fn guess(reader: &Reader, path: Nibbles, key: Nibbles, depth: usize, asked: &mut Vec<(Vec<u8>, bool, Nibbles)>) {
    let deepest = depth.max(path.len() + 1).min(PATH_NIBBLES_MAX);
    for length in path.len()..=deepest {
        let path = key.slice(..length);
        if !reader.answers.contains_key(&path) {
            asked.push((node_key(reader.owner.as_ref(), &path), reader.owner.is_some(), path));
        }
    }
}

/// Whether `nodes` (RLP, from the root down, none to spare) prove that `key` holds `value` under `root`, or, with
/// `None`, that it holds nothing. Keys are at most 32 bytes, as they stand in the trie (hashed where the trie hashes).
#[must_use]
pub fn verify_proof(root: B256, key: &[u8], value: Option<&[u8]>, nodes: &[&[u8]]) -> bool {
    proven_value(root, key, nodes).is_some_and(|found| found.as_deref() == value)
}

/// What `nodes` prove that `key` holds, with `Some(None)` for nothing; `None` when they prove neither. As
/// [`verify_proof`].
#[must_use]
pub fn proven_value(root: B256, key: &[u8], nodes: &[&[u8]]) -> Option<Option<Vec<u8>>> {
    if key.len() * 2 > PATH_NIBBLES_MAX {
        return None;
    }
    let key = Nibbles::unpack(key);
    let mut nodes = nodes.iter();
    let mut path = Nibbles::new();
    let mut node = if root == EMPTY_ROOT_HASH { Node::Empty } else { Node::Blind(root) };
    loop {
        node = match node {
            Node::Blind(hash) => {
                let rlp = nodes.next().filter(|rlp| keccak256(rlp) == hash)?;
                Node::decode(rlp, path.len(), RlpNode::word_rlp(&hash))?
            }
            other => match descend(other, &mut path, &key) {
                Descent::Below(child) => child,
                Descent::Value(found) => return nodes.next().is_none().then_some(found),
            },
        };
    }
}
