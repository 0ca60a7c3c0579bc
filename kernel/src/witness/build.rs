//! Making a witness of an executed block, behind the miss protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use alloy_trie::EMPTY_ROOT_HASH;

use super::format::Witness;
use super::verify::{Block, execute, linked};
use super::{Missing, WitnessError};
use crate::error::{InputError, InputResult};
use crate::evm::system;
use crate::exec::access_list::read_list;
use crate::exec::block_job::BlockResult;
use crate::exec::need::{Keys, RawValues, Record, Values};
use crate::header::{Attached, BlockEnv, Header};
use crate::pack;
use crate::spec::Spec;
use crate::trie::{Known, MultiproofJob, NodeSet, TrieAsk, TrieError, TrieJob, TrieStep};
use crate::tx::TxBatch;

/// Most nodes that are asked for one by one, because the protocol read something that no access list names.
const PATCHES_MAX: u32 = 256;

/// Parameters of a [`WitnessJob`].
#[derive(Debug)]
pub struct WitnessRequest<'a> {
    pub spec: Spec,
    pub genesis_hash: B256,
    pub header: Header,
    pub batch: TxBatch,
    /// Its ommers and withdrawals.
    pub attached: Attached,
    /// Of this block, executed on its parent.
    pub result: &'a BlockResult,
}

/// What a step comes back with.
#[derive(Debug)]
pub enum WitnessStep {
    Need(TrieAsk),
    /// The bytes ([`Witness`]).
    Done(Vec<u8>),
}

#[derive(Debug)]
enum Phase {
    /// Records, codes and headers come next.
    New,
    /// On the way to all keys.
    Reading(Box<MultiproofJob>),
    /// Nodes that the trie update needs beside those.
    Updating(Box<TrieJob>),
    /// A node that executing lacked.
    Patching,
    Over,
}

/// Gathers the nodes of a block's reads and of its trie update, then keeps what executing it on them uses.
#[derive(Debug)]
pub struct WitnessJob {
    spec: Spec,
    genesis_hash: B256,
    header: Header,
    batch: TxBatch,
    attached: Attached,
    write_set: Vec<u8>,
    written: Vec<Address>,
    slots: BTreeMap<Address, Vec<U256>>,
    need: Keys,
    headers_from: u64,
    headers: Vec<Header>,
    codes: Vec<Vec<u8>>,
    /// Records of written accounts, as the trie job takes them.
    records: Vec<u8>,
    nodes: Vec<Vec<u8>>,
    patches: u32,
    phase: Phase,
}

impl WitnessJob {
    /// What the block reads is in its result's access list; the rest of what the protocol reads is added here.
    ///
    /// # Errors
    /// For a header without a parent.
    pub fn new(request: WitnessRequest<'_>) -> InputResult<Self> {
        let WitnessRequest { spec, genesis_hash, header, batch, attached, result } = request;
        let Some(parent) = header.inner.number.checked_sub(1) else {
            return Err(InputError::new("header", "a block after genesis", "genesis, which nothing is executed for"));
        };
        let read = read_list("access_list", &result.access_list)?.0;
        let env = BlockEnv::of(&header.inner);
        let fork = env.fork(&spec);
        let mut need = Keys { accounts: read.accounts, codes: read.codes, ..Keys::default() };
        let calls = system::before(&env, fork).into_iter().chain(system::after(fork));
        need.accounts.extend(calls.map(|call| call.address));
        let mut slots: BTreeMap<Address, Vec<U256>> = BTreeMap::new();
        let mut wanted = read.slots;
        let mut written = Vec::with_capacity(result.write_set.accounts.len());
        for write in &result.write_set.accounts {
            written.push(write.address);
            wanted.extend(write.slots.iter().map(|(slot, _)| (write.address, *slot)));
        }
        need.accounts.extend(&written);
        need.accounts.extend(wanted.iter().map(|(address, _)| *address));
        for (address, slot) in wanted {
            slots.entry(address).or_default().push(slot);
        }
        Ok(Self {
            spec,
            genesis_hash,
            header,
            batch,
            attached,
            write_set: result.write_set.encode(),
            written,
            slots,
            need,
            headers_from: read.blocks.first().map_or(parent, |number| parent.min(number + 1)),
            headers: Vec::new(),
            codes: Vec::new(),
            records: Vec::new(),
            nodes: Vec::new(),
            patches: 0,
            phase: Phase::New,
        })
    }

    /// Accounts and codes of the parent state to begin with.
    #[must_use]
    pub fn need(&self) -> &Keys {
        &self.need
    }

    /// Headers to begin with: from this height to the parent's.
    #[must_use]
    pub fn headers_from(&self) -> u64 {
        self.headers_from
    }

