"""Bytecode of programs that do one thing until their gas is gone."""

import re

_NAMES = {
    0x00: "STOP ADD MUL SUB DIV SDIV MOD SMOD ADDMOD MULMOD EXP SIGNEXTEND",
    0x10: "LT GT SLT SGT EQ ISZERO AND OR XOR NOT BYTE SHL SHR SAR CLZ",
    0x20: "KECCAK256",
    0x30: "ADDRESS BALANCE ORIGIN CALLER CALLVALUE CALLDATALOAD CALLDATASIZE CALLDATACOPY CODESIZE CODECOPY GASPRICE"
    " EXTCODESIZE EXTCODECOPY RETURNDATASIZE RETURNDATACOPY EXTCODEHASH",
    0x40: "BLOCKHASH COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBHASH BLOBBASEFEE",
    0x50: "POP MLOAD MSTORE MSTORE8 SLOAD SSTORE JUMP JUMPI PC MSIZE GAS JUMPDEST TLOAD TSTORE MCOPY PUSH0",
    0xA0: "LOG0 LOG1 LOG2 LOG3 LOG4",
    0xF0: "CREATE CALL CALLCODE RETURN DELEGATECALL CREATE2",
    0xFA: "STATICCALL",
    0xFD: "REVERT INVALID SELFDESTRUCT",
}

OPCODES: dict[str, int] = {
    name: first + place for first, names in _NAMES.items() for place, name in enumerate(names.split())
}
OPCODES |= {f"DUP{number}": 0x7F + number for number in range(1, 17)}
OPCODES |= {f"SWAP{number}": 0x8F + number for number in range(1, 17)}
OPCODES |= {f"PUSH{number}": 0x5F + number for number in range(1, 33)}
"""Opcodes by name, up to Osaka."""

CODE_MAX = 24_576
"""Bytes of a contract (EIP-170); longer programs jump less often."""

WORD_MAX = (1 << 256) - 1

_TOKEN = re.compile(r"0x[0-9a-fA-F]+|\d+|[A-Z][A-Z0-9]*")


def push(value: int) -> bytes:
    """The shortest PUSH1 to PUSH32 of a number; PUSH0 is not of every fork."""
    width = max(1, (value.bit_length() + 7) // 8)
    return bytes([0x5F + width]) + value.to_bytes(width, "big")


def code(text: str) -> bytes:
    """Bytecode of names and numbers: a number is pushed. Raises `KeyError` for an unknown name."""
    return b"".join(
        push(int(token, 0)) if token[0].isdigit() else bytes([OPCODES[token]]) for token in _TOKEN.findall(text)
    )


def endless(body: bytes, setup: bytes = b"", size: int = CODE_MAX) -> bytes:
    """`setup`, then `body` until the gas is gone. `body` leaves the stack as it found it."""
    start = push(len(setup))
    copies = (size - len(setup) - len(start) - 2) // len(body)
    return setup + code("JUMPDEST") + body * copies + start + code("JUMP")


def until(body: bytes, reserve: int, setup: bytes = b"", copies: int = 1, end: bytes = b"\0") -> bytes:
    """`setup`, then `body` as long as more than `reserve` gas is left, then `end`, so that what it did stays."""
    start = push(len(setup))
    loop = code("JUMPDEST") + body * copies + push(reserve) + code("GAS GT") + start + code("JUMPI")
    return setup + loop + end


def operation(name: str, operands: list[int], outputs: int = 1, *, memory: bytes = b"") -> bytes:
    """An endless run of one opcode on `operands`, the top of the stack first, from copies below."""
    setup = memory + b"".join(push(value) for value in reversed(operands))
    copies = code(f"DUP{len(operands)}") * len(operands) if operands else b""
    return endless(copies + code(name) + code("POP") * outputs, setup)


def fill(length: int, value: int = WORD_MAX) -> bytes:
    """Memory from 0 to `length` set to a word, by 32 bytes; for inputs of a few kilobytes."""
    return b"".join(push(value) + push(at) + code("MSTORE") for at in range(0, length, 32))


def store(data: bytes) -> bytes:
    """`data` in memory from 0 on."""
    words = (data[at : at + 32].ljust(32, b"\0") for at in range(0, len(data), 32))
    return b"".join(push(int.from_bytes(word, "big")) + push(32 * place) + code("MSTORE")
                    for place, word in enumerate(words) if any(word))  # fmt: skip
