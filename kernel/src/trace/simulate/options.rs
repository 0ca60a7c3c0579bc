//! The parameters of `eth_simulateV1`.

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::B256;
use serde_json::{Map, Value};

use super::{SimulateError, code, refused};
use crate::error::{InputError, InputResult};
use crate::exec::overrides::StateOverrides;
use crate::exec::state::JobState;
use crate::header::Header;
use crate::spec::json;
use crate::trace::args::CallArgs;

/// Most blocks above the base block, those that fill gaps included (geth).
pub const BLOCKS_MAX: u64 = 256;
/// Most calls of one simulation, and of one of its blocks (geth).
pub const CALLS_MAX: usize = 10_000;
pub const BLOCK_CALLS_MAX: usize = 5_000;
/// Most withdrawals of a block that is simulated: many times what a beacon chain makes.
pub const WITHDRAWALS_MAX: usize = 1_000;
/// Seconds between blocks that name no time (geth).
const BLOCK_SECONDS: u64 = 12;

/// One block to simulate.
#[derive(Debug, Clone, Default)]
pub struct SimulatedBlock {
    pub number: u64,
    pub time: u64,
    /// Number and time as they were given.
    named: (Option<u64>, Option<u64>),
    /// The other overrides, as JSON for [`crate::exec::overrides::BlockOverrides`].
    pub overrides: Vec<u8>,
    pub beacon_root: B256,
    pub withdrawals: Vec<Withdrawal>,
    pub state: StateOverrides,
    pub calls: Vec<CallArgs>,
}

/// Everything asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub blocks: Vec<SimulatedBlock>,
    pub trace_transfers: bool,
    pub validation: bool,
    /// Whole transactions instead of hashes.
    pub full: bool,
}

impl Options {
    /// Read the JSON object.
    ///
    /// # Errors
    /// Names the member that is malformed.
    pub fn parse(bytes: &[u8]) -> InputResult<Self> {
        let value: Value = json::parse("options", bytes)?;
        let root = json::object("options", &value)?;
        let flag = |name: &str| match json::member(root, name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(InputError::new(name, "true or false", other)),
        };
        let list = match json::member(root, "blockStateCalls") {
            Some(Value::Array(list)) if !list.is_empty() => list.as_slice(),
            Some(Value::Array(_)) | None => {
                return Err(InputError::new("blockStateCalls", "at least one block", "empty input"));
            }
            Some(other) => return Err(InputError::new("blockStateCalls", "an array", other)),
        };
        Ok(Self {
            blocks: list.iter().map(SimulatedBlock::read).collect::<InputResult<Vec<_>>>()?,
            trace_transfers: flag("traceTransfers")?,
            validation: flag("validation")?,
            full: flag("returnFullTransactions")?,
        })
    }

    /// The bounds of geth's node, in its words.
    fn check_limits(&self) -> Result<(), SimulateError> {
        if self.blocks.len() as u64 > BLOCKS_MAX {
            return Err(refused(code::CLIENT_LIMIT, "too many blocks"));
        }
        let mut total = 0;
        for block in &self.blocks {
            let calls = block.calls.len();
            if calls > BLOCK_CALLS_MAX {
                let text = format!("too many calls in block: {calls} > {BLOCK_CALLS_MAX}");
                return Err(refused(code::CLIENT_LIMIT, text));
            }
            total += calls;
            if total > CALLS_MAX {
                return Err(refused(code::CLIENT_LIMIT, format!("too many calls: {total} > {CALLS_MAX}")));
            }
        }
        Ok(())
    }

