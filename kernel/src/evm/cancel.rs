//! Ending a call from outside: the flag is looked at on every JUMPDEST, since no code runs long without one, and on
//! every read of state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use revm::bytecode::opcode::JUMPDEST;
use revm::context::ContextError;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};

use super::set_up::EvmContext;
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

/// Gas of JUMPDEST.
const JUMPDEST_GAS: u16 = 1;

/// Let JUMPDEST end the run once the flag in the context is set.
pub fn watch<'a>(instructions: &mut EthInstructions<EthInterpreter, EvmContext<'a>>) {
    instructions.insert_instruction(JUMPDEST, Instruction::new(jumpdest), JUMPDEST_GAS);
}

fn jumpdest(context: InstructionContext<'_, EvmContext<'_>, EthInterpreter>) -> Result<(), InstructionResult> {
    if context.host.chain.is_set() {
        context.host.error = Err(ContextError::Db(StateError::Cancelled));
        return Err(InstructionResult::FatalExternalError);
    }
    Ok(())
}
