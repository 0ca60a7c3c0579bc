//! Witnesses of small made-up chains.

use std::collections::BTreeMap;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, address, keccak256};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;
use crate::conformance::answers::run_block;
use crate::conformance::full_state::FullState;
use crate::evm::system;
use crate::exec::access_list::read_list;
use crate::exec::block_job::{BlockRequest, build_header};
use crate::exec::need::{Keys, RawValues, Record};
use crate::exec::receipts::requests_hash;
use crate::exec::schedule::Running;
use crate::exec::write_set::{AccountWrite, WriteSet};
use crate::header::{Attached, BlockEnv, Header};
use crate::pack;
use crate::spec::{Alloc, Fork, Spec};
use crate::trie::{EMPTY_ROOT, TrieJob, TrieStep};
use crate::tx::{SignRequest, TxRules, address_of_secret_keys, decode_transactions, sign_transactions};

const CHAIN_ID: u64 = 7;
const GENESIS: B256 = B256::repeat_byte(0x9e);
const STORE: Address = address!("00000000000000000000000000000000000c0de1");
const LIBRARY: Address = address!("00000000000000000000000000000000000c0de2");
const SENDERS: u8 = 4;

/// A whole chain in memory.
struct Chain {
    spec: Spec,
    state: FullState,
    /// By node key.
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    roots: BTreeMap<Address, B256>,
    headers: Vec<Header>,
    /// Access lists lose their accounts and slots before witnesses are made.
    forgetful: bool,
}

/// What a transaction of these tests does.
#[derive(Clone)]
struct Send {
    from: u8,
    to: Address,
    data: Vec<u8>,
}

fn key(sender: u8) -> [u8; 32] {
    [sender + 1; 32]
}

fn sender(sender: u8) -> Address {
    Address::from_slice(&address_of_secret_keys(&key(sender)).unwrap())
}

/// Calldata of `STORE`: `slot = value`.
fn store(slot: u64, value: u64) -> Vec<u8> {
    [U256::from(slot), U256::from(value)].iter().flat_map(U256::to_be_bytes::<32>).collect()
}

/// `sstore(calldata[0], calldata[1])`; if slot `0xff` is named: also stores the hash of the third block before this one
/// and looks at the size of another contract's code.
fn store_code() -> Bytes {
    let mut code = vec![0x60, 0x20, 0x35, 0x5f, 0x35, 0x55]; // sstore(calldataload(0), calldataload(32))
    code.extend([0x60, 0xff, 0x5f, 0x35, 0x14, 0x60, 0x0f, 0x57, 0x00, 0x5b]); // if calldataload(0) != 0xff: stop
    code.extend([0x60, 0x03, 0x43, 0x03, 0x40, 0x60, 0xff, 0x55]); // sstore(0xff, blockhash(number - 3))
    code.push(0x73);
    code.extend(LIBRARY);
    code.extend([0x3b, 0x50, 0x00]); // extcodesize(LIBRARY)
    code.into()
}

impl Chain {
    /// `strangers` accounts beside the contracts and the senders.
    fn new(strangers: u64, slots: u64) -> Self {
        let rich = |nonce| Alloc { nonce, balance: U256::from(10).pow(U256::from(21)), ..Alloc::default() };
        let mut state = FullState::default();
        for index in 0..strangers {
            state.0.insert(Address::left_padding_from(&(index + 1_000_000).to_be_bytes()), rich(index));
        }
        for index in 0..SENDERS {
            state.0.insert(sender(index), rich(0));
        }
        let contract = |code: Bytes| Alloc { code, nonce: 1, ..Alloc::default() };
        for system in [system::WITHDRAWAL_REQUESTS, system::CONSOLIDATION_REQUESTS, system::HISTORY] {
            state.0.insert(system, contract(Bytes::from_static(&[0])));
        }
        state.0.insert(LIBRARY, contract(Bytes::from_static(b"\x60\x00\x60\x00")));
        let storage = (0..slots).map(|slot| (U256::from(slot), U256::from(slot + 1))).collect();
        state.0.insert(STORE, Alloc { storage, ..contract(store_code()) });
        let writes = WriteSet { accounts: state.0.iter().map(|(address, account)| write(*address, account)).collect() };
        let mut chain = Self {
            spec: Spec::of_fork(Fork::Osaka, CHAIN_ID),
            state,
            nodes: BTreeMap::new(),
            roots: BTreeMap::new(),
            headers: Vec::new(),
            forgetful: false,
        };
        let state_root = chain.update(EMPTY_ROOT, &writes);
        chain.headers.push(Header::new(alloy_consensus::Header {
            state_root,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(requests_hash(&[])),
            ..Default::default()
        }));
        chain
    }

