"""Every opcode in its worst form: operands that take longest for the gas, cold keys, the longest code and data."""

from collections.abc import Iterator

import hansa_kernel

from hansa.worst.case import CONTRACT, Account, Case, address, program
from hansa.worst.program import CODE_MAX, WORD_MAX, code, endless, operation, push, until

GROUP = "opcode"

_ODD = int.from_bytes(hansa_kernel.keccak(b"odd"), "big") | 1 | 1 << 255
_EVEN = int.from_bytes(hansa_kernel.keccak(b"even"), "big") & ~1 | 1 << 255
# Divisions are slowest with a long quotient and a divisor of several limbs whose upper bits are set.
_DIVISOR = (1 << 191) + (1 << 128) + 12_345
_MEMORY = 65_536  # bytes copied at once by the long forms: cheap to expand to, too large for the nearest cache
_COLD = 0xCD << 152  # first of the cold addresses, see `address`

PLAIN: dict[str, list[int]] = {
    "ADD": [WORD_MAX, _ODD],
    "MUL": [WORD_MAX, _ODD],
    "SUB": [1, WORD_MAX],
    "DIV": [WORD_MAX, _DIVISOR],
    "SDIV": [_ODD, (1 << 256) - _DIVISOR],
    "MOD": [WORD_MAX, _DIVISOR],
    "SMOD": [_ODD, (1 << 256) - _DIVISOR],
    "ADDMOD": [WORD_MAX, WORD_MAX - 1, _DIVISOR],
    "MULMOD": [WORD_MAX, _ODD, _DIVISOR],
    "EXP": [_ODD, WORD_MAX],
    "SIGNEXTEND": [11, _ODD],
    "LT": [_ODD, _ODD + 1],
    "GT": [_ODD + 1, _ODD],
    "SLT": [_ODD, _ODD + 1],
    "SGT": [_ODD + 1, _ODD],
    "EQ": [_ODD, _ODD],
    "ISZERO": [1],
    "AND": [WORD_MAX, _ODD],
    "OR": [WORD_MAX, _ODD],
    "XOR": [WORD_MAX, _ODD],
    "NOT": [_ODD],
    "BYTE": [31, _ODD],
    "SHL": [37, _ODD],
    "SHR": [37, _ODD],
    "SAR": [37, _ODD],
    "CLZ": [1],
    "CALLDATALOAD": [0],
    "BLOBHASH": [0],
}
"""Opcodes that look at their operands alone, the top of the stack first."""

NULLARY = [
    "ADDRESS",
    "ORIGIN",
    "CALLER",
    "CALLVALUE",
    "CALLDATASIZE",
    "CODESIZE",
    "GASPRICE",
    "RETURNDATASIZE",
    "COINBASE",
    "TIMESTAMP",
    "NUMBER",
    "PREVRANDAO",
    "GASLIMIT",
    "CHAINID",
    "SELFBALANCE",
    "BASEFEE",
    "BLOBBASEFEE",
    "PC",
    "MSIZE",
    "GAS",
    "PUSH0",
]
"""Opcodes that only push."""

OLD = frozenset(
    [
        "ADD",
        "MUL",
        "SUB",
        "DIV",
        "SDIV",
        "MOD",
        "SMOD",
        "ADDMOD",
        "MULMOD",
        "EXP",
        "SIGNEXTEND",
        "LT",
        "GT",
        "SLT",
        "SGT",
        "EQ",
        "ISZERO",
        "AND",
        "OR",
        "XOR",
        "NOT",
        "BYTE",
        "CALLDATALOAD",
        "ADDRESS",
        "ORIGIN",
        "CALLER",
        "CALLVALUE",
        "CALLDATASIZE",
        "CODESIZE",
        "GASPRICE",
        "COINBASE",
        "TIMESTAMP",
        "NUMBER",
        "PREVRANDAO",
        "GASLIMIT",
        "PC",
        "MSIZE",
        "GAS",
    ]
)
"""Those of both that are as old as Ethereum."""


def plain(gas: int, *, old: bool = False) -> Iterator[Case]:
    """Opcodes that touch the stack alone."""
    for name, operands in PLAIN.items():
        if not old or name in OLD:
            yield program(name, GROUP, operation(name, operands), gas, data=b"\xff" * 32)
    for name in NULLARY:
        if not old or name in OLD:
            yield program(name, GROUP, endless(code(f"{name} POP")), gas)
    for number in (1, 16):
        yield program(f"DUP{number}", GROUP, endless(code(f"DUP{number} POP"), push(_ODD) * number), gas)
        swap = endless(code(f"SWAP{number}"), b"".join(map(push, range(1, number + 2))))
        yield program(f"SWAP{number}", GROUP, swap, gas)
    yield program("PUSH32", GROUP, endless(code(f"{WORD_MAX} POP")), gas)
    yield program("POP", GROUP, endless(code("DUP1 POP"), push(1)), gas)
    yield program("JUMPDEST", GROUP, endless(code("JUMPDEST")), gas)
    yield program("JUMP", GROUP, _jumps("JUMP"), gas)
    yield program("JUMPI", GROUP, _jumps("JUMPI"), gas)