    /// Begin, with the answer to [`Self::need`] and the headers.
    ///
    /// # Errors
    /// An answer that does not fit the question.
    pub fn begin(&mut self, values: &RawValues<'_>, headers: &[&[u8]]) -> Result<WitnessStep, WitnessError> {
        if !matches!(self.phase, Phase::New) {
            return Err(InputError::new("begin", "a fresh job", "one that has begun").into());
        }
        let values = Values::read(&self.need, values)?;
        let headers = linked(headers, &self.header)?;
        let Some(parent) = headers.last() else {
            return Err(WitnessError::Missing(Missing::Header(self.header.inner.number - 1)));
        };
        self.codes = values.codes.into_iter().flatten().map(|code| code.to_vec()).collect();
        let mut accounts: BTreeMap<Address, (B256, Vec<U256>)> = BTreeMap::new();
        for (address, record) in self.need.accounts.iter().zip(&values.accounts) {
            if self.written.binary_search(address).is_ok() {
                self.records.extend_from_slice(&Record::encode(record.as_ref()));
            }
            let storage_root = record.map_or(EMPTY_ROOT_HASH, |record| record.storage_root);
            accounts.insert(*address, (storage_root, self.slots.remove(address).unwrap_or_default()));
        }
        self.phase = Phase::Reading(Box::new(MultiproofJob::new(parent.inner.state_root, &accounts)));
        self.headers = headers;
        self.advance(&[])
    }

    /// Go on with the nodes asked for, one per path, `None` = absent.
    ///
    /// # Errors
    /// `Missing` for a node that is not what its parent says, `Input` for an answer that does not fit; after either, and
    /// after the result, the job is used up.
    pub fn step(&mut self, nodes: &[Option<&[u8]>]) -> Result<WitnessStep, WitnessError> {
        self.nodes.extend(nodes.iter().flatten().map(|node| node.to_vec()));
        self.advance(nodes)
    }

    fn advance(&mut self, nodes: &[Option<&[u8]>]) -> Result<WitnessStep, WitnessError> {
        let mut answer = nodes;
        loop {
            match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Reading(mut job) => {
                    if let Some(ask) = job.step(answer).map_err(broken)? {
                        self.phase = Phase::Reading(job);
                        return Ok(WitnessStep::Need(ask));
                    }
                    answer = &[];
                    self.phase = Phase::Updating(Box::new(self.update()?));
                }
                Phase::Updating(mut job) => match job.step(answer, &[]).map_err(broken)? {
                    TrieStep::Need(ask) => {
                        self.phase = Phase::Updating(job);
                        return Ok(WitnessStep::Need(ask));
                    }
                    TrieStep::Done(_) => return self.finish(),
                },
                Phase::Patching => return self.finish(),
                phase @ Phase::New => {
                    self.phase = phase;
                    return Err(InputError::new("step", "a job that has begun", "a fresh one").into());
                }
                Phase::Over => return Err(InputError::new("step", "an unfinished job", "a finished one").into()),
            }
        }
    }

    fn set(&self) -> Arc<NodeSet> {
        let nodes: Vec<&[u8]> = self.nodes.iter().map(Vec::as_slice).collect();
        Arc::new(NodeSet::new(&nodes))
    }

    fn update(&self) -> Result<TrieJob, WitnessError> {
        let root = self.headers.last().map_or(B256::ZERO, |parent| parent.inner.state_root);
        Ok(TrieJob::knowing(root, &self.write_set, &self.records, Known::Set(self.set()))?)
    }

    /// Execute on what was gathered, and keep what that used.
    fn finish(&mut self) -> Result<WitnessStep, WitnessError> {
        let set = self.set();
        let codes: Vec<&[u8]> = self.codes.iter().map(Vec::as_slice).collect();
        let block = Block {
            spec: &self.spec,
            header: &self.header,
            headers: &self.headers,
            batch: self.batch.clone(),
            attached: self.attached.clone(),
        };
        let executed = match execute(block, &set, &codes) {
            Err(WitnessError::Missing(Missing::Node(path))) if self.patches < PATCHES_MAX => {
                self.patches += 1;
                self.phase = Phase::Patching;
                let mut ask = TrieAsk::default();
                pack::push_packed(&mut ask.paths, &path);
                return Ok(WitnessStep::Need(ask));
            }
            executed => executed?,
        };
        let transactions = self.batch.packed();
        let (codes, nodes) = (executed.state.codes(true), set.sorted(true));
        let (mut ommers, mut withdrawals) = (Vec::new(), Vec::new());
        for ommer in &self.attached.ommers {
            pack::push_packed(&mut ommers, &ommer.rlp);
        }
        if let Some(list) = self.attached.withdrawals.as_ref().filter(|list| !list.is_empty()) {
            withdrawals = alloy_rlp::encode(list);
        }
        let headers = self.headers.iter().filter(|header| header.inner.number >= executed.oldest);
        let witness = Witness {
            genesis_hash: self.genesis_hash,
            block_hash: self.header.hash,
            header: &self.header.rlp,
            transactions: &transactions,
            headers: headers.map(|header| header.rlp.as_slice()).collect(),
            codes: codes.iter().map(|(_, code)| code.as_ref()).collect(),
            nodes: nodes.iter().map(|(_, node)| node.as_ref()).collect(),
            ommers: &ommers,
            withdrawals: &withdrawals,
        };
        Ok(WitnessStep::Done(witness.encode()))
    }
}

fn broken(error: TrieError) -> WitnessError {
    match error {
        TrieError::Input(error) => error.into(),
        TrieError::Corrupt(path) => WitnessError::Missing(Missing::Node(path)),
    }
}
