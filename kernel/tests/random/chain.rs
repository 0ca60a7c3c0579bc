//! Chains of random blocks in Ethereum's `blockchain_test` format, for other implementations to replay.

use std::collections::BTreeMap;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B256, U256, hex};
use alloy_rlp::Encodable;
use hansa_kernel::conformance::answers::run_block;
use hansa_kernel::conformance::chain::{TestChain, settle};
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::exec::block_job::{BlockRequest, build_header};
use hansa_kernel::exec::schedule::{Runner, Running};
use hansa_kernel::header::{Attached, BlockEnv, Header};
use hansa_kernel::pack;
use hansa_kernel::spec::{Fork, PowParent, Spec};
use hansa_kernel::tx::TxBatch;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan::{Plan, batch_after, plan};
use super::world::{Rules, someone, world_of};

/// Forks by how often they come; those without a name here differ from the one before in difficulty alone.
const FORKS: [Fork; 20] = [
    Fork::Osaka,
    Fork::Osaka,
    Fork::Osaka,
    Fork::Osaka,
    Fork::Prague,
    Fork::Prague,
    Fork::Prague,
    Fork::Cancun,
    Fork::Cancun,
    Fork::Shanghai,
    Fork::Paris,
    Fork::London,
    Fork::Berlin,
    Fork::Istanbul,
    Fork::Petersburg,
    Fork::Byzantium,
    Fork::SpuriousDragon,
    Fork::TangerineWhistle,
    Fork::Homestead,
    Fork::Frontier,
];
const RUNNERS: [Runner; 4] = [Runner::Sequential, Runner::Window, Runner::Stm, Runner::AccessList];
/// How often a block's transactions are tried.
const PASSES: usize = 3;
const GAS_LIMIT: u64 = 60_000_000;

/// One block as numbers.
#[derive(Debug, Clone)]
pub struct BlockPlan {
    plans: Vec<Plan>,
    beneficiary: u8,
    seconds: u8,
    random: [u8; 32],
    withdrawals: Vec<(u8, u8)>,
}

/// A chain as numbers.
#[derive(Debug, Clone)]
pub struct ChainPlan {
    fork: Fork,
    base_fee: u8,
    excess_blobs: u8,
    blocks: Vec<BlockPlan>,
}

/// Chains of four blocks.
pub fn chain_plan() -> impl Strategy<Value = ChainPlan> {
    let withdrawals = prop::collection::vec((any::<u8>(), any::<u8>()), 0..4);
    let block = (prop::collection::vec(plan(), 1..72), any::<u8>(), 1..30u8, any::<[u8; 32]>(), withdrawals).prop_map(
        |(plans, beneficiary, seconds, random, withdrawals)| BlockPlan {
            plans,
            beneficiary,
            seconds,
            random,
            withdrawals,
        },
    );
    (0..FORKS.len(), 0..4u8, any::<u8>(), prop::collection::vec(block, 4)).prop_map(
        |(fork, base_fee, excess_blobs, blocks)| ChainPlan { fork: FORKS[fork], base_fee, excess_blobs, blocks },
    )
}

/// Build the chain, follow it by one runner per block, and return the case.
///
/// # Panics
/// When a built block is refused.
pub fn case(plan: &ChainPlan) -> Value {
    let rules = Rules::Fork(plan.fork);
    let spec = rules.spec();
    let pre = world_of(rules);
    let genesis = genesis(plan, &pre);
    let mut chain = TestChain::new(spec.clone(), genesis.clone(), pre.clone());
    let (mut parent, mut state, mut hashes, mut blocks) =
        (genesis.clone(), pre.clone(), vec![genesis.hash], Vec::new());
    for (index, block) in plan.blocks.iter().enumerate() {
        let (header, rlp, next) = build(block, rules, &spec, &parent, &state, &hashes);
        chain.import(&rlp, RUNNERS[index % RUNNERS.len()]).expect("a block just built");
        blocks.push(json!({"rlp": hex::encode_prefixed(&rlp), "blockHeader": header_json(&header)}));
        hashes.push(header.hash);
        (parent, state) = (header, next);
    }
    assert_eq!(chain.head(), parent.hash, "the last block is the head");
    let whole_genesis = block_rlp(&genesis, &[], (plan.fork >= Fork::Shanghai).then(Vec::new).as_ref());
    json!({
        "network": plan.fork.name(),
        "sealEngine": "NoProof",
        "config": {"network": plan.fork.name(), "chainid": "0x1"},
        "genesisRLP": hex::encode_prefixed(whole_genesis),
        "genesisBlockHeader": header_json(&genesis),
        "pre": state_json(&pre),
        "blocks": blocks,
        "lastblockhash": parent.hash,
        "postState": state_json(&state),
    })
}

