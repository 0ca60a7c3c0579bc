use alloy_primitives::{Address, B256, Bytes, U256, hex};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::context_interface::Transaction;
use revm::context_interface::transaction::{AccessList, AccessListItem};
use revm::primitives::TxKind;

use crate::evm::testing::{SENDER, World, call, env, put, spec_of};
use crate::evm::{Outcome, Purpose, build, run_exact};
use crate::exec::state::JobState;
use crate::spec::{GasPrices, Spec};
use crate::tx::TxRules;

const CODE: Address = Address::repeat_byte(0x70);
const OTHER: Address = Address::repeat_byte(0x71);
const ABSENT: Address = Address::repeat_byte(0x72);
const GAS: u64 = 3_000_000;
const BASE: u64 = 21_000;

const PLAIN: &str = "{}";
/// Reads at three times, growth at five halves of Ethereum's price.
const DEAR: &str = r#"{"vm":{"gas":{"stateReadPercent":300,"stateGrowthPercent":250}}}"#;

fn used(hansa: &str, code: &[u8]) -> u64 {
    let mut world = World::new(hansa).with(CODE, 1_000, code).with(OTHER, 0, &[0x00]).absent([ABSENT, created()]);
    for slot in 0..4 {
        world.state.put_slot(CODE, U256::from(slot), if slot == 1 { U256::from(9) } else { U256::ZERO });
    }
    let (result, _) = world.run(call(CODE, GAS, ""));
    assert!(result.is_success(), "{result:?}");
    result.tx_gas_used()
}

/// What `CODE` creates first.
fn created() -> Address {
    CODE.create(0)
}

/// What a program costs beside the transaction: Ethereum's price, and that of the dear chain.
fn both(code: &[u8]) -> (u64, u64) {
    (used(PLAIN, code) - BASE, used(DEAR, code) - BASE)
}

/// PUSH20 of an address, then an opcode.
fn on(address: Address, opcode: u8) -> Vec<u8> {
    [&[0x73], address.as_slice(), &[opcode]].concat()
}

#[test]
fn a_cold_account_costs_the_multiple_of_a_cold_account() {
    for opcode in [super::BALANCE, super::EXTCODESIZE, super::EXTCODEHASH] {
        assert_eq!(both(&on(OTHER, opcode)), (3 + 2_600, 3 + 7_800), "{opcode:#x}");
        // The second time it is warm, and costs what Ethereum asks.
        let twice = [on(OTHER, opcode), on(OTHER, opcode)].concat();
        assert_eq!(both(&twice), (6 + 2_700, 6 + 7_900), "{opcode:#x}");
    }
    // EXTCODECOPY of nothing.
    let copy = [hex!("5f5f5f").to_vec(), on(OTHER, super::EXTCODECOPY)].concat();
    assert_eq!(both(&copy), (6 + 3 + 2_600, 6 + 3 + 7_800));
}

#[test]
fn a_call_of_a_cold_account_costs_the_multiple_of_a_cold_account() {
    for (opcode, words) in [(super::CALL, 5), (super::CALLCODE, 5), (super::DELEGATECALL, 4), (super::STATICCALL, 4)] {
        // Zeros, the address, gas.
        let code = [vec![0x5f; words], on(OTHER, 0x5f), vec![opcode]].concat();
        let pushes = words as u64 * 2 + 3 + 2;
        assert_eq!(both(&code), (pushes + 2_600, pushes + 7_800), "{opcode:#x}");
    }
}

#[test]
fn a_cold_slot_costs_the_multiple_of_a_cold_slot() {
    // PUSH0, SLOAD; again.
    assert_eq!(both(&hex!("5f54")), (2 + 2_100, 2 + 6_300));
    assert_eq!(both(&hex!("5f545f54")), (4 + 2_200, 4 + 6_400));
}

#[test]
fn only_a_slot_from_zero_pays_for_growth() {
    // SSTORE of 0 to 5: 100 + cold + 19,900.
    assert_eq!(both(&hex!("60055f55")), (5 + 100 + 2_100 + 19_900, 5 + 100 + 6_300 + 49_750));
    // 9 to 5: the slot was there.
    assert_eq!(both(&hex!("6005600155")), (6 + 100 + 2_100 + 2_800, 6 + 100 + 6_300 + 2_800));
    // 9 to 0 gives Ethereum's refund.
    assert_eq!(both(&hex!("5f600155")), (5 + 5_000 - 4_800, 5 + 9_200 - 4_800));
}

