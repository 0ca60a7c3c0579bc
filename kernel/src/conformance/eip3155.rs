//! Traces of EIP-3155: one JSON object a line for each step.

use std::fmt::Write;

use alloy_primitives::{Bytes, U256, hex};
use revm::Inspector;
use revm::bytecode::opcode::OpCode;
use revm::context_interface::journaled_state::JournalTr;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{Jumps, LoopControl, MemoryTr, ReturnData};
use revm::interpreter::{
    CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, InstructionResult, Interpreter,
    InterpreterAction, InterpreterResult,
};

use crate::evm::EvmContext;

/// Most bytes of a trace: beyond it no step is kept.
const TRACE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What a line holds beside what every line holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts {
    pub memory: bool,
    pub no_stack: bool,
    pub return_data: bool,
}

/// A step before it ran.
#[derive(Debug)]
struct Before {
    pc: usize,
    opcode: u8,
    gas: u64,
    depth: usize,
    refund: i64,
    stack: Vec<U256>,
    memory_size: usize,
    memory: Vec<u8>,
    return_data: Bytes,
}

/// The inspector that writes the lines.
#[derive(Debug, Default)]
pub struct Lines {
    parts: Parts,
    out: String,
    before: Option<Before>,
    /// Refund counters of the open frames: revm counts per frame, a trace over the transaction.
    refunds: Vec<i64>,
    truncated: bool,
    /// Whether steps are written at all.
    on: bool,
    /// Gas that the frame which ended last has spent: in the end, the outermost.
    spent: u64,
}

impl Lines {
    /// Without `parts` no step is written.
    #[must_use]
    pub fn new(parts: Option<Parts>) -> Self {
        Self { parts: parts.unwrap_or_default(), on: parts.is_some(), ..Self::default() }
    }

    /// Gas that the outermost frame has spent, refunds aside.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// The lines, and whether some are missing at the end.
    #[must_use]
    pub fn finish(self) -> (String, bool) {
        (self.out, self.truncated)
    }

    fn write(&mut self, before: &Before, cost: u64, error: Option<&str>) {
        let out = &mut self.out;
        // Writing to a string cannot fail.
        let mut put = |text: std::fmt::Arguments<'_>| {
            let _ = out.write_fmt(text);
        };
        let Before { pc, opcode, gas, depth, refund, memory_size, .. } = before;
        put(format_args!("{{\"pc\":{pc},\"op\":{opcode},\"gas\":\"{gas:#x}\",\"gasCost\":\"{cost:#x}\""));
        if self.parts.memory {
            put(format_args!(",\"memory\":\"{}\"", hex::encode_prefixed(&before.memory)));
        }
        put(format_args!(",\"memSize\":{memory_size}"));
        if !self.parts.no_stack {
            let words: Vec<String> = before.stack.iter().map(|word| format!("\"{word:#x}\"")).collect();
            put(format_args!(",\"stack\":[{}]", words.join(",")));
        }
        if self.parts.return_data {
            put(format_args!(",\"returnData\":\"{}\"", before.return_data));
        }
        let name = match OpCode::new(*opcode) {
            Some(name) => name.as_str().to_owned(),
            None => format!("opcode {opcode:#x} not defined"),
        };
        put(format_args!(",\"depth\":{depth},\"refund\":{refund},\"opName\":\"{name}\""));
        if let Some(error) = error {
            put(format_args!(",\"error\":\"{error}\""));
        }
        put(format_args!("}}\n"));
    }
}

impl<'a> Inspector<EvmContext<'a>, EthInterpreter> for Lines {
    fn step(&mut self, interp: &mut Interpreter<EthInterpreter>, context: &mut EvmContext<'a>) {
        self.truncated |= self.out.len() > TRACE_BYTES_MAX;
        if self.truncated || !self.on {
            return;
        }
        let depth = context.journaled_state.depth();
        self.refunds.truncate(depth);
        self.refunds.resize(depth, 0);
        if let Some(own) = self.refunds.last_mut() {
            *own = interp.gas.refunded();
        }
        let memory_size = interp.memory.size();
        self.before = Some(Before {
            pc: interp.bytecode.pc(),
            opcode: interp.bytecode.opcode(),
            gas: interp.gas.remaining(),
            depth,
            refund: self.refunds.iter().sum(),
            stack: if self.parts.no_stack { Vec::new() } else { interp.stack.data().clone() },
            memory_size,
            memory: if self.parts.memory { interp.memory.slice(0..memory_size).to_vec() } else { Vec::new() },
            return_data: if self.parts.return_data { interp.return_data.buffer().clone() } else { Bytes::new() },
        });
    }

    fn step_end(&mut self, interp: &mut Interpreter<EthInterpreter>, _context: &mut EvmContext<'a>) {
        let Some(before) = self.before.take() else { return };
        let mut cost = before.gas.saturating_sub(interp.gas.remaining());
        let mut error = None;
        match interp.bytecode.action() {
            // What a creation passes on is no cost of the opcode in geth; what a call passes on is.
            Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) => {
                cost = cost.saturating_sub(inputs.gas_limit());
            }
            Some(InterpreterAction::Return(result)) if result.result.is_halt() => {
                error = Some(text(result.result, before.opcode));
                if result.result == InstructionResult::OpcodeNotFound {
                    cost = 0;
                }
            }
            _ => {}
        }
        self.write(&before, cost, error.as_deref());
    }

    fn call_end(&mut self, _context: &mut EvmContext<'a>, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.spent = spent(&outcome.result);
    }

    fn create_end(&mut self, _context: &mut EvmContext<'a>, _inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.spent = spent(&outcome.result);
    }
}

/// A frame that failed has spent all of its gas, whatever its counter says.
fn spent(result: &InterpreterResult) -> u64 {
    if result.result.is_halt() { result.gas.limit() } else { result.gas.total_gas_spent() }
}

/// geth's words for how a step failed.
fn text(result: InstructionResult, opcode: u8) -> String {
    use InstructionResult as R;
    match result {
        R::OutOfGas | R::MemoryOOG | R::MemoryLimitOOG | R::PrecompileOOG | R::InvalidOperandOOG => {
            "out of gas".to_owned()
        }
        R::OpcodeNotFound | R::InvalidFEOpcode => format!("invalid opcode: {opcode:#x}"),
        R::InvalidJump => "invalid jump destination".to_owned(),
        R::StateChangeDuringStaticCall | R::CallNotAllowedInsideStatic => "write protection".to_owned(),
        other => format!("{other:?}"),
    }
}
