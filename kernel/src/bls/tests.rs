use std::path::PathBuf;
use std::process::Command;

use alloy_primitives::hex;
use blst::min_sig::AggregatePublicKey;

use super::*;

/// Order of the groups.
const ORDER: [u8; 32] = alloy_primitives::hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");

struct Member {
    secret: [u8; 32],
    public: [u8; 96],
}

fn members(count: u8) -> Vec<Member> {
    (0..count)
        .map(|index| {
            let secret = secret_key(&[index + 1; 32]).unwrap();
            Member { secret, public: public_key(&secret).unwrap() }
        })
        .collect()
}

fn set(members: &[Member]) -> ValidatorKeys {
    ValidatorKeys::new(&members.iter().map(|member| &member.public[..]).collect::<Vec<_>>()).unwrap()
}

fn certificate(members: &[Member], signers: &[usize], message: &[u8]) -> (Vec<u8>, [u8; 48]) {
    let signatures: Vec<[u8; 48]> =
        signers.iter().map(|&signer| sign(&members[signer].secret, message).unwrap()).collect();
    let borrowed: Vec<&[u8]> = signatures.iter().map(|signature| &signature[..]).collect();
    (bitmap_of(signers, members.len()).unwrap(), aggregate(&borrowed).unwrap())
}

fn infinity(length: usize) -> Vec<u8> {
    let mut point = vec![0; length];
    point[0] = 0xc0;
    point
}

/// A point of the curve outside the subgroup: the first x that decodes and fails the check.
fn outside(length: usize) -> Vec<u8> {
    for x in 1_u8..=255 {
        let mut point = vec![0; length];
        point[0] = 0x80;
        point[length - 1] = x;
        let is_outside = if length == SIGNATURE_BYTES {
            Signature::from_bytes(&point).is_ok_and(|point| point.validate(true).is_err())
        } else {
            PublicKey::from_bytes(&point).is_ok_and(|point| point.validate().is_err())
        };
        if is_outside {
            return point;
        }
    }
    panic!("no such point");
}

#[test]
fn a_signature_verifies_for_its_key_message_and_domain_only() {
    let members = members(2);
    let signature = sign(&members[0].secret, b"block").unwrap();
    assert!(verify(&members[0].public, b"block", &signature));
    assert!(!verify(&members[1].public, b"block", &signature));
    assert!(!verify(&members[0].public, b"other", &signature));
    let possession = prove_possession(&members[0].secret).unwrap();
    assert!(verify_possession(&members[0].public, &possession));
    assert!(!verify_possession(&members[1].public, &possession));
    assert!(!verify(&members[0].public, &members[0].public, &possession), "another domain");
    let vote_on_key = sign(&members[0].secret, &members[0].public).unwrap();
    assert!(!verify_possession(&members[0].public, &vote_on_key), "another domain");
}

#[test]
fn bad_secret_keys_and_seeds_are_refused_without_showing_them() {
    assert_eq!(secret_key(&[1; 31]).unwrap_err().field, "seed");
    for bytes in [&[0; 32][..], &ORDER[..], &[0xff; 32][..], &[1; 31][..], &[1; 33][..]] {
        let error = sign(bytes, b"x").unwrap_err();
        assert_eq!((error.field.as_str(), error.got.as_str()), ("secret_key", "something else"));
    }
}

#[test]
fn infinity_outside_points_and_malformed_bytes_are_refused() {
    let member = &members(1)[0];
    let signature = sign(&member.secret, b"m").unwrap();
    for bad in [infinity(96), outside(96), vec![0; 96], vec![0xff; 96], member.public[..95].to_vec()] {
        assert!(!verify(&bad, b"m", &signature));
        assert!(!verify_possession(&bad, &signature));
        assert_eq!(ValidatorKeys::new(&[&member.public, &bad]).unwrap_err().field, "public_keys");
    }
    let uncompressed = PublicKey::from_bytes(&member.public).unwrap().serialize();
    assert!(!verify(&uncompressed, b"m", &signature), "one encoding only");
    for bad in [infinity(48), outside(48), vec![0; 48], vec![0xff; 48], signature[..47].to_vec()] {
        assert!(!verify(&member.public, b"m", &bad));
        assert_eq!(aggregate(&[&signature, &bad]).unwrap_err().field, "signatures");
        let keys = ValidatorKeys::new(&[&member.public]).unwrap();
        assert_eq!(keys.verify_votes(&[0, 0], b"m", &[&signature, &bad]).unwrap(), [true, false]);
        assert!(!keys.verify_certificate(&CertificateClaim { bitmap: &[1], message: b"m", signature: &bad }));
    }
    // Infinity as key and signature would satisfy the equation.
    assert!(!verify(&infinity(96), b"m", &infinity(48)));
    assert_eq!(aggregate(&[]).unwrap_err().field, "signatures");
}

