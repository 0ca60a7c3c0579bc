//! Each check, just inside and just outside its bound.

use alloy_consensus::{TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{B256, uint};

use super::*;

fn code(raw: &[u8], rules: &TxRules) -> &'static str {
    decode_one(raw, rules, None).map_or_else(|error| error.code.as_str(), |_| "")
}

fn message(raw: &[u8], rules: &TxRules) -> String {
    decode_one(raw, rules, None).expect_err("refused").message
}

fn osaka() -> TxRules {
    rules(Fork::Osaka)
}

#[test]
fn intrinsic_gas_counts_calldata() {
    let tx = |gas_limit| TxEip1559 { gas_limit, input: vec![0, 1].into(), ..transfer() };
    // 21,000 + 4 + 16; the floor is 21,000 + 10 * 5.
    let london = rules(Fork::London);
    assert_eq!(code(&signed(&tx(21_020)), &london), "");
    assert_eq!(message(&signed(&tx(21_019)), &london), "intrinsic gas too low: gas 21019, minimum needed 21020");
    assert_eq!(code(&signed(&tx(21_050)), &osaka()), "");
    assert_eq!(
        message(&signed(&tx(21_049)), &osaka()),
        "insufficient gas for floor data gas cost: gas 21049, minimum needed 21050"
    );
}

#[test]
fn intrinsic_gas_counts_creation_and_initcode_words() {
    let tx = |gas_limit| TxEip1559 { gas_limit, to: TxKind::Create, input: vec![0; 33].into(), ..transfer() };
    let needed = 21_000 + 32_000 + 33 * 4;
    assert_eq!(code(&signed(&tx(needed)), &rules(Fork::London)), "");
    assert_eq!(code(&signed(&tx(needed + 3)), &rules(Fork::Shanghai)), "intrinsic_gas_too_low");
    assert_eq!(code(&signed(&tx(needed + 4)), &rules(Fork::Shanghai)), "");
}

#[test]
fn initcode_is_twice_as_long_as_code_may_be_at_most() {
    let tx = |size| TxEip1559 { gas_limit: 5_000_000, to: TxKind::Create, input: vec![1; size].into(), ..transfer() };
    assert_eq!(code(&signed(&tx(49_152)), &osaka()), "");
    assert_eq!(message(&signed(&tx(49_153)), &osaka()), "max initcode size exceeded: code size 49153, limit 49152");
    assert_eq!(code(&signed(&tx(49_153)), &rules(Fork::London)), "");
}

#[test]
fn raw_size_is_bounded_before_anything_is_decoded() {
    let raw = vec![0x02; RAW_BYTES_MAX + 1];
    assert_eq!(message(&raw, &osaka()), "oversized data: transaction size 131073, limit 131072");
    assert_eq!(code(&raw[1..], &osaka()), "malformed_transaction");
}

#[test]
fn gas_is_capped_from_osaka_on() {
    let tx = |gas_limit| signed(&TxEip1559 { gas_limit, ..transfer() });
    assert_eq!(code(&tx(16_777_216), &osaka()), "");
    assert_eq!(message(&tx(16_777_217), &osaka()), "transaction gas limit too high (cap: 16777216, tx: 16777217)");
    assert_eq!(code(&tx(16_777_217), &rules(Fork::Prague)), "");
}

#[test]
fn a_tip_above_the_fee_cap_is_refused() {
    let tx = |tip| signed(&TxEip1559 { max_priority_fee_per_gas: tip, ..transfer() });
    assert_eq!(code(&tx(10), &osaka()), "");
    assert_eq!(
        message(&tx(11), &osaka()),
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: 11, maxFeePerGas: 10"
    );
}

#[test]
fn another_chain_is_named() {
    let raw = signed(&TxEip1559 { chain_id: 5, ..transfer() });
    assert_eq!(message(&raw, &osaka()), "invalid chain id for signer: have 5 want 1");
}

#[test]
fn the_last_nonce_is_refused() {
    let tx = |nonce| signed(&TxEip1559 { nonce, ..transfer() });
    assert_eq!(code(&tx(u64::MAX - 1), &osaka()), "");
    assert_eq!(code(&tx(u64::MAX), &osaka()), "nonce_max");
}

#[test]
fn types_come_with_their_forks() {
    let legacy = TxLegacy { chain_id: Some(1), gas_limit: 21_000, ..TxLegacy::default() };
    let legacy = TxLegacy { to: TxKind::Call(Address::ZERO), ..legacy };
    let list = TxEip2930 { chain_id: 1, gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxEip2930::default() };
    let blob = TxEip4844 { chain_id: 1, gas_limit: 21_000, ..TxEip4844::default() };
    let delegate =
        TxEip7702 { chain_id: 1, gas_limit: 46_000, authorization_list: vec![authorization()], ..TxEip7702::default() };
    let cases = [
        (signed(&legacy), Fork::SpuriousDragon, Fork::Homestead),
        (signed(&list), Fork::Berlin, Fork::Istanbul),
        (signed(&transfer()), Fork::London, Fork::Berlin),
        (signed(&blob), Fork::Cancun, Fork::Shanghai),
        (signed(&delegate), Fork::Prague, Fork::Cancun),
    ];
    for (raw, first, before) in &cases {
        assert_eq!(code(raw, &rules(*first)), "", "{first:?}");
        assert_ne!(code(raw, &rules(*before)), "", "{before:?}");
    }
    assert!(message(&cases[2].0, &rules(Fork::Berlin)).starts_with("transaction type not supported"));
    assert_eq!(code(&[0x05, 0xc0], &osaka()), "transaction_type_not_supported");
    assert_eq!(code(&[0x00, 0xc0], &osaka()), "transaction_type_not_supported");
    assert_eq!(code(&[0x80], &osaka()), "malformed_transaction");
}

