"""Strict parsing of parameters."""

from typing import Any

import pytest
from hansa_api.limits import Limits
from hansa_api.params import (
    EARLIEST,
    LATEST,
    PENDING,
    At,
    Invalid,
    address,
    block,
    call_args,
    data,
    hash32,
    log_filter,
    overrides,
    percentiles,
    slot,
    uint,
    uint64,
)

HASH = "0x" + "ab" * 32
WHO = "0x" + "11" * 20


@pytest.mark.parametrize(("text", "number"), [("0x0", 0), ("0x1f", 31), ("0xA", 10), ("0x" + "f" * 64, (1 << 256) - 1)])
def test_quantity_is_read(text: str, number: int) -> None:
    assert uint(text) == number


@pytest.mark.parametrize(
    "value", ["", "0x", "0x00", "0x01", "1", "0xg", "0X1", " 0x1", "0x1 ", "0x-1", 1, 1.5, None, True, [], {}, "0x١"]
)
def test_malformed_quantity_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        uint(value)


def test_quantity_over_its_width_is_refused() -> None:
    with pytest.raises(Invalid, match="hex number > 64 bits"):
        uint64("0x1" + "0" * 16)
    with pytest.raises(Invalid, match="hex number > 256 bits"):
        uint("0x1" + "0" * 64)


@pytest.mark.parametrize("value", ["0x1", "0xzz", "12", "0x 12", "0x12\n34", 5, None, "0x1 2"])
def test_malformed_data_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        data(value)


def test_data_is_read() -> None:
    assert data("0x") == b""
    assert data("0xAbcd") == b"\xab\xcd"


def test_address_of_wrong_length_names_both_lengths() -> None:
    with pytest.raises(Invalid, match="hex string has length 38, want 40"):
        address("0x" + "11" * 19)


def test_hash_with_other_letters_is_refused() -> None:
    with pytest.raises(Invalid, match="invalid hex"):
        hash32("0x" + "zz" * 32)


@pytest.mark.parametrize("value", ["0x0", "0x1", "0x" + "0" * 63 + "1", "0x" + "00" * 32])
def test_slot_takes_leading_zeros(value: str) -> None:
    assert slot(value) == int(value, 16).to_bytes(32, "big")


@pytest.mark.parametrize("value", ["0x", "0x" + "0" * 65, "0xg", "0x 1"])
def test_malformed_slot_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        slot(value)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("latest", LATEST),
        ("safe", LATEST),
        ("finalized", LATEST),
        ("pending", PENDING),
        ("earliest", EARLIEST),
        ("0x10", At(number=16)),
        (HASH, At(hash=bytes.fromhex("ab" * 32))),
        ({"blockHash": HASH}, At(hash=bytes.fromhex("ab" * 32))),
        ({"blockHash": HASH, "requireCanonical": True}, At(hash=bytes.fromhex("ab" * 32))),
        ({"blockNumber": "0x2"}, At(number=2)),
        ({"blockNumber": "latest"}, LATEST),
    ],
)
def test_block_is_read(value: Any, at: At) -> None:
    assert block(value) == at


@pytest.mark.parametrize(
    "value",
    [
        "newest",
        "16",
        16,
        True,
        [],
        {},
        "0x010",
        {"blockHash": HASH, "blockNumber": "0x1"},
        {"blockNumber": HASH},
        {"blockHash": HASH, "requireCanonical": 1},
        {"hash": HASH},
    ],
)
def test_malformed_block_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        block(value)


def test_filter_keeps_alternatives_and_wildcards() -> None:
    found = log_filter(Limits())(
        {"fromBlock": "0x1", "address": [WHO, WHO], "topics": [None, HASH, [HASH, HASH], [HASH, None]]}
    )
    assert found.start == At(number=1)
    assert len(found.addresses) == 40
    assert [len(place) for place in found.topics] == [0, 32, 64, 0]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"address": 5},
        {"address": ["0x11"]},
        {"topics": "x"},
        {"topics": [HASH] * 5},
        {"topics": [5]},
        {"topics": [["0x11"]]},
        {"topics": [[HASH] * 1_001]},
        {"address": [WHO] * 1_001},
        {"blockHash": HASH, "fromBlock": "0x1"},
        {"fromBlock": HASH},
    ],
)
def test_malformed_filter_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        log_filter(Limits())(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"to": "0x11"},
        {"gas": "0x" + "f" * 17},
        {"data": "0x01", "input": "0x02"},
        {"gasPrice": "0x1", "maxFeePerGas": "0x1"},
        {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"},
        {"accessList": [{"address": WHO, "storageKeys": ["0x1"]}]},
        {"accessList": [{"address": WHO, "storageKeys": [HASH] * 4_096}]},
        {"accessList": 5},
        {"blobVersionedHashes": [HASH] * 129},
        {"authorizationList": [{}] * 65},
    ],
)
def test_malformed_transaction_object_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        call_args(value)


def test_transaction_object_names_the_wrong_member() -> None:
    with pytest.raises(Invalid, match="value: "):
        call_args({"value": "1"})


@pytest.mark.parametrize("value", [[-1], [101], [50, 20], ["1"], [True], [float(1)] * 101, 5])
def test_malformed_percentiles_are_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        percentiles(Limits())(value)


def test_overrides_past_the_limit_are_refused() -> None:
    with pytest.raises(Invalid, match="limit 1048576"):
        overrides(Limits())({WHO: {"code": "0x" + "00" * (1 << 20)}})
