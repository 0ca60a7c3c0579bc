//! State transition as geth's `evm t8n` does it: pre-state, environment and transactions in, post-state and result out.

mod env;
mod report;
mod txs;

use std::cell::Cell;
use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

pub use env::withdrawal;
pub use report::alloc as alloc_json;
pub use txs::raw_transactions;

use self::env::Environment;
use super::answers::{fill_missing, run_block};
use super::chain::settle;
use super::eip3155::{Lines, Parts};
use super::full_state::FullState;
use super::networks::spec_of;
use crate::error::{InputError, InputResult};
use crate::evm::{self, Evm, Outcome, Purpose, system};
use crate::exec::block_job::{BlockRequest, BlockResult, JobError, ROUNDS_MAX};
use crate::exec::schedule::{Runner, Running};
use crate::exec::state::JobState;
use crate::header::Attached;
use crate::pack;
use crate::spec::json::parse as read_json;
use crate::spec::{Fork, Spec};
use crate::tx::{TxBatch, TxCode, TxError, TxRules, decode_transactions};

/// Rounds of questions that a block may take.
const T8N_ROUNDS_MAX: u32 = ROUNDS_MAX * 64;
/// An ommer's reward falls by this part of the block's with each block that it is older (yellow paper 11.3).
const OMMER_REWARD_PARTS: u64 = 8;
/// What each ommer earns the block that names it.
const NEPHEW_REWARD_PARTS: u64 = 32;

/// A transition to make.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// JSON: accounts by address.
    pub alloc: &'a [u8],
    /// JSON: the block's environment.
    pub env: &'a [u8],
    /// JSON: a list of transactions, or a text with the RLP of one.
    pub txs: &'a [u8],
    pub fork: &'a str,
    pub chain_id: u64,
    /// Wei of the block's reward before the merge; `None`: the beneficiary is not even touched.
    pub reward: Option<U256>,
    /// Trace each transaction step by step (EIP-3155).
    pub trace: Option<Parts>,
}

/// A transaction that is not in the block.
#[derive(Debug)]
struct Rejected {
    index: usize,
    error: String,
}

/// Make the transition. Returns JSON with `alloc`, `result`, `body` (RLP of the included transactions), and with tracing
/// `traces`: for each of them its hash and its lines.
///
/// # Errors
/// Names the input that is malformed or missing; `env.blockHashes` when code asks for a hash that is not given.
pub fn transition(request: &Transition<'_>) -> InputResult<Vec<u8>> {
    let read = |field: &str, bytes: &[u8]| -> InputResult<Value> { read_json(&format!("json.{field}"), bytes) };
    let spec = spec_of(request.fork, Some(&json!({ "chainid": request.chain_id })))?;
    let env = Environment::read(&read("env", request.env)?, &spec)?;
    let fork = env.block.fork(&spec);
    let pre = FullState::parse("alloc", &read("alloc", request.alloc)?)?;
    let raws = raw_transactions(&read("txs", request.txs)?, request.chain_id, fork >= Fork::SpuriousDragon)?;
    let mut packed = Vec::new();
    for raw in &raws {
        pack::push_packed(&mut packed, raw);
    }
    let rules = TxRules::unbounded(&spec, env.block.number, env.block.timestamp);
    let batch = decode_transactions(&packed, &rules)?;
    // Rewards are an input here, not the chain's.
    let run = Run { spec: spec.with_block_reward(U256::ZERO), env: &env, pre: &pre };
    let (batch, result, rejected) = run.without_rejected(&batch)?;
    let successes: Vec<bool> = result.rootless.iter().map(|receipt| receipt.success).collect();
    let roots_wanted = !result.states.is_empty();
    let (result, mut post) = settle(result, &pre)?;
    if let Some(reward) = request.reward {
        // No block earns a reward after the merge (EIP-3675), whatever is asked for.
        pay(&mut post, &env, if fork < Fork::Paris { reward } else { U256::ZERO }, fork);
    }
    let report = report::Report {
        spec: &spec,
        env: &env,
        batch: &batch,
        result: &result,
        successes: roots_wanted.then_some(successes),
        rejected: &rejected,
        state_root: post.root()?,
    };
    let mut output = json!({
        "alloc": report::alloc(&post),
        "result": report.result()?,
        "body": report.body(),
    });
    if let Some(parts) = request.trace {
        output["traces"] = run.traces(&batch, parts)?;
    }
    Ok(output.to_string().into_bytes())
}

/// Credit the rewards of a block; a zero reward still touches the beneficiary (EIP-161).
fn pay(post: &mut FullState, env: &Environment, reward: U256, fork: Fork) {
    let mut credits: BTreeMap<Address, U256> = BTreeMap::new();
    let mut miner = reward;
    for ommer in &env.ommers {
        let parts = U256::from(OMMER_REWARD_PARTS.saturating_sub(ommer.delta));
        let earned = reward.saturating_mul(parts) / U256::from(OMMER_REWARD_PARTS);
        *credits.entry(ommer.address).or_default() += earned;
        miner = miner.saturating_add(reward / U256::from(NEPHEW_REWARD_PARTS));
    }
    *credits.entry(env.block.beneficiary).or_default() += miner;
    for (address, wei) in credits {
        let account = post.0.entry(address).or_default();
        account.balance = account.balance.saturating_add(wei);
        let empty = account.nonce == 0 && account.balance.is_zero() && account.code.is_empty();
        if empty && fork >= Fork::SpuriousDragon {
            post.0.remove(&address);
        }
    }
}

struct Run<'a> {
    spec: Spec,
    env: &'a Environment,
    pre: &'a FullState,
}

