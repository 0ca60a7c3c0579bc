//! The inspector that feeds every part a tracer needs, within one bound of bytes.

use alloy_primitives::{Address, Bytes, Log, U256};
use revm::Inspector;
use revm::bytecode::opcode;
use revm::context::ContextError;
use revm::context_interface::journaled_state::JournalTr;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, Jumps, LoopControl};
use revm::interpreter::{
    CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, CreateScheme, InstructionResult, Interpreter,
    InterpreterAction,
};
use revm_inspectors::access_list::AccessListInspector;
use revm_inspectors::tracing::{FourByteInspector, TraceLimits, TracingInspector, TracingInspectorConfig};

use super::calls::{Calls, Kind};
use super::config::Tracer;
use super::prestate::Touched;
use super::struct_logs::StructLogs;
use super::text;
use crate::evm::{EvmContext, Redirect};
use crate::exec::state::StateError;

/// Bytes that one step of a VM trace keeps beside its pushes.
const VM_STEP_BYTES: usize = 400;
/// Bytes of a frame beside its data.
const FRAME_BYTES: usize = 400;

/// Everything recorded of one transaction.
#[derive(Debug, Default)]
pub struct Recorder {
    pub calls: Option<Calls>,
    pub steps: Option<StructLogs>,
    pub touched: Option<Touched>,
    pub selectors: Option<FourByteInspector>,
    pub vm: Option<TracingInspector>,
    pub access: Option<AccessListInspector>,
    /// Precompiles that lie elsewhere.
    pub redirect: Redirect,
    /// Opcode and stack length of the last step, per open frame.
    last: Vec<Option<(u8, usize)>>,
    /// How the code of each open frame ended, and with which output, as far as it has.
    ended: Vec<Option<(InstructionResult, Bytes)>>,
    /// What SELFDESTRUCT, the step now running, will do: contract, heir, balance.
    destroying: Option<(Address, Address, U256)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recorder {
    /// What `tracer` needs; at most `bytes_max` bytes are kept.
    #[must_use]
    pub fn new(tracer: &Tracer, bytes_max: usize) -> Self {
        let mut recorder = Self { bytes_max, ..Self::default() };
        for part in tracer.parts() {
            match part {
                Tracer::StructLogs(options) => recorder.steps = Some(StructLogs::new(*options)),
                Tracer::Calls(_) | Tracer::Flat(_) => recorder.calls = Some(Calls::default()),
                Tracer::Prestate(_) => recorder.touched = Some(Touched::default()),
                Tracer::Selectors => recorder.selectors = Some(FourByteInspector::default()),
                Tracer::Noop | Tracer::Mux(_) => {}
                Tracer::Parity(options) => {
                    recorder.calls = Some(Calls::default());
                    if options.vm_trace {
                        let limits = TraceLimits::default().set_max_recorded_bytes(Some(bytes_max));
                        let vm = TracingInspector::new(TracingInspectorConfig::parity_vm_trace());
                        recorder.vm = Some(vm.with_limits(limits));
                    }
                }
                Tracer::AccessList => recorder.access = Some(AccessListInspector::default()),
            }
        }
        recorder
    }

    /// Whether the bound was reached, so that the run was ended and means nothing.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.used() > self.bytes_max || self.vm.as_ref().is_some_and(TracingInspector::limit_exceeded)
    }

    /// Bytes kept so far.
    #[must_use]
    pub fn used(&self) -> usize {
        self.bytes + self.steps.as_ref().map_or(0, StructLogs::len)
    }

    fn depth(&self) -> usize {
        self.last.len()
    }

    /// End the run if the bound is reached.
    fn check(&self, context: &mut EvmContext<'_>) -> bool {
        let over = self.overflowed();
        if over && context.error.is_ok() {
            context.error = Err(ContextError::Db(StateError::Cancelled));
        }
        over
    }

    fn check_and_halt(&self, interp: &mut Interpreter<EthInterpreter>, context: &mut EvmContext<'_>) {
        if self.check(context) {
            interp.bytecode.action().take();
            interp.bytecode.reset_action();
            interp.halt_fatal();
        }
    }

    fn enter(&mut self, bytes: usize) {
        self.last.push(None);
        self.ended.push(None);
        self.bytes += bytes + FRAME_BYTES;
    }

    fn leave(&mut self, result: InstructionResult, output: &Bytes) -> Option<String> {
        let last = self.last.pop().flatten();
        let ended = self.ended.pop().flatten().map(|(result, _)| result);
        self.bytes += output.len();
        if result == InstructionResult::OutOfGas && ended.is_some_and(InstructionResult::is_ok) {
            return Some(text::CODE_STORE.to_owned());
        }
        text::geth(result, last)
    }
}

impl<'a> Inspector<EvmContext<'a>, EthInterpreter> for Recorder {
    fn initialize_interp(&mut self, interp: &mut Interpreter<EthInterpreter>, context: &mut EvmContext<'a>) {
        if let Some(vm) = &mut self.vm {
            vm.initialize_interp(interp, context);
        }
    }

