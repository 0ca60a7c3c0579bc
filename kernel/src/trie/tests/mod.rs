//! The incremental trie against tries built from scratch.

mod proofs;
mod public;
mod shared_cache;
mod single;

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{B256, U256, hex, keccak256};
use alloy_trie::{HashBuilder, Nibbles};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

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
                let value = if rng.next_u64().is_multiple_of(2) { 0 } else { rng.next_u64() % 400 };
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
        let roots: Vec<u8> =
            changes.keys().flat_map(|address| state.get(address).map_or(EMPTY_ROOT, storage_root).0).collect();
        assert_eq!(outcome.storage_roots, roots);
        apply(&mut nodes, &outcome);
        root = outcome.root;
        if round % 16 == 0 || round + 1 == rounds {
            // No orphan, no missing node: a state built at once has the same nodes.
            let all = genesis(&state);
            let mut job = TrieJob::new(EMPTY_ROOT, &encode(&all), &records(&State::new(), &all), None).unwrap();
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
        run(&mut TrieJob::new(EMPTY_ROOT, &encode(&one), &records(&state, &one), None).unwrap(), &Nodes::new())
            .unwrap();
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
    let (state, nodes, root) = sample(60);
    let address = *state.keys().nth(39).unwrap();
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
