//! Contracts, accounts and transactions of the benchmark.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::header::BlockEnv;
use hansa_kernel::pack;
use hansa_kernel::spec::{Alloc, Fork, Spec};
use hansa_kernel::tx::{SignRequest, TxBatch, TxRules, address_of_secret_keys, decode_transactions, sign_transactions};

/// What the transactions of a block do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain payments between accounts of their own.
    Transfer,
    /// Token transfers between accounts of their own.
    Erc20,
    /// A swap each on a pair of its own: two token transfers and the reserves.
    Swap,
    /// Token transfers to one recipient: every transaction reads what the one before wrote.
    HotSlot,
    /// Half payments, a third token transfers, swaps on 16 shared pairs, some to the one recipient.
    Mixed,
}

pub const KINDS: [(&str, Kind); 5] = [
    ("transfer", Kind::Transfer),
    ("erc20", Kind::Erc20),
    ("swap", Kind::Swap),
    ("hot-slot", Kind::HotSlot),
    ("mixed", Kind::Mixed),
];

const TOKEN_A: Address = Address::repeat_byte(0xa1);
const TOKEN_B: Address = Address::repeat_byte(0xb1);
const SHARED_PAIRS: usize = 16;

const OPCODES: [(&str, u8); 36] = [
    ("ADD", 0x01),
    ("MUL", 0x02),
    ("SUB", 0x03),
    ("DIV", 0x04),
    ("LT", 0x10),
    ("ISZERO", 0x15),
    ("OR", 0x17),
    ("KECCAK256", 0x20),
    ("ADDRESS", 0x30),
    ("CALLER", 0x33),
    ("CALLDATALOAD", 0x35),
    ("MSTORE", 0x52),
    ("SLOAD", 0x54),
    ("SSTORE", 0x55),
    ("JUMPI", 0x57),
    ("GAS", 0x5a),
    ("JUMPDEST", 0x5b),
    ("PUSH0", 0x5f),
    ("PUSH1", 0x60),
    ("PUSH2", 0x61),
    ("PUSH20", 0x73),
    ("PUSH32", 0x7f),
    ("DUP1", 0x80),
    ("DUP2", 0x81),
    ("DUP3", 0x82),
    ("DUP4", 0x83),
    ("SWAP1", 0x90),
    ("SWAP2", 0x91),
    ("SWAP3", 0x92),
    ("LOG1", 0xa1),
    ("LOG3", 0xa3),
    ("CALL", 0xf1),
    ("RETURN", 0xf3),
    ("REVERT", 0xfd),
    ("POP", 0x50),
    ("STOP", 0x00),
];

/// `from` is word 2 or the caller; moves word 1 from it to word 0, as a token with mappings does.
const TOKEN: &str = "
    PUSH1 44 CALLDATALOAD DUP1 ISZERO CALLER MUL OR DUP1 PUSH0 MSTORE
    PUSH0 PUSH1 20 MSTORE PUSH1 40 PUSH0 KECCAK256
    DUP1 SLOAD PUSH1 24 CALLDATALOAD
    DUP1 DUP3 LT PUSH2 :fail JUMPI
    DUP1 SWAP2 SUB DUP3 SSTORE
    PUSH1 04 CALLDATALOAD PUSH0 MSTORE PUSH1 40 PUSH0 KECCAK256
    DUP1 SLOAD DUP3 ADD SWAP1 SSTORE
    PUSH0 MSTORE POP
    PUSH1 04 CALLDATALOAD SWAP1
    PUSH32 ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef
    PUSH1 20 PUSH0 LOG3
    PUSH1 01 PUSH0 MSTORE PUSH1 20 PUSH0 RETURN
    :fail JUMPDEST PUSH0 PUSH0 REVERT";

/// A pair with reserves in slots 0 and 1: takes word 0 of token A, pays token B by constant product less 0.3 %.
const PAIR: &str = "
    PUSH0 CALLDATALOAD PUSH0 SLOAD PUSH1 01 SLOAD
    DUP3 PUSH2 03e5 MUL DUP1 DUP4 PUSH2 03e8 MUL ADD SWAP1 DUP3 MUL DIV
    DUP1 DUP3 SUB PUSH1 01 SSTORE
    DUP4 DUP4 ADD PUSH0 SSTORE
    ADDRESS PUSH1 04 MSTORE DUP4 PUSH1 24 MSTORE CALLER PUSH1 44 MSTORE
    PUSH0 PUSH0 PUSH1 64 PUSH0 PUSH0 PUSH20 a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 GAS CALL
    ISZERO PUSH2 :fail JUMPI
    CALLER PUSH1 04 MSTORE DUP1 PUSH1 24 MSTORE PUSH0 PUSH1 44 MSTORE
    PUSH0 PUSH0 PUSH1 64 PUSH0 PUSH0 PUSH20 b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1 GAS CALL
    ISZERO PUSH2 :fail JUMPI
    PUSH0 MSTORE
    PUSH32 d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822
    PUSH1 20 PUSH0 LOG1 PUSH1 20 PUSH0 RETURN
    :fail JUMPDEST PUSH0 PUSH0 REVERT";

