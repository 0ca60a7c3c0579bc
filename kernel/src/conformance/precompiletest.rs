//! Cases of precompiled contracts (`Input`, `Expected`, `Gas`) and of instructions with two operands (`X`, `Y`,
//! `Expected`). The file's name says which contract or instruction.

use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use revm::context::TxEnv;
use serde_json::Value;

use super::case::{CaseResult, Outcome, decide, outcome_of};
use super::full_state::FullState;
use super::networks::spec_of;
use crate::error::{InputError, InputResult};
use crate::evm::{self, Purpose, run_precompile};
use crate::exec::state::JobState;
use crate::header::BlockEnv;
use crate::spec::{Alloc, Fork, json};

/// Gas where a case gives none, or must fail for another reason than gas.
const GAS: u64 = 100_000_000;

/// Contract by file name: its address, and the fork whose prices the cases have.
const CONTRACTS: [(&str, u16, Fork); 25] = [
    ("ecRecover", 0x01, Fork::Frontier),
    ("modexp", 0x05, Fork::Byzantium),
    ("modexp_eip2565", 0x05, Fork::Berlin),
    ("bn256Add", 0x06, Fork::Istanbul),
    ("bn256ScalarMul", 0x07, Fork::Istanbul),
    ("bn256Pairing", 0x08, Fork::Istanbul),
    ("blake2F", 0x09, Fork::Istanbul),
    ("fail-blake2f", 0x09, Fork::Istanbul),
    ("blsG1Add", 0x0b, Fork::Prague),
    ("fail-blsG1Add", 0x0b, Fork::Prague),
    ("blsG1Mul", 0x0c, Fork::Prague),
    ("fail-blsG1Mul", 0x0c, Fork::Prague),
    ("blsG1MultiExp", 0x0c, Fork::Prague),
    ("fail-blsG1MultiExp", 0x0c, Fork::Prague),
    ("blsG2Add", 0x0d, Fork::Prague),
    ("fail-blsG2Add", 0x0d, Fork::Prague),
    ("blsG2Mul", 0x0e, Fork::Prague),
    ("fail-blsG2Mul", 0x0e, Fork::Prague),
    ("blsG2MultiExp", 0x0e, Fork::Prague),
    ("fail-blsG2MultiExp", 0x0e, Fork::Prague),
    ("blsPairing", 0x0f, Fork::Prague),
    ("blsMapG1", 0x10, Fork::Prague),
    ("fail-blsMapG1", 0x10, Fork::Prague),
    ("fail-blsMapG2", 0x11, Fork::Prague),
    ("p256Verify", 0x100, Fork::Osaka),
];

/// Contracts whose files are not in the selection above but in the source's.
const FURTHER_CONTRACTS: [(&str, u16, Fork); 5] = [
    ("fail-blsPairing", 0x0f, Fork::Prague),
    ("blsMapG2", 0x11, Fork::Prague),
    ("modexp_eip7883", 0x05, Fork::Osaka),
    ("pointEvaluation", 0x0a, Fork::Cancun),
    ("fail-pointEvaluation", 0x0a, Fork::Cancun),
];

/// Instruction by the end of a file's name.
const INSTRUCTIONS: [(&str, u8); 24] = [
    ("add", 0x01),
    ("mul", 0x02),
    ("sub", 0x03),
    ("div", 0x04),
    ("sdiv", 0x05),
    ("mod", 0x06),
    ("smod", 0x07),
    ("exp", 0x0a),
    ("signext", 0x0b),
    ("lt", 0x10),
    ("gt", 0x11),
    ("slt", 0x12),
    ("sgt", 0x13),
    ("eq", 0x14),
    ("and", 0x16),
    ("or", 0x17),
    ("xor", 0x18),
    ("byte", 0x1a),
    ("shl", 0x1b),
    ("shr", 0x1c),
    ("sar", 0x1d),
    ("addmod", 0x08),
    ("mulmod", 0x09),
    ("keccak256", 0x20),
];

/// Run every case of the file called `name`.
///
/// # Errors
/// When the file is not of the format or its name says nothing.
pub fn precompile_test(name: &str, bytes: &[u8]) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let cases = value.as_array().ok_or_else(|| InputError::new("json", "a list of cases", "another value"))?;
    if let Some(instruction) = name.strip_prefix("testcases_") {
        return instruction_test(instruction, cases);
    }
    let mut known = CONTRACTS.iter().chain(&FURTHER_CONTRACTS);
    let (_, address, fork) = *known
        .find(|(known, _, _)| *known == name)
        .ok_or_else(|| InputError::new("name", "a file named after a precompile", name))?;
    let address = Address::left_padding_from(&address.to_be_bytes());
    let run = |case: &Value| {
        CaseResult::new(
            format!("{name}/{}", case.get("Name").and_then(Value::as_str).unwrap_or_default()),
            fork.name(),
            decide(|| contract_case(case, address, fork)),
        )
    };
    Ok(cases.iter().map(run).collect())
}

