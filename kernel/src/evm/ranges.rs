//! Transactions that promised to stay in ranges of addresses: whatever reaches outside ends its frame with all its gas.
//!
//! Checked are the addresses that BALANCE, EXTCODE*, the calls, SELFDESTRUCT, CREATE and CREATE2 name, and where a
//! delegation (EIP-7702) leads. Storage needs no check: it is that of the executing address, which was called. A
//! precompile that is called without value has no state, so it is inside every range. Sender, recipient and access list
//! are checked at admission; the fee goes to the beneficiary outside of all promises, as a credit that nobody reads.

use alloy_primitives::{Address, Bytes, U256};
use revm::bytecode::opcode::{
    BALANCE, CALL, CALLCODE, CREATE, CREATE2, DELEGATECALL, EXTCODECOPY, EXTCODEHASH, EXTCODESIZE, SELFDESTRUCT,
    STATICCALL,
};
use revm::context::result::{ExecutionResult, HaltReason};
use revm::context_interface::journaled_state::JournalTr;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::{contract, host};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInput;
use revm::interpreter::interpreter_types::{InputsTr, LoopControl};
use revm::interpreter::{
    CallInputs, Gas, Instruction, InstructionContext, InstructionResult, InterpreterAction, InterpreterResult,
};

use super::in_block;
use super::set_up::{EvmContext, Recorded};

/// The name in receipts, traces and errors.
pub const OUT_OF_RANGE: &str = "OUT_OF_RANGE";

/// How revm's interpreter ends such a frame. Only Amsterdam's opcodes with immediates end so, too; which of the two it
/// was stands in [`Violation`].
pub const FRAME_RESULT: InstructionResult = InstructionResult::InvalidImmediateEncoding;

/// Access outside of the promised ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    pub address: Address,
    /// Depth of the frame that ended; 1 is the transaction's own.
    pub depth: usize,
}

type Context<'c, 'a, D> = InstructionContext<'c, EvmContext<'a, D>, EthInterpreter>;
type Done = Result<(), InstructionResult>;

/// Let the opcodes that name an address look at the ranges.
pub fn watch<D: Recorded>(instructions: &mut EthInstructions<EthInterpreter, EvmContext<'_, D>>) {
    let table = instructions.instruction_table_mut();
    table[usize::from(BALANCE)] = Instruction::new(balance);
    table[usize::from(EXTCODESIZE)] = Instruction::new(extcodesize);
    table[usize::from(EXTCODECOPY)] = Instruction::new(extcodecopy);
    table[usize::from(EXTCODEHASH)] = Instruction::new(extcodehash);
    table[usize::from(SELFDESTRUCT)] = Instruction::new(selfdestruct);
    table[usize::from(CALL)] = Instruction::new(call);
    table[usize::from(CALLCODE)] = Instruction::new(call_code);
    table[usize::from(DELEGATECALL)] = Instruction::new(delegate_call);
    table[usize::from(STATICCALL)] = Instruction::new(static_call);
    table[usize::from(CREATE)] = Instruction::new(create::<false, D>);
    table[usize::from(CREATE2)] = Instruction::new(create::<true, D>);
}

/// Whether `address` may be touched; if not, that is noted.
pub fn inside<D: Recorded>(context: &mut EvmContext<'_, D>, address: Address) -> bool {
    let allowed = context.tx.ranges.allow(&address);
    if !allowed {
        context.chain.out_of_range = Some(Violation { address, depth: context.journaled_state.depth() });
    }
    allowed
}

fn check<D: Recorded>(context: &mut EvmContext<'_, D>, address: Address) -> Done {
    if inside(context, address) { Ok(()) } else { Err(FRAME_RESULT) }
}

/// The address `place` words below the top; a stack that is too short is the instruction's business.
fn named<D: Recorded>(context: &Context<'_, '_, D>, place: usize) -> Option<Address> {
    let word = context.interpreter.stack.peek(place).ok()?;
    Some(Address::from_word(word.into()))
}

