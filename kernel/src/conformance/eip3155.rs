//! Traces of EIP-3155: one JSON object a line for each step.

use std::fmt::Write;

use alloy_primitives::{Address, Bytes, U256, hex};
use revm::Inspector;
use revm::bytecode::opcode::{self, OpCode};
use revm::context::result::HaltReason;
use revm::context_interface::journaled_state::JournalTr;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{Jumps, LoopControl, MemoryTr, ReturnData};
use revm::interpreter::{
    CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, CreateScheme, FrameInput, InstructionResult,
    Interpreter, InterpreterAction, InterpreterResult, SuccessOrHalt,
};
use serde_json::json;

use crate::error::{InputError, InputResult};
use crate::evm::{self, EvmContext};

/// Most bytes of a trace: beyond it no step is kept.
const TRACE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What a line holds beside what every line holds.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line, all of them independent")]
pub struct Parts {
    pub memory: bool,
    pub no_stack: bool,
    pub return_data: bool,
    /// A line where a frame begins and one where it ends, as geth's `--trace.callframes` has them.
    pub call_frames: bool,
}

impl Parts {
    /// By names: "memory", "no-stack", "return-data", "call-frames".
    ///
    /// # Errors
    /// Names `trace` when one is none of these.
    pub fn from_names(names: &[String]) -> InputResult<Self> {
        let mut parts = Self::default();
        for name in names {
            match name.as_str() {
                "memory" => parts.memory = true,
                "no-stack" => parts.no_stack = true,
                "return-data" => parts.return_data = true,
                "call-frames" => parts.call_frames = true,
                other => {
                    return Err(InputError::new("trace", "memory, no-stack, return-data or call-frames", other));
                }
            }
        }
        Ok(parts)
    }
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

    /// A line where a frame begins.
    fn enter(&mut self, kind: &str, from: Address, to: Address, input: &[u8], gas: u64, value: Option<U256>) {
        if !self.frames() {
            return;
        }
        let mut frame = json!({ "from": from, "to": to });
        if !input.is_empty() {
            frame["input"] = json!(hex::encode_prefixed(input));
        }
        frame["gas"] = json!(format!("{gas:#x}"));
        if let Some(value) = value {
            frame["value"] = json!(format!("{value:#x}"));
        }
        frame["type"] = json!(kind);
        self.out.push_str(&frame.to_string());
        self.out.push('\n');
    }

    /// A line where a frame ends.
    fn leave(&mut self, output: &[u8], gas_used: u64, error: Option<&str>) {
        if !self.frames() {
            return;
        }
        let mut frame = json!({ "output": hex::encode(output), "gasUsed": format!("{gas_used:#x}") });
        if let Some(error) = error {
            frame["error"] = json!(error);
        }
        self.out.push_str(&frame.to_string());
        self.out.push('\n');
    }

    fn frames(&mut self) -> bool {
        self.truncated |= self.out.len() > TRACE_BYTES_MAX;
        self.on && self.parts.call_frames && !self.truncated
    }

    /// The end of a call or a creation.
    fn end(&mut self, result: &InterpreterResult) {
        self.spent = spent(result);
        let error = (!result.result.is_ok()).then(|| text(result.result, 0));
        let output = if result.result.is_halt() { Bytes::new() } else { result.output.clone() };
        self.leave(&output, self.spent, error.as_deref());
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
        let Some(mut before) = self.before.take() else { return };
        let mut cost = before.gas.saturating_sub(interp.gas.remaining());
        let mut error = None;
        let mut shown_before = false;
        match interp.bytecode.action() {
            // What a creation passes on is no cost of the opcode in geth; what a call passes on is.
            Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) => {
                cost = cost.saturating_sub(inputs.gas_limit());
            }
            Some(InterpreterAction::Return(result)) if result.result.is_halt() || result.result.is_revert() => {
                error = Some(text(result.result, before.opcode));
                shown_before = is_found_late(result.result);
                if matches!(result.result, InstructionResult::OpcodeNotFound | InstructionResult::NotActivated) {
                    cost = 0;
                }
            }
            _ => {}
        }
        // geth has counted what storing refunds before it shows the step.
        if before.opcode == opcode::SSTORE
            && let Some(own) = self.refunds.last_mut()
        {
            *own = interp.gas.refunded();
            before.refund = self.refunds.iter().sum();
        }
        if shown_before {
            self.write(&before, cost, None);
            before.stack = if self.parts.no_stack { Vec::new() } else { interp.stack.data().clone() };
        }
        self.write(&before, cost, error.as_deref());
    }

    fn call(&mut self, context: &mut EvmContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if self.frames() {
            let (kind, from, value) = match inputs.scheme {
                CallScheme::Call => ("CALL", inputs.caller, inputs.transfer_value()),
                CallScheme::CallCode => ("CALLCODE", inputs.caller, inputs.transfer_value()),
                // The frame that delegates is the one that runs.
                CallScheme::DelegateCall => ("DELEGATECALL", inputs.target_address, inputs.apparent_value()),
                CallScheme::StaticCall => ("STATICCALL", inputs.caller, None),
            };
            let input = inputs.input.bytes(context);
            self.enter(kind, from, inputs.bytecode_address, &input, inputs.gas_limit, value);
        }
        None
    }

    fn call_end(&mut self, _context: &mut EvmContext<'a>, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.end(&outcome.result);
    }

    fn create(&mut self, context: &mut EvmContext<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if self.frames() {
            let caller = inputs.caller();
            let nonce = context.journaled_state.load_account(caller).map_or(0, |account| account.data.info.nonce);
            let kind = if matches!(inputs.scheme(), CreateScheme::Create2 { .. }) { "CREATE2" } else { "CREATE" };
            let to = inputs.created_address(nonce);
            self.enter(kind, caller, to, inputs.init_code(), inputs.gas_limit(), Some(inputs.value()));
        }
        None
    }

    fn create_end(&mut self, _context: &mut EvmContext<'a>, _inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(&outcome.result);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.enter("SELFDESTRUCT", contract, target, &[], 0, Some(value));
        self.leave(&[], 0, None);
    }
}

/// A frame that failed has spent all of its gas, whatever its counter says.
fn spent(result: &InterpreterResult) -> u64 {
    if result.result.is_halt() { result.gas.limit() } else { result.gas.total_gas_spent() }
}

/// Whether geth finds a failure only while it executes the step, after it has shown it: then it shows it again.
fn is_found_late(result: InstructionResult) -> bool {
    use InstructionResult as R;
    matches!(
        result,
        R::Revert
            | R::OpcodeNotFound
            | R::NotActivated
            | R::InvalidFEOpcode
            | R::InvalidJump
            | R::OutOfOffset
            | R::StateChangeDuringStaticCall
            | R::CallNotAllowedInsideStatic
    )
}

/// geth's words for how a step failed.
fn text(result: InstructionResult, opcode: u8) -> String {
    use InstructionResult as R;
    match result {
        R::OutOfGas | R::MemoryOOG | R::MemoryLimitOOG | R::PrecompileOOG | R::InvalidOperandOOG => {
            "out of gas".to_owned()
        }
        R::OpcodeNotFound | R::NotActivated | R::InvalidFEOpcode => format!("invalid opcode: {opcode:#x}"),
        R::Revert => "execution reverted".to_owned(),
        other => match SuccessOrHalt::<HaltReason>::from(other) {
            SuccessOrHalt::Halt(reason) => evm::halt_text(&reason).to_owned(),
            _ => format!("{other:?}"),
        },
    }
}
