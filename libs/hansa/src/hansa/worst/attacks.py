"""Attacks of 2016 as blocks, and the same programs under any later rules.

Each is a block of the gas that mainnet's had then, or more. Written from their descriptions in EIP-150, EIP-161 and the
reports of that year: memory of nested calls, code sizes of cold accounts, empty accounts left by SELFDESTRUCT, contracts
made to be destroyed.
"""

from collections.abc import Iterable, Iterator

import hansa_kernel

from hansa.worst.case import CONTRACT, Account, Case, Transaction, address, program
from hansa.worst.program import code, endless, push, until
from hansa.worst.rules import RULES

GROUP = "attack"

BLOCK_GAS = 4_712_388
"""Gas limit of mainnet's blocks then."""

SECOND = b"\x3b" * 20
"""A second contract of an attack."""

DEEP_KEYS = 1_024
GROUND = 1 << 18
"""Slots of the deep-path workload, and hashes that are tried for them: each 16 times as many is one level more."""

_COLD = 0xCD << 152
_MARGIN = 100  # what a call that gives all other gas keeps for itself, before EIP-150
_SECOND = int.from_bytes(SECOND, "big")


def _era(rules: str) -> int:
    """0 before EIP-150, 1 before EIP-2929, then 2: what a read and a call cost."""
    place = RULES.index(rules)
    return int(place >= RULES.index("eip150")) + int(place >= RULES.index("berlin"))


def _all(rules: str) -> str:
    """Gas for a call: all there is. Before EIP-150 what is asked for must be there, beside the call's own price."""
    return "GAS" if _era(rules) else f"{_MARGIN} GAS SUB"


def _addresses(count: int) -> Iterable[bytes]:
    return (address(number) for number in range(count))


def nested_memory(gas: int, rules: str) -> Case:
    """Frames in frames, each with as much memory as 1,024 of them can afford: the memory of all is held at once.

    Clients that copied memory or the state for each call needed the square of it.
    """
    # 3 a word and a word's square by 512.
    words = max(1, int(((3 * 256) ** 2 + 512 * gas / 1_100) ** 0.5) - 3 * 256)
    body = code(f"1 {32 * words - 32} MSTORE {32 * words} 0 0 0 0 ADDRESS {_all(rules)} CALL STOP")
    return program("nested memory", GROUP, body, gas)


def call_tree(gas: int, rules: str) -> Case:
    """Calls as deep as they go, again from every depth until the gas is gone."""
    body = code(f"0 0 0 0 0 ADDRESS {_all(rules)} CALL POP")
    return program("call tree", GROUP, endless(body, size=4_096), gas)


def code_sizes(gas: int, rules: str) -> Case:
    """EXTCODESIZE of one account after the other: for 20 gas until EIP-150, so that a block read 150,000 of them."""
    body = code("DUP1 EXTCODESIZE POP 1 ADD")
    count = gas // (20, 700, 2_600)[_era(rules)]
    return program("code sizes", GROUP, endless(body, push(_COLD)), gas, reads=lambda: (_addresses(count), ()))


def empty_accounts(gas: int, rules: str) -> Case:
    """Calls of a contract that destroys itself in favour of another address each time.

    Each leaves an empty account in the state until EIP-161, for some 100 gas until EIP-150: 19 million of them in 2016.
    """
    give = ("100", "31000", "34000")[_era(rules)]
    # The address travels as call data.
    body = code(f"DUP1 0 MSTORE 0 0 32 0 0 {_SECOND} {give} CALL POP 1 ADD")
    accounts = {SECOND: Account(nonce=1, code=code("0 CALLDATALOAD SELFDESTRUCT"))}
    count = gas // (90, 5_700, 7_600)[_era(rules)]
    attack = until(body, (1_000, 40_000, 60_000)[_era(rules)], push(_COLD))
    reads = lambda: (_addresses(count), ())  # noqa: E731
    return program("empty accounts", GROUP, attack, gas, accounts=accounts, reads=reads)


def touched_accounts(gas: int, rules: str) -> Case:
    """Calls without value of addresses at which there is nothing: empty accounts for 25,000 gas until EIP-161, nothing
    since."""
    body = code("0 0 0 0 0 DUP6 0 CALL POP 1 ADD")
    count = gas // (25_000, 700, 2_600)[_era(rules)]
    reads = lambda: (_addresses(count), ())  # noqa: E731
    return program("touched accounts", GROUP, until(body, 60_000, push(_COLD)), gas, reads=reads)