fn genesis(plan: &ChainPlan, pre: &FullState) -> Header {
    let from = |fork| plan.fork >= fork;
    Header::new(alloy_consensus::Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        state_root: pre.root().expect("a state"),
        gas_limit: GAS_LIMIT,
        difficulty: if from(Fork::Paris) { U256::ZERO } else { U256::from(0x0002_0000) },
        // 0 in half of the chains: gas is free there.
        base_fee_per_gas: from(Fork::London).then_some(u64::from(plan.base_fee.saturating_sub(1))),
        withdrawals_root: from(Fork::Shanghai).then_some(EMPTY_ROOT_HASH),
        blob_gas_used: from(Fork::Cancun).then_some(0),
        excess_blob_gas: from(Fork::Cancun).then_some(u64::from(plan.excess_blobs) << 17),
        parent_beacon_block_root: from(Fork::Cancun).then_some(B256::ZERO),
        requests_hash: from(Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
        ..Default::default()
    })
}

/// Header, bytes and state of the next block.
fn build(
    plan: &BlockPlan,
    rules: Rules,
    spec: &Spec,
    parent: &Header,
    state: &FullState,
    hashes: &[B256],
) -> (Header, Vec<u8>, FullState) {
    let fork = rules.fork();
    let timestamp = parent.inner.timestamp + u64::from(plan.seconds);
    let env = BlockEnv {
        parent_hash: parent.hash,
        number: parent.inner.number + 1,
        timestamp,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: if fork >= Fork::London { spec.next_base_fee(parent).expect("a fee") } else { 0 },
        beneficiary: someone(plan.beneficiary),
        prev_randao: plan.random.into(),
        parent_beacon_block_root: B256::from(plan.random),
        difficulty: if fork >= Fork::Paris {
            U256::ZERO
        } else {
            spec.next_difficulty(&PowParent::from(&parent.inner), timestamp)
        },
        excess_blob_gas: spec.next_excess_blob_gas(parent, timestamp).unwrap_or_default(),
        ..BlockEnv::default()
    };
    let withdrawals = (fork >= Fork::Shanghai).then(|| {
        let withdrawal = |(index, (to, gwei)): (u64, &(u8, u8))| Withdrawal {
            index,
            validator_index: index,
            address: someone(*to),
            amount: u64::from(*gwei % 8),
        };
        (0..).zip(&plan.withdrawals).map(withdrawal).collect::<Vec<_>>()
    });
    let hash_of = |number: u64| usize::try_from(number).ok().and_then(|at| hashes.get(at)).copied().unwrap_or_default();
    let run = |batch| {
        let request = BlockRequest {
            spec: spec.clone(),
            env: env.clone(),
            batch,
            attached: Attached { withdrawals: withdrawals.clone(), ..Attached::default() },
            cache: None,
            building: true,
            hints: Vec::new(),
            system_calls: true,
            rounds_max: 64,
            running: Running { runner: Runner::Sequential, ..Running::default() },
        };
        run_block(request, state, hash_of).expect("building never fails")
    };
    // What was left out, mostly for its nonce, is made again for the state after the rest.
    let (mut left, mut included, mut result) = (plan.plans.clone(), TxBatch::default(), None);
    let mut reached = state.clone();
    for _ in 0..PASSES {
        let nonce = |address| reached.0.get(&address).map_or(0, |account| account.nonce);
        let more = batch_after(&left, rules, env.base_fee_per_gas, nonce);
        let all = TxBatch::concat([&included, &more]);
        let built = run(all.clone());
        let before = included.len();
        left =
            (0..left.len()).filter(|at| !built.included.contains(&(before + at))).map(|at| left[at].clone()).collect();
        included = all.select(&built.included).expect("indices of the batch");
        reached = state.clone();
        reached.apply(&built.write_set);
        result = Some(built);
    }
    let result = result.expect("a pass");
    let (result, next) = settle(result, state).expect("roots");
    let header = build_header(&env, &result, spec, next.root().expect("a state"));
    let packed = included.packed();
    let raws = pack::read_packed("transactions", &packed).expect("packed");
    let rlp = block_rlp(&header, &raws, withdrawals.as_ref());
    (header, rlp, next)
}

