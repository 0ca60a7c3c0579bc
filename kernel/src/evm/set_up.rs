//! Building an EVM for a block or a call, and running one transaction on it.

use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{CfgEnv, Context, Journal};
use revm::context_interface::ContextSetters;
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::journaled_state::JournalTr;
use revm::handler::instructions::EthInstructions;
use revm::handler::system_call::SystemCallTx;
use revm::handler::{EthFrame, Handler, MainnetHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::U256;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use revm::{Database, ExecuteEvm, InspectEvm, Inspector};

use super::cancel::{self, CancelFlag, Watch};
use super::fork_opcodes;
use super::in_block;
use super::precompiles::ChainPrecompiles;
use super::transaction::{self, Tx};
use super::{opcodes, prices, ranges};
use crate::error::InputError;
use crate::exec::state::{JobState, StateError};
use crate::header::BlockEnv;
use crate::spec::{Fork, Spec};

/// Most bytes of EVM memory of a call from outside. In a block gas alone bounds it, or results would differ from other
/// clients': 1,024 nested frames of w words each cost at least 1,024 * (3 w + w^2 / 512), so that a transaction of 16.7
/// million gas holds at most 75 MB, and one of 60 million 160 MB.
const CALL_MEMORY_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Gas of a system call (EIP-4788).
const SYSTEM_CALL_GAS: u64 = 30_000_000;
/// Most blobs in one transaction from Osaka on (EIP-7594).
const BLOBS_PER_TX_MAX: u64 = 6;

/// revm's context over a job's state, or over another view of it.
pub type EvmContext<'a, D = JobState> =
    Context<revm::context::BlockEnv, Tx, CfgEnv, &'a mut D, Journal<&'a mut D>, Watch>;

/// An EVM of the chain's rules over a job's state, or over another view of it.
pub type Evm<'a, D = JobState> = revm::context::Evm<
    EvmContext<'a, D>,
    (),
    EthInstructions<EthInterpreter, EvmContext<'a, D>>,
    ChainPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// A database that records what it lacked.
pub trait Recorded: Database<Error = StateError> {
    /// Begin an exact run: a miss ends it.
    fn begin(&mut self);
    /// Whether the run lacked a value, so that its outcome is void.
    fn missed(&self) -> bool;
}

/// Which checks a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A block: every check of the protocol.
    Block,
    /// A call from outside: no check of nonce, sender's code, block gas limit and gas limit cap.
    Call,
}

/// What became of one transaction or system call.
#[derive(Debug)]
pub enum Outcome {
    Done(ExecutionResult, EvmState),
    /// A value was missing: whatever else came out is void.
    Missed,
    /// The transaction must not be in the block.
    Invalid(InvalidTransaction),
    /// An answer that was taken as right cannot be.
    Fault(InputError),
    Cancelled,
}

/// Rules of a block for revm.
#[must_use]
pub fn cfg_of(spec: &Spec, env: &BlockEnv, purpose: Purpose) -> CfgEnv {
    let fork = env.fork(spec);
    let id: SpecId = fork.spec_id();
    let mut cfg = CfgEnv::new_with_spec(id);
    prices::scale(&mut cfg.gas_params, spec.vm().prices);
    cfg.chain_id = spec.chain_id();
    cfg.limit_contract_code_size = (fork >= Fork::SpuriousDragon).then(|| spec.max_code_size());
    cfg.limit_contract_initcode_size = (fork >= Fork::Shanghai).then(|| spec.max_code_size().saturating_mul(2));
    cfg.tx_gas_limit_cap = Some(spec.tx_gas_limit_cap(env.number, env.timestamp).unwrap_or(u64::MAX));
    cfg.memory_limit = if purpose == Purpose::Call { CALL_MEMORY_BYTES_MAX } else { u64::MAX };
    if let Some(rules) = spec.blob_rules(env.timestamp) {
        cfg.blob_base_fee_update_fraction = Some(rules.update_fraction);
        cfg.max_blobs_per_tx = Some(if fork >= Fork::Osaka { rules.max.min(BLOBS_PER_TX_MAX) } else { rules.max });
    }
    if purpose == Purpose::Call {
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_block_gas_limit = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
    }
    cfg
}