def suicides(gas: int, rules: str) -> Case:
    """Contracts that are created and destroyed at once; until EIP-3529 half of the gas came back."""
    del rules
    # Initcode CALLER SELFDESTRUCT.
    body = code("0x33FF 0 MSTORE 2 30 0 CREATE POP")
    return program("suicides", GROUP, until(body, 100_000), gas)


def suicide_flood(gas: int, rules: str) -> Case:
    """Contracts of earlier blocks that are all called, and destroy themselves, in one; each had storage."""
    body = code("0 0 0 0 0 DUP6 30000 CALL POP 1 ADD")
    count = gas // (70, 5_700, 7_600)[_era(rules)]
    reads = lambda: (_addresses(count), ())  # noqa: E731
    doomed = Account(balance=1, nonce=1, code=code("CALLER SELFDESTRUCT"), slots={0: 1})
    made = lambda at: doomed if at[0] == address(0)[0] else None  # noqa: E731
    return program("suicide flood", GROUP, until(body, 60_000, push(_COLD)), gas, reads=reads, made=made)


def spin_and_walk(gas: int, rules: str) -> Case:
    """Half of the gas for nothing, then cold slots each of which is named by the one before.

    No look-ahead finds them, so who has no list of them reads one a round, and begins again.
    """
    spin = until(code("1 POP"), gas // 2, copies=64, end=b"")
    # The walk is another contract, borrowed: its code stands where its jumps say.
    walk = endless(code("DUP1 SLOAD ADD 0 MSTORE 32 0 KECCAK256"), push(1), size=2_048)
    accounts = {SECOND: Account(nonce=1, code=walk)}
    borrow = code(f"0 0 0 0 {_SECOND} {_all(rules)} DELEGATECALL STOP")

    def reads() -> tuple[Iterable[bytes], Iterable[tuple[bytes, int]]]:
        slots, slot = [], 1
        for _ in range(gas // 2 // (50, 200, 2_100)[_era(rules)]):
            slots.append((CONTRACT, slot))
            slot = int.from_bytes(hansa_kernel.keccak(slot.to_bytes(32, "big")), "big")
        return (), slots

    return program("spin and walk", GROUP, spin + borrow, gas, accounts=accounts, reads=reads)


def deep_slots(count: int = DEEP_KEYS, ground: int = GROUND) -> list[int]:
    """Slots whose hashes are neighbours among those tried, so that their paths share as many nibbles as can be ground."""
    packed = b"".join(b"\0\0\0\x20" + slot.to_bytes(32, "big") for slot in range(ground))
    hashes = hansa_kernel.keccak_batch(packed)
    order = sorted(range(ground), key=lambda slot: hashes[32 * slot : 32 * slot + 32])
    return order[:count]


def _slots(name: str, slots: list[int], gas: int) -> Case:
    """Sets the slots that the call data names."""
    body = code("1 DUP2 CALLDATALOAD SSTORE 32 ADD")
    data = b"".join(slot.to_bytes(32, "big") for slot in slots)
    end = code("CALLDATASIZE DUP2 LT")
    setup = push(0)
    place = push(len(setup))
    bytecode = setup + code("JUMPDEST") + body + end + place + code("JUMPI STOP")
    keys = [(CONTRACT, slot) for slot in slots]
    return program(name, GROUP, bytecode, gas, data=data, reads=lambda: ((), keys))


def paths(rules: str, count: int = DEEP_KEYS) -> Iterator[Case]:
    """New slots on ground paths, and as many on paths as they come."""
    del rules
    gas = 100_000 + count * 24_500
    yield _slots("slots on deep paths", deep_slots(count), gas)
    yield _slots("slots on even paths", list(range(count)), gas)


ATTACKS = (nested_memory, call_tree, code_sizes, empty_accounts, touched_accounts, suicides, suicide_flood)
"""Those that run under every rules."""


def cases(rules: str, gas: int = BLOCK_GAS) -> Iterator[Case]:
    """All of them."""
    for attack in ATTACKS:
        yield attack(gas, rules)
    if RULES.index(rules) >= RULES.index("homestead"):
        yield spin_and_walk(gas, rules)  # DELEGATECALL, EIP-7
    yield from paths(rules)


def many(case: Case, transactions: int) -> Case:
    """The same program in as many transactions of one block, of senders of their own."""
    each = case.gas // transactions
    txs = tuple(Transaction(gas=each, to=CONTRACT, sender=number) for number in range(transactions))
    return Case(f"{case.name} x{transactions}", case.group, txs, case.accounts, case.made, case.reads)
