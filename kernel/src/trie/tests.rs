//! The incremental trie against tries built from scratch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use alloy_primitives::{B256, U256, hex, keccak256};
use alloy_trie::{HashBuilder, Nibbles};
use proptest::test_runner::{RngAlgorithm, TestRng};
use proptest::prelude::Rng;

use super::sparse::Update;
use super::tree::Tree;
use super::write_set::{DELETED, WIPED};
use super::*;
use crate::pack::{push_packed, read_packed};

/// Rounds no job of these tests may exceed: depth of the tries and collapses.
const ROUNDS_MAX: usize = 24;

fn rng(seed: u8) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32])
}

/// A store of trie nodes by node key.
type Nodes = BTreeMap<Vec<u8>, Vec<u8>>;

fn read(nodes: &Nodes, paths: &[u8]) -> Vec<Option<Vec<u8>>> {
    read_packed("paths", paths).unwrap().into_iter().map(|key| nodes.get(key).cloned()).collect()
}

fn borrow(nodes: &[Option<Vec<u8>>]) -> Vec<Option<&[u8]>> {
    nodes.iter().map(Option::as_deref).collect()
}

/// Run a job on `nodes`; asserts that nothing is asked twice.
fn run(job: &mut TrieJob, nodes: &Nodes) -> Result<TrieOutcome, TrieError> {
    let mut answers = Vec::new();
    let mut listings: Vec<Vec<u8>> = Vec::new();
    let mut asked_ever = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let listed: Vec<&[u8]> = listings.iter().map(Vec::as_slice).collect();
        match job.step(&borrow(&answers), &listed)? {
            TrieStep::Done(outcome) => return Ok(outcome),
            TrieStep::Need(ask) => {
                let keys = read_packed("paths", &ask.paths).unwrap();
                assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "needs are sorted");
                assert!(keys.iter().all(|key| asked_ever.insert(key.to_vec())), "nothing is asked twice");
                answers = read(nodes, &ask.paths);
                listings = ask.wiped.as_chunks::<32>().0.iter().map(|owner| list(nodes, owner)).collect();
            }
        }
    }
    panic!("too many rounds");
}

fn list(nodes: &Nodes, owner: &[u8; 32]) -> Vec<u8> {
    let mut listing = Vec::new();
    for (key, rlp) in nodes.range(owner.to_vec()..).take_while(|(key, _)| key.starts_with(owner)) {
        push_packed(&mut listing, key);
        push_packed(&mut listing, rlp);
    }
    listing
}

/// Apply a diff; asserts that it tells the truth about what was there.
fn apply(nodes: &mut Nodes, outcome: &TrieOutcome) {
    let pairs = |bytes: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let items = read_packed("pairs", bytes).unwrap();
        items.as_chunks::<2>().0.iter().map(|[key, rlp]| (key.to_vec(), rlp.to_vec())).collect()
    };
    let (writes, old) = (pairs(&outcome.node_writes), pairs(&outcome.node_old));
    let deletes: Vec<Vec<u8>> =
        read_packed("deletes", &outcome.node_deletes).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    let mut touched: Vec<Vec<u8>> = writes.iter().map(|(key, _)| key.clone()).chain(deletes.iter().cloned()).collect();
    touched.sort();
    assert_eq!(touched, old.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
    for (key, rlp) in old {
        assert_eq!(nodes.get(&key).cloned().unwrap_or_default(), rlp, "previous node at {}", hex::encode(&key));
    }
    for key in deletes {
        assert!(nodes.remove(&key).is_some(), "only nodes that are there are deleted");
    }
    nodes.extend(writes);
}

// --- whole states ----------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    nonce: u64,
    balance: u64,
    slots: BTreeMap<[u8; 32], u64>,
}

type State = BTreeMap<[u8; 20], Model>;

fn storage_root(model: &Model) -> B256 {
    let leaves: BTreeMap<B256, Vec<u8>> =
        model.slots.iter().map(|(slot, value)| (keccak256(slot), alloy_rlp::encode(U256::from(*value)))).collect();
    build(&leaves)
}

