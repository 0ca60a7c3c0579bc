"""Rounds of reads: large needs in several messages, and streams that break."""

from dataclasses import dataclass

from hansa_executor import limits
from hansa_executor.reads import split_need


@dataclass
class Keys:
    accounts: bytes = b""
    slots: bytes = b""
    codes: bytes = b""
    blocks: bytes = b""


def test_a_usual_need_is_one_message() -> None:
    (request,) = split_need(Keys(b"a" * 40, b"s" * 52, b"c" * 64, b"n" * 8), b"h" * 32)
    assert (request.accounts, request.slots, request.codes, request.blocks) == (
        b"a" * 40,
        b"s" * 52,
        b"c" * 64,
        b"n" * 8,
    )
    assert request.with_code


def test_a_need_of_nothing_is_one_message() -> None:
    assert len(split_need(Keys(), b"h" * 32)) == 1


def test_a_large_need_is_split_and_joins_to_itself() -> None:
    accounts = b"".join(index.to_bytes(20, "big") for index in range(limits.READ_KEYS_MAX + 1))
    codes = b"".join(index.to_bytes(32, "big") for index in range(3 * limits.READ_CODES_MAX))
    requests = split_need(Keys(accounts, b"s" * 52, codes, b"n" * 8), b"h" * 32)
    assert len(requests) == 3
    assert b"".join(request.accounts for request in requests) == accounts
    assert b"".join(request.codes for request in requests) == codes
    assert b"".join(request.slots for request in requests) == b"s" * 52
    assert b"".join(request.blocks for request in requests) == b"n" * 8
    assert all(len(request.codes) <= 32 * limits.READ_CODES_MAX for request in requests)
