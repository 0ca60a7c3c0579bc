"""What a case is: a state, a block of transactions on it, and the rules that it runs under."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import hansa_kernel

from hansa.worst.program import WORD_MAX

Item: TypeAlias = "bytes | Sequence[Item]"

SENDERS = 256
"""Most senders of one case."""

CONTRACT = b"\x3a" * 20
"""Where a case's program is."""


def sender(number: int = 0) -> bytes:
    """Address of a rich account."""
    return b"\x5e" + number.to_bytes(19, "big")


def address(number: int, prefix: int = 0xCD) -> bytes:
    """One of many addresses: those that a counting program reaches."""
    return bytes([prefix]) + number.to_bytes(19, "big")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the state before the block."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    slots: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One call, or with `to` empty a creation, at gas price 0."""

    gas: int
    to: bytes = CONTRACT
    data: bytes = b""
    value: int = 0
    sender: int = 0  # below SENDERS
    nonce: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """A block to execute and the state that it finds."""

    name: str
    group: str
    transactions: tuple[Transaction, ...]
    accounts: Mapping[bytes, Account]
    # Accounts that are made as they are asked for: many alike.
    made: Callable[[bytes], Account | None] = lambda _: None
    # Keys that the program will read: accounts and (account, slot). Without them every round finds a few.
    reads: Callable[[], tuple[Iterable[bytes], Iterable[tuple[bytes, int]]]] = lambda: ((), ())

    @property
    def gas(self) -> int:
        """Gas of all transactions together."""
        return sum(transaction.gas for transaction in self.transactions)


def program(name: str, group: str, bytecode: bytes, gas: int, **more: object) -> Case:
    """A case of one transaction that calls one contract."""
    others: Mapping[bytes, Account] = more.pop("accounts", {})  # type: ignore[assignment]
    data: bytes = more.pop("data", b"")  # type: ignore[assignment]
    accounts = {CONTRACT: Account(balance=1 << 64, nonce=1, code=bytecode, slots={WORD_MAX: 1}), **others}
    return Case(name, group, (Transaction(gas=gas, data=data),), accounts, **more)  # type: ignore[arg-type]


def rlp(item: Item) -> bytes:
    """RLP of bytes and lists of them."""
    if isinstance(item, bytes):
        offset, payload = 0x80, item
        if len(item) == 1 and item[0] < 0x80:
            return item
    else:
        offset, payload = 0xC0, b"".join(map(rlp, item))
    if len(payload) < 56:
        return bytes([offset + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(length)]) + length + payload


def raw(transaction: Transaction) -> bytes:
    """The legacy transaction's RLP, with a well-formed signature of nobody: senders are attached."""

    def number(value: int) -> bytes:
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    head = [number(transaction.nonce), number(0), number(transaction.gas)]
    signature = [number(27), number(1), number(1)]
    return rlp([*head, transaction.to, number(transaction.value), transaction.data, *signature])


def batch(case: Case, spec: hansa_kernel.Spec, number: int, timestamp: int) -> hansa_kernel.TxBatch:
    """The case's transactions, decoded and checked."""
    items = [raw(transaction) for transaction in case.transactions]
    packed = b"".join(len(item).to_bytes(4, "big") + item for item in items)
    senders = b"".join(sender(transaction.sender) for transaction in case.transactions)
    return hansa_kernel.attach_senders(packed, senders, spec=spec, number=number, timestamp=timestamp)