def _jumps(name: str) -> bytes:
    """Jumps to the next instruction but the destination, all over the code."""
    out = b""
    while len(out) < CODE_MAX - 16:
        condition = code("1") if name == "JUMPI" else b""
        place = len(out) + 1 + len(condition) + 3 + 1
        out += code("JUMPDEST") + condition + b"\x61" + place.to_bytes(2, "big") + code(name)
    return out + code("JUMPDEST 0 JUMP")


def memory(gas: int, *, old: bool = False) -> Iterator[Case]:
    """Opcodes that read and write memory, code and call data."""
    grown = code(f"0 {_MEMORY - 32} MSTORE")
    yield program("MLOAD", GROUP, endless(code(f"{_MEMORY - 33} MLOAD POP"), grown), gas)
    yield program("MSTORE", GROUP, endless(code(f"{_ODD} {_MEMORY - 33} MSTORE"), grown), gas)
    yield program("MSTORE8", GROUP, endless(code(f"1 {_MEMORY - 1} MSTORE8"), grown), gas)
    for length in (0, 32, 136, _MEMORY):
        body = code(f"{length} 0 KECCAK256 POP")
        yield program(f"KECCAK256 {length} B", GROUP, endless(body, grown), gas)
    copies = ["CALLDATACOPY", "CODECOPY"] + ([] if old else ["MCOPY"])
    for name in copies:
        for length in (32, _MEMORY):
            setup = code(f"0 {2 * _MEMORY - 32} MSTORE")
            body = code(f"{length} 1 {_MEMORY // 2} {name}")
            data = b"\xff" * (_MEMORY if name == "CALLDATACOPY" else 0)
            yield program(f"{name} {length} B", GROUP, endless(body, setup), gas + 70 * len(data), data=data)
    if not old:
        # Data of the identity precompile.
        setup = grown + code(f"0 0 {_MEMORY} 0 4 GAS STATICCALL POP")
        yield program("RETURNDATACOPY", GROUP, endless(code(f"{_MEMORY} 0 0 RETURNDATACOPY"), setup), gas)
    for topics in range(5):
        body = push(7) * topics + code(f"1024 0 LOG{topics}")
        yield program(f"LOG{topics}", GROUP, until(body, 50_000, grown, 8), gas)
    # Memory that grows as far as the gas allows, in one frame and in many.
    words = int((512 * gas * 0.9) ** 0.5)
    yield program("memory of one frame", GROUP, code(f"1 {words * 32} MSTORE STOP"), gas)


def storage(gas: int, *, old: bool = False) -> Iterator[Case]:
    """Slots: cold, warm, new, changed; transient ones."""
    count = _count(gas, 50 if old else 2_100)
    slots = lambda: ((), [(CONTRACT, slot) for slot in range(count)])  # noqa: E731
    yield program("SLOAD cold", GROUP, endless(code("DUP1 SLOAD POP 1 ADD"), push(0)), gas, reads=slots)
    one = lambda: ((), [(CONTRACT, 0)])  # noqa: E731
    yield program("SLOAD warm", GROUP, endless(code("DUP1 SLOAD POP"), push(0)), gas, reads=one)
    store = until(code("DUP1 DUP1 SSTORE 1 ADD"), 60_000, push(1))
    yield program("SSTORE new", GROUP, store, gas, reads=slots)
    clear = until(code("0 DUP2 SSTORE 1 ADD"), 60_000, push(1))
    full = Account(balance=1, nonce=1, code=clear, slots=_Ones())
    yield program("SSTORE to zero", GROUP, clear, gas, reads=slots, accounts={CONTRACT: full})
    warm = until(code("1 ADD DUP1 0 SSTORE"), 60_000, push(1), copies=4)
    yield program("SSTORE warm", GROUP, warm, gas, reads=one)
    if not old:
        yield program("TLOAD", GROUP, endless(code("DUP1 TLOAD POP 1 ADD"), push(0)), gas)
        yield program("TSTORE", GROUP, endless(code("DUP1 DUP1 TSTORE 1 ADD"), push(0)), gas)


class _Ones(dict[int, int]):
    """Every slot holds 1."""

    def get(self, key: int, default: int | None = None) -> int:  # type: ignore[override]
        del key, default
        return 1


def _count(gas: int, price: int) -> int:
    return gas // price + 2


def _contract(at: bytes) -> Account | None:
    """The largest contract, another at each of the cold addresses; its code is one long jump analysis."""
    if at[0] != 0xCD:
        return None
    return Account(balance=1, nonce=1, code=at[1:] + code("JUMPDEST") * (CODE_MAX - 19))


def _first_account() -> tuple[list[bytes], list[tuple[bytes, int]]]:
    return [address(0)], []


