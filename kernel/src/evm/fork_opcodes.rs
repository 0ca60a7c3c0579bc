//! Opcodes whose behaviour at some fork revm leaves out.
//!
//! - Constantinople's SSTORE (EIP-1283), which Petersburg took back.
//! - EXTCODEHASH of an account that has storage, but neither code nor nonce. Nothing can be created there (EIP-7610);
//!   revm refuses a creation where the code hash is not the empty one, so the state gives such an account the hash zero,
//!   and here it is shown as the empty one again.

use revm::bytecode::opcode::{EXTCODEHASH, SSTORE};
use revm::context_interface::Host;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::host::extcodehash;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, RuntimeFlag};
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, KECCAK_EMPTY, U256};

use super::set_up::{EvmContext, Recorded};
use crate::spec::Fork;

/// Gas of EIP-1283: no change, or a slot changed before in the transaction; any slot that was not zero. A slot from zero
/// costs 20,000, of which the chain may multiply what is beyond the latter.
const SLOAD_GAS: u64 = 200;
const RESET_GAS: u64 = 5_000;
/// Refunds of EIP-1283: a slot cleared; one back at its first value, which was not zero. From zero all but SLOAD comes back.
const CLEAR_REFUND: i64 = 15_000;
const BACK_REFUND: i64 = 4_800;

type Result = std::result::Result<(), InstructionResult>;
type Ictx<'c, 's, D> = InstructionContext<'c, EvmContext<'s, D>, EthInterpreter>;

/// Replace what differs at `fork`.
pub fn set_up<D: Recorded>(instructions: &mut EthInstructions<EthInterpreter, EvmContext<'_, D>>, fork: Fork) {
    if fork == Fork::Constantinople {
        instructions.insert_instruction(SSTORE, Instruction::new(net_sstore), 0);
    }
    if fork >= Fork::Constantinople {
        instructions.instruction_table_mut()[usize::from(EXTCODEHASH)] = Instruction::new(code_hash);
    }
}

#[allow(clippy::needless_pass_by_value)] // the type is revm's
fn net_sstore<D: Recorded>(context: Ictx<'_, '_, D>) -> Result {
    let interpreter = context.interpreter;
    if interpreter.runtime_flag.is_static() {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    let Some([slot, value]) = interpreter.stack.popn() else {
        return Err(InstructionResult::StackUnderflow);
    };
    let address = interpreter.input.target_address();
    let change = context.host.sstore(address, slot, value).ok_or(InstructionResult::FatalExternalError)?.data;
    let (first, before, now) = (change.original_value, change.present_value, change.new_value);
    let set_gas = RESET_GAS + context.host.gas_params().sstore_set_without_load_cost();
    let mut refund = 0;
    let gas = if now == before {
        SLOAD_GAS
    } else if first == before {
        if first.is_zero() {
            set_gas
        } else {
            if now.is_zero() {
                refund += CLEAR_REFUND;
            }
            RESET_GAS
        }
    } else {
        if !first.is_zero() {
            if before.is_zero() {
                refund -= CLEAR_REFUND;
            }
            if now.is_zero() {
                refund += CLEAR_REFUND;
            }
        }
        if first == now {
            refund += if first.is_zero() { (set_gas - SLOAD_GAS).cast_signed() } else { BACK_REFUND };
        }
        SLOAD_GAS
    };
    if !interpreter.gas.record_regular_cost(gas) {
        return Err(InstructionResult::OutOfGas);
    }
    interpreter.gas.record_refund(refund);
    Ok(())
}

/// EXTCODEHASH, which shows the empty hash of an account where nothing can be created.
pub fn code_hash<D: Recorded>(context: Ictx<'_, '_, D>) -> Result {
    let InstructionContext { interpreter, host } = context;
    let address = interpreter.stack.peek(0).map(|word| Address::from_word(word.into()));
    extcodehash(InstructionContext { interpreter, host })?;
    if let Ok(address) = address
        && interpreter.stack.peek(0).is_ok_and(|word| word.is_zero())
        && interpreter.runtime_flag.spec_id().is_enabled_in(SpecId::PETERSBURG)
        && host
            .journaled_state
            .inner
            .state
            .get(&address)
            .is_some_and(|account| account.info.code_hash.is_zero() && !account.info.is_empty())
    {
        let shown = interpreter.stack.set(0, U256::from_be_bytes(KECCAK_EMPTY.0));
        shown.map_err(|_| InstructionResult::StackUnderflow)?;
    }
    Ok(())
}
