//! Privileged opcodes of the one address that may use them, 0x00…00fe, where the chain spec turns them on.
//!
//! | opcode | operands, top first | result | gas |
//! | --- | --- | --- | --- |
//! | 0xed `SSTORE_EXT` | account, slot, value | | access of the account, and as SSTORE |
//! | 0xee `WITHDRAW` | from, to, amount (wei) | 1, or 0 where `from` has less | access of both, 9,000 for an amount, 25,000 for a new account |
//! | 0xef `SET_CODE` | account, offset, length | | access of the account, memory, 6 a word and 200 a byte of code, 25,000 for a new account |
//!
//! Access is 100 gas, or 2,600 for a cold account (EIP-2929). What counts is the executing address: code that another
//! contract borrows by DELEGATECALL has no privilege. Everywhere else the opcodes are undefined, exactly as on Ethereum.
//! They are refused in a static call, and journaled: a revert of the frame undoes them. Contracts that the protocol
//! itself calls, precompiles, and the privileged code itself are out of reach: such a use ends the frame as an undefined
//! opcode does. So does `SSTORE_EXT` on an account without code, whose storage would not outlive the transaction.

use alloy_primitives::{Address, Bytes, U256, address};
use revm::bytecode::Bytecode;
use revm::context::ContextError;
use revm::context_interface::cfg::GasParams;
use revm::context_interface::journaled_state::JournalTr;
use revm::context_interface::{Cfg, Host};
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::host::sstore_default_gas_accounting;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, RuntimeFlag};
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};

use super::set_up::{EvmContext, Recorded};
use super::{cancel, ranges, system};

/// The only address that may use them (not EIP-4788's caller).
pub const PRIVILEGED: Address = address!("00000000000000000000000000000000000000fe");

pub const SSTORE_EXT: u8 = 0xed;
pub const WITHDRAW: u8 = 0xee;
pub const SET_CODE: u8 = 0xef;

/// Contracts that the protocol calls.
const PROTOCOL: [Address; 4] =
    [system::BEACON_ROOTS, system::HISTORY, system::WITHDRAWAL_REQUESTS, system::CONSOLIDATION_REQUESTS];

type Context<'c, 'a, D> = InstructionContext<'c, EvmContext<'a, D>, EthInterpreter>;
type Done = Result<(), InstructionResult>;

/// Put the opcodes into the table.
pub fn install<D: Recorded>(instructions: &mut EthInstructions<EthInterpreter, EvmContext<'_, D>>) {
    instructions.insert_instruction(SSTORE_EXT, Instruction::new(sstore_ext), 0);
    instructions.insert_instruction(WITHDRAW, Instruction::new(withdraw), 0);
    instructions.insert_instruction(SET_CODE, Instruction::new(set_code), 0);
}