    fn step(&mut self, interp: &mut Interpreter<EthInterpreter>, context: &mut EvmContext<'a>) {
        let opcode = interp.bytecode.opcode();
        if let Some(last) = self.last.last_mut() {
            *last = Some((opcode, interp.stack.len()));
        }
        if opcode == opcode::SELFDESTRUCT && self.calls.is_some() {
            let contract = interp.input.target_address();
            let balance =
                context.journaled_state.state.get(&contract).map_or(U256::ZERO, |account| account.info.balance);
            let heir = interp.stack.peek(0).unwrap_or_default();
            self.destroying = Some((contract, Address::from_word(heir.into()), balance));
        }
        if let Some(steps) = &mut self.steps {
            steps.step(interp, self.last.len());
        }
        if let Some(touched) = &mut self.touched {
            touched.step(interp, context);
        }
        if let Some(vm) = &mut self.vm {
            self.bytes += VM_STEP_BYTES;
            vm.step(interp, context);
        }
        if let Some(access) = &mut self.access {
            access.step(interp, context);
        }
        self.check_and_halt(interp, context);
    }

    fn step_end(&mut self, interp: &mut Interpreter<EthInterpreter>, context: &mut EvmContext<'a>) {
        let end = match interp.bytecode.action() {
            Some(InterpreterAction::Return(result)) => Some((result.result, result.output.clone())),
            _ => None,
        };
        let result = end.as_ref().map(|(result, _)| *result);
        if let Some(ended) = self.ended.last_mut() {
            *ended = end;
        }
        if let Some((contract, heir, balance)) = self.destroying.take()
            && result == Some(InstructionResult::SelfDestruct)
            && let Some(calls) = &mut self.calls
        {
            calls.destroyed(contract, heir, balance);
            self.bytes += FRAME_BYTES;
        }
        let last = self.last.last().copied().flatten();
        if let Some(steps) = &mut self.steps {
            steps.step_end(interp, result, last);
        }
        if let Some(touched) = &mut self.touched {
            touched.step_end(result);
        }
        if let Some(vm) = &mut self.vm {
            vm.step_end(interp, context);
        }
        self.check_and_halt(interp, context);
    }

    fn log(&mut self, _context: &mut EvmContext<'a>, log: Log) {
        if let Some(calls) = &mut self.calls {
            self.bytes += FRAME_BYTES + log.data.data.len();
            calls.log(log);
        }
    }

    fn call(&mut self, context: &mut EvmContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let named = inputs.bytecode_address;
        if let Some(selectors) = &mut self.selectors {
            let _ = selectors.call(context, inputs);
        }
        if let Some(access) = &mut self.access {
            let _ = access.call(context, inputs);
        }
        if let Some(vm) = &mut self.vm {
            let _ = vm.call(context, inputs);
        }
        let mut size = 0;
        if let Some(calls) = &mut self.calls {
            let (kind, from, to) = match inputs.scheme {
                CallScheme::Call => (Kind::Call, inputs.caller, inputs.target_address),
                CallScheme::StaticCall => (Kind::StaticCall, inputs.caller, inputs.target_address),
                CallScheme::CallCode => (Kind::CallCode, inputs.target_address, named),
                CallScheme::DelegateCall => (Kind::DelegateCall, inputs.target_address, named),
            };
            let precompile = context.journaled_state.precompile_addresses().contains(&to);
            let input = inputs.input.bytes(context);
            size = input.len();
            calls.enter(kind, from, Some(to), inputs.value.get(), inputs.gas_limit, input, precompile);
        }
        self.enter(size);
        self.redirect.apply(inputs);
        self.check(context);
        None
    }

    fn call_end(&mut self, context: &mut EvmContext<'a>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if let Some(vm) = &mut self.vm {
            vm.call_end(context, inputs, outcome);
        }
        let mut error = self.leave(outcome.result.result, &outcome.result.output);
        if outcome.result.result == InstructionResult::PrecompileError {
            error = Some(text::precompile(inputs.bytecode_address, inputs.input.len()).to_owned());
        }
        if let Some(calls) = &mut self.calls {
            calls.leave(&outcome.result, error);
        }
        self.check(context);
    }

    fn create(&mut self, context: &mut EvmContext<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if let Some(access) = &mut self.access {
            let _ = access.create(context, inputs);
        }
        if let Some(vm) = &mut self.vm {
            let _ = vm.create(context, inputs);
        }
        let size = if self.calls.is_some() { inputs.init_code().len() } else { 0 };
        if let Some(calls) = &mut self.calls {
            let kind = match inputs.scheme() {
                CreateScheme::Create2 { .. } => Kind::Create2,
                _ => Kind::Create,
            };
            let input = inputs.init_code().clone();
            calls.enter(kind, inputs.caller(), None, inputs.value(), inputs.gas_limit(), input, false);
        }
        self.enter(size);
        self.check(context);
        None
    }

    fn create_end(&mut self, context: &mut EvmContext<'a>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if let Some(vm) = &mut self.vm {
            vm.create_end(context, inputs, outcome);
        }
        let nonce = context.journaled_state.state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
        // revm ends a creation whose creator has no nonce left as a success without an address.
        let no_nonce = outcome.address.is_none()
            && outcome.result.result == InstructionResult::Return
            && nonce == u64::MAX
            && self.depth() > 1;
        let result = if no_nonce { InstructionResult::NonceOverflow } else { outcome.result.result };
        // Frontier: a contract whose code could not be paid for exists without it; geth shows what was returned.
        let returned = self.ended.last().cloned().flatten().map(|(_, output)| output).filter(|_| result.is_ok());
        let error = self.leave(result, &outcome.result.output);
        if let Some(calls) = &mut self.calls {
            calls.created(outcome.address);
            calls.leave(&outcome.result, error);
            if let Some(returned) = returned {
                calls.show_output(returned);
            }
        }
        self.check(context);
    }
}
