//! Any bytes: no panic, and what is accepted is canonical.

use proptest::prelude::*;

use super::*;

fn look(raw: &[u8]) {
    for rules in [rules(Fork::Osaka), rules(Fork::Frontier), TxRules { bounded: false, ..rules(Fork::Prague) }] {
        if let Ok(decoded) = decode_one(raw, &rules, None) {
            assert_eq!(decoded.tx.encoded(), raw, "one transaction, one encoding");
            assert_eq!(decoded.tx.hash(), decoded.hash);
            assert!(!decoded.sender.is_zero());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        look(&raw);
    }

    #[test]
    fn random_typed_lists_do_no_harm(kind in 0..6u8, raw in prop::collection::vec(any::<u8>(), 0..55)) {
        let mut framed = vec![kind, 0xc0 + u8::try_from(raw.len()).expect("below 56")];
        framed.extend_from_slice(&raw);
        look(&framed);
        look(&framed[1..]);
    }

    #[test]
    fn mutated_transactions_do_no_harm(
        index in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        size in 0..80usize,
    ) {
        let mut raw = signed(&TxEip1559 { gas_limit: 100_000, input: vec![1; size].into(), ..transfer() });
        look(&raw);
        let at = index.index(raw.len());
        raw[at] = byte;
        look(&raw);
        raw.truncate(cut.index(raw.len()));
        look(&raw);
    }

    #[test]
    fn random_packed_lists_do_no_harm(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), 0..8u8, any::<u8>()], 0..200),
    ) {
        if let Ok(batch) = decode_transactions(&bytes, &rules(Fork::Osaka)) {
            prop_assert_eq!(batch.packed(), bytes);
        }
    }
}