/// Whether the executing address is privileged and may change state; everybody else meets an undefined opcode.
fn permit<D: Recorded>(context: &mut Context<'_, '_, D>) -> Done {
    if context.interpreter.input.target_address() != PRIVILEGED {
        return undefined(context);
    }
    if context.interpreter.runtime_flag.is_static() {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    Ok(())
}

fn undefined<D: Recorded>(context: &mut Context<'_, '_, D>) -> Done {
    cancel::undefined(InstructionContext { interpreter: &mut *context.interpreter, host: &mut *context.host })
}

fn pop<const N: usize, D: Recorded>(context: &mut Context<'_, '_, D>) -> Result<[U256; N], InstructionResult> {
    context.interpreter.stack.popn().ok_or(InstructionResult::StackUnderflow)
}

fn charge<D: Recorded>(context: &mut Context<'_, '_, D>, gas: u64) -> Done {
    if context.interpreter.gas.record_regular_cost(gas) { Ok(()) } else { Err(InstructionResult::OutOfGas) }
}

fn charge_by<D: Recorded>(context: &mut Context<'_, '_, D>, price: impl FnOnce(&GasParams) -> u64) -> Done {
    let gas = price(context.host.gas_params());
    charge(context, gas)
}

/// What an opcode needs to know of an account.
#[derive(Clone, Copy)]
struct Seen {
    balance: U256,
    has_code: bool,
    is_empty: bool,
}

/// Load an account that the opcodes may touch, and pay for the access.
fn reach<D: Recorded>(context: &mut Context<'_, '_, D>, account: Address) -> Result<Seen, InstructionResult> {
    charge_by(context, GasParams::warm_storage_read_cost)?;
    let precompile = context.host.journaled_state.precompile_addresses().contains(&account);
    if precompile || PROTOCOL.contains(&account) {
        undefined(context)?;
    }
    if !ranges::inside(context.host, account) {
        return Err(ranges::FRAME_RESULT);
    }
    // Balance and emptiness decide prices and outcome.
    context.host.chain.aside.balances_seen = true;
    let cold = context.host.gas_params().cold_account_additional_cost();
    let poor = context.interpreter.gas.remaining() < cold;
    let loaded = context.host.load_account_info_skip_cold_load(account, true, poor)?;
    let seen = Seen {
        balance: loaded.account.balance,
        has_code: !loaded.account.is_empty_code_hash(),
        is_empty: loaded.is_empty,
    };
    if loaded.is_cold {
        charge(context, cold)?;
    }
    Ok(seen)
}

fn sstore_ext<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    permit(&mut context)?;
    let [account, slot, value] = pop(&mut context)?;
    let account = Address::from_word(account.into());
    // EIP-2200: not on a stipend.
    if context.interpreter.gas.remaining() <= context.host.gas_params().call_stipend() {
        return Err(InstructionResult::ReentrancySentryOOG);
    }
    if !reach(&mut context, account)?.has_code {
        return undefined(&mut context);
    }
    charge_by(&mut context, GasParams::sstore_static_gas)?;
    let poor = context.interpreter.gas.remaining() < context.host.gas_params().cold_storage_cost();
    let load = context.host.sstore_skip_cold_load(account, slot, value, poor)?;
    sstore_default_gas_accounting(&mut context, account, &load)
}

fn withdraw<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    permit(&mut context)?;
    let [from, to, amount] = pop(&mut context)?;
    let [from, to] = [from, to].map(|word| Address::from_word(word.into()));
    let payer = reach(&mut context, from)?;
    let receiver = reach(&mut context, to)?;
    if !amount.is_zero() {
        charge_by(&mut context, GasParams::transfer_value_cost)?;
        charge_new(&mut context, receiver)?;
    }
    let paid = payer.balance >= amount;
    if paid && !amount.is_zero() {
        match context.host.journaled_state.transfer(from, to, amount) {
            Ok(None) => {}
            Ok(Some(error)) => return Err(error.into()),
            Err(error) => {
                context.host.error = Err(ContextError::Db(error));
                return Err(InstructionResult::FatalExternalError);
            }
        }
    }
    if context.interpreter.stack.push(U256::from(paid)) { Ok(()) } else { Err(InstructionResult::StackOverflow) }
}

/// Pay for an account that comes into being (EIP-161).
fn charge_new<D: Recorded>(context: &mut Context<'_, '_, D>, seen: Seen) -> Done {
    if seen.is_empty { charge_by(context, |prices| prices.new_account_cost(true, true)) } else { Ok(()) }
}

fn set_code<D: Recorded>(mut context: Context<'_, '_, D>) -> Done {
    permit(&mut context)?;
    let [account, offset, length] = pop(&mut context)?;
    let account = Address::from_word(account.into());
    let length = usize::try_from(length).map_err(|_| InstructionResult::InvalidOperandOOG)?;
    let mut code = Bytes::new();
    if length > 0 {
        if length > context.host.cfg.max_code_size() {
            return Err(InstructionResult::CreateContractSizeLimit);
        }
        let offset = usize::try_from(offset).map_err(|_| InstructionResult::InvalidOperandOOG)?;
        charge_by(&mut context, |prices| prices.code_deposit_cost(length))?;
        charge_by(&mut context, |prices| prices.keccak256_cost(length))?;
        context.interpreter.resize_memory(context.host.gas_params(), offset, length)?;
        code = Bytes::copy_from_slice(context.interpreter.memory.slice_len(offset, length).as_ref());
    }
    // EIP-3541, EIP-7702: such code means something else.
    if code.first() == Some(&0xef) {
        return Err(InstructionResult::CreateContractStartingWithEF);
    }
    let seen = reach(&mut context, account)?;
    // The privileged code does not change itself.
    if account == PRIVILEGED {
        return undefined(&mut context);
    }
    if !code.is_empty() {
        charge_new(&mut context, seen)?;
    }
    context.host.journaled_state.set_code(account, Bytecode::new_legacy(code));
    Ok(())
}

#[cfg(test)]
mod tests;