/// The block for revm.
#[must_use]
pub fn block_of(spec: &Spec, env: &BlockEnv, cfg: &CfgEnv) -> revm::context::BlockEnv {
    let fork = env.fork(spec);
    revm::context::BlockEnv {
        number: U256::from(env.number),
        beneficiary: env.beneficiary,
        timestamp: U256::from(env.timestamp),
        gas_limit: env.gas_limit,
        basefee: env.base_fee_per_gas,
        difficulty: env.difficulty,
        prevrandao: (fork >= Fork::Paris).then_some(env.prev_randao),
        blob_excess_gas_and_price: (fork >= Fork::Cancun)
            .then(|| BlobExcessGasAndPrice::new(env.excess_blob_gas, cfg.blob_base_fee_update_fraction())),
        slot_num: 0,
    }
}

/// An EVM for `env` over `state`. With `cancel`, a run ends soon after the flag is set.
#[must_use]
pub fn build<'a, D: Recorded>(
    spec: &Spec,
    env: &BlockEnv,
    state: &'a mut D,
    purpose: Purpose,
    cancel: Option<&CancelFlag>,
) -> Evm<'a, D> {
    let cfg = cfg_of(spec, env, purpose);
    let block = block_of(spec, env, &cfg);
    let mut journal: Journal<&'a mut D> = Journal::new(state);
    journal.set_spec_id(cfg.spec);
    let context: EvmContext<'a, D> = Context {
        block,
        tx: Tx::default(),
        cfg,
        journaled_state: journal,
        chain: Watch { cancel: cancel.cloned().unwrap_or_default(), ..Watch::default() },
        local: revm::context::LocalContext::default(),
        error: Ok(()),
    };
    let instructions = EthInstructions::new_mainnet_with_spec(context.cfg.spec);
    let precompiles = ChainPrecompiles::new(context.cfg.spec, spec.vm().precompiles.clone());
    let mut evm = Evm::new(context, instructions, precompiles);
    fork_opcodes::set_up(&mut evm.instruction, env.fork(spec));
    prices::scale_static(evm.instruction.gas_table_mut(), spec.vm().prices, evm.ctx.cfg.spec);
    if cancel.is_some() {
        cancel::watch(&mut evm.instruction);
    }
    if purpose == Purpose::Block {
        in_block::watch_balances(&mut evm.instruction);
    }
    if spec.vm().address_ranges {
        ranges::watch(&mut evm.instruction);
    }
    if spec.vm().privileged_opcodes {
        opcodes::install(&mut evm.instruction);
    }
    evm
}

/// Set which checks a simulated call makes: the nonce, and the base fee for one that names no price.
pub fn set_checks(evm: &mut Evm<'_>, nonce: bool, base_fee: bool) {
    evm.ctx.cfg.disable_nonce_check = !nonce;
    evm.ctx.cfg.disable_base_fee = !base_fee;
}

/// Whether the rules of an EVM have a precompile at `address`.
#[must_use]
pub fn is_precompile(evm: &Evm<'_>, address: revm::primitives::Address) -> bool {
    evm.precompiles.is_precompile(&address)
}

/// Give BLOBBASEFEE another value, wei (overrides of calls).
pub fn set_blob_base_fee(evm: &mut Evm<'_>, wei: u128) {
    if let Some(blob) = &mut evm.ctx.block.blob_excess_gas_and_price {
        blob.blob_gasprice = wei;
    }
}

/// The undefined opcode that the last run met last, of an EVM built with a cancel flag.
#[must_use]
pub fn undefined_opcode(evm: &Evm<'_>) -> Option<u8> {
    evm.ctx.chain.undefined
}

/// The state behind an EVM.
pub fn state_of<'e, D: Recorded>(evm: &'e mut Evm<'_, D>) -> &'e mut D {
    evm.ctx.journaled_state.database
}

