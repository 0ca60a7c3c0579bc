use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use revm::context::result::{ExecutionResult, HaltReason};
use revm::state::EvmState;

use super::*;
use crate::evm::testing::{World, call};
use crate::spec::Spec;

const ON: &str = r#"{"vm":{"privilegedOpcodes":true}}"#;
const TOKEN: Address = Address::repeat_byte(0x70);
const POOR: Address = Address::repeat_byte(0x71);
const STRANGER: Address = Address::repeat_byte(0x72);
const GAS: u64 = 300_000;
/// Intrinsic gas of a call without data.
const BASE: u64 = 21_000;

/// PUSH20 of an address.
fn address_word(address: Address) -> Vec<u8> {
    [&[0x73], address.as_slice()].concat()
}

/// Operands, top first, as code; then the rest.
fn program(operands: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut code: Vec<u8> = operands.iter().rev().flat_map(|operand| operand.iter().copied()).collect();
    code.extend_from_slice(rest);
    code
}

fn small(value: u8) -> Vec<u8> {
    vec![0x60, value]
}

/// A world with a token contract (one slot holding 9) and an account with 50 wei; the privileged code is `code`.
fn world(hansa: &str, code: &[u8]) -> World {
    let mut world = World::new(hansa).with(PRIVILEGED, 1_000, code).with(TOKEN, 0, &[0x00]).with(POOR, 50, &[]);
    world = world.absent([STRANGER]);
    for slot in [0, 1, 2] {
        world.state.put_slot(TOKEN, U256::from(slot), if slot == 1 { U256::from(9) } else { U256::ZERO });
        world.state.put_slot(PRIVILEGED, U256::from(slot), U256::ZERO);
    }
    world
}

fn run(hansa: &str, code: &[u8]) -> (ExecutionResult, EvmState) {
    world(hansa, code).run(call(PRIVILEGED, GAS, ""))
}

fn slot_of(state: &EvmState, account: Address, slot: u64) -> Option<U256> {
    Some(state.get(&account)?.storage.get(&U256::from(slot))?.present_value)
}

fn store(account: Address, slot: u8, value: u8) -> Vec<u8> {
    program(&[&address_word(account), &small(slot), &small(value)], &[SSTORE_EXT])
}

fn pay(from: Address, to: Address, amount: u8) -> Vec<u8> {
    program(&[&address_word(from), &address_word(to), &small(amount)], &[WITHDRAW])
}

/// MSTORE8s `code` to memory and sets it.
fn set(account: Address, code: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, byte) in (0..).zip(code) {
        out.extend_from_slice(&[0x60, *byte, 0x60, place, 0x53]);
    }
    let length = u8::try_from(code.len()).expect("short");
    out.extend(program(&[&address_word(account), &small(0), &small(length)], &[SET_CODE]));
    out
}