fn bytes_of(case: &Value, key: &str) -> InputResult<Bytes> {
    json::bytes(key, case.get(key).unwrap_or(&Value::Null))
}

fn contract_case(case: &Value, address: Address, fork: Fork) -> InputResult<Outcome> {
    let input = bytes_of(case, "Input")?;
    let gas = case.get("Gas").map(|gas| json::u64("Gas", gas)).transpose()?;
    let run = |gas| {
        let missing = || InputError::new("fork", "a fork with this precompile", fork.name());
        run_precompile(fork, address, &input, gas).ok_or_else(missing)
    };
    if let Some(expected) = case.get("ExpectedError") {
        return Ok(match run(GAS)? {
            Err(_) => Outcome::Passed,
            Ok(_) => Outcome::Failed(format!("accepted, expected {expected}")),
        });
    }
    let (wanted, mut failures) = (bytes_of(case, "Expected")?, Vec::new());
    match run(gas.unwrap_or(GAS))? {
        Err(error) => failures.push(format!("refused: {error}")),
        Ok((output, used)) => {
            if output != wanted {
                failures.push(format!("output {output}, expected {wanted}"));
            }
            if gas.is_some_and(|gas| gas != used) {
                failures.push(format!("gas {used}, expected {}", gas.unwrap_or_default()));
            }
        }
    }
    if let Some(less) = gas.and_then(|gas| gas.checked_sub(1))
        && run(less)?.is_ok()
    {
        failures.push("one gas less is enough".to_owned());
    }
    Ok(outcome_of(&failures))
}

fn instruction_test(instruction: &str, cases: &[Value]) -> InputResult<Vec<CaseResult>> {
    let (_, opcode) = *INSTRUCTIONS
        .iter()
        .find(|(known, _)| *known == instruction)
        .ok_or_else(|| InputError::new("name", "a file named after an instruction", instruction))?;
    let run = |(index, case): (usize, &Value)| {
        CaseResult::new(
            format!("{instruction}/{index}"),
            "",
            decide(|| {
                let wanted = bytes_of(case, "Expected")?;
                let output = run_code(&code(opcode, &bytes_of(case, "X")?, &bytes_of(case, "Y")?))?;
                let failure = (output != wanted).then(|| format!("got {output}, expected {wanted}"));
                Ok(outcome_of(&failure.into_iter().collect::<Vec<_>>()))
            }),
        )
    };
    Ok(cases.iter().enumerate().map(run).collect())
}

/// PUSH32 x, PUSH32 y, the instruction, then return what it leaves.
fn code(opcode: u8, x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[0x7f], x, &[0x7f], y, &[opcode], &hex!("5f5260205ff3")[..]].concat()
}

fn run_code(code: &[u8]) -> InputResult<Bytes> {
    let spec = spec_of("Cancun", None)?;
    let env = BlockEnv::of(&alloy_consensus::Header { gas_limit: GAS, timestamp: 1, ..Default::default() });
    let (caller, contract) = (Address::repeat_byte(0xca), Address::repeat_byte(0xc0));
    let mut full = FullState::default();
    full.0.insert(contract, Alloc { code: Bytes::copy_from_slice(code), ..Alloc::default() });
    full.0.insert(caller, Alloc { balance: U256::MAX >> 1, ..Alloc::default() });
    let mut state = JobState::new(env.fork(&spec).spec_id(), None, usize::MAX);
    full.fill(&mut state);
    state.put_record(env.beneficiary, None);
    let mut evm = evm::build(&spec, &env, &mut state, Purpose::Call, None);
    let tx = TxEnv { caller, gas_limit: GAS, kind: TxKind::Call(contract), ..TxEnv::default() };
    match evm::run_exact(&mut evm, tx) {
        evm::Outcome::Done(result, _) => {
            result.into_output().ok_or_else(|| InputError::new("code", "an output", "none"))
        }
        other => Err(InputError::new("code", "a run to its end", format!("{other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_takes_its_operands_from_the_top() {
        let word = |number: u64| U256::from(number).to_be_bytes::<32>();
        let output = run_code(&code(0x03, &word(2), &word(7))).expect("a run");
        assert_eq!(U256::from_be_slice(&output), U256::from(5));
    }

    #[test]
    fn a_wrong_price_is_a_failure() {
        let case = serde_json::json!({ "Input": "", "Expected": "", "Gas": 3001 });
        let address = Address::left_padding_from(&[1]);
        let outcome = contract_case(&case, address, Fork::Frontier).expect("a case");
        assert!(matches!(outcome, Outcome::Failed(text) if text.contains("gas 3000, expected 3001")));
    }
}