def cold_code(gas: int) -> Case:
    """EXTCODESIZE of contracts that are all cold, different and as large as they may be."""
    keys = lambda: ([address(number) for number in range(_count(gas, 2_600))], ())  # noqa: E731
    bytecode = endless(code("DUP1 EXTCODESIZE POP 1 ADD"), push(_COLD))
    return program("EXTCODESIZE cold, 24 KiB", GROUP, bytecode, gas, reads=keys, made=_contract)


def accounts(gas: int, *, old: bool = False) -> Iterator[Case]:
    """Accounts that are cold, absent or hold the largest code."""
    price = 20 if old else 2_600
    count = _count(gas, price)
    keys = lambda: ([address(number) for number in range(count)], ())  # noqa: E731
    setup = push(_COLD)
    names = ["BALANCE", "EXTCODESIZE"] + ([] if old else ["EXTCODEHASH"])
    for name in names:
        body = code(f"DUP1 {name} POP 1 ADD")
        yield program(f"{name} cold", GROUP, endless(body, setup), gas, reads=keys)
        if name == "EXTCODESIZE" and not old:
            yield cold_code(gas)
        yield program(f"{name} warm", GROUP, endless(code(f"DUP1 {name} POP"), setup), gas, reads=_first_account)
    if old:
        return
    body = code(f"{CODE_MAX} 0 0 DUP4 EXTCODECOPY 1 ADD")
    yield program("EXTCODECOPY cold, 24 KiB", GROUP, endless(body, setup), gas, reads=keys, made=_contract)
    body = code(f"{CODE_MAX} 0 0 DUP4 EXTCODECOPY")
    yield program("EXTCODECOPY warm, 24 KiB", GROUP, endless(body, setup), gas, reads=_first_account, made=_contract)
    hashes = code("NUMBER") + code("1 SWAP1 SUB DUP1 BLOCKHASH POP") * 256 + code("POP")
    yield program("BLOCKHASH", GROUP, endless(hashes), gas)


def calls(gas: int, *, old: bool = False) -> Iterator[Case]:
    """Calls, creations and ends of frames."""
    names = {"CALL": "0 ", "CALLCODE": "0 ", "DELEGATECALL": "", "STATICCALL": ""}
    count = _count(gas, 2_600)
    keys = lambda: ([address(number) for number in range(count)], ())  # noqa: E731
    empty = {address(1): Account(nonce=1, code=b"\0")}
    for name, value in names.items():
        if old and name in ("DELEGATECALL", "STATICCALL"):
            continue
        give = "0" if old else "GAS"
        warm = code(f"0 0 0 0 {value}{_COLD + 1} {give} {name} POP")
        yield program(f"{name} warm", GROUP, endless(warm), gas, accounts=empty)
        if not old:
            cold = code(f"0 0 0 0 {value}DUP{6 if value else 5} GAS {name} POP 1 ADD")
            yield program(f"{name} cold", GROUP, endless(cold, push(_COLD)), gas, reads=keys)
            yield program(f"{name} cold, 24 KiB", GROUP, endless(cold, push(_COLD)), gas, reads=keys, made=_contract)
    for name, salt in [("CREATE", ""), *([] if old else [("CREATE2", "MSIZE ")])]:
        creation = until(code(f"{salt}0 0 0 {name} POP"), 200_000)
        yield program(f"{name}, no code", GROUP, creation, gas)
        if not old:
            # 48 KiB of code to analyse, which ends at once.
            setup = code(f"0 {2 * CODE_MAX - 32} MSTORE")
            body = code(f"{salt}{2 * CODE_MAX} 0 0 {name} POP")
            yield program(f"{name}, 48 KiB", GROUP, until(body, 200_000, setup), gas)
    if not old:
        # Code of 24 KiB that stays.
        setup = code(f"{int.from_bytes(code(f'{CODE_MAX} 0 RETURN'), 'big')} 0 MSTORE")
        length = len(code(f"{CODE_MAX} 0 RETURN"))
        body = code(f"{length} {32 - length} 0 CREATE POP")
        yield program("CREATE of 24 KiB", GROUP, until(body, 6_000_000, setup), max(gas, 12_000_000))
        ends = {"RETURN": f"{_MEMORY} 0 RETURN", "REVERT": f"{_MEMORY} 0 REVERT", "SELFDESTRUCT": "CALLER SELFDESTRUCT",
                "INVALID": "INVALID", "STOP": "STOP"}  # fmt: skip
        for name, text in ends.items():
            other = {address(1): Account(nonce=1, code=code(text))}
            body = code(f"0 0 0 0 0 {_COLD + 1} {20_000 if name == 'INVALID' else 'GAS'} CALL POP")
            yield program(f"{name} of a callee", GROUP, endless(body), gas, accounts=other)


def cases(gas: int, *, old: bool = False) -> list[Case]:
    """All of them; with `old` those that Frontier has."""
    kinds = (plain, memory, storage, accounts, calls)
    return [case for kind in kinds for case in kind(gas, old=old)]