    fn head(&self) -> &Header {
        self.headers.last().unwrap()
    }

    fn record(&self, address: Address) -> Option<Record> {
        let root = self.roots.get(&address).copied().unwrap_or(EMPTY_ROOT);
        self.state.record(address).map(|record| Record { storage_root: root, ..record })
    }

    /// Put a write set into the trie.
    fn update(&mut self, root: B256, writes: &WriteSet) -> B256 {
        let known = !self.headers.is_empty();
        let records: Vec<u8> = writes
            .accounts
            .iter()
            .flat_map(|write| Record::encode(if known { self.record(write.address) } else { None }.as_ref()))
            .collect();
        let mut job = TrieJob::new(root, &writes.encode(), &records, None).unwrap();
        let mut answers = Vec::new();
        let outcome = loop {
            let borrowed: Vec<Option<&[u8]>> = answers.iter().map(Option::as_deref).collect();
            match job.step(&borrowed, &[]).unwrap() {
                TrieStep::Done(outcome) => break outcome,
                TrieStep::Need(ask) => answers = read(&self.nodes, &ask.paths),
            }
        };
        for pair in pack::read_packed("writes", &outcome.node_writes).unwrap().chunks(2) {
            self.nodes.insert(pair[0].to_vec(), pair[1].to_vec());
        }
        for key in pack::read_packed("deletes", &outcome.node_deletes).unwrap() {
            self.nodes.remove(key);
        }
        for (write, root) in writes.accounts.iter().zip(outcome.storage_roots.as_chunks::<32>().0) {
            self.roots.insert(write.address, B256::from(root));
        }
        outcome.root
    }

    /// Execute a block, and return its witness with the trie nodes of its parent.
    fn block(&mut self, sends: &[Send]) -> (Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>) {
        let before = self.nodes.clone();
        let parent = self.head().clone();
        let number = parent.inner.number + 1;
        let mut nonces: BTreeMap<u8, u64> = BTreeMap::new();
        let (mut keys, mut counts, mut to, mut data) = (vec![], vec![], vec![], vec![]);
        for send in sends {
            let nonce = nonces.entry(send.from).or_insert_with(|| self.state.0[&sender(send.from)].nonce);
            keys.extend(key(send.from));
            counts.extend(nonce.to_be_bytes());
            to.extend(send.to);
            pack::push_packed(&mut data, &send.data);
            *nonce += 1;
        }
        let packed = sign_transactions(&SignRequest {
            chain_id: CHAIN_ID,
            secret_keys: &keys,
            nonces: &counts,
            to: &to,
            values_wei: &vec![0; sends.len() * 32],
            data: &data,
            gas_limit: 200_000,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 1,
        })
        .unwrap();
        let batch = decode_transactions(&packed, &TxRules::of(&self.spec, number, number)).unwrap();
        let env = BlockEnv {
            parent_hash: parent.hash,
            number,
            timestamp: number,
            gas_limit: parent.inner.gas_limit,
            base_fee_per_gas: self.spec.next_base_fee(&parent).unwrap(),
            beneficiary: Address::repeat_byte(0xbe),
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::ZERO,
            extra_data: Bytes::new(),
            difficulty: U256::ZERO,
            excess_blob_gas: 0,
            ..BlockEnv::default()
        };
        let request = BlockRequest {
            spec: self.spec.clone(),
            env: env.clone(),
            batch: batch.clone(),
            attached: Attached::default(),
            cache: None,
            building: false,
            hints: Vec::new(),
            system_calls: true,
            rounds_max: 64,
            running: Running::default(),
        };
        let hash = |number| self.headers.iter().find(|h| h.inner.number == number).map_or(B256::ZERO, |h| h.hash);
        let mut result = run_block(request, &self.state, hash).unwrap();
        if self.forgetful {
            let (read, _) = read_list("access_list", &result.access_list).unwrap();
            result.access_list = Keys { codes: read.codes, blocks: read.blocks, ..Keys::default() }.pack();
        }
        let records = self.clone_records();
        let root = self.update(parent.inner.state_root, &result.write_set);
        let header = build_header(&env, &result, &self.spec, root);
        let witness = WitnessRequest {
            spec: self.spec.clone(),
            genesis_hash: GENESIS,
            header: header.clone(),
            batch,
            attached: Attached::default(),
            result: &result,
        };
        let witness = self.prove(WitnessJob::new(witness).unwrap(), &records, &before);
        self.state.apply(&result.write_set);
        self.headers.push(header);
        (witness, before)
    }