    /// Number the blocks, give them times, and fill gaps with empty ones (geth: `sanitizeChain`).
    pub(super) fn complete(&mut self, base: &Header) -> Result<(), SimulateError> {
        self.check_limits()?;
        let (mut number, mut time) = (base.inner.number, base.inner.timestamp);
        let mut blocks = Vec::new();
        for mut block in std::mem::take(&mut self.blocks) {
            let own = block.named.0.unwrap_or(number.saturating_add(1));
            if own <= number {
                let text = format!("block numbers must be in order: {own} <= {number}");
                return Err(refused(code::BLOCK_NUMBER, text));
            }
            if own - base.inner.number > BLOCKS_MAX {
                return Err(refused(code::CLIENT_LIMIT, "too many blocks"));
            }
            for gap in number + 1..own {
                time = time.saturating_add(BLOCK_SECONDS);
                blocks.push(SimulatedBlock { number: gap, time, ..SimulatedBlock::default() });
            }
            number = own;
            let at = block.named.1.unwrap_or(time.saturating_add(BLOCK_SECONDS));
            if at <= time {
                let text = format!("block timestamps must be in order: {at} <= {time}");
                return Err(refused(code::BLOCK_TIMESTAMP, text));
            }
            time = at;
            (block.number, block.time) = (number, time);
            blocks.push(block);
        }
        self.blocks = blocks;
        Ok(())
    }
}

fn withdrawals(value: &Value) -> InputResult<Vec<Withdrawal>> {
    let field = "withdrawals";
    let items = value.as_array().ok_or_else(|| InputError::new(field, "an array", value))?;
    if items.len() > WITHDRAWALS_MAX {
        return Err(InputError::new(field, format!("at most {WITHDRAWALS_MAX}"), items.len()));
    }
    items
        .iter()
        .map(|item| {
            let item = json::object(field, item)?;
            let number = |name: &str| {
                json::member(item, name).map_or(Ok(0), |value| json::u64(&format!("{field}.{name}"), value))
            };
            let text = json::member(item, "address").and_then(Value::as_str);
            let text = text.ok_or_else(|| InputError::new(field, "an address in every item", "none"))?;
            Ok(Withdrawal {
                index: number("index")?,
                validator_index: number("validatorIndex")?,
                address: json::address(field, text)?,
                amount: number("amount")?,
            })
        })
        .collect()
}

impl SimulatedBlock {
    fn read(value: &Value) -> InputResult<Self> {
        let root = json::object("blockStateCalls", value)?;
        let mut block = Self::default();
        if let Some(overrides) = json::member(root, "blockOverrides") {
            let mut rest: Map<String, Value> = json::object("blockOverrides", overrides)?.clone();
            let mut take = |name: &str| rest.remove(name).filter(|value| !value.is_null());
            let number = take("number").map(|value| json::u64("number", &value)).transpose()?;
            let time = take("time").or_else(|| take("timestamp"));
            let time = time.map(|value| json::u64("time", &value)).transpose()?;
            block.named = (number, time);
            for name in ["beaconRoot", "parentBeaconBlockRoot"] {
                if let Some(root) = take(name) {
                    let text = root.as_str().ok_or_else(|| InputError::new(name, "hex text", &root))?;
                    block.beacon_root = json::word(name, text)?;
                }
            }
            block.withdrawals = take("withdrawals").map(|list| withdrawals(&list)).transpose()?.unwrap_or_default();
            block.overrides = Value::Object(rest).to_string().into_bytes();
        }
        if let Some(overrides) = json::member(root, "stateOverrides") {
            block.state = StateOverrides::parse(overrides.to_string().as_bytes())?;
        }
        match json::member(root, "calls") {
            None => {}
            Some(Value::Array(calls)) => {
                block.calls = calls.iter().map(CallArgs::read).collect::<InputResult<_>>()?;
            }
            Some(other) => return Err(InputError::new("calls", "an array", other)),
        }
        Ok(block)
    }

    /// Ask for what must be known before the block begins; true if all of it is.
    pub(super) fn prefetch(&self, state: &mut JobState) -> bool {
        let mut known = true;
        for (address, account) in &self.state.0 {
            known &= state.prefetch_account(*address);
            if !account.whole_storage {
                for slot in account.slots.keys() {
                    known &= state.prefetch_slot(*address, *slot);
                }
            }
        }
        for call in &self.calls {
            known &= state.prefetch_account(call.from.unwrap_or_default());
            if let Some(to) = call.to {
                known &= state.prefetch_account(to);
            }
        }
        known
    }
}