impl Run<'_> {
    /// Execute the block without the transactions that may not be in it, which are found one after the other: each is
    /// the first that breaks a rule after the ones before it.
    fn without_rejected(&self, batch: &TxBatch) -> InputResult<(TxBatch, BlockResult, Vec<Rejected>)> {
        let mut kept: Vec<usize> = (0..batch.len()).collect();
        let mut rejected = Vec::new();
        loop {
            let chosen = batch.select(&kept)?;
            match self.block(&chosen, false)? {
                Ok(result) => {
                    rejected.sort_by_key(|rejected: &Rejected| rejected.index);
                    return Ok((chosen, result, rejected));
                }
                Err((Some(at), _)) if at < kept.len() => {
                    let prefix = batch.select(&kept[..=at])?;
                    let error = self.why_last_is_rejected(&prefix)?;
                    rejected.push(Rejected { index: kept.remove(at), error });
                }
                Err((_, message)) => return Err(InputError::new("block", "one that its fork allows", message)),
            }
        }
    }

    /// The steps of every transaction, in order.
    fn traces(&self, batch: &TxBatch, parts: Parts) -> InputResult<Value> {
        let fork = self.env.block.fork(&self.spec);
        let mut state = JobState::new(fork.spec_id(), None, usize::MAX);
        self.pre.fill(&mut state);
        for (number, hash) in &self.env.hashes {
            state.put_block(*number, *hash);
        }
        for call in system::before(&self.env.block, fork) {
            if self.pre.0.get(&call.address).is_some_and(|account| !account.code.is_empty()) {
                self.traced(&mut state, |evm| {
                    let mut evm = evm;
                    (evm::run_system(&mut evm, call.address, call.data.clone()), String::new())
                })?;
            }
        }
        let mut traces = Vec::new();
        for decoded in batch.entries().iter().flatten() {
            let tx = evm::tx_env(decoded);
            let lines = self.traced(&mut state, |evm| {
                let mut lines = Lines::new(Some(parts));
                (evm::run_inspected(evm, tx.clone(), &mut lines).1, lines.finish().0)
            })?;
            traces.push(json!({ "hash": decoded.hash, "lines": lines }));
        }
        Ok(Value::Array(traces))
    }

    /// Run one thing of a block that is known to be valid, commit it, and return its lines.
    fn traced(&self, state: &mut JobState, run: impl Fn(Evm<'_>) -> (Outcome, String)) -> InputResult<String> {
        loop {
            let (outcome, lines) = run(evm::build(&self.spec, &self.env.block, state, Purpose::Block, None));
            match outcome {
                Outcome::Done(_, changes) => {
                    state.commit(changes);
                    return Ok(lines);
                }
                Outcome::Missed => fill_missing(state, self.pre),
                Outcome::Fault(error) => return Err(error),
                Outcome::Invalid(error) => return Err(InputError::new("txs", "transactions that run", error)),
                Outcome::Cancelled => return Err(InputError::new("txs", "a run to its end", "a cancelled one")),
            }
        }
    }

    /// geth's words on the last transaction of `prefix`, all others of which are valid.
    fn why_last_is_rejected(&self, prefix: &TxBatch) -> InputResult<String> {
        let last = prefix.len() - 1;
        let dropped = match self.block(prefix, true)? {
            Ok(result) => result.dropped.into_iter().find(|(index, _)| *index == last),
            Err((_, message)) => return Ok(message),
        };
        // Left out without a fault of its own: it does not fit.
        let Some((_, error)) = dropped else { return Ok("gas limit reached".to_owned()) };
        Ok(prefix.get(last).map_or(error.message.clone(), |tx| words(&error, tx.sender)))
    }

    /// The block, or (the transaction that makes it invalid, why).
    fn block(&self, batch: &TxBatch, building: bool) -> InputResult<Result<BlockResult, (Option<usize>, String)>> {
        let request = BlockRequest {
            spec: self.spec.clone(),
            env: self.env.block.clone(),
            batch: batch.clone(),
            attached: Attached { ommers: Vec::new(), withdrawals: Some(self.env.withdrawals.clone()) },
            cache: None,
            building,
            hints: Vec::new(),
            system_calls: true,
            rounds_max: T8N_ROUNDS_MAX,
            running: Running { runner: Runner::Sequential, ..Running::default() },
        };
        let unknown = Cell::new(None);
        let hash_of = |number: u64| {
            let hash = self.env.hashes.get(&number).copied();
            if hash.is_none() {
                unknown.set(Some(number));
            }
            hash.unwrap_or(B256::ZERO)
        };
        let result = run_block(request, self.pre, hash_of);
        if let Some(number) = unknown.get() {
            return Err(InputError::new("env.blockHashes", format!("the hash of block {number}"), "nothing"));
        }
        match result {
            Ok(result) => Ok(Ok(result)),
            Err(JobError::Input(error)) => Err(error),
            Err(JobError::Invalid(invalid)) => Ok(Err((invalid.index, invalid.message))),
        }
    }
}

/// The refusal as geth's state transition words it, where that differs from its pool's words.
fn words(error: &TxError, sender: Address) -> String {
    let [expected, got] = [error.expected, error.got].map(Option::unwrap_or_default);
    match error.code {
        TxCode::NonceTooLow => format!("nonce too low: address {sender}, tx: {got} state: {expected}"),
        TxCode::NonceTooHigh => format!("nonce too high: address {sender}, tx: {got} state: {expected}"),
        TxCode::InsufficientFunds => {
            format!("insufficient funds for gas * price + value: address {sender} have {got} want {expected}")
        }
        TxCode::BlockGasLimit => "gas limit reached".to_owned(),
        TxCode::IntrinsicGas => format!("intrinsic gas too low: have {got}, want {expected}"),
        _ => error.message.clone(),
    }
}
