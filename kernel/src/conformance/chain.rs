//! A small chain in memory that follows blocks as a node does: header, ommers, execution, choice of the head.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};

use super::answers::run_block;
use super::full_state::FullState;
use crate::error::InputResult;
use crate::exec::block_job::{BlockRequest, BlockResult, JobError, ROUNDS_MAX, build_header};
use crate::exec::cache::StateCache;
use crate::exec::schedule::{Runner, Running};
use crate::header::rules::{Ancestor, OMMER_ANCESTORS, check_attached, check_header, check_ommers};
use crate::header::{BlockEnv, Header, RawBlock};
use crate::spec::Spec;
use crate::tx::{TxRules, decode_transactions};

/// Rounds that a block of another chain may take: nobody ships hints for it.
const TEST_ROUNDS_MAX: u32 = ROUNDS_MAX * 64;

/// Accounts and slots that the cache of warm runs holds.
const CACHE_ENTRIES_MAX: usize = 1 << 20;
/// Staged blocks that the cache of warm runs holds.
const CACHE_BLOCKS_MAX: usize = 1 << 10;

/// A block that was taken, with the state after it.
#[derive(Debug)]
struct Node {
    header: Header,
    ommers: Vec<B256>,
    /// Sum of difficulties up to this block.
    total_difficulty: U256,
    state: FullState,
}

/// Blocks by hash, whole states included: for tests alone.
#[derive(Debug)]
pub struct TestChain {
    spec: Spec,
    nodes: BTreeMap<B256, Node>,
    head: B256,
    /// Values of the state that blocks begin with; without it they ask for everything.
    cache: Option<StateCache>,
}

impl TestChain {
    /// A chain that begins with `genesis`, whose state is `state`.
    #[must_use]
    pub fn new(spec: Spec, genesis: Header, state: FullState) -> Self {
        let head = genesis.hash;
        let total_difficulty = genesis.inner.difficulty;
        let node = Node { header: genesis, ommers: Vec::new(), total_difficulty, state };
        Self { spec, nodes: BTreeMap::from([(head, node)]), head, cache: None }
    }

    /// Let blocks begin with a cache that knows the state of the head now, and what every later block writes.
    pub fn keep_warm(&mut self) {
        let Some(node) = self.nodes.get(&self.head) else { return };
        let cache = StateCache::new(CACHE_ENTRIES_MAX, CACHE_BLOCKS_MAX);
        cache.reset(self.head);
        if let Some(view) = cache.view(self.head) {
            let state = &node.state;
            view.keep(
                state.0.keys().map(|address| (*address, state.record(*address))),
                state.0.iter().flat_map(|(address, account)| {
                    account.storage.iter().map(|(slot, value)| ((*address, *slot), *value))
                }),
                state.codes(),
            );
        }
        self.cache = Some(cache);
    }

    /// Hash of the last block: the one of the heaviest chain before the merge, the newest one after it.
    #[must_use]
    pub fn head(&self) -> B256 {
        self.head
    }

    /// State after the block `hash`, if it was taken.
    #[must_use]
    pub fn state(&self, hash: B256) -> Option<&FullState> {
        self.nodes.get(&hash).map(|node| &node.state)
    }

