//! geth's struct logs: one object per step, written while the code runs, so that nothing is kept twice.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256, hex};
use revm::bytecode::opcode::{self, OpCode};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, Jumps, LoopControl, MemoryTr, ReturnData};
use revm::interpreter::{FrameInput, InstructionResult, Interpreter, InterpreterAction};

use super::calls::{decimal, string};
use super::config::StructOptions;
use super::text;
use crate::views::{Object, array, data};

/// What is known of a step before it ran.
#[derive(Debug)]
struct Before {
    pc: usize,
    opcode: u8,
    gas: u64,
    depth: usize,
    refund: u64,
    contract: Address,
    stack: Vec<U256>,
    memory: Vec<u8>,
    return_data: Bytes,
}

/// The logs as JSON, without the brackets around them.
#[derive(Debug)]
pub struct StructLogs {
    options: StructOptions,
    out: Vec<u8>,
    count: u64,
    before: Option<Before>,
    /// Slots seen so far, per contract.
    storage: BTreeMap<Address, BTreeMap<U256, U256>>,
    /// Refund counters of the open frames: revm counts per frame, geth over the transaction.
    refunds: Vec<i64>,
}

impl StructLogs {
    #[must_use]
    pub fn new(options: StructOptions) -> Self {
        Self { options, out: Vec::new(), count: 0, before: None, storage: BTreeMap::new(), refunds: Vec::new() }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn step(&mut self, interp: &Interpreter<EthInterpreter>, depth: usize) {
        self.refunds.truncate(depth);
        self.refunds.resize(depth, 0);
        if let Some(own) = self.refunds.last_mut() {
            *own = interp.gas.refunded();
        }
        if self.options.limit != 0 && self.count >= self.options.limit {
            return;
        }
        let memory =
            if self.options.memory { interp.memory.slice(0..interp.memory.size()).to_vec() } else { Vec::new() };
        self.before = Some(Before {
            pc: interp.bytecode.pc(),
            opcode: interp.bytecode.opcode(),
            gas: interp.gas.remaining(),
            depth,
            refund: u64::try_from(self.refunds.iter().sum::<i64>()).unwrap_or_default(),
            contract: interp.input.target_address(),
            stack: interp.stack.data().clone(),
            memory,
            return_data: if self.options.return_data { interp.return_data.buffer().clone() } else { Bytes::new() },
        });
    }

    pub(super) fn step_end(
        &mut self,
        interp: &mut Interpreter<EthInterpreter>,
        result: Option<InstructionResult>,
        last: Option<(u8, usize)>,
    ) {
        let Some(before) = self.before.take() else { return };
        let mut cost = before.gas.saturating_sub(interp.gas.remaining());
        if let Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) = interp.bytecode.action() {
            // What a creation passes on is no cost of the opcode in geth; what a call passes on is.
            cost = cost.saturating_sub(inputs.gas_limit());
        }
        let slot = match (before.opcode, before.stack.as_slice()) {
            (opcode::SLOAD, [.., slot]) if result.is_none() => interp.stack.peek(0).ok().map(|value| (*slot, value)),
            (opcode::SSTORE, [.., value, slot]) => Some((*slot, *value)),
            _ => None,
        };
        // geth finds these before the opcode runs, and names them in its log; other errors end the frame only.
        let error = result.filter(|result| {
            use InstructionResult as R;
            matches!(
                result,
                R::OutOfGas
                    | R::MemoryOOG
                    | R::MemoryLimitOOG
                    | R::InvalidOperandOOG
                    | R::ReentrancySentryOOG
                    | R::StackUnderflow
                    | R::StackOverflow
            )
        });
        let error = error.and_then(|result| text::geth(result, last));
        if self.count > 0 {
            self.out.push(b',');
        }
        self.count += 1;
        let (options, storage) = (self.options, &mut self.storage);
        Object::write(&mut self.out, |object| {
            object.value("pc", |out| decimal(out, before.pc as u64));
            object.value("op", |out| match OpCode::new(before.opcode) {
                Some(name) => string(out, name.as_str()),
                None => string(out, &format!("opcode {:#x} not defined", before.opcode)),
            });
            object.value("gas", |out| decimal(out, before.gas));
            object.value("gasCost", |out| decimal(out, cost));
            object.value("depth", |out| decimal(out, before.depth as u64));
            if let Some(error) = &error {
                object.value("error", |out| string(out, error));
            }
            if !options.no_stack {
                object.array("stack", &before.stack, |out, word| string(out, &format!("{word:#x}")));
            }
            if !before.return_data.is_empty() {
                object.data("returnData", &before.return_data);
            }
            if !before.memory.is_empty() {
                object.array("memory", before.memory.chunks(32), data);
            }
            if let Some((slot, value)) = slot.filter(|_| !options.no_storage) {
                let seen = storage.entry(before.contract).or_default();
                seen.insert(slot, value);
                object.value("storage", |out| slots(out, seen));
            }
            if before.refund != 0 {
                object.value("refund", |out| decimal(out, before.refund));
            }
        });
    }

    /// The whole answer of `debug_traceTransaction` without a tracer. `output` is what was returned or reverted with.
    pub fn render(&self, gas_used: u64, failed: bool, output: &[u8], out: &mut Vec<u8>) {
        Object::write(out, |object| {
            object.value("gas", |out| decimal(out, gas_used));
            object.boolean("failed", failed);
            object.data("returnValue", output);
            object.value("structLogs", |out| {
                out.push(b'[');
                out.extend_from_slice(&self.out);
                out.push(b']');
            });
        });
    }
}

fn slots(out: &mut Vec<u8>, slots: &BTreeMap<U256, U256>) {
    let mut items = Vec::new();
    array(&mut items, slots, |out, (slot, value)| {
        let text = |word: &U256| hex::encode_prefixed(word.to_be_bytes::<32>());
        string(out, &text(slot));
        out.push(b':');
        string(out, &text(value));
    });
    out.push(b'{');
    out.extend_from_slice(items.get(1..items.len().saturating_sub(1)).unwrap_or_default());
    out.push(b'}');
}