#[test]
fn a_rogue_key_can_neither_prove_possession_nor_stand_twice() {
    let victims = members(1);
    let attacker = secret_key(&[77; 32]).unwrap();
    // The attacker's key is its own minus the victim's: the sum is a key whose secret it knows.
    let mut rogue = AggregatePublicKey::from_public_key(&read_key(&public_key(&attacker).unwrap()).unwrap());
    rogue.sub_aggregate(&AggregatePublicKey::from_public_key(&read_key(&victims[0].public).unwrap()));
    let rogue = rogue.to_public_key().compress();
    let forged = sign(&attacker, b"m").unwrap();
    let keys = ValidatorKeys::new(&[&victims[0].public, &rogue]).unwrap();
    assert!(
        keys.verify_certificate(&CertificateClaim { bitmap: &[3], message: b"m", signature: &forged }),
        "sums alone do not protect: the proof of possession does"
    );
    for proof in [prove_possession(&attacker).unwrap(), forged, sign_in(POSSESSION_DST, &attacker, &rogue).unwrap()] {
        assert!(!verify_possession(&rogue, &proof));
    }
    assert!(ValidatorKeys::new(&[&victims[0].public, &victims[0].public]).is_err());
    assert!(ValidatorKeys::new(&[]).is_err());
}

#[test]
fn keys_that_cancel_out_certify_nothing() {
    let member = &members(1)[0];
    let mut negative = AggregatePublicKey::from_public_key(&read_key(&member.public).unwrap());
    let twice = negative;
    negative.sub_aggregate(&twice);
    negative.sub_aggregate(&twice);
    let negative = negative.to_public_key().compress();
    let keys = ValidatorKeys::new(&[&member.public, &negative]).unwrap();
    let signature = sign(&member.secret, b"m").unwrap();
    for signature in [&infinity(48)[..], &signature] {
        let claim = CertificateClaim { bitmap: &[3], message: b"m", signature };
        assert!(!keys.verify_certificate(&claim));
        assert!(!keys.verify_certificates(&[claim]));
    }
}

#[test]
fn certificates_hold_for_exactly_their_signers() {
    let members = members(7);
    let keys = set(&members);
    let (bitmap, signature) = certificate(&members, &[0, 2, 3, 5, 6], b"block 9");
    let claim = CertificateClaim { bitmap: &bitmap, message: b"block 9", signature: &signature };
    assert!(keys.verify_certificate(&claim));
    for bit in 0..7 {
        let other = [bitmap[0] ^ (1 << bit)];
        assert!(!keys.verify_certificate(&CertificateClaim { bitmap: &other, ..claim }), "bit {bit} flipped");
    }
    for bad in [&[][..], &[0], &[bitmap[0] | 0x80], &[bitmap[0], 0]] {
        assert!(!keys.verify_certificate(&CertificateClaim { bitmap: bad, ..claim }));
        assert!(!keys.verify_certificates(&[claim, CertificateClaim { bitmap: bad, ..claim }]));
    }
    assert!(!keys.verify_certificate(&CertificateClaim { message: b"block 8", ..claim }));
}