    /// Take a block, whose parent must be there, executing it by `runner`. The list of a block by access list is that of
    /// a run in order before.
    ///
    /// # Errors
    /// Why it is refused, in words that begin with a stable name; nothing has changed then.
    pub fn import(&mut self, rlp: &[u8], runner: Runner) -> Result<B256, String> {
        let raw = RawBlock::decode(rlp).map_err(|error| format!("malformed_block: {error}"))?;
        let header = raw.header;
        let parent = self.nodes.get(&header.inner.parent_hash).ok_or("unknown_parent: no block of that hash")?;
        let checks = || {
            check_header(&self.spec, &header, &parent.header, Some(parent.total_difficulty))?;
            check_attached(&self.spec, &header, &raw.attached, raw.bytes)?;
            check_ommers(&self.spec, &header, &raw.attached.ommers, &self.ancestors(&parent.header))
        };
        checks().map_err(|invalid| format!("{}: {}", invalid.code, invalid.message))?;
        let env = BlockEnv::of(&header.inner);
        let rules = TxRules::unbounded(&self.spec, env.number, env.timestamp);
        let batch = decode_transactions(&raw.transactions, &rules).map_err(|error| error.to_string())?;
        let ommers = raw.attached.ommers.iter().map(|ommer| ommer.hash).collect();
        let run = |runner, hints, warm: bool| {
            let request = BlockRequest {
                spec: self.spec.clone(),
                env: env.clone(),
                batch: batch.clone(),
                attached: raw.attached.clone(),
                cache: if warm {
                    self.cache.as_ref().and_then(|cache| cache.view(header.inner.parent_hash))
                } else {
                    None
                },
                building: false,
                hints,
                system_calls: true,
                rounds_max: TEST_ROUNDS_MAX,
                running: Running { runner, ..Running::default() },
            };
            run_block(request, &parent.state, |number| self.hash_before(&parent.header, number)).map_err(|error| {
                match error {
                    JobError::Input(error) => error.to_string(),
                    JobError::Invalid(invalid) => format!("{}: {}", invalid.code, invalid.message),
                }
            })
        };
        let list = if runner == Runner::AccessList {
            run(Runner::Sequential, Vec::new(), false)?.access_list
        } else {
            Vec::new()
        };
        let result = run(runner, list, true)?;
        if result.stats.hints_wrong > 0 {
            return Err("another_access_list: execution gives other links".to_owned());
        }
        let (result, state) = settle(result, &parent.state).map_err(|error| error.to_string())?;
        let root = state.root().map_err(|error| error.to_string())?;
        let built = build_header(&env, &result, &self.spec, root);
        if built.hash != header.hash {
            return Err(difference(&built.inner, &header.inner));
        }
        let total_difficulty = parent.total_difficulty.saturating_add(header.inner.difficulty);
        let heavier = self.nodes.get(&self.head).is_none_or(|head| total_difficulty > head.total_difficulty);
        let hash = header.hash;
        if let Some(cache) = &self.cache {
            cache.stage(header.inner.parent_hash, hash, &result.write_set);
        }
        if heavier || header.inner.difficulty.is_zero() {
            self.head = hash;
        }
        self.nodes.insert(hash, Node { header, ommers, total_difficulty, state });
        Ok(hash)
    }

    fn ancestors(&self, parent: &Header) -> Vec<Ancestor> {
        let mut ancestors = Vec::new();
        let mut at = self.nodes.get(&parent.hash);
        while let Some(node) = at.filter(|_| ancestors.len() < OMMER_ANCESTORS) {
            ancestors.push(Ancestor { header: node.header.clone(), ommers: node.ommers.clone() });
            at = self.nodes.get(&node.header.inner.parent_hash);
        }
        ancestors
    }

    fn hash_before(&self, parent: &Header, number: u64) -> B256 {
        let mut at = parent;
        while at.inner.number > number {
            let Some(node) = self.nodes.get(&at.inner.parent_hash) else { return B256::ZERO };
            at = &node.header;
        }
        at.hash
    }
}

/// The result with its receipts, and the state after it.
///
/// # Errors
/// Never for a state that fits in memory.
pub fn settle(result: BlockResult, state: &FullState) -> InputResult<(BlockResult, FullState)> {
    let mut roots = Vec::new();
    for writes in &result.states {
        let mut state = state.clone();
        state.apply(writes);
        roots.push(state.root()?);
    }
    let result = result.with_state_roots(&roots)?;
    let mut state = state.clone();
    state.apply(&result.write_set);
    Ok((result, state))
}

fn difference(got: &alloy_consensus::Header, want: &alloy_consensus::Header) -> String {
    let fields = [
        ("state_root", got.state_root == want.state_root),
        ("transactions_root", got.transactions_root == want.transactions_root),
        ("receipts_root", got.receipts_root == want.receipts_root),
        ("logs_bloom", got.logs_bloom == want.logs_bloom),
        ("gas_used", got.gas_used == want.gas_used),
        ("requests_hash", got.requests_hash == want.requests_hash),
        ("withdrawals_root", got.withdrawals_root == want.withdrawals_root),
        ("blob_gas_used", got.blob_gas_used == want.blob_gas_used),
    ];
    let differing: Vec<&str> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if differing.is_empty() {
        "another_header: another field differs".to_owned()
    } else {
        format!("another_header: {} differ", differing.join(", "))
    }
}
