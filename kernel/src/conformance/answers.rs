//! Answering a job's needs from a whole state in memory.

use alloy_primitives::{B256, Bytes, keccak256};

use super::full_state::FullState;
use crate::exec::block_job::{BlockJob, BlockRequest, BlockResult, JobError, Step};
use crate::exec::need::{Keys, RawValues, Record};
use crate::exec::state::{JobState, bytecode};
use crate::pack;

/// Run a block on `state` to its end; `block_hash` gives hashes of earlier blocks.
///
/// # Errors
/// As [`BlockJob::step`].
pub fn run_block(
    request: BlockRequest,
    state: &FullState,
    block_hash: impl Fn(u64) -> B256,
) -> Result<BlockResult, JobError> {
    let mut job = BlockJob::new(request).map_err(JobError::Input)?;
    let mut step = job.step(None)?;
    loop {
        step = match step {
            Step::Done(result) => return Ok(*result),
            Step::Progress => job.step(None)?,
            Step::Need(need) => {
                let answer = Answer::new(&need, state, &block_hash);
                job.step(Some(&answer.raw()))?
            }
        };
    }
}

/// Answer what an exact run on `state` missed; block hashes are not there.
pub fn fill_missing(state: &mut JobState, full: &FullState) {
    let asked = state.take_wanted();
    for address in &asked.accounts {
        state.put_record(*address, full.record(*address).as_ref());
        if let Some(account) = full.0.get(address).filter(|account| !account.code.is_empty()) {
            state.put_code(keccak256(&account.code), bytecode(account.code.clone()));
        }
    }
    for (address, slot) in &asked.slots {
        state.put_slot(*address, *slot, full.slot(*address, *slot));
    }
    for number in &asked.blocks {
        state.put_block(*number, B256::ZERO);
    }
}

/// The bytes of an answer.
pub struct Answer {
    accounts: Vec<u8>,
    slots: Vec<u8>,
    codes: Vec<u8>,
    blocks: Vec<u8>,
    account_codes: Vec<u8>,
}

impl Answer {
    #[must_use]
    pub fn new(need: &Keys, state: &FullState, block_hash: impl Fn(u64) -> B256) -> Self {
        let mut account_codes = Vec::new();
        let mut accounts = Vec::new();
        for address in &need.accounts {
            accounts.extend_from_slice(&Record::encode(state.record(*address).as_ref()));
            if let Some(account) = state.0.get(address) {
                pack::push_packed(&mut account_codes, &account.code);
            }
        }
        let mut codes = Vec::new();
        for hash in &need.codes {
            let code = state.0.values().map(|account| &account.code).find(|code| keccak256(code) == *hash);
            pack::push_packed(&mut codes, code.unwrap_or(&Bytes::new()));
        }
        Self {
            accounts,
            slots: need.slots.iter().flat_map(|(a, slot)| state.slot(*a, *slot).to_be_bytes::<32>()).collect(),
            codes,
            blocks: need.blocks.iter().flat_map(|number| block_hash(*number).0).collect(),
            account_codes,
        }
    }

    #[must_use]
    pub fn raw(&self) -> RawValues<'_> {
        RawValues {
            accounts: &self.accounts,
            slots: &self.slots,
            codes: &self.codes,
            blocks: &self.blocks,
            account_codes: &self.account_codes,
        }
    }
}