#[test]
fn a_slot_that_goes_back_to_zero_gets_back_what_it_was_charged() {
    // 0 to 5 to 0, after enough other gas that the refund is not cut (EIP-3529): 60 KiB of memory and a hash of them.
    let spend = hex!("620fffff5f20").to_vec();
    let store = [spend.clone(), hex!("60055f555f5f55").to_vec()].concat();
    let (plain, dear) = both(&store);
    let (plain_spent, dear_spent) = both(&spend);
    // 100 + cold + set, then 100, less set.
    assert_eq!(plain - plain_spent, 9 + 2_100 + 200);
    assert_eq!(dear - dear_spent, 9 + 6_300 + 200);
}

#[test]
fn a_new_account_costs_the_multiple() {
    // CALL with 1 wei of an account that is not there; the stipend comes back unused.
    let code = [hex!("5f5f5f5f6001").to_vec(), on(ABSENT, 0x5f), vec![super::CALL]].concat();
    let rest = 5 * 2 + 1 + 3 + 2 + 9_000 - 2_300;
    assert_eq!(both(&code), (rest + 2_600 + 25_000, rest + 7_800 + 62_500));
    // SELFDESTRUCT in favour of it.
    let code = on(ABSENT, 0xff);
    assert_eq!(both(&code), (3 + 5_000 + 2_600 + 25_000, 3 + 5_000 + 7_800 + 62_500));
}

#[test]
fn a_creation_and_its_code_cost_the_multiple() {
    // Initcode PUSH1 10, PUSH0, RETURN: 10 bytes of code. MSTORE, CREATE.
    let code = hex!("63600a5ff35f52 6004601c5ff0");
    let rest = (3 + 2 + 3 + 3) + (3 + 3 + 2) + 2 + (3 + 2 + 3);
    assert_eq!(both(&code), (rest + 32_000 + 2_000, rest + 80_000 + 5_000));
}

/// Gas of a transaction that does nothing, by the EVM and by the rules of admission.
fn admitted(hansa: &str, tx: TxEnv) -> u64 {
    let mut world = World::new(hansa).absent([ABSENT, SENDER.create(0)]);
    let (result, _) = world.run(tx);
    assert!(matches!(result, ExecutionResult::Success { .. }), "{result:?}");
    result.tx_gas_used()
}

#[test]
fn an_access_list_is_a_read_paid_before() {
    let access_list = AccessList(vec![AccessListItem { address: ABSENT, storage_keys: vec![B256::ZERO; 2] }]);
    let tx = TxEnv { tx_type: 1, access_list, ..call(ABSENT, GAS, "") };
    assert_eq!(admitted(PLAIN, tx.clone()), BASE + 2_400 + 2 * 1_900);
    assert_eq!(admitted(DEAR, tx), BASE + 7_200 + 2 * 5_700);
}

#[test]
fn a_transaction_that_creates_costs_the_multiple() {
    let tx = TxEnv { kind: TxKind::Create, data: Bytes::new(), ..call(ABSENT, GAS, "") };
    assert_eq!(admitted(PLAIN, tx.clone()), 53_000);
    assert_eq!(admitted(DEAR, tx), 21_000 + 80_000);
}

#[test]
fn admission_asks_for_the_gas_that_execution_takes() {
    use alloy_consensus::{Signed, TxEip2930, TxEip7702, TxEnvelope};
    use alloy_eips::eip7702::Authorization;
    use alloy_primitives::Signature;

    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let access_list = alloy_eips::eip2930::AccessList(vec![alloy_eips::eip2930::AccessListItem {
        address: OTHER,
        storage_keys: vec![B256::ZERO; 3],
    }]);
    let authorization = Authorization { chain_id: U256::from(1), address: OTHER, nonce: 0 }.into_signed(signature);
    let listed = TxEip2930 { chain_id: 1, to: TxKind::Create, access_list, ..TxEip2930::default() };
    let delegating =
        TxEip7702 { chain_id: 1, to: OTHER, authorization_list: vec![authorization; 2], ..TxEip7702::default() };
    let txs = [
        TxEnvelope::Eip2930(Signed::new_unhashed(listed, signature)),
        TxEnvelope::Eip7702(Signed::new_unhashed(delegating, signature)),
    ];
    for (hansa, wanted) in [
        (PLAIN, [53_000 + 2_400 + 5_700, BASE + 50_000]),
        // 9,900 of an authorisation are neither read nor growth.
        (DEAR, [101_000 + 7_200 + 17_100, BASE + 2 * (9_900 + 7_800 + 31_250)]),
    ] {
        let spec = spec_of(hansa).expect("a good spec");
        for (tx, wanted) in txs.iter().zip(wanted) {
            let rules = TxRules::of(&spec, 1, 1).intrinsic_gas(&tx.clone().into()).0;
            let params = crate::evm::cfg_of(&spec, &env(), Purpose::Block).gas_params;
            let decoded = crate::tx::Decoded {
                sender: SENDER,
                hash: B256::ZERO,
                raw: Bytes::new(),
                tx: tx.clone().into(),
                extra_gas: 0,
            };
            let evm_tx = crate::evm::tx_env(&decoded);
            assert!(evm_tx.authorization_list_len() < 3);
            assert_eq!(params.initial_tx_gas_for_tx(&evm_tx, None).initial_total_gas(), wanted, "{hansa}");
            assert_eq!(rules, wanted, "{hansa}");
        }
    }
}