fn halted(result: &ExecutionResult) -> &HaltReason {
    match result {
        ExecutionResult::Halt { reason, gas, .. } => {
            assert_eq!(gas.tx_gas_used(), GAS, "all gas is gone");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slot_of_another_contract_is_written_for_the_price_of_sstore_and_of_the_access() {
    // Three PUSHes, access of a cold account, then SSTORE on a cold slot: 0 to 5, 9 to 5, 9 to 0, 9 to 9.
    let push = 9;
    let access = 2_600;
    for (slot, value, sstore, refund) in [(0, 5, 22_100, 0), (1, 5, 5_000, 0), (1, 0, 5_000, 4_800), (1, 9, 2_200, 0)] {
        let (result, state) = run(ON, &store(TOKEN, slot, value));
        assert!(result.is_success(), "{result:?}");
        assert_eq!(result.tx_gas_used(), BASE + push + access + sstore - refund, "slot {slot} to {value}");
        assert_eq!(slot_of(&state, TOKEN, slot.into()), Some(U256::from(value)));
    }
}

#[test]
fn a_warm_account_costs_less() {
    let both = [store(TOKEN, 0, 5), store(TOKEN, 0, 6)].concat();
    let (result, _) = run(ON, &both);
    // The second time both account and slot are warm, and the slot is dirty: 100 + 100.
    assert_eq!(result.tx_gas_used(), BASE + 9 + 2_600 + 22_100 + 9 + 200);
}

#[test]
fn ether_moves_between_accounts_as_ordered() {
    let (result, state) = run(ON, &pay(POOR, TOKEN, 30));
    assert!(result.is_success(), "{result:?}");
    assert_eq!(result.tx_gas_used(), BASE + 9 + 2 * 2_600 + 9_000);
    assert_eq!(state[&POOR].info.balance, U256::from(20));
    assert_eq!(state[&TOKEN].info.balance, U256::from(30));
    // To an account that is not there yet.
    let (result, state) = run(ON, &pay(POOR, STRANGER, 30));
    assert_eq!(result.tx_gas_used(), BASE + 9 + 2 * 2_600 + 9_000 + 25_000);
    assert_eq!(state[&STRANGER].info.balance, U256::from(30));
}

#[test]
fn an_account_with_less_pays_nothing_and_the_code_learns_it() {
    for (amount, answer) in [(50, 1), (51, 0)] {
        // Returns what WITHDRAW pushed.
        let code = [pay(POOR, TOKEN, amount), hex!("5f 52 60 20 5f f3").to_vec()].concat();
        let (result, state) = run(ON, &code);
        assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::from(answer));
        assert_eq!(state[&POOR].info.balance, U256::from(50 - answer * 50));
    }
}

#[test]
fn code_is_set_on_contracts_and_on_new_accounts() {
    let code = [0x60, 0x01, 0x00];
    let memory = 3; // one word
    let bytes = 3 * 9; // PUSH1 PUSH1 MSTORE8 each
    let price = 200 * 3 + 6;
    for (account, new) in [(TOKEN, 0), (STRANGER, 25_000)] {
        let mut world = world(ON, &set(account, &code));
        let (result, state) = world.run(call(PRIVILEGED, GAS, ""));
        assert!(result.is_success(), "{result:?}");
        assert_eq!(result.tx_gas_used(), BASE + bytes + memory + 9 + price + 2_600 + new);
        assert_eq!(state[&account].info.code_hash, keccak256(code));
        // The next transaction finds it, and the write set carries it.
        let (second, _) = world.run(TxAfter(call(account, GAS, "")).with_nonce(1));
        assert!(second.is_success());
        let write = world.state.write_set().accounts.into_iter().find(|write| write.address == account);
        assert_eq!(write.and_then(|write| write.code), Some(Bytes::copy_from_slice(&code)));
    }
    let (_, state) = run(ON, &set(TOKEN, &[]));
    assert_eq!(state[&TOKEN].info.code_hash, alloy_primitives::KECCAK256_EMPTY);
}

/// A transaction that comes after another one.
struct TxAfter(revm::context::TxEnv);

impl TxAfter {
    fn with_nonce(self, nonce: u64) -> revm::context::TxEnv {
        revm::context::TxEnv { nonce, ..self.0 }
    }
}

#[test]
fn code_that_begins_with_ef_or_is_too_long_is_refused() {
    let (result, _) = run(ON, &set(TOKEN, &[0xef, 0x01]));
    assert_eq!(halted(&result), &HaltReason::CreateContractStartingWithEF);
    let long = program(&[&address_word(TOKEN), &small(0), &[0x61, 0x60, 0x01]], &[SET_CODE]);
    let (result, _) = run(ON, &long);
    assert_eq!(halted(&result), &HaltReason::CreateContractSizeLimit);
}

#[test]
fn a_revert_takes_everything_back() {
    // The privileged code calls itself; with value 1 it works and reverts, else it calls with value 1 and stops.
    let work = [store(TOKEN, 0, 5), pay(POOR, TOKEN, 30), set(TOKEN, &[0x01])].concat();
    let mut code = hex!("34 60 11 57 5f 5f 5f 5f 60 01 30 5a f1 5f 52 00 00 5b").to_vec();
    code.extend(&work);
    code.extend_from_slice(&hex!("5f 5f fd"));
    let (result, state) = run(ON, &code);
    assert!(result.is_success(), "{result:?}");
    assert_eq!(slot_of(&state, TOKEN, 0).unwrap_or_default(), U256::ZERO);
    assert_eq!(state[&POOR].info.balance, U256::from(50));
    assert_eq!(state[&TOKEN].info.code_hash, keccak256([0x00]));
    // The same work without the revert lasts.
    let (result, state) = run(ON, &work);
    assert!(result.is_success(), "{result:?}");
    assert_eq!(slot_of(&state, TOKEN, 0), Some(U256::from(5)));
    assert_eq!(state[&TOKEN].info.code_hash, keccak256([0x01]));
}

#[test]
fn everybody_else_meets_an_undefined_opcode() {
    let uses = [store(TOKEN, 0, 5), pay(POOR, TOKEN, 30), set(TOKEN, &[0x01])];
    for code in &uses {
        // A stranger's contract, and every contract of a chain that did not turn them on.
        let caller = Address::repeat_byte(0x33);
        for (hansa, at) in [(ON, caller), ("{}", PRIVILEGED)] {
            let mut world = world(hansa, code).with(caller, 0, code);
            let (result, state) = world.run(call(at, GAS, ""));
            assert_eq!(halted(&result), &HaltReason::OpcodeNotFound);
            assert!(slot_of(&state, TOKEN, 0).unwrap_or_default().is_zero());
            // Compare with an opcode that nobody defines.
            let mut undefined = code.clone();
            *undefined.last_mut().expect("an opcode") = 0x0c;
            let (other, _) = World::new(hansa).with(at, 0, &undefined).run(call(at, GAS, ""));
            assert_eq!(format!("{result:?}"), format!("{other:?}"));
        }
    }
}

#[test]
fn borrowing_the_privileged_code_borrows_no_privilege() {
    // DELEGATECALL of the privileged address, returning whether it succeeded.
    let caller = Address::repeat_byte(0x33);
    let code = hex!("5f 5f 5f 5f 60 fe 61 ffff f4 5f 52 60 20 5f f3");
    let (result, state) = world(ON, &store(TOKEN, 0, 5)).with(caller, 0, &code).run(call(caller, GAS, ""));
    assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::ZERO);
    assert!(slot_of(&state, TOKEN, 0).unwrap_or_default().is_zero());
    // A plain call of it works: its own access control is its own business.
    let code = hex!("5f 5f 5f 5f 5f 60 fe 61 ffff f1 5f 52 60 20 5f f3");
    let (result, state) = world(ON, &store(TOKEN, 0, 5)).with(caller, 0, &code).run(call(caller, GAS, ""));
    assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::from(1));
    assert_eq!(slot_of(&state, TOKEN, 0), Some(U256::from(5)));
}

