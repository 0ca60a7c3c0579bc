//! Executing a block on its witness.

use std::sync::Arc;

use alloy_primitives::{B256, hex};

use super::state::WitnessState;
use super::{Missing, Witness, WitnessError};
use crate::error::InputError;
use crate::exec::access_list::read_list;
use crate::exec::block_job::{BlockJob, BlockRequest, BlockResult, ClosedError, JobError, build_header};
use crate::exec::cache::CacheView;
use crate::exec::need::Record;
use crate::exec::schedule::Running;
use crate::exec::sequential::BlockInvalid;
use crate::header::{Attached, BlockEnv, Header};
use crate::spec::Spec;
use crate::trie::{Known, NodeSet, TrieError, TrieJob, TrieStep};
use crate::tx::{TxBatch, TxRules, decode_transactions};

/// What the checker believes without proof. Both may be given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust {
    /// Hash that the block must have.
    pub block_hash: Option<B256>,
    /// Hash that its parent must have.
    pub parent_hash: Option<B256>,
}

/// A block that is what its header says.
#[derive(Debug)]
pub struct Verified {
    pub header: Header,
    pub parent: Header,
    pub result: Box<BlockResult>,
    pub transactions: usize,
    pub headers: usize,
    pub codes: usize,
    pub nodes: usize,
}

/// A block, decoded, with the headers before it.
#[derive(Debug)]
pub struct Block<'a> {
    pub spec: &'a Spec,
    pub header: &'a Header,
    /// Ascending without gaps up to the parent, each checked against the next.
    pub headers: &'a [Header],
    pub batch: TxBatch,
    pub attached: Attached,
}

/// What executing a block on a witness used.
#[derive(Debug)]
pub struct Executed {
    pub result: Box<BlockResult>,
    pub state: Arc<WitnessState>,
    /// Height of the oldest header that is needed.
    pub oldest: u64,
}

/// Check a witness: that it is whole and of this chain, and that the block's execution gives its header, state root and
/// all. Asks for nothing. `genesis_hash` names the chain.
///
/// # Errors
/// What is wrong: `Missing` names the path of a node, or another thing that is not there.
pub fn verify_block(spec: &Spec, genesis_hash: B256, bytes: &[u8], trust: Trust) -> Result<Verified, WitnessError> {
    let witness = Witness::decode(bytes)?;
    same("witness.genesis_hash", genesis_hash, witness.genesis_hash)?;
    let header = Header::decode("witness.header", witness.header)?;
    same("witness.block_hash", header.hash, witness.block_hash)?;
    if let Some(trusted) = trust.block_hash {
        same("trusted_header_hash", trusted, header.hash)?;
    }
    if let Some(trusted) = trust.parent_hash {
        same("trusted_parent_hash", trusted, header.inner.parent_hash)?;
    }
    let headers = linked(&witness.headers, &header)?;
    let rules = if spec.is_hansa() { TxRules::of } else { TxRules::unbounded };
    let rules = rules(spec, header.inner.number, header.inner.timestamp);
    let batch = decode_transactions(witness.transactions, &rules)?;
    if let Some((index, error)) =
        batch.errors().enumerate().find_map(|(index, error)| error.map(|error| (index, error)))
    {
        let invalid = BlockInvalid::new(Some(index), error.code.as_str(), error.message.clone());
        return Err(WitnessError::Invalid(invalid));
    }
    let (transactions, nodes) = (batch.len(), Arc::new(NodeSet::new(&witness.nodes)));
    let attached = Attached::read(witness.ommers, (!witness.withdrawals.is_empty()).then_some(witness.withdrawals))?;
    if attached.withdrawals.as_ref().is_some_and(Vec::is_empty) {
        return Err(InputError::new("witness.withdrawals", "withdrawals, or no bytes", "an empty list").into());
    }
    let block = Block { spec, header: &header, headers: &headers, batch, attached };
    let executed = execute(block, &nodes, &witness.codes)?;
    none_to_spare(&executed, &nodes, &headers)?;
    let Some(parent) = headers.last().cloned() else { return Err(WitnessError::Missing(Missing::Header(0))) };
    Ok(Verified {
        header,
        parent,
        result: executed.result,
        transactions,
        headers: headers.len(),
        codes: witness.codes.len(),
        nodes: nodes.len(),
    })
}