    fn clone_records(&self) -> BTreeMap<Address, Record> {
        self.state.0.keys().filter_map(|address| Some((*address, self.record(*address)?))).collect()
    }

    fn prove(
        &self,
        mut job: WitnessJob,
        records: &BTreeMap<Address, Record>,
        nodes: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Vec<u8> {
        let need = job.need().clone();
        let accounts: Vec<u8> = need.accounts.iter().flat_map(|a| Record::encode(records.get(a))).collect();
        let mut codes = Vec::new();
        for hash in &need.codes {
            let found = self.state.0.values().find(|account| keccak256(&account.code) == *hash).unwrap();
            pack::push_packed(&mut codes, &found.code);
        }
        let values = RawValues { accounts: &accounts, codes: &codes, ..RawValues::default() };
        let headers: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|header| header.inner.number >= job.headers_from())
            .map(|header| header.rlp.as_slice())
            .collect();
        let mut step = job.begin(&values, &headers).unwrap();
        loop {
            match step {
                WitnessStep::Done(bytes) => return bytes,
                WitnessStep::Need(ask) => {
                    let answers = read(nodes, &ask.paths);
                    let borrowed: Vec<Option<&[u8]>> = answers.iter().map(Option::as_deref).collect();
                    step = job.step(&borrowed).unwrap();
                }
            }
        }
    }

    fn verify(&self, witness: &[u8]) -> Result<Verified, WitnessError> {
        let trust = Trust { block_hash: Some(self.head().hash), parent_hash: None };
        verify_block(&self.spec, GENESIS, witness, trust)
    }
}

fn read(nodes: &BTreeMap<Vec<u8>, Vec<u8>>, paths: &[u8]) -> Vec<Option<Vec<u8>>> {
    pack::read_packed("paths", paths).unwrap().into_iter().map(|path| nodes.get(path).cloned()).collect()
}

fn write(address: Address, account: &Alloc) -> AccountWrite {
    AccountWrite {
        address,
        deleted: false,
        wiped: false,
        nonce: account.nonce,
        balance: account.balance,
        code_hash: if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) },
        code: (!account.code.is_empty()).then(|| account.code.clone()),
        slots: account.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
    }
}

fn call(from: u8, data: Vec<u8>) -> Send {
    Send { from, to: STORE, data }
}

/// Four blocks, so that the third before the next exists; then one with reads of all kinds, and slots that go.
fn busy_chain(strangers: u64) -> (Chain, Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>) {
    busy(Chain::new(strangers, 12))
}

fn busy(mut chain: Chain) -> (Chain, Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>) {
    for _ in 0..4 {
        chain.block(&[]);
    }
    let mut sends: Vec<Send> = (0..11).map(|slot| call(0, store(slot, 0))).collect();
    sends.push(call(1, store(0xff, 1)));
    sends.push(Send { from: 2, to: Address::repeat_byte(0x77), data: Vec::new() });
    let (witness, before) = chain.block(&sends);
    (chain, witness, before)
}