#[test]
fn votes_are_judged_one_by_one_when_the_sum_fails() {
    let members = members(6);
    let keys = set(&members);
    let signatures: Vec<[u8; 48]> = members.iter().map(|member| sign(&member.secret, b"m").unwrap()).collect();
    let mut votes: Vec<&[u8]> = signatures.iter().map(|signature| &signature[..]).collect();
    let signers: Vec<usize> = (0..6).collect();
    assert_eq!(keys.verify_votes(&signers, b"m", &votes).unwrap(), [true; 6]);
    assert_eq!(keys.verify_votes(&[], b"m", &[]).unwrap(), [false; 0]);
    votes.swap(1, 4);
    assert_eq!(keys.verify_votes(&signers, b"m", &votes).unwrap(), [true, false, true, true, false, true]);
    assert_eq!(keys.verify_votes(&[0, 6], b"m", &votes[..2]).unwrap_err().field, "signers");
    assert_eq!(keys.verify_votes(&[0], b"m", &votes[..2]).unwrap_err().field, "signatures");
}

#[test]
fn two_members_cannot_hide_bad_votes_that_cancel_in_the_sum() {
    let members = members(4);
    let keys = set(&members);
    let mut bytes = sign(&[9; 32], b"shift").unwrap();
    let shift = AggregateSignature::from_signature(&read_signature(&bytes).unwrap());
    bytes[0] ^= 0x20; // The sign of y: the opposite point.
    let opposite = AggregateSignature::from_signature(&read_signature(&bytes).unwrap());
    let point = |index: usize| {
        AggregateSignature::from_signature(&read_signature(&sign(&members[index].secret, b"m").unwrap()).unwrap())
    };
    let (mut first, mut second) = (point(0), point(1));
    first.add_aggregate(&shift);
    second.add_aggregate(&opposite);
    let (first, second) = (first.to_signature().compress(), second.to_signature().compress());
    let third = sign(&members[2].secret, b"m").unwrap();
    let votes: [&[u8]; 3] = [&first, &second, &third];
    assert!(keys.verify_certificate(&CertificateClaim {
        bitmap: &[7],
        message: b"m",
        signature: &aggregate(&votes).unwrap(),
    }));
    assert_eq!(keys.verify_votes(&[0, 1, 2], b"m", &votes).unwrap(), [false, false, true]);
}

#[test]
fn a_batch_of_certificates_fails_with_any_bad_one_even_when_errors_cancel() {
    let members = members(10);
    let keys = set(&members);
    let messages: Vec<Vec<u8>> = (0..25_u8).map(|index| vec![index; 40]).collect();
    let certificates: Vec<(Vec<u8>, [u8; 48])> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let signers: Vec<usize> = (0..10).filter(|signer| (index + signer) % 3 != 0).collect();
            certificate(&members, &signers, message)
        })
        .collect();
    let claims: Vec<CertificateClaim<'_>> = certificates
        .iter()
        .zip(&messages)
        .map(|((bitmap, signature), message)| CertificateClaim { bitmap, message, signature })
        .collect();
    assert!(keys.verify_certificates(&claims));
    assert!(keys.verify_certificates(&[]));
    for bad in [0, 7, 24] {
        let mut claims = claims.clone();
        claims[bad].message = b"another";
        assert!(!keys.verify_certificates(&claims), "item {bad}");
    }
    let mut swapped = claims.clone();
    (swapped[3].signature, swapped[4].signature) = (claims[4].signature, claims[3].signature);
    assert!(!keys.verify_certificates(&swapped), "the plain sum of these would hold");
}

#[test]
fn bitmaps_are_little_endian_dense_and_checked() {
    assert_eq!(bitmap_of(&[9, 0, 3], 10).unwrap(), [0b1001, 0b10]);
    assert_eq!(signers_of(&[0b1001, 0b10], 10).unwrap(), [0, 3, 9]);
    assert_eq!(bitmap_of(&[], 4).unwrap(), [0]);
    for (signers, validators, field) in
        [(&[10][..], 10, "signers"), (&[1, 1], 10, "signers"), (&[], 0, "validators"), (&[usize::MAX], 16, "signers")]
    {
        assert_eq!(bitmap_of(signers, validators).unwrap_err().field, field);
    }
    for (bitmap, validators) in [(&[0, 0b100][..], 10), (&[0], 10), (&[0, 0, 0], 10), (&[], 1)] {
        assert_eq!(signers_of(bitmap, validators).unwrap_err().field, "bitmap");
    }
}

