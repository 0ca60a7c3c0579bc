use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::context::TxEnv;
use revm::context_interface::Host;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;

use super::set_up::EvmContext;
use super::{Outcome, Purpose, build, cfg_of, run_exact};
use crate::exec::need::Record;
use crate::exec::state::{JobState, bytecode};
use crate::header::BlockEnv;
use crate::spec::{FORKS, Fork, Spec};

const SENDER: Address = Address::repeat_byte(0xaa);
const CODE_AT: Address = Address::repeat_byte(0xcc);
const SWALLOWING: u8 = 0x0c;

fn env() -> BlockEnv {
    BlockEnv {
        parent_hash: B256::ZERO,
        number: 1,
        timestamp: 1,
        gas_limit: 30_000_000,
        base_fee_per_gas: 0,
        beneficiary: Address::ZERO,
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        difficulty: U256::ZERO,
        excess_blob_gas: 0,
        ..BlockEnv::default()
    }
}

#[test]
fn blocks_never_switch_a_check_off() {
    for fork in FORKS {
        let cfg = cfg_of(&Spec::of_fork(fork, 1), &env(), Purpose::Block);
        assert!(cfg.tx_chain_id_check);
        assert!(!cfg.disable_nonce_check && !cfg.disable_balance_check && !cfg.disable_block_gas_limit);
        assert!(!cfg.disable_eip3607 && !cfg.disable_base_fee && !cfg.disable_fee_charge);
        assert!(!cfg.disable_priority_fee_check);
        let cap = if fork >= Fork::Osaka { 16_777_216 } else { u64::MAX };
        assert_eq!(cfg.tx_gas_limit_cap, Some(cap));
    }
}

/// Reads slot 1 of its contract and pretends that nothing happened when it is missing.
#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // the type is revm's
fn swallowing(context: InstructionContext<'_, EvmContext<'_>, EthInterpreter>) -> Result<(), InstructionResult> {
    let _ = context.host.sload(CODE_AT, U256::from(1));
    context.host.error = Ok(());
    Ok(())
}

fn state() -> JobState {
    let mut state = JobState::new(SpecId::OSAKA, None, 1_000);
    let code = Bytes::from_static(&[SWALLOWING, 0x00]);
    let record = |code_hash| Record { nonce: 0, balance: U256::from(1), storage_root: B256::ZERO, code_hash };
    state.put_record(SENDER, Some(&record(KECCAK256_EMPTY)));
    state.put_record(Address::ZERO, None);
    state.put_record(CODE_AT, Some(&record(keccak256(&code))));
    state.put_code(keccak256(&code), bytecode(code));
    state
}

fn run(state: &mut JobState) -> Outcome {
    let mut evm = build(&Spec::of_fork(Fork::Osaka, 1), &env(), state, Purpose::Block, None);
    evm.instruction.insert_instruction(SWALLOWING, Instruction::new(swallowing), 0);
    let tx = TxEnv { caller: SENDER, kind: TxKind::Call(CODE_AT), gas_limit: 100_000, ..TxEnv::default() };
    run_exact(&mut evm, tx)
}

#[test]
fn a_miss_that_code_swallows_still_voids_the_run() {
    let mut state = state();
    assert!(matches!(run(&mut state), Outcome::Missed));
    let wanted = state.take_wanted();
    assert_eq!(wanted.slots.into_iter().collect::<Vec<_>>(), [(CODE_AT, U256::from(1))]);
    state.put_slot(CODE_AT, U256::from(1), U256::from(9));
    assert!(matches!(run(&mut state), Outcome::Done(..)));
}