#[test]
fn a_static_call_is_refused() {
    let caller = Address::repeat_byte(0x33);
    let code = hex!("5f 5f 5f 5f 60 fe 61 ffff fa 5f 52 60 20 5f f3");
    for use_ in [store(TOKEN, 0, 5), pay(POOR, TOKEN, 30), set(TOKEN, &[0x01])] {
        let (result, state) = world(ON, &use_).with(caller, 0, &code).run(call(caller, GAS, ""));
        assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::ZERO);
        assert_eq!(state[&PRIVILEGED].info.balance, U256::from(1_000));
        assert!(!state.contains_key(&TOKEN) || slot_of(&state, TOKEN, 0).unwrap_or_default().is_zero());
    }
}

#[test]
fn protocol_contracts_precompiles_and_the_own_code_are_out_of_reach() {
    let precompile = Address::with_last_byte(1);
    for target in [system::BEACON_ROOTS, system::HISTORY, system::WITHDRAWAL_REQUESTS, precompile] {
        for code in [store(target, 0, 5), pay(target, TOKEN, 0), pay(TOKEN, target, 0), set(target, &[0x01])] {
            let (result, _) = world(ON, &code).with(target, 0, &[0x00]).run(call(PRIVILEGED, GAS, ""));
            assert_eq!(halted(&result), &HaltReason::OpcodeNotFound, "{target}");
        }
    }
    let (result, _) = run(ON, &set(PRIVILEGED, &[0x01]));
    assert_eq!(halted(&result), &HaltReason::OpcodeNotFound);
    // An account without code has no storage to write to.
    let (result, _) = run(ON, &store(POOR, 0, 5));
    assert_eq!(halted(&result), &HaltReason::OpcodeNotFound);
    // Its own storage it may write, as by SSTORE.
    let (result, state) = run(ON, &store(PRIVILEGED, 0, 5));
    assert!(result.is_success());
    assert_eq!(slot_of(&state, PRIVILEGED, 0), Some(U256::from(5)));
}

#[test]
fn too_little_gas_or_stack_ends_the_frame() {
    let code = store(TOKEN, 0, 5);
    let need = BASE + 9 + 2_600 + 22_100;
    let (result, _) = world(ON, &code).run(call(PRIVILEGED, need, ""));
    assert!(result.is_success());
    let (result, state) = world(ON, &code).run(call(PRIVILEGED, need - 1, ""));
    assert!(matches!(result, ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }), "{result:?}");
    assert!(slot_of(&state, TOKEN, 0).unwrap_or_default().is_zero());
    for opcode in [SSTORE_EXT, WITHDRAW, SET_CODE] {
        let (result, _) = run(ON, &[0x5f, 0x5f, opcode]);
        assert_eq!(halted(&result), &HaltReason::StackUnderflow);
    }
}

#[test]
fn a_flag_of_another_kind_is_refused() {
    let spec = |hansa: &str| Spec::parse(format!(r#"{{"config":{{"chainId":1,"hansa":{hansa}}}}}"#).as_bytes());
    let refused = spec(r#"{"vm":{"privilegedOpcodes":1}}"#).expect_err("refused");
    assert_eq!(refused.field, "config.hansa.vm.privilegedOpcodes");
    assert!(!spec("{}").expect("a spec").vm().privileged_opcodes);
}
