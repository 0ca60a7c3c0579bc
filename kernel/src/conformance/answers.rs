//! Answering a job's needs from a whole state in memory.

use alloy_primitives::{B256, Bytes, keccak256};

use super::full_state::FullState;
use crate::exec::block_job::{BlockJob, BlockRequest, BlockResult, JobError, Step};
use crate::exec::need::{Keys, RawValues, Record};
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
