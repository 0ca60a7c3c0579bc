//! Decoding, admission, recovery and signing.

mod hostile;
mod public;
mod refusals;

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use secp256k1::SecretKey;

use super::sign::sign_hash;
use super::*;
use crate::pack;
use crate::spec::{Fork, Spec};

/// Rules of one fork on chain 1, with Hansa's bounds but blobs as Ethereum has them.
fn rules(fork: Fork) -> TxRules {
    TxRules::of(&Spec::of_fork(fork, 1), 0, 0)
}

fn key(index: u8) -> SecretKey {
    SecretKey::from_byte_array([index; 32]).expect("a small number is a key")
}

fn address(index: u8) -> Address {
    address_of_public_key(&key(index).public_key(secp256k1::SECP256K1))
}

/// A transfer that every rule since London allows.
fn transfer() -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 30_000,
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 2,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(5),
        ..TxEip1559::default()
    }
}

/// Raw bytes of `tx` signed by key 1.
fn signed<T: SignableTransaction<Signature> + RlpEcdsaEncodableTx>(tx: &T) -> Vec<u8> {
    encoded(tx, &sign_hash(&key(1), tx.signature_hash().0))
}

fn encoded<T: RlpEcdsaEncodableTx>(tx: &T, signature: &Signature) -> Vec<u8> {
    let mut raw = Vec::new();
    tx.eip2718_encode(signature, &mut raw);
    raw
}

fn packed(raws: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for raw in raws {
        pack::push_packed(&mut out, raw);
    }
    out
}

#[test]
fn a_batch_keeps_its_order_and_the_place_of_what_it_refuses() {
    let raws = [signed(&transfer()), b"\xc0".to_vec(), signed(&TxEip1559 { nonce: 4, ..transfer() })];
    let batch = decode_transactions(&packed(&raws), &rules(Fork::Osaka)).expect("a packed list");
    let codes: Vec<_> = batch.errors().map(|error| error.map(|error| error.code)).collect();
    assert_eq!(codes, [None, Some(TxCode::Malformed), None]);
    assert_eq!(batch.packed(), packed(&raws));
    assert_eq!(batch.senders(), [address(1).0.0, [0; 20], address(1).0.0].concat());
    assert_eq!(batch.nonces(), [3u64, 0, 4].map(u64::to_be_bytes).concat());
    assert_eq!(batch.hashes()[32..64], *alloy_primitives::keccak256(b"\xc0"));
    assert!(!batch.all_valid());
}

#[test]
fn slices_selections_and_concatenations_share_transactions() {
    let raws: Vec<_> = (0..5).map(|nonce| signed(&TxEip1559 { nonce, ..transfer() })).collect();
    let batch = decode_transactions(&packed(&raws), &rules(Fork::Osaka)).expect("a packed list");
    let slice = batch.slice(1, 3).expect("inside");
    let select = batch.select(&[4, 0]).expect("inside");
    assert_eq!(TxBatch::concat([&slice, &select]).nonces(), [1u64, 2, 4, 0].map(u64::to_be_bytes).concat());
    assert!(std::ptr::eq(slice.get(0).expect("valid").as_ref(), batch.get(1).expect("valid").as_ref()));
    assert_eq!(batch.slice(3, 6).expect_err("outside").field, "slice");
    assert_eq!(batch.slice(3, 2).expect_err("reversed").field, "slice");
    assert_eq!(batch.select(&[5]).expect_err("outside").field, "indices");
}

#[test]
fn attached_senders_are_taken_as_they_are_and_zero_ones_recovered() {
    let packed = packed(&[signed(&transfer()), signed(&transfer())]);
    let known = Address::repeat_byte(9);
    let senders = [known.0.0, [0; 20]].concat();
    let batch = attach_senders(&packed, &senders, &rules(Fork::Osaka)).expect("a packed list");
    assert_eq!(batch.senders(), [known.0.0, address(1).0.0].concat());
    assert_eq!(attach_senders(&packed, &senders[..20], &rules(Fork::Osaka)).expect_err("too few").field, "senders");
}

#[test]
fn too_many_transactions_fail_as_a_whole() {
    let empty = vec![Vec::new(); BATCH_COUNT_MAX + 1];
    let error = decode_transactions(&packed(&empty), &rules(Fork::Osaka)).expect_err("one too many");
    assert_eq!((error.field.as_str(), error.got.as_str()), ("packed", "10001"));
}

#[test]
fn what_sign_transactions_makes_is_decoded_with_the_keys_address() {
    let keys = [[1u8; 32], [2; 32]].concat();
    let request = SignRequest {
        chain_id: 1,
        secret_keys: &keys,
        nonces: &[7u64, 8].map(u64::to_be_bytes).concat(),
        to: &[5; 40],
        values_wei: &[0; 64],
        data: &packed(&[vec![], vec![1, 2, 3]]),
        gas_limit: 50_000,
        max_fee_per_gas: 3,
        max_priority_fee_per_gas: 1,
    };
    let raws = sign_transactions(&request).expect("good input");
    assert_eq!(raws, sign_transactions(&request).expect("good input"), "RFC 6979: no randomness");
    let batch = decode_transactions(&raws, &rules(Fork::Osaka)).expect("a packed list");
    assert!(batch.all_valid());
    assert_eq!(batch.senders(), address_of_secret_keys(&keys).expect("good keys"));
    assert_eq!(batch.nonces(), [7u64, 8].map(u64::to_be_bytes).concat());
    assert_eq!(sign_transactions(&SignRequest { to: &[5; 20], ..request }).expect_err("one missing").field, "to");
}

#[test]
fn a_key_out_of_range_is_named_by_its_place_only() {
    let error = address_of_secret_keys(&[[1u8; 32], [0; 32]].concat()).expect_err("zero is no key");
    assert_eq!(error.got, "a bad key at 1");
}

#[test]
fn a_pending_creation_has_a_null_recipient_and_no_block() {
    let tx = TxEip1559 { to: TxKind::Create, gas_limit: 90_000, input: Bytes::from(vec![1]), ..transfer() };
    let mut out = Vec::new();
    crate::views::write_pending(&mut out, &decode_one(&signed(&tx), &rules(Fork::Osaka), None).expect("valid"));
    let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    for field in ["to", "blockHash", "blockNumber", "transactionIndex"] {
        assert!(json[field].is_null() && json.as_object().is_some_and(|fields| fields.contains_key(field)), "{field}");
    }
    assert_eq!(json["from"], address(1).to_string().to_lowercase());
    assert_eq!((&json["type"], &json["gasPrice"], &json["input"]), (&"0x2".into(), &"0xa".into(), &"0x01".into()));
}
