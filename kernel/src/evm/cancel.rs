//! What calls from outside watch while they run: a flag that ends them, and which undefined opcode ended one.
//!
//! The flag is looked at on every JUMPDEST, since no code runs long without one, so nothing is paid elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use revm::bytecode::opcode::{JUMPDEST, OpCode};
use revm::context::ContextError;
use revm::context_interface::cfg::GasParams;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{Jumps, LegacyBytecode};
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};

use super::in_block::Aside;
use super::ranges::Violation;
use super::set_up::{EvmContext, Recorded};
use crate::exec::state::StateError;

/// Set once, from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What lies in revm's context beside the state.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    pub cancel: CancelFlag,
    /// The last undefined opcode that was met.
    pub undefined: Option<u8>,
    /// Of the run in a block.
    pub aside: Aside,
    /// Prices of the block, once a transaction of another price has run.
    pub block_prices: Option<GasParams>,
    /// Gas that the prices in force add to a transaction's base.
    pub extra_gas: u64,
    /// The last access of the run outside of its transaction's ranges.
    pub out_of_range: Option<Violation>,
}

/// Gas of JUMPDEST.
const JUMPDEST_GAS: u16 = 1;

/// Let JUMPDEST end the run once the flag is set, and undefined opcodes tell which they are.
pub fn watch<D: Recorded>(instructions: &mut EthInstructions<EthInterpreter, EvmContext<'_, D>>) {
    for opcode in (0..=u8::MAX).filter(|opcode| OpCode::new(*opcode).is_none()) {
        instructions.insert_instruction(opcode, Instruction::new(undefined), 0);
    }
    instructions.insert_instruction(JUMPDEST, Instruction::new(jumpdest), JUMPDEST_GAS);
}

#[allow(clippy::needless_pass_by_value)] // the type is revm's
fn jumpdest<D: Recorded>(
    context: InstructionContext<'_, EvmContext<'_, D>, EthInterpreter>,
) -> Result<(), InstructionResult> {
    if context.host.chain.cancel.is_set() {
        context.host.error = Err(ContextError::Db(StateError::Cancelled));
        return Err(InstructionResult::FatalExternalError);
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // the type is revm's
pub(super) fn undefined<D: Recorded>(
    context: InstructionContext<'_, EvmContext<'_, D>, EthInterpreter>,
) -> Result<(), InstructionResult> {
    let bytecode = &context.interpreter.bytecode;
    let at = bytecode.pc().saturating_sub(1);
    context.host.chain.undefined = bytecode.bytecode_slice().get(at).copied();
    Err(InstructionResult::OpcodeNotFound)
}