/// Decode headers that lead up to the parent of `header` without gaps.
pub fn linked(headers: &[&[u8]], header: &Header) -> Result<Vec<Header>, WitnessError> {
    let decoded: Vec<Header> =
        headers.iter().map(|rlp| Header::decode("witness.headers", rlp)).collect::<Result<_, _>>()?;
    let (mut hash, mut number) = (header.inner.parent_hash, header.inner.number);
    for earlier in decoded.iter().rev() {
        same("witness.headers", hash, earlier.hash)?;
        if earlier.inner.number.checked_add(1) != Some(number) {
            let got = format!("block {} below block {number}", earlier.inner.number);
            return Err(InputError::new("witness.headers", "heights without gaps", got).into());
        }
        (hash, number) = (earlier.inner.parent_hash, earlier.inner.number);
    }
    Ok(decoded)
}

fn same(field: &str, expected: B256, got: B256) -> Result<(), InputError> {
    if expected == got { Ok(()) } else { Err(InputError::new(field, expected.to_string(), got)) }
}

/// Execute, update the trie, and compare the header.
pub fn execute(block: Block<'_>, nodes: &Arc<NodeSet>, codes: &[&[u8]]) -> Result<Executed, WitnessError> {
    let Block { spec, header, headers, batch, attached } = block;
    let Some(parent) = headers.last() else {
        return Err(WitnessError::Missing(Missing::Header(header.inner.number.saturating_sub(1))));
    };
    let base_fee = header.inner.base_fee_per_gas.unwrap_or_default();
    if base_fee != spec.next_base_fee(parent)? {
        return Err(differs("base_fee_per_gas", &base_fee, &spec.next_base_fee(parent)?));
    }
    let state = Arc::new(WitnessState::new(parent.inner.state_root, nodes.clone(), codes));
    let env = BlockEnv::of(&header.inner);
    let mut job = BlockJob::new(BlockRequest {
        spec: spec.clone(),
        env: env.clone(),
        batch,
        attached,
        cache: Some(CacheView::Source(state.clone())),
        building: false,
        hints: Vec::new(),
        system_calls: true,
        rounds_max: 0,
        running: Running::default(),
    })?;
    for earlier in headers {
        if let Some(before) = earlier.inner.number.checked_sub(1) {
            job.put_block(before, earlier.inner.parent_hash);
        }
    }
    let result = job.run_closed().map_err(|error| closed(error, &state, headers))?;
    let template = build_header(&env, &result, spec, B256::ZERO);
    compare(header, &template.sealed(header.inner.state_root))?;
    let root = state_root(&state, parent, &result, nodes)?;
    compare(header, &template.sealed(root))?;
    let read = read_list("access_list", &result.access_list)?.0.blocks;
    let oldest = read.first().map_or(parent.inner.number, |read| parent.inner.number.min(read + 1));
    Ok(Executed { result, state, oldest })
}

fn closed(error: ClosedError, state: &WitnessState, headers: &[Header]) -> WitnessError {
    match error {
        ClosedError::Job(JobError::Input(error)) => error.into(),
        ClosedError::Job(JobError::Invalid(invalid)) => WitnessError::Invalid(invalid),
        ClosedError::Missing(keys) => WitnessError::Missing(state.missing().unwrap_or_else(|| {
            // Not of the state: a block hash.
            let oldest = headers.first().map_or(0, |header| header.inner.number);
            Missing::Header(keys.blocks.first().map_or(oldest, |number| number + 1))
        })),
    }
}

