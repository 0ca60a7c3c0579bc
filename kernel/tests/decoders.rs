//! Every decoder survives any bytes: no panic, and no more memory than 16 times the input.
//!
//! One test, so that the counting allocator sees one decoder at a time.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use hansa_kernel::exec::need::{Keys, RawValues, Values};
use hansa_kernel::exec::write_set::{AccountWrite, WriteSet};
use hansa_kernel::header::Header;
use hansa_kernel::spec::{Fork, Spec};
use hansa_kernel::trie::{self, NodeSet};
use hansa_kernel::tx::{SignRequest, TxRules, decode_one, decode_transactions, sign_transactions};
use hansa_kernel::witness::{MAGIC, Trust, VERSION, VERSION_ATTACHED, Witness, verify_block};
use hansa_kernel::{pack, views};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Memory that a decoder may take for each byte of input.
const TIMES_MAX: usize = 16;
/// What it may take beside: error texts, a hash table's first slots, the parts of a parallel loop.
const BESIDE_BYTES: usize = 48 << 10;
const INPUT_BYTES_MAX: usize = 40_000;
const CASES: u32 = 2_000;

type Run = Box<dyn Fn(&[u8])>;
type Decoder = (&'static str, Run);

fn spec() -> Spec {
    Spec::of_fork(Fork::Osaka, 1)
}

fn decoders() -> Vec<Decoder> {
    let rules = TxRules::of(&spec(), 1, 1);
    let asked = Keys { accounts: [Address::ZERO].into(), codes: [B256::ZERO].into(), ..Keys::default() };
    let decoder = |name, run: Run| (name, run);
    vec![
        decoder("packed list", Box::new(|bytes| drop(pack::read_packed("field", bytes)))),
        decoder("keys", Box::new(|bytes| drop(Keys::unpack("field", bytes)))),
        decoder("write set", Box::new(|bytes| drop(WriteSet::decode(bytes)))),
        decoder("write set of the trie", Box::new(|bytes| drop(trie::write_set::parse(bytes)))),
        decoder("header", Box::new(|bytes| drop(Header::decode("field", bytes)))),
        decoder("transaction", Box::new(move |bytes| drop(decode_one(bytes, &rules, None)))),
        decoder("transactions", Box::new(move |bytes| drop(decode_transactions(&packed(&[bytes]), &rules)))),
        decoder(
            "values",
            Box::new(move |bytes| {
                let raw = RawValues { accounts: &[0; 105], codes: bytes, account_codes: bytes, ..RawValues::default() };
                drop(Values::read(&asked, &raw));
            }),
        ),
        decoder(
            "node of a proof",
            Box::new(|bytes| assert!(!trie::verify_proof(keccak256(bytes), &[7; 32], Some(&[1]), &[bytes]))),
        ),
        decoder(
            "node of a set",
            Box::new(|bytes| drop(NodeSet::new(&[bytes]).value(None, keccak256(bytes), &B256::repeat_byte(7)))),
        ),
        decoder("full trie", Box::new(|bytes| drop(trie::trie_root(bytes)))),
        decoder("witness", Box::new(|bytes| drop(verify_block(&spec(), B256::ZERO, bytes, Trust::default())))),
        decoder("receipts", Box::new(|bytes| drop(views::log_terms(bytes)))),
    ]
}

fn packed(items: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        pack::push_packed(&mut out, item);
    }
    out
}

/// Good bytes of each kind, to be spoilt.
fn samples() -> Vec<Vec<u8>> {
    let code = Bytes::from_static(b"\x60\x00");
    let write = |byte: u8| AccountWrite {
        address: Address::repeat_byte(byte),
        deleted: false,
        wiped: false,
        nonce: 7,
        balance: U256::MAX,
        code_hash: keccak256(&code),
        code: Some(code.clone()),
        slots: (0..5).map(|slot| (U256::from(slot), U256::from(slot))).collect(),
    };
    let writes = WriteSet { accounts: (1..4).map(write).collect() };
    let data = packed(&[&[9; 300]]);
    let transactions = sign_transactions(&SignRequest {
        chain_id: 1,
        secret_keys: &[1; 32],
        nonces: &[0; 8],
        to: &[2; 20],
        values_wei: &[0; 32],
        data: &data,
        gas_limit: 100_000,
        max_fee_per_gas: 9,
        max_priority_fee_per_gas: 1,
    })
    .unwrap();
    let header = Header::new(alloy_consensus::Header { number: 1, ..Default::default() });
    let node = [7_u8; 200];
    let witness = Witness {
        genesis_hash: B256::ZERO,
        block_hash: header.hash,
        header: &header.rlp,
        transactions: &transactions,
        headers: vec![header.rlp.as_slice()],
        codes: vec![&code[..]],
        nodes: vec![node.as_slice()],
        ommers: &[],
        withdrawals: &[],
    };
    let ommers = packed(&[&header.rlp]);
    let attached = Witness { ommers: &ommers, withdrawals: &[0xc2, 0xc1, 0x80], ..witness.clone() };
    let keys = Keys { accounts: [Address::ZERO].into(), blocks: [1, 2].into(), ..Keys::default() };
    let raw = transactions[4..].to_vec();
    vec![writes.encode(), raw, witness.encode(), attached.encode(), keys.pack(), header.rlp.clone(), vec![0xc0]]
}

/// A sample with some of its bytes changed, cut, or repeated.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let samples = samples();
    (0..samples.len(), vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), any::<prop::sample::Index>(), 0..3_u8)
        .prop_map(move |(which, changes, at, how)| {
            let mut bytes = samples[which].clone();
            for (index, value) in changes {
                let place = index.index(bytes.len());
                bytes[place] = value;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                _ => {}
            }
            bytes
        })
}

/// The witness's fixed part before other bytes, so that these are looked at.
fn in_a_witness() -> impl Strategy<Value = Vec<u8>> {
    (vec(vec(vec(any::<u8>(), 0..40), 0..60), 0..8), any::<bool>()).prop_map(|(lists, attached)| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(if attached { VERSION_ATTACHED } else { VERSION }.to_be_bytes());
        bytes.extend([0; 64]);
        for list in lists {
            let items: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
            pack::push_packed(&mut bytes, &packed(&items));
        }
        bytes
    })
}

/// Little but lengths and list headers: what makes decoders allocate.
fn dense() -> impl Strategy<Value = Vec<u8>> {
    let unit = prop_oneof![
        Just(vec![0_u8; 4]),
        Just(vec![0xc0]),
        Just(vec![0x80]),
        Just(vec![0, 0, 0, 1, 7]),
        Just(vec![0xff; 4]),
        Just(vec![0xf9, 0xff, 0xff]),
    ];
    (vec(unit, 1..3), 1..6_000_usize).prop_map(|(units, times)| {
        let mut bytes = units.concat().repeat(times);
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    })
}

#[test]
fn no_bytes_make_a_decoder_panic_or_take_much_memory() {
    let decoders = decoders();
    let any_bytes = vec(any::<u8>(), 0..600);
    let inputs = prop_oneof![any_bytes, spoilt(), in_a_witness(), dense()];
    for (_, run) in &decoders {
        run(&[0; 64]); // what is made once: threads, tables
    }
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&inputs, |bytes| {
            for (name, run) in &decoders {
                let before = HELD.load(Ordering::Relaxed);
                MOST.store(before, Ordering::Relaxed);
                run(&bytes);
                let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
                prop_assert!(
                    taken <= TIMES_MAX * bytes.len() + BESIDE_BYTES,
                    "{name}: {taken} bytes for {} bytes of input",
                    bytes.len()
                );
            }
            Ok(())
        })
        .unwrap();
}
