use alloy_primitives::{Address, U256, hex};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

use super::*;
use crate::evm::testing::{SENDER, World, call};
use crate::evm::{Body, Tx};
use crate::exec::receipts::{FailureReason, Receipt, summarize};
use crate::tx::{AddressRange, AddressRanges};

const ON: &str = r#"{"vm":{"addressRanges":true,"precompiles":[{"address":"0x400","name":"sha3_256"}]}}"#;
const GAS: u64 = 200_000;
const HERE: Address = Address::repeat_byte(0x70);
const INSIDE: Address = Address::repeat_byte(0x71);
const OUTSIDE: Address = Address::repeat_byte(0x50);

/// 0x70.. to 0x7f.., and the sender.
fn ranges() -> AddressRanges {
    let range = |first, last| AddressRange { first, last };
    AddressRanges::new(vec![range(Address::repeat_byte(0x70), Address::repeat_byte(0x7f)), range(SENDER, SENDER)])
        .expect("ascending")
}

fn in_ranges(ranges: AddressRanges, ethereum: TxEnv) -> Tx {
    Body { ethereum, ranges, ..Body::default() }.into()
}

fn ranged(tx: TxEnv) -> Tx {
    in_ranges(ranges(), tx)
}

fn world(code: &[u8]) -> World {
    World::new(ON)
        .with(HERE, 100, code)
        .with(INSIDE, 0, &[0x00])
        .with(OUTSIDE, 5, &[0x00])
        .absent([Address::with_last_byte(4), Address::from_word(U256::from(0x400).into())])
}

fn run(code: &[u8]) -> ExecutionResult {
    world(code).run(ranged(call(HERE, GAS, ""))).0
}

fn is_out_of_range(result: &ExecutionResult, address: Address) -> bool {
    match result {
        ExecutionResult::Halt { reason, gas, .. } => {
            assert_eq!(gas.tx_gas_used(), GAS, "all gas is gone");
            out_of_range_text(reason).is_some_and(|text| text.contains(&address.to_string()))
        }
        _ => false,
    }
}

/// Every opcode that names an address, with `address` as its operand.
fn uses(address: Address) -> Vec<(&'static str, Vec<u8>)> {
    let with = |before: &[u8], after: &[u8]| [before, &[0x73], address.as_slice(), after].concat();
    vec![
        ("BALANCE", with(&[], &[BALANCE])),
        ("EXTCODESIZE", with(&[], &[EXTCODESIZE])),
        ("EXTCODEHASH", with(&[], &[EXTCODEHASH])),
        ("EXTCODECOPY", with(&hex!("5f 5f 5f"), &[EXTCODECOPY])),
        ("CALL", with(&hex!("5f 5f 5f 5f 5f"), &[0x5a, CALL])),
        ("CALL with value", with(&hex!("5f 5f 5f 5f 6001"), &[0x5a, CALL])),
        ("CALLCODE", with(&hex!("5f 5f 5f 5f 5f"), &[0x5a, CALLCODE])),
        ("DELEGATECALL", with(&hex!("5f 5f 5f 5f"), &[0x5a, DELEGATECALL])),
        ("STATICCALL", with(&hex!("5f 5f 5f 5f"), &[0x5a, STATICCALL])),
        ("SELFDESTRUCT", with(&[], &[SELFDESTRUCT])),
    ]
}

#[test]
fn what_reaches_outside_ends_its_frame_with_all_its_gas() {
    for (name, code) in uses(OUTSIDE) {
        let result = run(&code);
        assert!(is_out_of_range(&result, OUTSIDE), "{name}: {result:?}");
        assert_eq!(FailureReason::of(&result), Some(FailureReason::OutOfRange));
    }
    for (name, code) in uses(INSIDE) {
        assert!(run(&code).is_success(), "{name}");
    }
}

#[test]
fn inside_of_the_ranges_gas_is_the_same_as_without_them() {
    for (name, code) in uses(INSIDE) {
        let without = world(&code).run(call(HERE, GAS, "")).0;
        let never = World::new("{}").with(HERE, 100, &code).with(INSIDE, 0, &[0x00]).run(call(HERE, GAS, "")).0;
        assert_eq!(format!("{:?}", run(&code)), format!("{without:?}"), "{name}");
        assert_eq!(format!("{never:?}"), format!("{without:?}"), "{name}");
    }
}

#[test]
fn who_promises_nothing_may_go_everywhere() {
    for (name, code) in uses(OUTSIDE) {
        assert!(world(&code).run(call(HERE, GAS, "")).0.is_success(), "{name}");
    }
}