fn check_top<D: Recorded>(context: &mut Context<'_, '_, D>) -> Done {
    named(context, 0).map_or(Ok(()), |address| check(context.host, address))
}

/// The callee of a call; `value` is where its value stands, if it has one.
fn check_call<D: Recorded>(context: &mut Context<'_, '_, D>, value: Option<usize>) -> Done {
    let Some(address) = named(context, 1) else { return Ok(()) };
    let pays = value.is_some_and(|place| context.interpreter.stack.peek(place).is_ok_and(|value| value != U256::ZERO));
    if !pays && context.host.journaled_state.precompile_addresses().contains(&address) {
        return Ok(());
    }
    check(context.host, address)
}

fn balance<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_top(&mut context)?;
    in_block::balance(context)
}

fn extcodesize<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_top(&mut context)?;
    host::extcodesize(context)
}

fn extcodecopy<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_top(&mut context)?;
    host::extcodecopy(context)
}

fn extcodehash<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_top(&mut context)?;
    in_block::code_hash(context)
}

fn selfdestruct<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_top(&mut context)?;
    in_block::self_destruct(context)
}

fn call<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_call(&mut context, Some(2))?;
    in_block::call::<CALL, D>(context)
}

fn call_code<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_call(&mut context, Some(2))?;
    in_block::call::<CALLCODE, D>(context)
}

fn delegate_call<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_call(&mut context, None)?;
    contract::call::<DELEGATECALL, _, _>(context)
}

fn static_call<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    check_call(&mut context, None)?;
    contract::call::<STATICCALL, _, _>(context)
}

/// The new address is known once the instruction has taken its operands, and before anything is created.
fn create<const IS_CREATE2: bool, D: Recorded>(context: Context<'_, '_, D>) -> Done {
    let InstructionContext { interpreter, host } = context;
    let result =
        in_block::create::<IS_CREATE2, D>(InstructionContext { interpreter: &mut *interpreter, host: &mut *host });
    if host.tx.ranges.is_empty() {
        return result;
    }
    let creator = interpreter.input.target_address();
    let nonce = host.journaled_state.inner.state.get(&creator).map_or(0, |account| account.info.nonce);
    let created = match interpreter.bytecode.action() {
        Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) => inputs.created_address(nonce),
        _ => return result,
    };
    if inside(host, created) {
        return result;
    }
    // The frame that asked for it ends instead.
    *interpreter.bytecode.action() = None;
    interpreter.bytecode.reset_action();
    Err(FRAME_RESULT)
}

/// The end of a call of an account that delegates to code outside of the ranges.
pub fn refuse_delegation<D: Recorded>(
    context: &mut EvmContext<'_, D>,
    inputs: &CallInputs,
) -> Option<InterpreterResult> {
    if context.tx.ranges.is_empty() {
        return None;
    }
    let account = context.journaled_state.inner.state.get(&inputs.bytecode_address)?;
    let delegate = account.info.code.as_ref()?.eip7702_address()?;
    if inside(context, delegate) {
        return None;
    }
    let gas = Gas::new_spent_with_reservoir(inputs.gas_limit, inputs.reservoir);
    Some(InterpreterResult::new(FRAME_RESULT, Bytes::new(), gas))
}

/// Say so in the result of a transaction whose own frame ended out of range.
#[must_use]
pub fn named_result(result: ExecutionResult, violation: Option<Violation>) -> ExecutionResult {
    match (result, violation) {
        (ExecutionResult::Halt { gas, logs, .. }, Some(Violation { address, depth: 1 })) => {
            let text = format!("{OUT_OF_RANGE}: {address} lies outside the transaction's address ranges");
            ExecutionResult::Halt { reason: HaltReason::PrecompileErrorWithContext(text), gas, logs }
        }
        (result, _) => result,
    }
}

/// The text of a halt by [`named_result`], or `None` for another.
#[must_use]
pub fn out_of_range_text(reason: &HaltReason) -> Option<&str> {
    match reason {
        HaltReason::PrecompileErrorWithContext(text) if text.starts_with(OUT_OF_RANGE) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
