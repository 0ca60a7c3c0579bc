//! What errors of frames are called: geth's words, and `OpenEthereum`'s.

use alloy_primitives::Address;
use revm::bytecode::opcode::OpCode;
use revm::interpreter::InstructionResult;

use crate::evm::ranges;

/// geth's text of what ended a frame; `None` where it succeeded. `last` is the frame's last opcode with the length of
/// the stack before it.
#[must_use]
pub fn geth(result: InstructionResult, last: Option<(u8, usize)>) -> Option<String> {
    use InstructionResult as R;
    if result.is_ok() {
        return None;
    }
    let text = match result {
        R::Revert => "execution reverted",
        R::CallTooDeep => "max call depth exceeded",
        R::OutOfFunds | R::OverflowPayment => "insufficient balance for transfer",
        R::InvalidOperandOOG => "gas uint64 overflow",
        R::ReentrancySentryOOG => "out of gas: not enough gas for reentrancy sentry",
        R::OutOfGas | R::MemoryOOG | R::MemoryLimitOOG | R::PrecompileOOG => "out of gas",
        R::CreateInitCodeSizeLimit => "out of gas: max initcode size exceeded",
        R::InvalidFEOpcode => "invalid opcode: INVALID",
        R::OpcodeNotFound | R::NotActivated => {
            let opcode = last.map_or(0xfe, |(opcode, _)| opcode);
            return Some(match OpCode::new(opcode) {
                Some(name) => format!("invalid opcode: {name}"),
                None => format!("invalid opcode: opcode {opcode:#x} not defined"),
            });
        }
        // The other opcodes that end so are Amsterdam's, with immediates.
        ranges::FRAME_RESULT if !matches!(last, Some((0xe6..=0xe8, _))) => ranges::OUT_OF_RANGE,
        R::InvalidJump => "invalid jump destination",
        R::StackUnderflow => {
            let (have, want) = last.map_or((0, 0), |(opcode, stack)| {
                (stack, OpCode::new(opcode).map_or(0, |opcode| usize::from(opcode.inputs())))
            });
            return Some(format!("stack underflow ({have} <=> {want})"));
        }
        R::StackOverflow => "stack limit reached 1024 (1023)",
        R::OutOfOffset => "return data out of bounds",
        R::CreateCollision => "contract address collision",
        R::NonceOverflow => "nonce uint64 overflow",
        R::CreateContractSizeLimit => "max code size exceeded",
        R::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        R::StateChangeDuringStaticCall | R::CallNotAllowedInsideStatic => "write protection",
        _ => "precompiled failed",
    };
    Some(text.to_owned())
}

/// geth's text of what a precompile found wrong with its input, as far as its length tells.
#[must_use]
pub fn precompile(address: Address, input_bytes: usize) -> &'static str {
    const LENGTH: &str = "invalid input length";
    let whole = |unit: usize| input_bytes > 0 && input_bytes.is_multiple_of(unit);
    let fits = match address.as_slice() {
        [zeros @ .., number] if zeros.iter().all(|byte| *byte == 0) => match number {
            0x08 if !input_bytes.is_multiple_of(192) => return "bad elliptic curve pairing size",
            0x09 if input_bytes == 213 => return "invalid final flag",
            0x09 => false,
            0x0a => input_bytes == 192,
            0x0b => input_bytes == 256,
            0x0c => whole(160),
            0x0d => input_bytes == 512,
            0x0e => whole(288),
            0x0f => whole(384),
            0x10 => input_bytes == 64,
            0x11 => input_bytes == 128,
            _ => true,
        },
        _ => true,
    };
    if fits { "precompiled failed" } else { LENGTH }
}

/// Creation ran out of gas when its code was to be stored.
pub const CODE_STORE: &str = "contract creation code storage out of gas";
/// The text of a revert.
pub const REVERTED: &str = "execution reverted";

/// `OpenEthereum`'s text for geth's (geth: `parityErrorMapping`).
#[must_use]
pub fn parity(error: &str) -> &str {
    match error {
        "out of gas" | "gas uint64 overflow" | "max code size exceeded" | CODE_STORE => "Out of gas",
        "invalid jump destination" => "Bad jump destination",
        REVERTED => "Reverted",
        "return data out of bounds" => "Out of bounds",
        "stack limit reached 1024 (1023)" => "Out of stack",
        "precompiled failed" | "invalid input length" | "invalid final flag" | "bad elliptic curve pairing size" => {
            "Built-in failed"
        }
        other if other.starts_with("out of gas:") => "Out of gas",
        other if other.starts_with("invalid opcode:") => "Bad instruction",
        other if other.starts_with("stack underflow") => "Stack underflow",
        other => other,
    }
}

/// The reason inside a revert's output (geth: `abi.UnpackRevert`): `Error(string)` and `Panic(uint256)`.
#[must_use]
pub fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, data) = output.split_first_chunk::<4>()?;
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let length = word(data, word(data, 0)?)?;
            let start = word(data, 0)?.checked_add(32)?;
            let text = data.get(start..start.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => Some(panic_text(word(data, 0)?)),
        _ => None,
    }
}

fn word(data: &[u8], at: usize) -> Option<usize> {
    let (high, low) = data.get(at..at.checked_add(32)?)?.split_at(24);
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    usize::try_from(u64::from_be_bytes(low.try_into().ok()?)).ok()
}

fn panic_text(code: usize) -> String {
    match code {
        0x00 => "generic panic".into(),
        0x01 => "assert(false)".into(),
        0x11 => "arithmetic underflow or overflow".into(),
        0x12 => "division or modulo by zero".into(),
        0x21 => "enum overflow".into(),
        0x22 => "invalid encoded storage byte array accessed".into(),
        0x31 => "out-of-bounds array access; popping on an empty array".into(),
        0x32 => "out-of-bounds access of an array or bytesN".into(),
        0x41 => "out of memory".into(),
        0x51 => "uninitialized function".into(),
        other => format!("unknown panic code: {other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    #[test]
    fn a_frame_that_left_its_ranges_says_so() {
        let text = |last| geth(ranges::FRAME_RESULT, last);
        assert_eq!(text(Some((0x31, 1))).as_deref(), Some("OUT_OF_RANGE"));
        assert_eq!(text(None).as_deref(), Some("OUT_OF_RANGE"));
        assert_ne!(text(Some((0xe6, 1))).as_deref(), Some("OUT_OF_RANGE"), "Amsterdam's DUPN");
    }

    #[test]
    fn reasons_of_reverts_are_unpacked_and_hostile_ones_are_not() {
        let text = hex!(
            "08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000"
            "0000000000000000000000000000000a75736572206572726f7200000000000000000000000000000000000000000000"
        );
        assert_eq!(revert_reason(&text).as_deref(), Some("user error"));
        for cut in 0..text.len() - 22 {
            assert_eq!(revert_reason(&text[..cut]), None, "cut at {cut}");
        }
        let mut far = text;
        far[4..12].fill(0xff);
        assert_eq!(revert_reason(&far), None);
    }
}
