//! Caps on what a block and a sender may add to the state: what fits, what a builder leaves in the pool, what is refused.

mod random;

use std::sync::Arc;

use alloy_consensus::{Signed, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, keccak256};
use hansa_kernel::exec::block_job::{BlockRequest, BlockResult, JobError};
use hansa_kernel::exec::need::Keys;
use hansa_kernel::exec::schedule::{Runner as How, Running};
use hansa_kernel::spec::{Alloc, Fork};
use hansa_kernel::tx::{Decoded, TxBatch};
use rayon::ThreadPoolBuilder;

use random::{Runner, actor, chain_of, request_of, world};

/// Writes 1 to as many slots as word 0 says, from slot word 1 on.
const WRITER: Address = Address::repeat_byte(0x3a);
const WRITER_CODE: &[u8] = &hex!("5f35 5b80 15 601757 6001 6020 35 82 01 55 6001 90 03 6002 56 5b00");
const GAS: u64 = 2_000_000;
const CHAIN: &str = r#"{"stateGrowth":{"blockItemsMax":10,"senderItemsMax":6}}"#;

fn legacy(sender: u8, nonce: u64, to: TxKind, value: u64, input: Vec<u8>) -> Arc<Decoded> {
    let gas_limit = if input.is_empty() { 21_000 } else { GAS };
    let tx = TxLegacy {
        chain_id: Some(1),
        nonce,
        gas_price: 0,
        gas_limit,
        to,
        value: U256::from(value),
        input: input.into(),
    };
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let tx = TxEnvelope::Legacy(Signed::new_unhashed(tx, signature));
    let raw: Bytes = tx.encoded_2718().into();
    Arc::new(Decoded { sender: actor(sender), hash: keccak256(&raw), raw, tx: tx.into(), extra_gas: 0 })
}

/// Writes `count` new slots, from slot `first` on.
fn writes(sender: u8, nonce: u64, first: u64, count: u64) -> Arc<Decoded> {
    let words = [U256::from(count), U256::from(first)].map(|word| word.to_be_bytes::<32>()).concat();
    legacy(sender, nonce, WRITER.into(), 0, words)
}

/// Pays 1 wei to the account of that number, which nobody else pays.
fn pays(sender: u8, nonce: u64, to: u8) -> Arc<Decoded> {
    legacy(sender, nonce, Address::repeat_byte(to).into(), 1, vec![])
}

fn state() -> hansa_kernel::conformance::full_state::FullState {
    let mut world = world();
    let code = Bytes::from_static(WRITER_CODE);
    world.0.insert(WRITER, Alloc { nonce: 1, code, ..Alloc::default() });
    world
}

fn run_by(vm: &str, txs: &[Arc<Decoded>], building: bool, runner: How) -> Result<BlockResult, JobError> {
    let batch: TxBatch = txs.iter().cloned().map(Ok).collect();
    let running = Running { runner, ..Running::default() };
    // Somebody else's beneficiary: a new account of the protocol's counts nothing.
    let request = request_of(&batch, building, Fork::Osaka, Address::repeat_byte(0xbe));
    let world = state();
    let mut driver = Runner { world: &world, asked: Keys::default(), advice: true };
    driver.run(BlockRequest { spec: chain_of(vm), running, ..request })
}

/// The same by every runner on two threads.
fn run(vm: &str, txs: &[Arc<Decoded>], building: bool) -> Result<BlockResult, (Option<usize>, &'static str, String)> {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    let by = |runner| {
        pool.install(|| run_by(vm, txs, building, runner)).map_err(|error| match error {
            JobError::Invalid(invalid) => (invalid.index, invalid.code, invalid.message),
            JobError::Input(error) => panic!("{error}"),
        })
    };
    let in_order = by(How::Sequential).map(random::without_stats);
    for runner in [How::Auto, How::Window, How::Stm, How::AccessList] {
        assert_eq!(by(runner).map(random::without_stats), in_order, "{runner:?}");
    }
    in_order
}

fn invalid(vm: &str, txs: &[Arc<Decoded>]) -> (usize, String) {
    let (index, code, message) = run(vm, txs, false).expect_err("an invalid block");
    assert_eq!(code, "state_growth_too_large");
    (index.expect("a transaction's fault"), message)
}

#[test]
fn a_block_up_to_the_cap_is_valid_and_one_beyond_is_not() {
    // 6 + 4 slots.
    let full = [writes(0, 0, 100, 6), writes(1, 0, 200, 4)];
    assert_eq!(run(CHAIN, &full, false).expect("a valid block").included, [0, 1]);
    let over = [writes(0, 0, 100, 6), writes(1, 0, 200, 5)];
    let (index, message) = invalid(CHAIN, &over);
    assert_eq!((index, message.as_str()), (1, "state growth too large: 11 items, limit of a block 10"));
}