pub(super) fn outcome<D: Recorded>(
    evm: &mut Evm<'_, D>,
    result: Result<ExecutionResult, EVMError<StateError>>,
) -> Outcome {
    let state = evm.finalize();
    // The recorded misses decide, not the kind of error: code on the way may have swallowed it.
    if state_of(evm).missed() {
        return Outcome::Missed;
    }
    match result {
        Ok(result) => Outcome::Done(ranges::named_result(result, evm.ctx.chain.out_of_range), state),
        Err(EVMError::Transaction(invalid)) => Outcome::Invalid(invalid),
        Err(EVMError::Header(error)) => Outcome::Fault(InputError::new("env", "a block of its fork", error)),
        Err(EVMError::Database(StateError::Cancelled)) => Outcome::Cancelled,
        Err(EVMError::Database(StateError::NoCode(hash))) => {
            Outcome::Fault(InputError::new("codes", format!("code of hash {hash}"), "nothing"))
        }
        Err(error) => panic!("revm failed without a cause in the state: {error}"),
    }
}

/// What revm leaves to decoders, which calls do not pass: transactions of these types have a recipient.
fn barred_creation(tx: &Tx) -> Option<InvalidTransaction> {
    match tx.tx_type {
        3 if tx.kind.is_create() => Some(InvalidTransaction::BlobCreateTransaction),
        4 if tx.kind.is_create() => Some(InvalidTransaction::AuthorizationListInvalidFields),
        _ => None,
    }
}

/// Run one transaction; nothing is folded into the state yet.
///
/// # Panics
/// When revm fails on its own, which is a bug of the kernel.
pub fn run_exact<D: Recorded>(evm: &mut Evm<'_, D>, tx: impl Into<Tx>) -> Outcome {
    let tx = tx.into();
    if let Some(invalid) = barred_creation(&tx) {
        return Outcome::Invalid(invalid);
    }
    state_of(evm).begin();
    transaction::prepare(&mut evm.ctx, &tx);
    let result = evm.transact_one(tx);
    outcome(evm, result)
}

/// As [`run_exact`] under an inspector that sees every step. Gives the EVM back.
///
/// # Panics
/// As [`run_exact`].
pub fn run_inspected<'a, I>(evm: Evm<'a>, tx: impl Into<Tx>, inspector: &mut I) -> (Evm<'a>, Outcome)
where
    I: Inspector<EvmContext<'a>, EthInterpreter>,
{
    let tx = tx.into();
    if let Some(invalid) = barred_creation(&tx) {
        return (evm, Outcome::Invalid(invalid));
    }
    let mut inspected = evm.with_inspector(inspector);
    transaction::prepare(&mut inspected.ctx, &tx);
    inspected.ctx.journaled_state.database.begin();
    let result = inspected.inspect_one_tx(tx);
    let mut evm = inspected.with_inspector(());
    let outcome = outcome(&mut evm, result);
    (evm, outcome)
}

/// Run one transaction on guesses to find keys; its outcome is thrown away. Returns the gas it used.
pub fn run_guessing(evm: &mut Evm<'_>, tx: impl Into<Tx>) -> u64 {
    let tx = tx.into();
    transaction::prepare(&mut evm.ctx, &tx);
    state_of(evm).begin_guessing(tx.caller, tx.nonce);
    let gas_limit = tx.gas_limit;
    let result = evm.transact_one(tx);
    drop(evm.finalize());
    state_of(evm).begin();
    result.map_or(gas_limit / 4, |result| result.tx_gas_used())
}

/// Call a system contract as the system address.
///
/// # Panics
/// As [`run_exact`].
pub fn run_system(evm: &mut Evm<'_>, address: revm::primitives::Address, data: revm::primitives::Bytes) -> Outcome {
    state_of(evm).begin();
    let mut tx = Tx::new_system_tx(address, data);
    tx.gas_limit = SYSTEM_CALL_GAS;
    transaction::prepare(&mut evm.ctx, &tx);
    evm.ctx.set_tx(tx);
    let result = MainnetHandler::default().run_system_call(evm);
    outcome(evm, result)
}
