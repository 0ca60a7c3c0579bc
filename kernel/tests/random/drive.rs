//! Running a block, and the choices that must not matter.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::exec::block_job::{BlockJob, BlockRequest, BlockResult, JobError, Stats, Step};
use hansa_kernel::exec::cache::StateCache;
use hansa_kernel::exec::need::{Keys, RawValues, Record};
use hansa_kernel::exec::schedule::Running;
use hansa_kernel::exec::state::bytecode;
use hansa_kernel::header::{Attached, BlockEnv};
use hansa_kernel::pack;
use hansa_kernel::spec::Fork;
use hansa_kernel::tx::TxBatch;

use super::world::{Rules, beneficiary};

pub const HEAD: B256 = B256::repeat_byte(0x77);

/// Random choices of one run, from a seed.
pub struct Choices(pub u64);

impl Choices {
    pub fn yes(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) & 1 == 1
    }

    pub fn part(&mut self, keys: &Keys) -> Keys {
        Keys {
            accounts: keys.accounts.iter().copied().filter(|_| self.yes()).collect(),
            slots: keys.slots.iter().copied().filter(|_| self.yes()).collect(),
            codes: keys.codes.iter().copied().filter(|_| self.yes()).collect(),
            blocks: keys.blocks.iter().copied().filter(|_| self.yes()).collect(),
        }
    }
}

pub struct Runner<'w> {
    pub world: &'w FullState,
    pub asked: Keys,
    pub advice: bool,
}

impl Runner<'_> {
    fn code(&self, hash: B256) -> Bytes {
        self.world
            .0
            .values()
            .map(|account| &account.code)
            .find(|code| keccak256(code) == hash)
            .cloned()
            .unwrap_or_default()
    }

    fn answer(&mut self, job: &mut BlockJob, need: &Keys) -> Result<Step, JobError> {
        let before = self.asked.len();
        self.asked.accounts.extend(&need.accounts);
        self.asked.slots.extend(&need.slots);
        self.asked.codes.extend(&need.codes);
        self.asked.blocks.extend(&need.blocks);
        assert_eq!(self.asked.len(), before + need.len(), "a key was asked for twice");
        let records: Vec<Option<Record>> = need.accounts.iter().map(|address| self.world.record(*address)).collect();
        let accounts: Vec<u8> = records.iter().flat_map(|record| Record::encode(record.as_ref())).collect();
        let slots: Vec<u8> = need
            .slots
            .iter()
            .flat_map(|(address, slot)| self.world.slot(*address, *slot).to_be_bytes::<32>())
            .collect();
        let mut codes = Vec::new();
        for hash in &need.codes {
            pack::push_packed(&mut codes, &self.code(*hash));
        }
        let mut account_codes = Vec::new();
        for record in records.iter().flatten().filter(|_| self.advice) {
            pack::push_packed(&mut account_codes, &self.code(record.code_hash));
        }
        let blocks: Vec<u8> = need.blocks.iter().flat_map(|number| block_hash(*number).0).collect();
        job.step(Some(&RawValues {
            accounts: &accounts,
            slots: &slots,
            codes: &codes,
            blocks: &blocks,
            account_codes: &account_codes,
        }))
    }

    pub fn run(&mut self, request: BlockRequest) -> Result<BlockResult, JobError> {
        let mut job = BlockJob::new(request).map_err(JobError::Input)?;
        let mut step = job.step(None)?;
        loop {
            step = match step {
                Step::Done(result) => return Ok(*result),
                Step::Progress => job.step(None)?,
                Step::Need(need) => self.answer(&mut job, &need)?,
            };
        }
    }
}

pub fn block_hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

pub fn request(batch: &TxBatch, building: bool) -> BlockRequest {
    request_of(batch, building, Rules::Fork(Fork::Osaka), beneficiary())
}

/// The same block by those rules, with fees for `beneficiary`.
pub fn request_of(batch: &TxBatch, building: bool, rules: impl Into<Rules>, beneficiary: Address) -> BlockRequest {
    BlockRequest {
        spec: rules.into().spec(),
        env: BlockEnv {
            parent_hash: block_hash(999),
            number: 1_000,
            timestamp: 1_000,
            gas_limit: 60_000_000,
            base_fee_per_gas: 0,
            beneficiary,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::repeat_byte(3),
            extra_data: Bytes::new(),
            difficulty: U256::ZERO,
            excess_blob_gas: 0,
            ..BlockEnv::default()
        },
        batch: batch.clone(),
        attached: Attached::default(),
        cache: None,
        building,
        hints: Vec::new(),
        system_calls: true,
        rounds_max: 64,
        running: Running::default(),
    }
}

/// A cache at `HEAD` that holds exactly `keys`.
pub fn cache(world: &FullState, keys: &Keys) -> StateCache {
    let cache = StateCache::new(10_000, 4);
    cache.reset(HEAD);
    let view = cache.view(HEAD).expect("the head is held");
    let code = |hash: &B256| {
        let account = world.0.values().find(|account| keccak256(&account.code) == *hash);
        account.map(|account| (*hash, bytecode(account.code.clone())))
    };
    view.keep(
        keys.accounts.iter().map(|address| (*address, world.record(*address))),
        keys.slots.iter().map(|(address, slot)| ((*address, *slot), world.slot(*address, *slot))),
        keys.codes.iter().filter_map(code),
    );
    cache
}

pub fn without_stats(result: BlockResult) -> BlockResult {
    BlockResult { stats: Stats::default(), ..result }
}