#[test]
fn hansa_chains_have_no_blobs() {
    let genesis =
        br#"{"config": {"chainId": 1, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
        "londonBlock": 0, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0, "hansa": {}},
        "alloc": {}, "gasLimit": "0x1c9c380", "difficulty": "0x0"}"#;
    let rules = TxRules::of(&Spec::parse(genesis).expect("a chain spec"), 1, 1);
    let blob = TxEip4844 { chain_id: 1, gas_limit: 21_000, ..TxEip4844::default() };
    assert_eq!(code(&signed(&blob), &rules), "transaction_type_not_supported");
    assert_eq!(code(&signed(&transfer()), &rules), "");
}

#[test]
fn an_unprotected_legacy_transaction_is_accepted() {
    // The usual CREATE2 deployer's transaction: no chain id, and a signature nobody has the key for.
    let raw = alloy_primitives::hex!(
        "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222"
        "222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
    );
    let decoded = decode_one(&raw, &osaka(), None).expect("accepted");
    let deployer = alloy_primitives::address!("4e59b44847b379578588920ca78fbf26c0b4956c");
    assert_eq!(decoded.sender.create(0), deployer);
}

#[test]
fn access_lists_are_bounded() {
    let tx = |keys: usize| {
        let storage_keys = vec![B256::ZERO; keys];
        let list = AccessList(vec![AccessListItem { address: Address::ZERO, storage_keys }]);
        TxEip1559 { gas_limit: 15_000_000, access_list: list, ..transfer() }
    };
    // A list of 4,096 entries is longer than a raw transaction may be; entries that repeat an address are shorter.
    let many = |count: usize| {
        let item = AccessListItem { address: Address::ZERO, storage_keys: Vec::new() };
        TxEip1559 { gas_limit: 15_000_000, access_list: AccessList(vec![item; count]), ..transfer() }
    };
    assert_eq!(code(&signed(&tx(3_000)), &osaka()), "");
    assert_eq!(code(&signed(&many(4_096)), &osaka()), "");
    assert_eq!(message(&signed(&many(4_097)), &osaka()), "access list too large: 4097 entries, limit 4096");
    assert_eq!(code(&signed(&many(4_097)), &TxRules { bounded: false, ..osaka() }), "");
}

fn authorization() -> SignedAuthorization {
    let inner = Authorization { chain_id: U256::ONE, address: Address::ZERO, nonce: 0 };
    SignedAuthorization::new_unchecked(inner, 0, U256::ONE, U256::ONE)
}

#[test]
fn authorisations_are_bounded_and_not_empty() {
    let tx = |count: usize| TxEip7702 {
        chain_id: 1,
        gas_limit: 2_000_000,
        authorization_list: vec![authorization(); count],
        ..TxEip7702::default()
    };
    assert_eq!(code(&signed(&tx(64)), &osaka()), "");
    assert_eq!(code(&signed(&tx(65)), &osaka()), "authorization_list_too_large");
    assert_eq!(message(&signed(&tx(0)), &osaka()), "set code tx must have at least one authorization tuple");
    assert_eq!(code(&signed(&TxEip7702 { gas_limit: 45_999, ..tx(1) }), &osaka()), "intrinsic_gas_too_low");
}

#[test]
fn signatures_out_of_range_are_refused() {
    let order = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    let tx = transfer();
    let good = sign_hash(&key(1), tx.signature_hash().0);
    let high = Signature::new(good.r(), order - good.s(), !good.v());
    let bad = |r: U256, s: U256| Signature::new(r, s, false);
    for (signature, name) in [
        (high, "high s"),
        (bad(U256::ZERO, U256::ONE), "zero r"),
        (bad(U256::ONE, U256::ZERO), "zero s"),
        (bad(order, U256::ONE), "r = n"),
        (bad(U256::ONE, order), "s = n"),
    ] {
        assert_eq!(code(&encoded(&tx, &signature), &osaka()), "invalid_signature", "{name}");
    }
    // Frontier still had high s, and the same key.
    let legacy = TxLegacy { gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxLegacy::default() };
    let good = sign_hash(&key(1), legacy.signature_hash().0);
    let high = encoded(&legacy, &Signature::new(good.r(), order - good.s(), !good.v()));
    assert_eq!(decode_one(&high, &rules(Fork::Frontier), None).expect("allowed").sender, address(1));
    assert_eq!(code(&high, &rules(Fork::Homestead)), "invalid_signature");
}

#[test]
fn an_r_that_is_no_x_of_the_curve_recovers_to_no_sender() {
    // x = 5 is not on secp256k1.
    let raw = encoded(&transfer(), &Signature::new(U256::from(5), U256::ONE, false));
    assert_eq!(code(&raw, &osaka()), "invalid_sender");
}

#[test]
fn a_v_of_no_rule_is_refused() {
    let legacy = TxLegacy { gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxLegacy::default() };
    let mut raw = signed(&legacy);
    let v = raw.len() - 67;
    assert!(matches!(raw[v], 27 | 28));
    raw[v] = 29;
    assert_eq!(code(&raw, &osaka()), "invalid_signature");
    let mut raw = signed(&transfer());
    let parity = raw.len() - 67;
    raw[parity] = 2;
    assert_ne!(code(&raw, &osaka()), "");
}

#[test]
fn bytes_after_the_transaction_are_refused() {
    let mut raw = signed(&transfer());
    raw.push(0);
    assert_eq!(code(&raw, &osaka()), "malformed_transaction");
}
