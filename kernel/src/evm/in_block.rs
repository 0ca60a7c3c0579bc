//! One transaction of a block: mainnet's rules, but the tip is handed back instead of paid, and it is noted whether code
//! looked at a balance.
//!
//! Every transaction pays the same beneficiary, so paying it here would make every transaction depend on the one before.
//! Who folds the transaction in pays it then (`exec::state`). A transaction whose code never looked at a balance does what
//! it does whatever the balances are, as long as its sender can pay: `exec::commit` builds on that.

use std::marker::PhantomData;

use revm::bytecode::opcode;
use revm::context::result::{EVMError, HaltReason};
use revm::context_interface::{ContextSetters, Transaction};
use revm::handler::instructions::EthInstructions;
use revm::handler::{FrameResult, Handler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult, instructions};
use revm::primitives::U256;
use revm::primitives::hardfork::SpecId;

use super::set_up::{Evm, EvmContext, Outcome, Recorded, outcome, state_of};
use super::transaction::{self, Tx};
use crate::exec::state::StateError;

/// What a run leaves beside its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aside {
    /// Wei for the beneficiary.
    pub tip: U256,
    /// Code may have learned an account's balance, or whether the account is empty.
    pub balances_seen: bool,
}

/// Mainnet's handler without the beneficiary's reward.
struct BlockHandler<'a, D>(PhantomData<&'a mut D>);

impl<'a, D: Recorded> Handler for BlockHandler<'a, D> {
    type Evm = Evm<'a, D>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn reward_beneficiary(&self, evm: &mut Self::Evm, result: &mut FrameResult) -> Result<(), Self::Error> {
        let context = &mut evm.ctx;
        let base_fee = u128::from(context.block.basefee);
        let price = context.tx.effective_gas_price(base_fee);
        let london = context.cfg.spec.is_enabled_in(SpecId::LONDON);
        let price = if london { price.saturating_sub(base_fee) } else { price };
        let gas = result.gas();
        let used = gas.used().saturating_sub(gas.reservoir());
        context.chain.aside.tip = U256::from(price) * U256::from(used);
        Ok(())
    }
}

/// Run one transaction of a block; nothing is folded into the state yet. [`aside`] tells what comes with it.
///
/// # Panics
/// When revm fails on its own, which is a bug of the kernel.
pub fn run_in_block<'a, D: Recorded>(evm: &mut Evm<'a, D>, tx: impl Into<Tx>) -> Outcome {
    let tx = tx.into();
    state_of(evm).begin();
    transaction::prepare(&mut evm.ctx, &tx);
    evm.ctx.chain.aside = Aside::default();
    evm.ctx.set_tx(tx);
    let result = BlockHandler::<'a, D>(PhantomData).run(evm);
    outcome(evm, result)
}

/// What the last run in a block left beside its result.
#[must_use]
pub fn aside<D: Recorded>(evm: &Evm<'_, D>) -> Aside {
    evm.ctx.chain.aside
}

type Ictx<'e, 'a, D> = InstructionContext<'e, EvmContext<'a, D>, EthInterpreter>;

/// Let every instruction that learns a balance, or that an account is empty, say so.
pub fn watch_balances<D: Recorded>(set: &mut EthInstructions<EthInterpreter, EvmContext<'_, D>>) {
    let table = set.instruction_table_mut();
    table[usize::from(opcode::BALANCE)] = Instruction::new(balance);
    table[usize::from(opcode::SELFBALANCE)] = Instruction::new(self_balance);
    table[usize::from(opcode::EXTCODEHASH)] = Instruction::new(code_hash);
    table[usize::from(opcode::CALL)] = Instruction::new(call::<{ opcode::CALL }, D>);
    table[usize::from(opcode::CALLCODE)] = Instruction::new(call::<{ opcode::CALLCODE }, D>);
    table[usize::from(opcode::CREATE)] = Instruction::new(create::<false, D>);
    table[usize::from(opcode::CREATE2)] = Instruction::new(create::<true, D>);
    table[usize::from(opcode::SELFDESTRUCT)] = Instruction::new(self_destruct);
}

pub(super) fn balance<D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    context.host.chain.aside.balances_seen = true;
    instructions::host::balance(context)
}

fn self_balance<D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    context.host.chain.aside.balances_seen = true;
    instructions::host::selfbalance(context)
}

pub(super) fn code_hash<D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    context.host.chain.aside.balances_seen = true;
    super::fork_opcodes::code_hash(context)
}

/// A call with value needs the funds and asks whether the account is there; one without asks for neither.
pub(super) fn call<const KIND: u8, D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    if context.interpreter.stack.peek(2).is_ok_and(|value| !value.is_zero()) {
        context.host.chain.aside.balances_seen = true;
    }
    instructions::contract::call::<KIND, _, _>(context)
}

pub(super) fn create<const TWO: bool, D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    context.host.chain.aside.balances_seen = true;
    instructions::contract::create::<TWO, _, _>(context)
}

pub(super) fn self_destruct<D: Recorded>(context: Ictx<'_, '_, D>) -> Result<(), InstructionResult> {
    context.host.chain.aside.balances_seen = true;
    instructions::host::selfdestruct(context)
}