#[test]
fn one_sender_beyond_its_cap_makes_a_block_invalid() {
    let (index, message) = invalid(CHAIN, &[writes(0, 0, 100, 4), writes(1, 0, 200, 1), writes(0, 1, 300, 3)]);
    assert_eq!((index, message.as_str()), (2, "state growth too large: 7 items, limit of a sender in a block 6"));
}

#[test]
fn accounts_and_code_count_as_slots_do() {
    let cap = |items: u64| format!(r#"{{"stateGrowth":{{"blockItemsMax":{items}}}}}"#);
    // Initcode that returns 65 zero bytes: the account and three words of code.
    let creation = legacy(0, 0, TxKind::Create, 0, hex!("60415ff3").to_vec());
    // One account that pays another its first wei: one item.
    for (tx, items) in [(creation, 4), (pays(0, 0, 0x99), 1), (writes(0, 0, 100, 3), 3)] {
        assert!(run(&cap(items), std::slice::from_ref(&tx), false).is_ok());
        if items > 1 {
            assert_eq!(invalid(&cap(items - 1), &[tx]).0, 0);
        }
    }
    // Paid a second time, the account is there.
    assert!(run(&cap(1), &[pays(0, 0, 0x99), pays(1, 0, 0x99)], false).is_ok());
    assert_eq!(invalid(&cap(1), &[pays(0, 0, 0x99), pays(1, 0, 0x98)]).0, 1);
}

#[test]
fn what_is_reverted_overwritten_or_cleared_counts_nothing() {
    let cap = r#"{"stateGrowth":{"blockItemsMax":1}}"#;
    // Contract 8 writes a slot and reverts; contract 9 clears one; slots 1 to 7 of the token are there.
    let word = |slot: u64| U256::from(slot).to_be_bytes::<32>().to_vec();
    let reverts = legacy(0, 0, random::contract(8).into(), 0, word(70));
    let clears = legacy(1, 0, random::contract(9).into(), 0, word(2));
    let txs = [reverts, clears, writes(2, 0, 100, 1)];
    assert_eq!(run(cap, &txs, false).expect("a valid block").included, [0, 1, 2]);
}

#[test]
fn a_builder_leaves_what_has_no_room_in_the_pool_with_later_ones_of_its_sender() {
    let txs = [
        writes(0, 0, 100, 6),
        writes(1, 0, 200, 5), // no room in the block
        writes(1, 1, 300, 1), // the same sender's next
        writes(2, 0, 400, 4), // fits
        writes(3, 0, 500, 1), // the block is full
    ];
    let built = run(CHAIN, &txs, true).expect("a block");
    assert_eq!(built.included, [0, 3]);
    assert_eq!(built.dropped, [], "all of it stays in the pool");
    let accepted: Vec<_> = built.included.iter().map(|index| txs[*index].clone()).collect();
    let verified = run(CHAIN, &accepted, false).expect("the built block is valid");
    assert_eq!((verified.write_set, verified.gas_used), (built.write_set, built.gas_used));
}

#[test]
fn a_builder_drops_what_no_block_has_room_for() {
    let txs = [writes(0, 0, 100, 7), writes(0, 1, 300, 1), writes(1, 0, 200, 6)];
    let built = run(CHAIN, &txs, true).expect("a block");
    assert_eq!(built.included, [2]);
    let dropped: Vec<_> = built.dropped.iter().map(|(index, error)| (*index, error.message.as_str())).collect();
    assert_eq!(dropped, [(0, "state growth too large: 7 items, limit of a transaction 6")]);
}

#[test]
fn a_builder_runs_no_more_in_vain_than_a_block_has_gas() {
    // 80 items take 1.8 million gas, so after 34 such runs a block of 60 million gas is closed.
    let cap = r#"{"stateGrowth":{"blockItemsMax":80}}"#;
    let mut txs = vec![writes(0, 0, 1_000, 80)];
    // Accounts that send their first transaction are new, too.
    txs.extend((1..200).map(|number: u64| {
        let sender = Address::from_word(keccak256(number.to_be_bytes()));
        Arc::new(Decoded { sender, ..Decoded::clone(&writes(1, 0, 10_000 + number * 100, 79)) })
    }));
    // Last comes one that adds nothing; with few in vain it is taken.
    txs.push(legacy(5, 0, actor(4).into(), 1, vec![]));
    let few: Vec<_> = txs[..20].iter().chain(txs.last()).cloned().collect();
    assert_eq!(run(cap, &few, true).expect("a block").included, [0, 20]);
    assert_eq!(run(cap, &txs, true).expect("a block").included, [0]);
}