#[test]
fn vote_messages_are_the_rlp_list_of_the_design() {
    let vote = Vote {
        genesis_hash: &[1; 32],
        shard: 0,
        epoch: 2,
        level: 0,
        phase: "prepare",
        from_hash: &[3; 32],
        from_height: 300,
        to_hash: &[4; 32],
        to_height: 301,
        view: 5,
        next_set_hash: &[],
    };
    let expected = format!(
        "f8848d{}a0{}80{}8087{}a0{}82012ca0{}82012d0580",
        hex::encode("hansa/vote/v1"),
        "01".repeat(32),
        "02",
        hex::encode("prepare"),
        "03".repeat(32),
        "04".repeat(32),
    );
    assert_eq!(hex::encode(vote_message(&vote).unwrap()), expected);
    let longer = vote_message(&Vote { next_set_hash: &[6; 32], ..vote }).unwrap();
    assert!(longer.ends_with(&[6; 32]));
    for (bad, field) in [
        (Vote { phase: "Prepare", ..vote }, "phase"),
        (Vote { genesis_hash: &[1; 31], ..vote }, "genesis_hash"),
        (Vote { from_hash: &[], ..vote }, "from_hash"),
        (Vote { to_hash: &[1; 33], ..vote }, "to_hash"),
        (Vote { next_set_hash: &[1], ..vote }, "next_set_hash"),
    ] {
        assert_eq!(vote_message(&bad).unwrap_err().field, field);
    }
}

/// The text of one file of the public crypto vectors, or `None` (said aloud) when they are not there.
fn vector(path: &str) -> Option<String> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let archive = folder.join("crypto.tar.xz");
    if !archive.is_file() {
        eprintln!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", archive.display());
        return None;
    }
    let output = Command::new("tar").arg("-xJOf").arg(&archive).arg(format!("crypto/{path}")).output().unwrap();
    assert!(output.status.success(), "{path} is in the archive");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn public_vectors_of_signatures_in_g1_are_reproduced() {
    let Some(text) = vector("curves/bls12-381/bls12-381-g1-test-vectors.txt") else { return };
    let mut count = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(':').collect();
        let (secret, message) = (hex::decode(fields[0]).unwrap(), hex::decode(fields[1]).unwrap());
        // These were made in the basic scheme's domain; ours differs in the last letters only.
        let domain = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";
        let signature = sign_in(domain, &secret, &message).unwrap();
        assert_eq!(hex::encode(signature), fields[2], "line {count}");
        assert!(verify_in(domain, &public_key(&secret).unwrap(), &message, &signature));
        count += 1;
    }
    println!("signatures in G1: {count} lines");
    assert!(count > 100);
}

/// `cargo test --profile kernel-dev -- --ignored --nocapture measure_signatures`
#[test]
#[ignore = "a measurement, not a check"]
fn measure_signatures() {
    fn time(label: &str, count: u32, mut work: impl FnMut()) {
        let start = std::time::Instant::now();
        for _ in 0..count {
            work();
        }
        println!("{label}: {:?}", start.elapsed() / count);
    }
    for size in [4_u8, 16, 100] {
        let members = members(size);
        let keys = set(&members);
        let all: Vec<usize> = (0..members.len()).collect();
        let signatures: Vec<[u8; 48]> = members.iter().map(|member| sign(&member.secret, b"m").unwrap()).collect();
        let votes: Vec<&[u8]> = signatures.iter().map(|signature| &signature[..]).collect();
        let (bitmap, signature) = certificate(&members, &all, b"m");
        let claim = CertificateClaim { bitmap: &bitmap, message: b"m", signature: &signature };
        println!("--- {size} members");
        time("sign", 100, || assert!(sign(&members[0].secret, b"m").is_ok()));
        time("verify", 100, || assert!(verify(&members[0].public, b"m", &signatures[0])));
        time("aggregate all", 20, || assert!(aggregate(&votes).is_ok()));
        time("verify_votes all", 20, || assert!(keys.verify_votes(&all, b"m", &votes).is_ok()));
        time("verify_certificate", 50, || assert!(keys.verify_certificate(&claim)));
        time("verify_certificates, 64", 5, || assert!(keys.verify_certificates(&vec![claim; 64])));
    }
}