#[test]
fn only_the_frame_that_reached_outside_ends() {
    // HERE calls INSIDE with 50,000 gas and returns whether that went well; INSIDE asks for a balance outside.
    let code = hex!("5f 5f 5f 5f 5f 73 7171717171717171717171717171717171717171 61 c350 f1 5f 52 60 20 5f f3");
    let inner = [&[0x73], OUTSIDE.as_slice(), &[BALANCE]].concat();
    let mut world = World::new(ON).with(HERE, 0, &code).with(INSIDE, 0, &inner).with(OUTSIDE, 5, &[]);
    let (result, _) = world.run(ranged(call(HERE, GAS, "")));
    assert!(result.is_success(), "{result:?}");
    assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::ZERO);
    assert!(result.tx_gas_used() > 21_000 + 50_000, "the inner frame's gas is gone");
    assert_eq!(FailureReason::of(&result), None);
}

#[test]
fn a_frame_that_fails_for_another_reason_after_an_inner_violation_says_its_own() {
    // As above, but HERE ends with INVALID.
    let code = hex!("5f 5f 5f 5f 5f 73 7171717171717171717171717171717171717171 61 c350 f1 fe");
    let inner = [&[0x73], OUTSIDE.as_slice(), &[BALANCE]].concat();
    let mut world = World::new(ON).with(HERE, 0, &code).with(INSIDE, 0, &inner).with(OUTSIDE, 5, &[]);
    let (result, _) = world.run(ranged(call(HERE, GAS, "")));
    let ExecutionResult::Halt { reason, .. } = result else { panic!("{result:?}") };
    assert_eq!(reason, HaltReason::InvalidFEOpcode);
}

#[test]
fn a_precompile_without_value_is_inside_of_every_range() {
    for address in [Address::with_last_byte(4), Address::from_word(U256::from(0x400).into())] {
        for (name, code) in uses(address) {
            let allowed = matches!(name, "CALL" | "CALLCODE" | "DELEGATECALL" | "STATICCALL");
            let result = run(&code);
            assert_eq!(result.is_success(), allowed, "{name} {result:?}");
            assert_eq!(is_out_of_range(&result, address), !allowed, "{name}");
        }
    }
}

#[test]
fn contracts_are_created_inside_only() {
    // CREATE's address follows from the nonce, CREATE2's from the salt: no range below holds either but the wide one.
    for (code, created) in [
        (hex!("5f 5f 5f f0").to_vec(), HERE.create(0)),
        (hex!("5f 5f 5f 5f f5").to_vec(), HERE.create2_from_code([0; 32], [])),
    ] {
        let fresh = |world: World| world.absent([created]);
        let (result, _) = fresh(world(&code)).run(ranged(call(HERE, GAS, "")));
        assert!(is_out_of_range(&result, created), "{result:?}");
        let wide = AddressRange { first: Address::ZERO, last: Address::repeat_byte(0xff) };
        let ranges = AddressRanges::new(vec![wide]).expect("one");
        let tx = in_ranges(ranges, call(HERE, GAS, ""));
        let (result, state) = fresh(world(&code)).run(tx);
        assert!(result.is_success() && state[&created].is_created(), "{result:?}");
    }
}

#[test]
fn a_delegation_that_leads_outside_ends_the_call() {
    let delegated = |to: Address| [hex!("ef0100").as_slice(), to.as_slice()].concat();
    let mut world = World::new(ON).with(HERE, 0, &delegated(OUTSIDE)).with(OUTSIDE, 0, &[0x00]);
    let (result, _) = world.run(ranged(call(HERE, GAS, "")));
    assert!(is_out_of_range(&result, OUTSIDE), "{result:?}");
    let mut world = World::new(ON).with(HERE, 0, &delegated(INSIDE)).with(INSIDE, 0, &[0x00]);
    assert!(world.run(ranged(call(HERE, GAS, ""))).0.is_success());
    // Seen from another contract, only the delegating account's call fails.
    let code = hex!("5f 5f 5f 5f 5f 73 7171717171717171717171717171717171717171 61 c350 f1 5f 52 60 20 5f f3");
    let mut world = World::new(ON).with(HERE, 0, &code).with(INSIDE, 0, &delegated(OUTSIDE)).with(OUTSIDE, 0, &[0x00]);
    let (result, _) = world.run(ranged(call(HERE, GAS, "")));
    assert_eq!(U256::from_be_slice(result.output().expect("output")), U256::ZERO);
}

#[test]
fn the_reason_stands_in_stored_receipts_and_in_no_root() {
    let receipt = |reason| Receipt {
        tx_type: 0x48,
        success: false,
        state_root: None,
        cumulative_gas_used: 21_000,
        logs: Vec::new(),
        reason,
    };
    let plain = summarize(&[receipt(None)]);
    let named = summarize(&[receipt(Some(FailureReason::OutOfRange))]);
    assert_eq!((plain.root, plain.bloom), (named.root, named.bloom));
    assert_eq!(named.rlp.len(), plain.rlp.len() + 1);
    assert_eq!(FailureReason::from_number(FailureReason::OutOfRange.number()), Some(FailureReason::OutOfRange));
    assert_eq!(FailureReason::from_number(0), None);
}
