//! Chains of the public JSON-RPC tests, executed from their genesis.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;

use alloy_consensus::{Block, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::Decodable;

use super::public::archive;
use crate::conformance::answers::Answer;
use crate::conformance::full_state::FullState;
use crate::evm::{self, Outcome, Purpose, system};
use crate::exec::need::Values;
use crate::exec::state::JobState;
use crate::header::{BlockEnv, Header};
use crate::spec::{Fork, Spec};
use crate::tx::{Decoded, TxRules, decode_one};

/// Wei per gwei: what withdrawals are counted in (EIP-4895).
const GWEI: u64 = 1_000_000_000;

/// A chain at its head.
pub struct Chain {
    pub spec: Spec,
    pub head: Header,
    pub state: FullState,
    pub hashes: BTreeMap<u64, B256>,
    /// By number: header, state before, transactions.
    pub blocks: BTreeMap<u64, (Header, FullState, Vec<Arc<Decoded>>)>,
}

/// One file of the archive.
pub fn member(name: &str) -> Option<Vec<u8>> {
    let archive = archive()?;
    let output =
        Command::new("tar").arg("-xJOf").arg(archive).arg(name).stderr(Stdio::null()).output().expect("tar runs");
    Some(output.stdout)
}

/// Execute a whole chain of a folder; every state root is compared.
pub fn chain(genesis: &str, blocks: &str) -> Option<Chain> {
    // Besu's spellings of two keys.
    let genesis = String::from_utf8(member(genesis)?).expect("text");
    let genesis = genesis.replace("\"chainID\"", "\"chainId\"").replace("constantinopleFixBlock", "petersburgBlock");
    let spec = Spec::parse(genesis.as_bytes()).expect("a genesis file");
    let encoded = member(blocks)?;
    let mut state = FullState::default();
    state.apply(&spec.genesis().write_set());
    let (mut hashes, mut blocks, mut head) = (BTreeMap::new(), BTreeMap::new(), None);
    let mut rest = encoded.as_slice();
    while !rest.is_empty() {
        let block = Block::<TxEnvelope>::decode(&mut rest).expect("a block");
        let number = block.header.number;
        if number == 0 {
            continue;
        }
        hashes.entry(number - 1).or_insert(block.header.parent_hash);
        let before = state.clone();
        let txs = execute(&spec, &block, &mut state, &hashes);
        let header = Header::new(block.header.clone());
        assert_eq!(state.root().expect("a root"), header.inner.state_root, "block {number}");
        hashes.insert(number, header.hash);
        blocks.insert(number, (header.clone(), before, txs));
        head = Some(header);
    }
    Some(Chain { spec, head: head.expect("blocks"), state, hashes, blocks })
}

fn execute(
    spec: &Spec,
    block: &Block<TxEnvelope>,
    full: &mut FullState,
    hashes: &BTreeMap<u64, B256>,
) -> Vec<Arc<Decoded>> {
    let env = BlockEnv::of(&block.header);
    let fork = env.fork(spec);
    let mut state = JobState::new(fork.spec_id(), None, usize::MAX);
    state.set_parent(env.number - 1, env.parent_hash);
    for call in system::before(&env, fork) {
        run_system(spec, &env, &mut state, full, hashes, &call);
    }
    let rules = TxRules { bounded: false, ..TxRules::of(spec, env.number, env.timestamp) };
    let txs: Vec<Arc<Decoded>> = block
        .body
        .transactions
        .iter()
        .map(|tx| Arc::new(decode_one(&tx.encoded_2718(), &rules, None).expect("a valid transaction")))
        .collect();
    execute_txs(spec, &env, &mut state, full, hashes, txs.iter().map(AsRef::as_ref));
    for call in system::after(fork) {
        run_system(spec, &env, &mut state, full, hashes, &call);
    }
    if !env.difficulty.is_zero() {
        let ether: u64 = if fork >= Fork::Constantinople {
            2
        } else if fork >= Fork::Byzantium {
            3
        } else {
            5
        };
        let reward = U256::from(ether) * U256::from(10).pow(U256::from(18));
        for ommer in &block.body.ommers {
            let nearness = U256::from(ommer.number + 8 - env.number);
            credit(&mut state, full, hashes, ommer.beneficiary, reward * nearness / U256::from(8));
        }
        let nephews = U256::from(block.body.ommers.len());
        credit(&mut state, full, hashes, env.beneficiary, reward + reward / U256::from(32) * nephews);
    }
    for withdrawal in block.body.withdrawals.iter().flatten() {
        credit(&mut state, full, hashes, withdrawal.address, U256::from(withdrawal.amount) * U256::from(GWEI));
    }
    full.apply(&state.write_set());
    txs
}

/// Run the transactions of a block.
pub fn execute_txs<'t>(
    spec: &Spec,
    env: &BlockEnv,
    state: &mut JobState,
    full: &FullState,
    hashes: &BTreeMap<u64, B256>,
    txs: impl Iterator<Item = &'t Decoded>,
) {
    for decoded in txs {
        let tx = evm::tx_env(decoded);
        while !run(spec, env, state, tx.clone()) {
            answer(state, full, hashes);
        }
    }
}

fn answer(state: &mut JobState, full: &FullState, hashes: &BTreeMap<u64, B256>) {
    let keys = state.take_wanted();
    let answer = Answer::new(&keys, full, |number| hashes.get(&number).copied().unwrap_or_default());
    let values = Values::read(&keys, &answer.raw()).expect("an answer");
    state.accept(&keys, values);
}

fn run(spec: &Spec, env: &BlockEnv, state: &mut JobState, tx: evm::Tx) -> bool {
    let mut evm = evm::build(spec, env, state, Purpose::Block, None);
    match evm::run_exact(&mut evm, tx) {
        Outcome::Done(_, changes) => {
            state.commit(changes);
            true
        }
        Outcome::Missed => false,
        other => panic!("block {}: {other:?}", env.number),
    }
}

fn run_system(
    spec: &Spec,
    env: &BlockEnv,
    state: &mut JobState,
    full: &FullState,
    hashes: &BTreeMap<u64, B256>,
    call: &system::SystemCall,
) {
    while !state.prefetch_account(call.address) {
        answer(state, full, hashes);
    }
    if !state.has_code(call.address) {
        return;
    }
    loop {
        let mut evm = evm::build(spec, env, state, Purpose::Block, None);
        match evm::run_system(&mut evm, call.address, call.data.clone()) {
            Outcome::Done(_, changes) => return state.commit(changes),
            Outcome::Missed => answer(state, full, hashes),
            other => panic!("block {}: {other:?}", env.number),
        }
    }
}

/// Add to a balance.
pub fn credit(state: &mut JobState, full: &FullState, hashes: &BTreeMap<u64, B256>, to: Address, wei: U256) {
    if wei.is_zero() {
        return;
    }
    while !state.prefetch_account(to) {
        answer(state, full, hashes);
    }
    let (_, balance) = state.account_now(to).unwrap_or_default();
    state.override_account(to, None, Some(balance + wei), None);
}