fn state_root(
    state: &WitnessState,
    parent: &Header,
    result: &BlockResult,
    nodes: &Arc<NodeSet>,
) -> Result<B256, WitnessError> {
    let mut records = Vec::with_capacity(result.write_set.accounts.len() * crate::exec::need::ACCOUNT_BYTES);
    for write in &result.write_set.accounts {
        let record = state.record(write.address).map_err(WitnessError::Missing)?;
        records.extend_from_slice(&Record::encode(record.as_ref()));
    }
    let known = Known::Set(nodes.clone());
    let mut job = TrieJob::knowing(parent.inner.state_root, &result.write_set.encode(), &records, known)?;
    match job.step(&[], &[]) {
        Ok(TrieStep::Done(outcome)) => Ok(outcome.root),
        Ok(TrieStep::Need(ask)) => {
            let first =
                crate::pack::read_packed("paths", &ask.paths)?.first().map_or_else(Vec::new, |path| path.to_vec());
            Err(WitnessError::Missing(Missing::Node(first)))
        }
        Err(TrieError::Corrupt(path)) => Err(WitnessError::Missing(Missing::Node(path))),
        Err(TrieError::Input(error)) => Err(error.into()),
    }
}

/// Refuse what the block did not need.
fn none_to_spare(executed: &Executed, nodes: &NodeSet, headers: &[Header]) -> Result<(), WitnessError> {
    if let Some((hash, _)) = nodes.sorted(false).first() {
        return Err(InputError::new("witness.nodes", "nodes that the block needs", hash).into());
    }
    if let Some((hash, _)) = executed.state.codes(false).first() {
        return Err(InputError::new("witness.codes", "codes that the block needs", hash).into());
    }
    match headers.first() {
        Some(first) if first.inner.number < executed.oldest => {
            let expected = format!("headers from block {} on", executed.oldest);
            Err(InputError::new("witness.headers", expected, format!("block {}", first.inner.number)).into())
        }
        _ => Ok(()),
    }
}

fn differs(field: &'static str, expected: &impl ToString, got: &impl ToString) -> WitnessError {
    WitnessError::Differs { field, expected: expected.to_string(), got: got.to_string() }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| value.to_string())
}

/// The first field in which a header is not what execution gives.
fn compare(header: &Header, got: &Header) -> Result<(), WitnessError> {
    if header.rlp == got.rlp {
        return Ok(());
    }
    let (left, right) = (&header.inner, &got.inner);
    let words = [
        ("transactions_root", left.transactions_root, right.transactions_root),
        ("receipts_root", left.receipts_root, right.receipts_root),
        ("state_root", left.state_root, right.state_root),
        ("ommers_hash", left.ommers_hash, right.ommers_hash),
    ];
    for (field, expected, found) in words {
        if expected != found {
            return Err(differs(field, &expected, &found));
        }
    }
    if left.gas_used != right.gas_used {
        return Err(differs("gas_used", &left.gas_used, &right.gas_used));
    }
    if left.logs_bloom != right.logs_bloom {
        return Err(differs("logs_bloom", &left.logs_bloom, &right.logs_bloom));
    }
    let rest = [
        ("withdrawals_root", optional(left.withdrawals_root), optional(right.withdrawals_root)),
        ("requests_hash", optional(left.requests_hash), optional(right.requests_hash)),
        ("blob_gas_used", optional(left.blob_gas_used), optional(right.blob_gas_used)),
        ("excess_blob_gas", optional(left.excess_blob_gas), optional(right.excess_blob_gas)),
        ("base_fee_per_gas", optional(left.base_fee_per_gas), optional(right.base_fee_per_gas)),
        ("nonce", left.nonce.to_string(), right.nonce.to_string()),
    ];
    for (field, expected, found) in rest {
        if expected != found {
            return Err(differs(field, &expected, &found));
        }
    }
    Err(differs("rlp", &hex::encode(&header.rlp), &hex::encode(&got.rlp)))
}
