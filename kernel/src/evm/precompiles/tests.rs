use std::path::PathBuf;
use std::process::Command;

use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, Nibbles, TrieAccount};
use proptest::prelude::*;
use revm::context::result::{ExecutionResult, HaltReason};
use serde_json::Value;

use super::*;
use crate::bls;
use crate::evm::testing::{World, call, spec_of};

const AT: Address = address!("0000000000000000000000000000000000000400");
const CALLER: Address = Address::repeat_byte(0xcc);

fn run(name: &str, input: &[u8]) -> Result<Bytes, BadInput> {
    (by_name(name).unwrap().run)(input)
}

/// A file of the archive `crypto`, or `None` (said aloud) when the vectors are not there.
fn vectors(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let archive = folder.join("crypto.tar.xz");
    if !archive.is_file() {
        println!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", archive.display());
        return None;
    }
    let output = Command::new("tar").arg("-xJOf").arg(&archive).arg(format!("crypto/{path}")).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{path}");
    Some(output.stdout)
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    let Some(file) = vectors("wycheproof/ed25519_test.json") else { return };
    let file: Value = serde_json::from_slice(&file).unwrap();
    let mut cases = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex::decode(group["publicKey"]["pk"].as_str().unwrap()).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let [message, signature] = ["msg", "sig"].map(|field| hex::decode(case[field].as_str().unwrap()).unwrap());
            // Signatures of another length would shift the message: the caller's layout, not the scheme's business.
            if signature.len() == 64 {
                let output = run("ed25519Verify", &[key.as_slice(), &signature, &message].concat()).unwrap();
                let valid = case["result"] == "valid";
                assert_eq!(output == verdict(true), valid, "case {}", case["tcId"]);
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn ed25519_accepts_the_reference_signatures_and_none_with_a_flipped_bit() {
    let Some(file) = vectors("curves/ed25519/vectors.txt") else { return };
    let text = String::from_utf8(file).unwrap();
    for (place, line) in text.lines().enumerate() {
        let fields: Vec<Vec<u8>> = line.split(':').take(4).map(|field| hex::decode(field).unwrap()).collect();
        let mut input = [&fields[1], &fields[3][..64], &fields[2]].concat();
        assert_eq!(run("ed25519Verify", &input), Ok(verdict(true)), "line {place}");
        let flipped = place % input.len();
        input[flipped] ^= 1 << (place % 8);
        assert_eq!(run("ed25519Verify", &input), Ok(verdict(false)), "line {place}");
    }
}

#[test]
fn ed25519_refuses_keys_of_small_order() {
    // Key and nonce of order 1 with s = 0 satisfy the plain equation for every message.
    let mut input = vec![0; 96];
    input[0] = 1;
    input[32] = 1;
    assert_eq!(run("ed25519Verify", &input), Ok(verdict(false)));
    assert_eq!(run("ed25519Verify", b"short"), Ok(verdict(false)));
}

#[test]
fn hashes_are_those_of_fips_202() {
    let shake = |name, length: u64| {
        let input = U256::from(length).to_be_bytes::<32>();
        hex::encode(run(name, &input).unwrap())
    };
    let sha3_256 = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
    assert_eq!(hex::encode(run("sha3_256", b"").unwrap()), sha3_256);
    let sha3_512 = hex::encode(run("sha3_512", b"abc").unwrap());
    assert!(sha3_512.starts_with("b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"));
    assert_eq!(shake("shake128", 32), "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
    assert_eq!(shake("shake256", 16), "46b9dd2b0ba88d13233b3feb743eeb24");
    assert_eq!(shake("shake256", 0), "");
    assert!(run("shake128", &U256::from(8_193).to_be_bytes::<32>()).is_err());
    assert!(run("shake128", b"short").is_err());
    let words = by_name("shake128").unwrap().items;
    assert_eq!(words(&U256::from(33).to_be_bytes::<32>()), 2);
}

/// Input with `signers` of `count` members having signed `message`.
fn certificate(count: u8, signers: &[usize], message: &[u8]) -> Vec<u8> {
    let secrets: Vec<_> = (0..count).map(|index| bls::secret_key(&[index + 1; 32]).unwrap()).collect();
    let mut input = U256::from(count).to_be_bytes::<32>().to_vec();
    for secret in &secrets {
        input.extend_from_slice(&bls::public_key(secret).unwrap());
    }
    input.extend_from_slice(&bls::bitmap_of(signers, count.into()).unwrap());
    let signatures: Vec<_> = signers.iter().map(|index| bls::sign(&secrets[*index], message).unwrap()).collect();
    let signatures: Vec<&[u8]> = signatures.iter().map(<[u8; 48]>::as_slice).collect();
    input.extend_from_slice(&bls::aggregate(&signatures).unwrap());
    input.extend_from_slice(message);
    input
}

#[test]
fn a_certificate_gives_the_number_of_its_signers() {
    let input = certificate(4, &[0, 2, 3], b"to be signed");
    assert_eq!(run("blsCertificateVerify", &input), Ok(number(3)));
    assert_eq!((by_name("blsCertificateVerify").unwrap().items)(&input), 4);
    let mut other = input.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(run("blsCertificateVerify", &other), Ok(Bytes::new()));
    // One more bit in the bitmap: a signer that did not sign.
    let mut more = input.clone();
    more[32 + 4 * 96] |= 2;
    assert_eq!(run("blsCertificateVerify", &more), Ok(Bytes::new()));
    // A key listed twice would count twice.
    let mut twice = input.clone();
    twice.copy_within(32..128, 128);
    assert_eq!(run("blsCertificateVerify", &twice), Ok(Bytes::new()));
    assert!(run("blsCertificateVerify", &input[..32 + 4 * 96]).is_err());
    assert!(run("blsCertificateVerify", &U256::ZERO.to_be_bytes::<32>()).is_err());
}

/// Root of a trie of hashed keys, and the proof of `wanted`, by the library's builder: not by the code under test.
fn trie(leaves: &[(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> (B256, Vec<Bytes>) {
    let mut sorted: Vec<(Nibbles, &[u8])> =
        leaves.iter().map(|(key, value)| (Nibbles::unpack(keccak256(key)), value.as_slice())).collect();
    sorted.sort_unstable();
    let retainer = ProofRetainer::new(vec![Nibbles::unpack(keccak256(wanted))]);
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in sorted {
        builder.add_leaf(key, value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted().into_iter().map(|(_, node)| node).collect();
    (root, nodes)
}

fn proof_input(root: B256, address: Address, slot: U256, lists: &[Vec<Bytes>]) -> Vec<u8> {
    let mut input = [root.as_slice(), address.as_slice(), &slot.to_be_bytes::<32>()].concat();
    lists.to_vec().encode(&mut input);
    input
}

fn address_of(index: u64) -> Address {
    Address::from_word(U256::from(index + 1_000).into())
}

/// A state of 50 accounts; the third has 20 slots, slot i holding i + 1. Input for that account and `slot`.
fn proof_of(index: u64, slot: u64) -> Vec<u8> {
    let slots: Vec<(Vec<u8>, Vec<u8>)> =
        (0..20u64).map(|slot| (U256::from(slot).to_be_bytes_vec(), alloy_rlp::encode(U256::from(slot + 1)))).collect();
    let (storage_root, storage_nodes) = trie(&slots, &U256::from(slot).to_be_bytes_vec());
    let accounts: Vec<(Vec<u8>, Vec<u8>)> = (0..50u64)
        .map(|index| {
            let storage_root = if index == 3 { storage_root } else { alloy_trie::EMPTY_ROOT_HASH };
            let balance = U256::from(7 * index);
            let account = TrieAccount { nonce: index, balance, storage_root, ..TrieAccount::default() };
            (address_of(index).to_vec(), alloy_rlp::encode(account))
        })
        .collect();
    let (root, account_nodes) = trie(&accounts, address_of(index).as_slice());
    let storage_nodes = if index == 3 { storage_nodes } else { Vec::new() };
    proof_input(root, address_of(index), U256::from(slot), &[account_nodes, storage_nodes])
}

fn words(output: &Bytes) -> Vec<U256> {
    output.chunks(32).map(U256::from_be_slice).collect()
}

#[test]
fn a_state_proof_gives_account_and_slot() {
    let output = run("stateProofVerify", &proof_of(3, 5)).unwrap();
    let words_of = words(&output);
    assert_eq!(words_of.len(), 5);
    assert_eq!([words_of[0], words_of[1], words_of[4]], [3, 21, 6].map(U256::from));
    // An absent slot, and an absent account.
    assert_eq!(words(&run("stateProofVerify", &proof_of(3, 99)).unwrap())[4], U256::ZERO);
    assert_eq!(words(&run("stateProofVerify", &proof_of(60, 0)).unwrap()), [U256::ZERO; 5]);
}

#[test]
fn a_state_proof_with_any_bit_flipped_or_a_node_more_fails() {
    let good = proof_of(3, 5);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        if let Ok(output) = run("stateProofVerify", &bad) {
            // A bit of address or slot may lead to a proof of absence along the same nodes, never to another value.
            assert!((32..84).contains(&at) && words(&output)[4].is_zero(), "byte {at}");
        }
    }
    let root = trie(&[(address_of(1).to_vec(), alloy_rlp::encode(TrieAccount::default()))], &[]).0;
    let leaf = trie(&[(address_of(1).to_vec(), alloy_rlp::encode(TrieAccount::default()))], address_of(1).as_slice()).1;
    let twice = [leaf.clone(), leaf.clone()].concat();
    assert!(run("stateProofVerify", &proof_input(root, address_of(1), U256::ZERO, &[leaf])).is_ok());
    assert!(run("stateProofVerify", &proof_input(root, address_of(1), U256::ZERO, &[twice])).is_err());
    assert!(run("stateProofVerify", &proof_input(root, address_of(1), U256::ZERO, &[])).is_err());
}

proptest! {
    #[test]
    fn no_input_makes_a_precompile_panic(name in 0..20usize, mut input in prop::collection::vec(any::<u8>(), 0..600), count in 0..4u8) {
        let name = names().nth(name % names().count()).unwrap();
        if let Some(byte) = input.get_mut(31) {
            *byte = count;
        }
        let precompile = by_name(name).unwrap();
        let _ = (precompile.items)(&input);
        let _ = (precompile.run)(&input);
    }
}

// --- through the EVM ---

fn declared(list: &str) -> String {
    format!(r#"{{"vm":{{"precompiles":[{list}]}}}}"#)
}

const SHA3: &str = r#"{"address":"0x400","name":"sha3_256"}"#;

/// Calls [`AT`] with 36 bytes of zeros and all gas.
const CALLING: [u8; 13] = hex!("60 20 5f 60 24 5f 5f 61 04 00 5a f1 00");

#[test]
fn a_declared_precompile_answers_at_its_address_for_its_price() {
    let mut world = World::new(&declared(SHA3)).absent([AT]);
    let data = [0u8; 33];
    let (result, _) = world.run(call(AT, 100_000, data.to_vec()));
    let ExecutionResult::Success { gas, output, .. } = result else { panic!("{result:?}") };
    assert_eq!(output.data(), &run("sha3_256", &data).unwrap());
    // 60 and 2 words of 24 stay below the floor of EIP-7623.
    assert_eq!(gas.tx_gas_used(), 21_000 + 33 * 10);
}

#[test]
fn the_chain_sets_its_own_price() {
    let list = r#"{"address":1024,"name":"sha3_256","gas":{"base":5000,"perWord":1}}"#;
    let (result, _) = World::new(&declared(list)).absent([AT]).run(call(AT, 100_000, vec![0u8; 32]));
    assert_eq!(result.tx_gas_used(), 21_000 + 32 * 4 + 5_000 + 1);
}

#[test]
fn a_precompile_of_the_chain_is_warm() {
    let gas_of = |hansa: &str| {
        let (result, _) = World::new(hansa).absent([AT]).with(CALLER, 0, &CALLING).run(call(CALLER, 200_000, ""));
        assert!(result.is_success(), "{result:?}");
        result.tx_gas_used()
    };
    // Where nothing is declared the account is cold (2,600), else warm (100) and 60 + 2 words of 24 for the call.
    assert_eq!(gas_of(&declared(SHA3)) + 2_500 - 108, gas_of("{}"));
}

#[test]
fn without_gas_or_with_bad_input_all_gas_is_gone() {
    let mut world = World::new(&declared(SHA3)).absent([AT]);
    let (result, _) = world.run(call(AT, 21_000 + 60, ""));
    assert!(result.is_success());
    let mut world = World::new(&declared(SHA3)).absent([AT]);
    let (result, _) = world.run(call(AT, 21_000 + 59, ""));
    assert!(matches!(result, ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }), "{result:?}");
    let list = r#"{"address":"0x400","name":"stateProofVerify"}"#;
    let (result, _) = World::new(&declared(list)).absent([AT]).run(call(AT, 90_000, "00"));
    let ExecutionResult::Halt { reason: HaltReason::PrecompileErrorWithContext(text), gas, .. } = result else {
        panic!("not a halt")
    };
    assert!(text.starts_with("state proof"), "{text}");
    assert_eq!(gas.tx_gas_used(), 90_000);
}

#[test]
fn expensive_results_are_kept_by_name_and_input() {
    let set = spec_of(&declared(r#"{"address":"0x400","name":"ed25519Verify"}"#)).unwrap().vm().precompiles.clone();
    let ed25519 = by_name("ed25519Verify").unwrap();
    for input in [b"a".as_slice(), b"b", b"a"] {
        assert_eq!(set.results().run(ed25519, input), Ok(Bytes::new()));
    }
    assert_eq!(set.results().len(), 2);
    assert!(set.results().run(by_name("sha3_256").unwrap(), b"a").is_ok());
    assert_eq!(set.results().len(), 2);
}

#[test]
fn a_chain_spec_that_declares_wrongly_is_refused_by_the_name_of_the_key() {
    let refused = |list: &str| spec_of(&declared(list)).unwrap_err().field;
    let field = |name: &str| format!("config.hansa.vm.precompiles.0.{name}");
    assert_eq!(refused(r#"{"address":"0x3ff","name":"sha3_256"}"#), field("address"));
    assert_eq!(refused(r#"{"address":"0x100000","name":"sha3_256"}"#), field("address"));
    assert_eq!(refused(r#"{"name":"sha3_256"}"#), field("address"));
    assert_eq!(refused(r#"{"address":"0x400","name":"md5"}"#), field("name"));
    assert_eq!(refused(r#"{"address":"0x400","name":"sha3_256","gas":{"base":-1}}"#), field("gas.base"));
    assert_eq!(refused(r#"{"address":"0x400","name":"sha3_256","gas":{"base":"0x20000000000"}}"#), field("gas.base"));
    assert_eq!(refused(&format!("{SHA3},{SHA3}")), "config.hansa.vm.precompiles.1.address");
    assert_eq!(spec_of(r#"{"vm":{"precompiles":{}}}"#).unwrap_err().field, "config.hansa.vm.precompiles");
    assert_eq!(spec_of(r#"{"vm":{"txGasLimit":20999}}"#).unwrap_err().field, "config.hansa.vm.txGasLimit");
    let limited = spec_of(r#"{"vm":{"txGasLimit":50000}}"#).unwrap();
    assert_eq!(limited.tx_gas_limit_cap(1, 1), Some(50_000));
}