fn list(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend_from_slice(payload);
    out
}

fn block_rlp(header: &Header, raws: &[&[u8]], withdrawals: Option<&Vec<Withdrawal>>) -> Vec<u8> {
    let mut transactions = Vec::new();
    for raw in raws {
        if raw[0] >= 0xc0 {
            transactions.extend_from_slice(raw);
        } else {
            raw.encode(&mut transactions);
        }
    }
    let mut payload = header.rlp.clone();
    payload.extend(list(&transactions));
    payload.extend(list(&[]));
    if let Some(withdrawals) = withdrawals {
        payload.extend(alloy_rlp::encode(withdrawals));
    }
    list(&payload)
}

fn quantity(number: impl std::fmt::LowerHex) -> Value {
    json!(format!("{number:#x}"))
}

fn header_json(header: &Header) -> Value {
    let inner = &header.inner;
    let mut fields = json!({
        "hash": header.hash,
        "parentHash": inner.parent_hash,
        "uncleHash": inner.ommers_hash,
        "coinbase": inner.beneficiary,
        "stateRoot": inner.state_root,
        "transactionsTrie": inner.transactions_root,
        "receiptTrie": inner.receipts_root,
        "bloom": inner.logs_bloom,
        "difficulty": quantity(inner.difficulty),
        "number": quantity(inner.number),
        "gasLimit": quantity(inner.gas_limit),
        "gasUsed": quantity(inner.gas_used),
        "timestamp": quantity(inner.timestamp),
        "extraData": inner.extra_data,
        "mixHash": inner.mix_hash,
        "nonce": inner.nonce,
    });
    let later = [
        ("baseFeePerGas", inner.base_fee_per_gas.map(quantity)),
        ("withdrawalsRoot", inner.withdrawals_root.map(|root| json!(root))),
        ("blobGasUsed", inner.blob_gas_used.map(quantity)),
        ("excessBlobGas", inner.excess_blob_gas.map(quantity)),
        ("parentBeaconBlockRoot", inner.parent_beacon_block_root.map(|root| json!(root))),
        ("requestsHash", inner.requests_hash.map(|hash| json!(hash))),
    ];
    for (name, value) in later {
        if let Some(value) = value {
            fields[name] = value;
        }
    }
    fields
}

fn state_json(state: &FullState) -> Value {
    let account = |(address, account): (&Address, &hansa_kernel::spec::Alloc)| {
        let storage: BTreeMap<String, Value> =
            account.storage.iter().map(|(slot, value)| (format!("{slot:#x}"), quantity(*value))).collect();
        let fields = json!({
            "nonce": quantity(account.nonce),
            "balance": quantity(account.balance),
            "code": account.code,
            "storage": storage,
        });
        (address.to_string().to_lowercase(), fields)
    };
    state.0.iter().map(account).collect()
}