/// A chain of Istanbul's rules, where nothing is cold.
fn istanbul(hansa: &str) -> Spec {
    let forks = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
        "constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0"#;
    let text = format!(r#"{{"config":{{"chainId":1,{forks},"hansa":{hansa}}},"gasLimit":"0x1c9c380"}}"#);
    Spec::parse(text.as_bytes()).expect("a good spec")
}

#[test]
fn before_berlin_every_read_costs_the_multiple() {
    let used = |hansa: &str, code: &[u8]| {
        let spec = istanbul(hansa);
        let mut state = JobState::new(spec.spec_id(1, 1), None, usize::MAX);
        put(&mut state, SENDER, 1 << 60, None);
        put(&mut state, Address::ZERO, 0, None);
        put(&mut state, CODE, 0, Some(code));
        state.put_slot(CODE, U256::ZERO, U256::ZERO);
        let mut evm = build(&spec, &env(), &mut state, Purpose::Block, None);
        match run_exact(&mut evm, call(CODE, GAS, "")) {
            Outcome::Done(result, _) => result.tx_gas_used() - BASE,
            other => panic!("{other:?}"),
        }
    };
    for (code, plain, dear) in [
        (&hex!("600054")[..], 3 + 800, 3 + 2_400),
        (&hex!("3031"), 2 + 700, 2 + 2_100),
        (&hex!("303b"), 2 + 700, 2 + 2_100),
        // A slot from zero: 800 and 19,200 more.
        (&hex!("6005600055"), 6 + 20_000, 6 + 800 + 48_000),
    ] {
        assert_eq!((used(PLAIN, code), used(DEAR, code)), (plain, dear), "{}", hex::encode(code));
    }
}

#[test]
fn what_is_not_a_price_is_refused_by_name() {
    let field = |vm: &str| spec_of(&format!(r#"{{"vm":{vm}}}"#)).expect_err("refused").field;
    let gas = "config.hansa.vm.gas";
    assert_eq!(field(r#"{"gas":7}"#), gas);
    for bad in ["99", "5001", "-1", "1.5", r#""x""#] {
        assert_eq!(field(&format!(r#"{{"gas":{{"stateReadPercent":{bad}}}}}"#)), format!("{gas}.stateReadPercent"));
        assert_eq!(field(&format!(r#"{{"gas":{{"stateGrowthPercent":{bad}}}}}"#)), format!("{gas}.stateGrowthPercent"));
    }
    let growth = "config.hansa.vm.stateGrowth";
    assert_eq!(field(r#"{"stateGrowth":[]}"#), growth);
    assert_eq!(field(r#"{"stateGrowth":{"blockItemsMax":0}}"#), format!("{growth}.blockItemsMax"));
    assert_eq!(field(r#"{"stateGrowth":{"senderItemsMax":"many"}}"#), format!("{growth}.senderItemsMax"));
    let contradiction = r#"{"stateGrowth":{"blockItemsMax":5,"senderItemsMax":6}}"#;
    assert_eq!(field(contradiction), format!("{growth}.senderItemsMax"));
}

#[test]
fn a_chain_that_names_no_price_has_those_of_ethereum() {
    let plain = spec_of(r#"{"vm":{"gas":{"stateReadPercent":100}}}"#).expect("a good spec");
    assert_eq!(plain.vm().prices, GasPrices::default());
    assert!(plain.vm().prices.are_plain() && plain.vm().growth_caps.are_none());
    let params = |spec: &Spec| crate::evm::cfg_of(spec, &env(), Purpose::Block).gas_params;
    let ethereum = revm::context_interface::cfg::GasParams::new_spec(plain.spec_id(1, 1));
    assert_eq!(params(&plain), ethereum);
    assert_ne!(params(&spec_of(DEAR).expect("a good spec")), ethereum);
}