fn assemble(source: &str) -> Bytes {
    let (mut code, mut jumps, mut fail) = (Vec::new(), Vec::new(), 0);
    let mut after_push = false;
    for word in source.split_whitespace() {
        match (word, after_push) {
            (":fail", true) => {
                jumps.push(code.len());
                code.extend_from_slice(&[0, 0]);
            }
            (":fail", false) => fail = code.len(),
            (data, true) => code.extend_from_slice(&hex::decode(data).expect("hex")),
            (name, false) => code.push(OPCODES.iter().find(|(known, _)| *known == name).expect("an opcode").1),
        }
        after_push = !after_push && word.starts_with("PUSH") && word != "PUSH0";
    }
    for at in jumps {
        code[at..at + 2].copy_from_slice(&u16::try_from(fail).expect("short").to_be_bytes());
    }
    code.into()
}

/// An address from a name and a number.
fn address(name: &str, number: usize) -> Address {
    Address::from_slice(&keccak256(format!("{name} {number}"))[12..])
}

fn balance_slot(owner: Address) -> U256 {
    keccak256([owner.into_word().0, [0; 32]].concat()).into()
}

/// Rules of the blocks.
pub fn spec() -> Spec {
    Spec::of_fork(Fork::Osaka, 1)
}

/// Senders, the state that they stand in, and what they send.
pub struct World {
    keys: Vec<u8>,
    pub state: FullState,
}

impl World {
    /// `count` senders, their tokens and pairs.
    pub fn new(count: usize) -> Self {
        let keys: Vec<u8> = (0..count).flat_map(|number| keccak256(format!("key {number}")).0).collect();
        let senders = address_of_secret_keys(&keys).expect("keys");
        let mut accounts = BTreeMap::new();
        let plenty = U256::from(10).pow(U256::from(24));
        let (token, pair) = (assemble(TOKEN), assemble(PAIR));
        let (mut holders_a, mut holders_b) = (BTreeMap::new(), BTreeMap::new());
        for (number, sender) in senders.as_chunks::<20>().0.iter().map(Address::from).enumerate() {
            accounts.insert(sender, Alloc { balance: plenty, ..Alloc::default() });
            holders_a.insert(balance_slot(sender), plenty);
            let at = address("pair", number);
            holders_b.insert(balance_slot(at), plenty);
            let storage = BTreeMap::from([(U256::ZERO, plenty), (U256::from(1), plenty)]);
            accounts.insert(at, Alloc { nonce: 1, code: pair.clone(), storage, ..Alloc::default() });
        }
        for (at, storage) in [(TOKEN_A, holders_a), (TOKEN_B, holders_b)] {
            accounts.insert(at, Alloc { nonce: 1, code: token.clone(), storage, ..Alloc::default() });
        }
        Self { keys, state: FullState(accounts) }
    }

    /// One signed transaction of every sender, as a packed list.
    pub fn raw(&self, kind: Kind) -> Vec<u8> {
        let count = self.keys.len() / 32;
        let (mut to, mut data, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let (recipient, input, value) = transaction(kind, number);
            to.extend_from_slice(recipient.as_slice());
            pack::push_packed(&mut data, &input);
            values.extend_from_slice(&value.to_be_bytes::<32>());
        }
        let request = SignRequest {
            chain_id: 1,
            secret_keys: &self.keys,
            nonces: &vec![0; 8 * count],
            to: &to,
            values_wei: &values,
            data: &data,
            gas_limit: if kind == Kind::Transfer { 21_000 } else { 200_000 },
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
        };
        sign_transactions(&request).expect("a request of our own")
    }
}

/// The batch of a packed list.
pub fn decoded(raw: &[u8]) -> TxBatch {
    let env = env();
    let batch = decode_transactions(raw, &TxRules::of(&spec(), env.number, env.timestamp)).expect("our own list");
    assert!(batch.all_valid());
    batch
}

fn call_data(words: &[B256]) -> Bytes {
    words.iter().flat_map(|word| word.0).collect()
}

fn token_data(to: Address) -> Bytes {
    let mut data = hex!("a9059cbb").to_vec();
    data.extend_from_slice(&call_data(&[to.into_word(), B256::with_last_byte(7)]));
    data.into()
}

fn transaction(kind: Kind, number: usize) -> (Address, Bytes, U256) {
    let recipient = address("recipient", number);
    let swap = |pair: usize| (address("pair", pair), call_data(&[B256::with_last_byte(100)]), U256::ZERO);
    match kind {
        Kind::Transfer => (recipient, Bytes::new(), U256::from(1)),
        Kind::Erc20 => (TOKEN_A, token_data(recipient), U256::ZERO),
        Kind::HotSlot => (TOKEN_A, token_data(Address::repeat_byte(0x77)), U256::ZERO),
        Kind::Swap => swap(number),
        Kind::Mixed => match number % 20 {
            0..10 => transaction(Kind::Transfer, number),
            10..16 => transaction(Kind::Erc20, number),
            16..19 => swap(number % SHARED_PAIRS),
            _ => transaction(Kind::HotSlot, number),
        },
    }
}

/// Where the blocks stand.
pub fn env() -> BlockEnv {
    BlockEnv {
        parent_hash: B256::repeat_byte(0x55),
        number: 1_000,
        timestamp: 1_000,
        gas_limit: 2_000_000_000,
        base_fee_per_gas: 1_000_000_000,
        beneficiary: address("beneficiary", 0),
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        difficulty: U256::ZERO,
        excess_blob_gas: 0,
        ..BlockEnv::default()
    }
}
