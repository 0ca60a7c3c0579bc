//! Proofs, here and with another implementation.

use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::Nibbles;
use proptest::prelude::Rng;

use super::{Nodes, ROUNDS_MAX, borrow, read, rng, sample, storage_root};
use crate::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, ProofJob, ProofOutcome, ProofStep, TrieError, verify_proof};

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

fn check_proof(root: B256, key: B256, value: Option<&[u8]>, proof: &[Vec<u8>]) {
    let borrowed: Vec<&[u8]> = proof.iter().map(Vec::as_slice).collect();
    assert!(verify_proof(root, key.as_slice(), value, &borrowed));
    assert!(!verify_proof(root, key.as_slice(), Some(b"other"), &borrowed));
    if value.is_some() {
        assert!(!verify_proof(root, key.as_slice(), None, &borrowed));
    }
    // Another implementation agrees.
    let bytes: Vec<alloy_primitives::Bytes> = proof.iter().cloned().map(Into::into).collect();
    alloy_trie::proof::verify_proof(root, Nibbles::unpack(key), value.map(<[u8]>::to_vec), &bytes).unwrap();
    for index in 0..proof.len() {
        let mut shorter = borrowed.clone();
        shorter.remove(index);
        assert!(!verify_proof(root, key.as_slice(), value, &shorter), "without node {index}");
        let mut flipped = proof.to_vec();
        let place = flipped[index].len() / 2;
        flipped[index][place] ^= 1;
        let flipped: Vec<&[u8]> = flipped.iter().map(Vec::as_slice).collect();
        assert!(!verify_proof(root, key.as_slice(), value, &flipped), "node {index} flipped");
    }
    let mut longer = borrowed.clone();
    longer.push(b"\xc0");
    assert!(!verify_proof(root, key.as_slice(), value, &longer));
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
        check_proof(root, keccak256(address), leaf.as_deref(), &outcome.account_proof);
        assert_eq!(outcome.storage_proofs.len(), slots.len());
        for (slot, proof) in slots.iter().zip(&outcome.storage_proofs) {
            let value =
                model.and_then(|model| model.slots.get(slot)).map(|value| alloy_rlp::encode(U256::from(*value)));
            check_proof(storage, keccak256(slot), value.as_deref(), proof);
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