/// The same witness with its lists changed.
fn changed(witness: &[u8], change: impl FnOnce(&mut Witness<'_>)) -> Vec<u8> {
    let mut decoded = Witness::decode(witness).unwrap();
    change(&mut decoded);
    decoded.encode()
}

#[test]
fn a_block_is_verified_with_nothing_but_its_witness_and_its_hash() {
    let (chain, witness, _) = busy_chain(300);
    let verified = chain.verify(&witness).unwrap();
    assert_eq!(verified.header, *chain.head());
    assert_eq!((verified.transactions, verified.result.included.len()), (13, 13));
    // Both contracts, and STOP of the system contracts; headers 3 (whose parent hash is wanted) and 4.
    assert_eq!((verified.codes, verified.headers), (3, 2));
    assert_eq!(Witness::decode(&witness).unwrap().encode(), witness);
}

#[test]
fn reads_that_no_access_list_names_are_in_the_witness_all_the_same() {
    let forgetful = Chain { forgetful: true, ..Chain::new(300, 12) };
    assert_eq!(busy(forgetful).1, busy_chain(300).1);
}

#[test]
fn an_empty_block_has_a_witness_too() {
    let mut chain = Chain::new(50, 0);
    let (witness, _) = chain.block(&[]);
    let verified = chain.verify(&witness).unwrap();
    assert_eq!((verified.transactions, verified.headers), (0, 1));
}

#[test]
fn a_witness_less_any_one_node_names_the_path_of_that_node() {
    let (chain, witness, before) = busy_chain(300);
    let count = Witness::decode(&witness).unwrap().nodes.len();
    assert!(count > 20);
    for index in 0..count {
        let mut removed = Vec::new();
        let less = changed(&witness, |witness| removed = witness.nodes.remove(index).to_vec());
        match chain.verify(&less) {
            Err(WitnessError::Missing(Missing::Node(path))) => assert_eq!(before.get(&path), Some(&removed)),
            other => panic!("node {index}: {other:?}"),
        }
    }
}

#[test]
fn a_witness_less_a_code_or_a_header_names_it() {
    let (chain, witness, _) = busy_chain(20);
    let codes: Vec<B256> = Witness::decode(&witness).unwrap().codes.iter().map(keccak256).collect();
    for (index, hash) in codes.into_iter().enumerate() {
        let less = changed(&witness, |witness| _ = witness.codes.remove(index));
        assert_eq!(chain.verify(&less).unwrap_err(), WitnessError::Missing(Missing::Code(hash)));
    }
    let less = changed(&witness, |witness| _ = witness.headers.remove(0));
    assert_eq!(chain.verify(&less).unwrap_err(), WitnessError::Missing(Missing::Header(3)));
}

#[test]
fn a_witness_with_any_byte_changed_is_refused() {
    let (chain, witness, _) = busy_chain(4);
    assert!(chain.verify(&witness).is_ok());
    for index in 0..witness.len() {
        let mut bytes = witness.clone();
        bytes[index] ^= 1 << (index % 8);
        assert!(chain.verify(&bytes).is_err(), "byte {index} of {}", witness.len());
        // Nor without a trusted hash: the witness names its block itself.
        assert!(verify_block(&chain.spec, GENESIS, &bytes, Trust::default()).is_err(), "byte {index}");
    }
    for length in 0..witness.len() {
        assert!(chain.verify(&witness[..length]).is_err());
    }
}

fn by_hash(list: &mut [&[u8]]) {
    list.sort_by_key(|item| keccak256(item));
}

#[test]
fn what_the_block_does_not_need_is_refused_by_its_name() {
    let (chain, witness, before) = busy_chain(300);
    let field = |witness: &[u8]| match chain.verify(witness).unwrap_err() {
        WitnessError::Input(error) => error.field,
        other => panic!("{other}"),
    };
    let decoded = Witness::decode(&witness).unwrap();
    let spare = before.values().find(|node| node.len() >= 32 && !decoded.nodes.contains(&node.as_slice())).unwrap();
    let mut more = decoded.clone();
    more.nodes.push(spare);
    by_hash(&mut more.nodes);
    assert_eq!(field(&more.encode()), "witness.nodes");
    let mut more = decoded.clone();
    more.codes.push(b"\x60\x01");
    by_hash(&mut more.codes);
    assert_eq!(field(&more.encode()), "witness.codes");
    let mut more = decoded.clone();
    more.headers.insert(0, &chain.headers[2].rlp);
    assert_eq!(field(&more.encode()), "witness.headers");
    let mut unsorted = decoded;
    unsorted.nodes.swap(0, 1);
    assert_eq!(field(&unsorted.encode()), "witness.nodes");
}

#[test]
fn another_chain_another_block_and_another_parent_are_refused_by_name() {
    let (chain, witness, _) = busy_chain(20);
    let refused = |genesis, trust| match verify_block(&chain.spec, genesis, &witness, trust).unwrap_err() {
        WitnessError::Input(error) => error.field,
        other => panic!("{other}"),
    };
    let other = Some(B256::repeat_byte(1));
    assert_eq!(refused(B256::ZERO, Trust::default()), "witness.genesis_hash");
    assert_eq!(refused(GENESIS, Trust { block_hash: other, parent_hash: None }), "trusted_header_hash");
    assert_eq!(refused(GENESIS, Trust { block_hash: None, parent_hash: other }), "trusted_parent_hash");
    let parent = Some(chain.headers[chain.headers.len() - 2].hash);
    assert!(verify_block(&chain.spec, GENESIS, &witness, Trust { block_hash: None, parent_hash: parent }).is_ok());
}

#[test]
fn a_header_that_claims_another_result_is_refused_by_its_field() {
    let (chain, witness, _) = busy_chain(20);
    let claim = |change: fn(&mut alloy_consensus::Header)| {
        let mut inner = chain.head().inner.clone();
        change(&mut inner);
        let header = Header::new(inner);
        let mut decoded = Witness::decode(&witness).unwrap();
        (decoded.header, decoded.block_hash) = (&header.rlp, header.hash);
        verify_block(&chain.spec, GENESIS, &decoded.encode(), Trust::default()).unwrap_err()
    };
    let field = |error| match error {
        WitnessError::Differs { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(claim(|header| header.state_root = B256::ZERO)), "state_root");
    assert_eq!(field(claim(|header| header.receipts_root = B256::ZERO)), "receipts_root");
    assert_eq!(field(claim(|header| header.transactions_root = B256::ZERO)), "transactions_root");
    assert_eq!(field(claim(|header| header.gas_used += 1)), "gas_used");
    assert_eq!(field(claim(|header| header.logs_bloom.0[0] = 1)), "logs_bloom");
    assert_eq!(field(claim(|header| header.requests_hash = Some(B256::ZERO))), "requests_hash");
    assert_eq!(field(claim(|header| header.base_fee_per_gas = Some(1))), "base_fee_per_gas");
}

#[test]
fn random_blocks_are_verified_and_miss_any_node_that_is_taken_away() {
    for seed in 0..6 {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut chain = Chain::new(40 << seed, 20);
        for _ in 0..5 {
            let sends: Vec<Send> = (0..rng.next_u64() % 12)
                .map(|_| {
                    let from = u8::try_from(rng.next_u64() % u64::from(SENDERS)).unwrap();
                    match rng.next_u64() % 3 {
                        0 => {
                            let number = 1_000_000 + rng.next_u64() % 5_000;
                            Send { from, to: Address::left_padding_from(&number.to_be_bytes()), data: Vec::new() }
                        }
                        // Half of the slots go, so that branches collapse.
                        1 => call(from, store(rng.next_u64() % 30, rng.next_u64() % 2)),
                        _ => call(from, store(0xff, 1)),
                    }
                })
                .collect();
            let (witness, before) = chain.block(&sends);
            let verified = chain.verify(&witness).unwrap();
            assert_eq!(verified.header, *chain.head());
            let index = usize::try_from(rng.next_u64()).unwrap() % verified.nodes;
            let mut removed = Vec::new();
            let less = changed(&witness, |witness| removed = witness.nodes.remove(index).to_vec());
            let Err(WitnessError::Missing(Missing::Node(path))) = chain.verify(&less) else { panic!("seed {seed}") };
            assert_eq!(before.get(&path), Some(&removed));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let spec = Spec::of_fork(Fork::Osaka, CHAIN_ID);
        prop_assert!(verify_block(&spec, GENESIS, &tail, Trust::default()).is_err());
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(GENESIS);
        bytes.extend(&tail);
        prop_assert!(verify_block(&spec, GENESIS, &bytes, Trust::default()).is_err());
    }
}