fn build(leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn state_root(state: &State) -> B256 {
    let leaf = |model: &Model| {
        alloy_rlp::encode(alloy_trie::TrieAccount {
            nonce: model.nonce,
            balance: U256::from(model.balance),
            storage_root: storage_root(model),
            code_hash: EMPTY_CODE_HASH,
        })
    };
    build(&state.iter().map(|(address, model)| (keccak256(address), leaf(model))).collect())
}

#[derive(Clone, Debug, Default)]
struct Change {
    account: Option<(u64, u64)>,
    wiped: bool,
    slots: BTreeMap<[u8; 32], u64>,
}

fn encode(changes: &BTreeMap<[u8; 20], Change>) -> Vec<u8> {
    let mut out = (changes.len() as u32).to_be_bytes().to_vec();
    for (address, change) in changes {
        out.extend_from_slice(address);
        let (nonce, balance) = change.account.unwrap_or_default();
        let deleted = change.account.is_none();
        out.push(if deleted { DELETED | WIPED } else { u8::from(change.wiped) * WIPED });
        out.extend_from_slice(&nonce.to_be_bytes());
        out.extend_from_slice(&U256::from(balance).to_be_bytes::<32>());
        out.extend_from_slice(if deleted { &[0; 32] } else { EMPTY_CODE_HASH.as_slice() });
        out.extend_from_slice(&(change.slots.len() as u32).to_be_bytes());
        for (slot, value) in &change.slots {
            out.extend_from_slice(slot);
            out.extend_from_slice(&U256::from(*value).to_be_bytes::<32>());
        }
    }
    out
}

fn records(state: &State, changes: &BTreeMap<[u8; 20], Change>) -> Vec<u8> {
    let mut out = Vec::new();
    for address in changes.keys() {
        match state.get(address) {
            None => out.extend_from_slice(&[0; 105]),
            Some(model) => {
                out.push(1);
                out.extend_from_slice(&model.nonce.to_be_bytes());
                out.extend_from_slice(&U256::from(model.balance).to_be_bytes::<32>());
                out.extend_from_slice(storage_root(model).as_slice());
                out.extend_from_slice(EMPTY_CODE_HASH.as_slice());
            }
        }
    }
    out
}

fn update_model(state: &mut State, changes: &BTreeMap<[u8; 20], Change>) {
    for (address, change) in changes {
        let Some((nonce, balance)) = change.account else {
            state.remove(address);
            continue;
        };
        let model = state.entry(*address).or_default();
        (model.nonce, model.balance) = (nonce, balance);
        if change.wiped {
            model.slots.clear();
        }
        for (slot, value) in &change.slots {
            if *value == 0 {
                model.slots.remove(slot);
            } else {
                model.slots.insert(*slot, *value);
            }
        }
    }
}

fn random_changes(rng: &mut TestRng, state: &State, addresses: u64, batch: u64) -> BTreeMap<[u8; 20], Change> {
    let mut changes = BTreeMap::new();
    for _ in 0..=rng.next_u64() % batch {
        let mut address = [0; 20];
        address[12..].copy_from_slice(&(rng.next_u64() % addresses).to_be_bytes());
        let mut change = Change { account: Some((rng.next_u64() % 300, rng.next_u64())), ..Change::default() };
        match rng.next_u64() % 10 {
            0..=2 if state.contains_key(&address) => change.account = None,
            3 => change.wiped = true,
            _ => {}
        }
        if change.account.is_some() {
            for _ in 0..rng.next_u64() % 8 {
                let mut slot = [0; 32];
                slot[31] = (rng.next_u64() % 12) as u8;
                // Half of the slots go, so that branches collapse often.
                let value = if rng.next_u64() % 2 == 0 { 0 } else { rng.next_u64() % 400 };
                change.slots.insert(slot, value);
            }
        }
        changes.insert(address, change);
    }
    changes
}

fn genesis(state: &State) -> BTreeMap<[u8; 20], Change> {
    let change = |model: &Model| Change {
        account: Some((model.nonce, model.balance)),
        wiped: false,
        slots: model.slots.clone(),
    };
    state.iter().map(|(address, model)| (*address, change(model))).collect()
}

fn random_history(seed: u8, rounds: usize, addresses: u64, batch: u64, cache: Option<&Arc<TrieCache>>) {
    let mut rng = rng(seed);
    let (mut state, mut nodes, mut root) = (State::new(), Nodes::new(), EMPTY_ROOT);
    for round in 0..rounds {
        let changes = random_changes(&mut rng, &state, addresses, batch);
        let job = |cache| TrieJob::new(root, &encode(&changes), &records(&state, &changes), cache).unwrap();
        if round % 7 == 0 {
            // A block that is staged with other contents and never committed leaves nothing wrong in the cache.
            let other = random_changes(&mut rng, &state, addresses, batch);
            let mut job = TrieJob::new(root, &encode(&other), &records(&state, &other), cache.cloned()).unwrap();
            run(&mut job, &nodes).unwrap();
        }
        let outcome = run(&mut job(cache.cloned()), &nodes).unwrap();
        update_model(&mut state, &changes);
        assert_eq!(outcome.root, state_root(&state), "round {round}");
        let roots: Vec<u8> = changes
            .keys()
            .flat_map(|address| state.get(address).map_or(EMPTY_ROOT, storage_root).0)
            .collect();
        assert_eq!(outcome.storage_roots, roots);
        apply(&mut nodes, &outcome);
        root = outcome.root;
        if round % 16 == 0 || round + 1 == rounds {
            // No orphan, no missing node: a state built at once has the same nodes.
            let all = genesis(&state);
            let mut job =
                TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
            let mut fresh = Nodes::new();
            apply(&mut fresh, &run(&mut job, &Nodes::new()).unwrap());
            assert!(fresh == nodes, "round {round}: the same nodes as from scratch");
        }
    }
}

#[test]
fn roots_and_nodes_of_a_small_changing_state_equal_those_from_scratch() {
    random_history(1, 600, 40, 6, None);
}

#[test]
fn a_cache_with_uncommitted_siblings_changes_nothing() {
    random_history(2, 600, 40, 6, Some(&Arc::new(TrieCache::new(100_000))));
}

#[test]
fn a_tiny_cache_changes_nothing() {
    random_history(3, 300, 200, 20, Some(&Arc::new(TrieCache::new(37))));
}

#[test]
fn large_batches_take_the_parallel_path_to_the_same_root() {
    random_history(4, 12, 5_000, 2_000, Some(&Arc::new(TrieCache::new(100_000))));
}

#[test]
fn the_empty_state_and_a_state_emptied_again_have_the_empty_root() {
    let mut state = State::new();
    let none = BTreeMap::new();
    let outcome = run(&mut TrieJob::new(EMPTY_ROOT, &encode(&none), &[], None).unwrap(), &Nodes::new()).unwrap();
    assert_eq!((outcome.root, outcome.node_writes.len()), (EMPTY_ROOT, 0));

    let one = BTreeMap::from([([1; 20], Change { account: Some((1, 1)), ..Change::default() })]);
    let outcome =
        run(&mut TrieJob::new(EMPTY_ROOT, &encode(&one), &records(&state, &one), None).unwrap(), &Nodes::new()).unwrap();
    let mut nodes = Nodes::new();
    apply(&mut nodes, &outcome);
    update_model(&mut state, &one);
    let gone = BTreeMap::from([([1; 20], Change::default())]);
    let mut job = TrieJob::new(outcome.root, &encode(&gone), &records(&state, &gone), None).unwrap();
    let outcome = run(&mut job, &nodes).unwrap();
    apply(&mut nodes, &outcome);
    assert_eq!((outcome.root, nodes.len()), (EMPTY_ROOT, 0));
}

fn sample(accounts: u64) -> (State, Nodes, B256) {
    let mut state = State::new();
    for index in 0..accounts {
        let mut address = [0; 20];
        address[12..].copy_from_slice(&index.to_be_bytes());
        let slots = (0..index % 40).map(|slot| (B256::from(U256::from(slot)).0, slot + 1)).collect();
        state.insert(address, Model { nonce: index, balance: index * 7 + 1, slots });
    }
    let all = genesis(&state);
    let mut job = TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
    let mut nodes = Nodes::new();
    let outcome = run(&mut job, &Nodes::new()).unwrap();
    apply(&mut nodes, &outcome);
    (state, nodes, outcome.root)
}

#[test]
fn a_flipped_or_missing_node_is_named() {
    let (state, nodes, root) = sample(200);
    let address = *state.keys().nth(150).unwrap();
    let changes = BTreeMap::from([(address, Change { account: Some((9, 9)), ..Change::default() })]);
    let mut wiping = changes.clone();
    wiping.get_mut(&address).unwrap().wiped = true;
    for (changes, owner) in [(&changes, None), (&wiping, Some(keccak256(address)))] {
        let mut named = 0;
        for key in nodes.keys().filter(|key| owner.is_none_or(|owner| key.starts_with(owner.as_slice()))) {
            for missing in [false, true] {
                let mut broken = nodes.clone();
                if missing {
                    broken.remove(key);
                } else {
                    broken.get_mut(key).unwrap()[5] ^= 1;
                }
                let mut job = TrieJob::new(root, &encode(changes), &records(&state, changes), None).unwrap();
                match run(&mut job, &broken) {
                    Err(TrieError::Corrupt(path)) => {
                        assert_eq!(&path, key);
                        named += 1;
                    }
                    Ok(_) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        assert!(named >= 4, "broken nodes on the way are found");
    }
}

#[test]
fn hostile_answers_are_refused_by_name() {
    let (state, nodes, root) = sample(20);
    let address = *state.keys().next().unwrap();
    let changes = BTreeMap::from([(address, Change { account: Some((9, 9)), ..Change::default() })]);
    let mut job = TrieJob::new(root, &encode(&changes), &records(&state, &changes), None).unwrap();
    let TrieStep::Need(ask) = job.step(&[], &[]).unwrap() else { panic!("nodes are needed") };
    let answers = read(&nodes, &ask.paths);
    let short = job.step(&borrow(&answers)[1..], &[]);
    assert!(matches!(short, Err(TrieError::Input(error)) if error.field == "nodes"));
    let again = job.step(&borrow(&answers), &[]);
    assert!(matches!(again, Err(TrieError::Input(error)) if error.field == "step"));
    for (write_set, records, field) in [
        (&[0, 0, 0, 1][..], &[][..], "write_set"),
        (&encode(&changes)[..], &[7; 105][..], "accounts"),
        (&encode(&changes)[..], &[0; 210][..], "accounts"),
    ] {
        assert_eq!(TrieJob::new(root, write_set, records, None).unwrap_err().field, field);
    }
}

// --- single tries with chosen keys ----------------------------------------------------------------------------------

struct Single {
    nodes: BTreeMap<Nibbles, Arc<[u8]>>,
    leaves: BTreeMap<B256, Vec<u8>>,
    root: B256,
}

impl Single {
    fn new() -> Self {
        Self { nodes: BTreeMap::new(), leaves: BTreeMap::new(), root: EMPTY_ROOT }
    }

    fn change(&mut self, changes: &BTreeMap<B256, Option<Vec<u8>>>) {
        let updates = changes
            .iter()
            .map(|(key, value)| Update {
                key: Nibbles::unpack(key),
                value: value.as_ref().map(|value| value.as_slice().into()),
            })
            .collect();
        let mut tree = Tree::new(None, self.root, updates, None);
        for round in 0.. {
            assert!(round < ROUNDS_MAX * 4, "rounds end");
            let needs = tree.pass(None).unwrap();
            if needs.is_empty() {
                break;
            }
            for path in needs {
                tree.answer(path, self.nodes.get(&path).cloned());
            }
        }
        let diff = tree.seal();
        for (path, _, rlp) in diff.writes {
            self.nodes.insert(path, rlp);
        }
        for path in diff.deletes {
            assert!(self.nodes.remove(&path).is_some());
        }
        self.root = diff.root;
        for (key, value) in changes {
            match value {
                Some(value) => self.leaves.insert(*key, value.clone()),
                None => self.leaves.remove(key),
            };
        }
    }

    fn check(&self) {
        assert_eq!(self.root, build(&self.leaves));
        let mut fresh = Self::new();
        fresh.change(&self.leaves.iter().map(|(key, value)| (*key, Some(value.clone()))).collect());
        assert!(fresh.nodes == self.nodes, "the same nodes as from scratch");
    }
}

fn key(nibbles: &str) -> B256 {
    format!("{nibbles:0<64}").parse().unwrap()
}

#[test]
fn embedded_nodes_and_deep_shared_prefixes_equal_a_trie_from_scratch() {
    // Keys that differ in the last nibbles only, and values of one byte: most nodes are shorter than 32 bytes.
    let mut rng = rng(5);
    let mut single = Single::new();
    for round in 0..4_000 {
        let mut changes = BTreeMap::new();
        for _ in 0..=rng.next_u64() % 4 {
            let mut key = B256::repeat_byte(0x11);
            for byte in 28..32 {
                if rng.next_u64() % 3 == 0 {
                    key[byte] = [0x11, 0x12, 0x21, 0x10][(rng.next_u64() % 4) as usize];
                }
            }
            if rng.next_u64() % 5 == 0 {
                key[3] = 0x77;
            }
            let length = [1, 1, 1, 33][(rng.next_u64() % 4) as usize];
            let value = (rng.next_u64() % 2 == 0).then(|| vec![(rng.next_u64() % 100) as u8 + 1; length]);
            changes.insert(key, value);
        }
        single.change(&changes);
        assert_eq!(single.root, build(&single.leaves), "round {round}");
        if round % 10 == 0 {
            single.check();
        }
    }
    single.check();
}

#[test]
fn a_branch_left_with_one_child_merges_with_each_type_of_child() {
    let value = |byte: u8| Some(vec![byte; 40]);
    for (kind, others) in [
        ("leaf", vec!["a1"]),
        ("extension", vec!["a1230", "a1231"]),
        ("branch", vec!["a10", "a11"]),
    ] {
        for above in ["", "a5", "b"] {
            let mut single = Single::new();
            let mut changes: BTreeMap<B256, Option<Vec<u8>>> =
                others.iter().map(|nibbles| (key(nibbles), value(1))).collect();
            changes.insert(key("a2"), value(2));
            if !above.is_empty() {
                changes.insert(key(above), value(3));
            }
            single.change(&changes);
            single.check();
            single.change(&BTreeMap::from([(key("a2"), None)]));
            single.check();
            if !above.is_empty() {
                single.change(&BTreeMap::from([(key(above), None)]));
                single.check();
            }
            assert!(!single.nodes.is_empty(), "{kind}");
        }
    }
}

#[test]
fn deleting_everything_below_a_branch_and_inserting_beside_it_needs_no_order() {
    let mut single = Single::new();
    let value = Some(vec![9; 40]);
    single.change(&["a1", "a2", "a3", "b1"].map(|nibbles| (key(nibbles), value.clone())).into());
    single.change(&BTreeMap::from([
        (key("a1"), None),
        (key("a2"), None),
        (key("a3"), None),
        (key("b1"), None),
        (key("c"), value.clone()),
    ]));
    single.check();
    single.change(&BTreeMap::from([(key("c"), None), (key("d"), None)]));
    single.check();
    assert!(single.nodes.is_empty());
}

// --- proofs ----------------------------------------------------------------------------------------------------------

fn prove(job: &mut ProofJob, nodes: &Nodes) -> Result<ProofOutcome, TrieError> {
    let mut answers = Vec::new();
    for _ in 0..ROUNDS_MAX {
        match job.step(&borrow(&answers))? {
            ProofStep::Done(outcome) => return Ok(outcome),
            ProofStep::Need(ask) => answers = read(nodes, &ask.paths),
        }
    }
    panic!("too many rounds");
}

fn check_proof(root: B256, key: B256, value: Option<Vec<u8>>, proof: &[Vec<u8>]) {
    let borrowed: Vec<&[u8]> = proof.iter().map(Vec::as_slice).collect();
    assert!(verify_proof(root, key.as_slice(), value.as_deref(), &borrowed));
    assert!(!verify_proof(root, key.as_slice(), Some(b"other"), &borrowed));
    if value.is_some() {
        assert!(!verify_proof(root, key.as_slice(), None, &borrowed));
    }
    // Another implementation agrees.
    let bytes: Vec<alloy_primitives::Bytes> = proof.iter().cloned().map(Into::into).collect();
    alloy_trie::proof::verify_proof(root, Nibbles::unpack(key), value.clone(), &bytes).unwrap();
    for index in 0..proof.len() {
        let mut shorter = borrowed.clone();
        shorter.remove(index);
        assert!(!verify_proof(root, key.as_slice(), value.as_deref(), &shorter), "without node {index}");
        let mut flipped = proof.to_vec();
        let place = flipped[index].len() / 2;
        flipped[index][place] ^= 1;
        let flipped: Vec<&[u8]> = flipped.iter().map(Vec::as_slice).collect();
        assert!(!verify_proof(root, key.as_slice(), value.as_deref(), &flipped), "node {index} flipped");
    }
    let mut longer = borrowed.clone();
    longer.push(b"\xc0");
    assert!(!verify_proof(root, key.as_slice(), value.as_deref(), &longer));
}

#[test]
fn proofs_of_presence_and_absence_verify_here_and_elsewhere() {
    let (state, nodes, root) = sample(300);
    for index in [0_u64, 1, 5, 39, 77, 299, 300, 5_000] {
        let mut address = [0; 20];
        address[12..].copy_from_slice(&index.to_be_bytes());
        let model = state.get(&address);
        let slots: Vec<[u8; 32]> = (0..45_u64).map(|slot| B256::from(U256::from(slot)).0).collect();
        let storage = model.map_or(EMPTY_ROOT, storage_root);
        let mut job = ProofJob::new(root, address, &slots.concat(), storage).unwrap();
        let outcome = prove(&mut job, &nodes).unwrap();
        let leaf = model.map(|model| {
            alloy_rlp::encode(alloy_trie::TrieAccount {
                nonce: model.nonce,
                balance: U256::from(model.balance),
                storage_root: storage,
                code_hash: EMPTY_CODE_HASH,
            })
        });
        check_proof(root, keccak256(address), leaf, &outcome.account_proof);
        assert_eq!(outcome.storage_proofs.len(), slots.len());
        for (slot, proof) in slots.iter().zip(&outcome.storage_proofs) {
            let value = model.and_then(|model| model.slots.get(slot)).map(|value| alloy_rlp::encode(U256::from(*value)));
            check_proof(storage, keccak256(slot), value, proof);
        }
    }
}

#[test]
fn a_proof_under_another_storage_root_is_refused() {
    let (state, nodes, root) = sample(50);
    let address = *state.keys().nth(3).unwrap();
    let error = prove(&mut ProofJob::new(root, address, &[], EMPTY_ROOT).unwrap(), &nodes).unwrap_err();
    assert!(matches!(error, TrieError::Input(error) if error.field == "storage_root"));
}

#[test]
fn arbitrary_proof_nodes_never_panic() {
    let mut rng = rng(6);
    let (_, nodes, _) = sample(60);
    let stored: Vec<Vec<u8>> = nodes.into_values().collect();
    for _ in 0..20_000 {
        let mut node = stored[(rng.next_u64() as usize) % stored.len()].clone();
        for _ in 0..=rng.next_u64() % 3 {
            let place = (rng.next_u64() as usize) % node.len();
            node[place] = rng.next_u64() as u8;
        }
        // The root names the mutated node, so that decoding is reached.
        let root = keccak256(&node);
        assert!(!verify_proof(root, &[0x55; 32], Some(b"x"), &[&node]));
        let cut = &node[..(rng.next_u64() as usize) % node.len()];
        assert!(!verify_proof(keccak256(cut), &[0x55; 32], Some(b"x"), &[cut]));
    }
}

// --- public vectors --------------------------------------------------------------------------------------------------

/// A folder with the unpacked archive `name`, or `None` (said aloud) when the vectors are not there.
fn vectors(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let archive = folder.join(format!("{name}.tar.xz"));
    if !archive.is_file() {
        eprintln!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", archive.display());
        return None;
    }
    let target = std::env::temp_dir().join(format!("hansa-vectors-{}", std::process::id()));
    std::fs::create_dir_all(&target).unwrap();
    let status = Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .arg(format!("{name}/TrieTests"))
        .status()
        .unwrap();
    assert!(status.success());
    Some(target.join(name))
}

fn text_bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("0x").map_or_else(|| text.as_bytes().to_vec(), |digits| hex::decode(digits).unwrap())
}

#[test]
fn public_trie_tests_give_their_roots() {
    let Some(folder) = vectors("ethereum-basics") else { return };
    let (mut run, mut skipped) = (0, 0);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("TrieTests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "trietestnextprev" {
            continue; // Neighbours of keys: not a question that this trie answers.
        }
        let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let secure = name.to_lowercase().contains("secure");
        for (case, body) in cases.as_object().unwrap() {
            let steps: Vec<(Vec<u8>, Option<Vec<u8>>)> = match &body["in"] {
                serde_json::Value::Array(pairs) => pairs
                    .iter()
                    .map(|pair| (text_bytes(pair[0].as_str().unwrap()), pair[1].as_str().map(text_bytes)))
                    .collect(),
                pairs => pairs
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(key, value)| (text_bytes(key), value.as_str().map(text_bytes)))
                    .collect(),
            };
            let keys: Vec<Vec<u8>> =
                steps.iter().map(|(key, _)| if secure { keccak256(key).to_vec() } else { key.clone() }).collect();
            let nested = keys.iter().any(|one| keys.iter().any(|other| one != other && other.starts_with(one)));
            if nested || keys.iter().any(|key| key.len() > 32) {
                skipped += 1; // A key inside another key, or over 32 bytes: hashed keys are never so.
                continue;
            }
            let (mut nodes, mut root) = (BTreeMap::<Nibbles, Arc<[u8]>>::new(), EMPTY_ROOT);
            for (key, (_, value)) in keys.iter().zip(&steps) {
                let value = value.as_deref().map(Into::into);
                let mut tree = Tree::new(None, root, vec![Update { key: Nibbles::unpack(key), value }], None);
                loop {
                    let needs = tree.pass(None).unwrap();
                    if needs.is_empty() {
                        break;
                    }
                    for path in needs {
                        tree.answer(path, nodes.get(&path).cloned());
                    }
                }
                let diff = tree.seal();
                root = diff.root;
                nodes.extend(diff.writes.into_iter().map(|(path, _, rlp)| (path, rlp)));
                for path in diff.deletes {
                    nodes.remove(&path);
                }
            }
            assert_eq!(root.to_string(), body["root"].as_str().unwrap(), "{name}: {case}");
            run += 1;
        }
    }
    println!("TrieTests: {run} run, {skipped} skipped (a key is the beginning of another)");
    assert!(run >= 10);
    let _ = std::fs::remove_dir_all(folder.parent().unwrap());
}

// --- cost ------------------------------------------------------------------------------------------------------------

/// Prints medians: `cargo test --profile kernel-dev -- --ignored --nocapture measure_transfers`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_transfers() {
    for accounts in [100_000_u64, 1_000_000] {
        let mut state = State::new();
        for index in 0..accounts {
            let mut address = [0; 20];
            address[12..].copy_from_slice(&index.to_be_bytes());
            state.insert(address, Model { nonce: 1, balance: 1_000_000, slots: BTreeMap::new() });
        }
        let all = genesis(&state);
        let start = std::time::Instant::now();
        let mut job = TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
        let outcome = run(&mut job, &Nodes::new()).unwrap();
        println!("{accounts} accounts: built in {:?}", start.elapsed());
        let mut nodes = Nodes::new();
        apply(&mut nodes, &outcome);
        for (label, cache) in [("no cache", None), ("cache", Some(Arc::new(TrieCache::new(200_000))))] {
            let (mut root, mut nodes, mut rng) = (outcome.root, nodes.clone(), rng(9));
            let mut times = Vec::new();
            let mut last = Stats::default();
            for round in 0..20_u64 {
                let mut changes = BTreeMap::new();
                while changes.len() < 2_000 {
                    let mut address = [0; 20];
                    address[12..].copy_from_slice(&(rng.next_u64() % accounts).to_be_bytes());
                    changes.insert(address, Change { account: Some((round + 2, rng.next_u64())), ..Change::default() });
                }
                let (write_set, records) = (encode(&changes), records(&state, &changes));
                let mut spent = std::time::Duration::ZERO;
                let start = std::time::Instant::now();
                let mut job = TrieJob::new(root, &write_set, &records, cache.clone()).unwrap();
                spent += start.elapsed();
                let mut answers = Vec::new();
                let outcome = loop {
                    let borrowed = borrow(&answers);
                    let start = std::time::Instant::now();
                    let step = job.step(&borrowed, &[]).unwrap();
                    spent += start.elapsed();
                    match step {
                        TrieStep::Done(outcome) => break outcome,
                        TrieStep::Need(ask) => answers = read(&nodes, &ask.paths),
                    }
                };
                times.push(spent);
                root = outcome.root;
                last = outcome.stats;
                apply(&mut nodes, &outcome);
            }
            times.sort();
            println!("{accounts} accounts, {label}: median {:?}, {last:?}", times[times.len() / 2]);
        }
    }
}
