use std::path::PathBuf;
use std::process::Command;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use serde_json::Value;

use super::*;
use crate::evm::testing::spec_of;
use crate::pack;
use crate::tx::{
    AccountTx, AddressRange, AddressRanges, Decoded, TxCode, TxError, TxRules, attach_senders, decode_one,
    decode_transactions,
};

const SECRET: [u8; 32] = [7; 32];

/// Everything is on.
fn rules() -> TxRules {
    let names: Vec<String> = all().iter().map(|scheme| format!(r#"{{"name":"{}"}}"#, scheme.name())).collect();
    rules_of(&format!(r#"{{"vm":{{"addressRanges":true,"signatureSchemes":[{}]}}}}"#, names.join(",")))
}

fn rules_of(hansa: &str) -> TxRules {
    TxRules::of(&spec_of(hansa).unwrap(), 1, 1)
}

fn unsigned(scheme: &dyn AccountScheme) -> AccountTx {
    AccountTx {
        ethereum: TxEip1559 {
            chain_id: 1,
            nonce: 3,
            gas_limit: 1_000_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(Address::repeat_byte(7)),
            value: U256::from(5),
            input: Bytes::from_static(b"data"),
            ..TxEip1559::default()
        },
        scheme: scheme.id(),
        public_key: scheme.public_key(&SECRET).unwrap().into(),
        ..AccountTx::default()
    }
}

fn signed(scheme: &dyn AccountScheme, tx: &AccountTx) -> Vec<u8> {
    tx.signed(scheme.sign(&SECRET, &tx.signing_hash().0).unwrap())
}

fn refusal(result: Result<Decoded, TxError>) -> TxCode {
    result.unwrap_err().code
}

fn scheme(name: &str) -> &'static dyn AccountScheme {
    by_name(name).unwrap()
}

#[test]
fn identifiers_and_lengths_are_fixed() {
    let found: Vec<_> = all().iter().map(|s| (s.id(), s.name(), s.key_bytes(), s.signature_bytes())).collect();
    assert_eq!(
        found,
        [
            (1, "ed25519", 32, 64),
            (2, "p256", 64, 64),
            (3, "sm2", 64, 64),
            (4, "ml-dsa-65", 1_952, 3_309),
            (5, "slh-dsa-sha2-128s", 32, 7_856),
        ]
    );
    assert!(all().iter().all(|scheme| scheme.id() < SCHEMES && scheme.id() != SECP256K1));
}

#[test]
fn every_scheme_takes_its_own_signatures_and_no_changed_ones() {
    for scheme in all() {
        let key = scheme.public_key(&SECRET).unwrap();
        let message = [9; 32];
        let signature = scheme.sign(&SECRET, &message).unwrap();
        assert_eq!((key.len(), signature.len()), (scheme.key_bytes(), scheme.signature_bytes()), "{}", scheme.name());
        assert!(scheme.is_canonical(&signature));
        let other = [8; 32];
        let mut claims = vec![
            Claim { key: &key, message: &message, signature: &signature },
            Claim { key: &key, message: &other, signature: &signature },
            Claim { key: &key[1..], message: &message, signature: &signature },
            Claim { key: &key, message: &message, signature: &signature[1..] },
            Claim { key: &key, message: &message, signature: &[] },
        ];
        let flipped: Vec<Vec<u8>> = (0..8)
            .map(|place| {
                let mut changed = signature.clone();
                let at = place * changed.len() / 8;
                changed[at] ^= 1;
                changed
            })
            .collect();
        claims.extend(flipped.iter().map(|signature| Claim { key: &key, message: &message, signature }));
        let verdicts = scheme.verify_batch(&claims);
        assert_eq!(verdicts.len(), claims.len());
        assert!(verdicts[0], "{}", scheme.name());
        assert!(verdicts[1..].iter().all(|verdict| !verdict), "{} {verdicts:?}", scheme.name());
    }
}

#[test]
fn an_envelope_of_every_scheme_is_decoded_with_its_sender_and_price() {
    let rules = rules();
    for scheme in all() {
        let tx = unsigned(*scheme);
        let raw = signed(*scheme, &tx);
        let decoded = decode_one(&raw, &rules, None).unwrap();
        assert_eq!(decoded.sender, scheme.address(&tx.public_key), "{}", scheme.name());
        assert_eq!(decoded.tx.encoded(), raw);
        let bytes = (scheme.key_bytes() + scheme.signature_bytes()) as u64;
        assert_eq!(decoded.extra_gas, scheme.gas() + 16 * bytes);
        // 21,000 and four bytes of calldata.
        assert_eq!(rules.intrinsic_gas(&decoded.tx).0, 21_064 + decoded.extra_gas);
        // The sender may be known from before; another one cannot be.
        assert!(decode_one(&raw, &rules, Some(decoded.sender)).is_ok());
        assert_eq!(refusal(decode_one(&raw, &rules, Some(Address::repeat_byte(1)))), TxCode::Sender);
    }
}

#[test]
fn accounts_of_different_schemes_with_the_same_key_bytes_differ() {
    let key = [5; 32];
    assert_ne!(scheme("ed25519").address(&key), scheme("slh-dsa-sha2-128s").address(&key));
    let hash = alloy_primitives::keccak256([[1].as_slice(), &key].concat());
    assert_eq!(scheme("ed25519").address(&key), Address::from_slice(&hash[12..]));
}

#[test]
fn secp256k1_signs_envelopes_too() {
    let mut tx = AccountTx { scheme: SECP256K1, public_key: Bytes::new(), ..unsigned(scheme("ed25519")) };
    let key = secp256k1::SecretKey::from_byte_array(SECRET).unwrap();
    let sign = |tx: &AccountTx| {
        let signature = crate::tx::sign::sign_hash(&key, tx.signing_hash().0);
        let mut bytes = signature.r().to_be_bytes_vec();
        bytes.extend(signature.s().to_be_bytes_vec());
        bytes.push(signature.v().into());
        bytes
    };
    let sender = crate::tx::address_of_public_key(&key.public_key(secp256k1::SECP256K1));
    let decoded = decode_one(&tx.signed(sign(&tx)), &rules(), None).unwrap();
    assert_eq!((decoded.sender, decoded.extra_gas), (sender, 0));
    let mut parity = sign(&tx);
    parity[64] = 2;
    assert_eq!(refusal(decode_one(&tx.signed(parity), &rules(), None)), TxCode::Signature);
    tx.public_key = Bytes::from_static(&[1]);
    assert_eq!(refusal(decode_one(&tx.signed(sign(&tx)), &rules(), None)), TxCode::Signature);
}

#[test]
fn a_chain_takes_only_what_it_turned_on() {
    let ed25519 = scheme("ed25519");
    let raw = signed(ed25519, &unsigned(ed25519));
    assert_eq!(refusal(decode_one(&raw, &rules_of("{}"), None)), TxCode::TypeNotSupported);
    let other = r#"{"vm":{"signatureSchemes":[{"name":"p256"}]}}"#;
    assert_eq!(refusal(decode_one(&raw, &rules_of(other), None)), TxCode::SchemeNotSupported);
    let unknown = AccountTx { scheme: 99, ..unsigned(ed25519) };
    assert_eq!(refusal(decode_one(&signed(ed25519, &unknown), &rules(), None)), TxCode::SchemeNotSupported);
    let priced = r#"{"vm":{"signatureSchemes":[{"name":"ed25519","gas":50000,"gasPerByte":3}]}}"#;
    let decoded = decode_one(&raw, &rules_of(priced), None).unwrap();
    assert_eq!(decoded.extra_gas, 50_000 + 3 * 96);
    let ranges = AddressRanges::new(vec![AddressRange { first: Address::ZERO, last: Address::repeat_byte(0xff) }]);
    let promising = AccountTx { ranges: ranges.unwrap(), ..unsigned(ed25519) };
    assert_eq!(refusal(decode_one(&signed(ed25519, &promising), &rules_of(priced), None)), TxCode::AddressRanges);
    assert_eq!(decode_one(&signed(ed25519, &promising), &rules(), None).unwrap().extra_gas, 1_000 + 16 * 96 + 640);
}

#[test]
fn a_signature_over_another_field_or_of_another_length_is_refused() {
    let ed25519 = scheme("ed25519");
    let tx = unsigned(ed25519);
    let good = ed25519.sign(&SECRET, &tx.signing_hash().0).unwrap();
    let mut changed = tx.clone();
    changed.ethereum.nonce += 1;
    assert_eq!(refusal(decode_one(&changed.signed(good.clone()), &rules(), None)), TxCode::Signature);
    assert_eq!(refusal(decode_one(&tx.signed(good[1..].to_vec()), &rules(), None)), TxCode::Signature);
    let short = AccountTx { public_key: Bytes::from_static(&[1; 31]), ..tx };
    assert_eq!(refusal(decode_one(&short.signed(good), &rules(), None)), TxCode::Signature);
}

#[test]
fn the_upper_form_of_a_p256_signature_is_refused() {
    let p256 = scheme("p256");
    let tx = unsigned(p256);
    let low = p256.sign(&SECRET, &tx.signing_hash().0).unwrap();
    let order = U256::from_str_radix("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16).unwrap();
    let mut high = low.clone();
    high[32..].copy_from_slice(&(order - U256::from_be_slice(&low[32..])).to_be_bytes::<32>());
    let hash = tx.signing_hash();
    let claim = Claim { key: &tx.public_key, message: &hash.0, signature: &high };
    assert_eq!(p256.verify_batch(&[claim]), [true], "EIP-7951 takes both");
    assert_eq!(refusal(decode_one(&tx.signed(high), &rules(), None)), TxCode::Signature);
    assert!(decode_one(&tx.signed(low), &rules(), None).is_ok());
}

#[test]
fn ranges_must_hold_what_the_transaction_touches_anyway() {
    let ed25519 = scheme("ed25519");
    let sender = ed25519.address(&ed25519.public_key(&SECRET).unwrap());
    let to = Address::repeat_byte(7);
    let mut points = vec![sender, to];
    points.sort_unstable();
    let of = |points: &[Address]| {
        AddressRanges::new(points.iter().map(|point| AddressRange { first: *point, last: *point }).collect()).unwrap()
    };
    let decode = |ranges: AddressRanges| {
        let tx = AccountTx { ranges, ..unsigned(ed25519) };
        decode_one(&signed(ed25519, &tx), &rules(), None)
    };
    assert!(decode(of(&points)).is_ok());
    assert_eq!(refusal(decode(of(&[sender]))), TxCode::AddressRanges);
    assert_eq!(refusal(decode(of(&[to]))), TxCode::AddressRanges);
    assert!(decode(AddressRanges::default()).is_ok());
}

#[test]
fn a_batch_refuses_bad_signatures_in_their_slots() {
    let mut packed = Vec::new();
    let mut senders = Vec::new();
    for round in 0..9 {
        let scheme = all()[round % 4];
        let tx = unsigned(scheme);
        let mut raw = signed(scheme, &tx);
        if round % 3 == 0 {
            *raw.last_mut().unwrap() ^= 1;
        }
        pack::push_packed(&mut packed, &raw);
        senders.extend_from_slice(scheme.address(&tx.public_key).as_slice());
    }
    let batch = decode_transactions(&packed, &rules()).unwrap();
    let refused: Vec<bool> = batch.errors().map(|error| error.is_some()).collect();
    assert_eq!(refused, [true, false, false, true, false, false, true, false, false]);
    // With senders from before nothing is verified again; a zero sender is.
    let trusted = attach_senders(&packed, &senders, &rules()).unwrap();
    assert!(trusted.errors().skip(1).step_by(3).all(|error| error.is_none()));
    let again = attach_senders(&packed, &[0; 9 * 20], &rules()).unwrap();
    assert_eq!(again.errors().map(|error| error.is_some()).collect::<Vec<_>>(), refused);
}

#[test]
fn chains_without_ether_refuse_value() {
    let ed25519 = scheme("ed25519");
    let hansa = r#"{"fees":{"zeroBaseFee":true,"ether":false},"vm":{"signatureSchemes":[{"name":"ed25519"}]}}"#;
    let mut tx = unsigned(ed25519);
    assert_eq!(refusal(decode_one(&signed(ed25519, &tx), &rules_of(hansa), None)), TxCode::NoEther);
    tx.ethereum.value = U256::ZERO;
    assert!(decode_one(&signed(ed25519, &tx), &rules_of(hansa), None).is_ok());
    let field = |hansa: &str| spec_of(hansa).unwrap_err().field;
    assert_eq!(field(r#"{"fees":{"ether":false}}"#), "config.hansa.fees.zeroBaseFee");
    assert_eq!(field(r#"{"fees":{"ether":"no"}}"#), "config.hansa.fees.ether");
}

#[test]
fn schemes_are_refused_by_the_name_of_the_key() {
    let field = |list: &str| spec_of(&format!(r#"{{"vm":{{"signatureSchemes":{list}}}}}"#)).unwrap_err().field;
    assert_eq!(field(r#"[{"name":"rsa"}]"#), "config.hansa.vm.signatureSchemes.0.name");
    assert_eq!(field(r#"[{"name":"sm2"},{"name":"sm2"}]"#), "config.hansa.vm.signatureSchemes.1.name");
    assert_eq!(field(r#"[{"name":"sm2","gas":"x"}]"#), "config.hansa.vm.signatureSchemes.0.gas");
    assert_eq!(field("{}"), "config.hansa.vm.signatureSchemes");
}

#[test]
fn p256_agrees_with_wycheproof() {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let archive = folder.join("crypto.tar.xz");
    if !archive.is_file() {
        println!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", archive.display());
        return;
    }
    let name = "crypto/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json";
    let output = Command::new("tar").arg("-xJOf").arg(&archive).arg(name).output().unwrap();
    let file: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut cases = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex::decode(group["publicKey"]["uncompressed"].as_str().unwrap()).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let [message, signature] = ["msg", "sig"].map(|field| hex::decode(case[field].as_str().unwrap()).unwrap());
            let message = revm::precompile::crypto().sha256(&message);
            let claim = Claim { key: &key[1..], message: &message, signature: &signature };
            let valid = case["result"] == "valid";
            assert_eq!(scheme("p256").verify_batch(&[claim]), [valid], "case {}", case["tcId"]);
            cases += 1;
        }
    }
    assert!(cases > 200, "{cases}");
}

/// GB/T 32918.5, annex A: the example on the recommended curve.
#[test]
fn sm2_agrees_with_the_standards_example() {
    use ::sm2::dsa::signature::Verifier;
    let key = hex!(
        "04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    );
    let signature = hex!(
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
    );
    let key = ::sm2::dsa::VerifyingKey::from_sec1_bytes("1234567812345678", &key).unwrap();
    let signature = ::sm2::dsa::Signature::from_slice(&signature).unwrap();
    assert!(key.verify(b"message digest", &signature).is_ok());
    assert!(key.verify(b"message digesT", &signature).is_err());
}
