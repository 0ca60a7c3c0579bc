"""The border of the JSON views, on transactions signed here."""

from __future__ import annotations

import json

import pytest
from codec import pack, rlp, unpack
from hansa_kernel import (
    BlockEnv,
    KernelInputError,
    Spec,
    address_of_secret_keys,
    block_json,
    bloom_matches,
    decode_transactions,
    log_terms,
    logs_json,
    ordered_root,
    raw_receipts,
    receipts_json,
    sign_transactions,
    transaction_json,
)
from kernel_driver import genesis

KEYS = bytes([7]) * 32
SENDER = address_of_secret_keys(KEYS)
ADDRESS, TOPIC = b"\x11" * 20, b"\x22" * 32


@pytest.fixture(scope="module")
def block() -> dict[str, bytes]:
    """A header, two transfers, and receipts of which the second has a log."""
    spec = Spec(genesis({}))
    packed = sign_transactions(
        chain_id=spec.chain_id,
        secret_keys=KEYS * 2,
        nonces=(0).to_bytes(8, "big") + (1).to_bytes(8, "big"),
        to=b"\x33" * 40,
        values_wei=(5).to_bytes(32, "big") * 2,
        data=pack(b"", b"\x01\x02"),
        gas_limit=100_000,
        max_fee_per_gas=50,
        max_priority_fee_per_gas=3,
    )
    batch = decode_transactions(packed, spec=spec, number=1, timestamp=1)
    assert batch.all_valid()
    receipts = rlp([[2, 1, 21_000, []], [2, 0, 42_100, [[ADDRESS, [TOPIC], b"\x09"]]]])
    header = spec.genesis_header(b"\5" * 32)
    return {
        "header": header,
        "transactions": packed,
        "senders": batch.senders(),
        "hashes": batch.hashes(),
        "receipts": receipts,
    }


def test_blocks_show_hashes_or_whole_transactions(block: dict[str, bytes]) -> None:
    parts = (block["header"], block["transactions"], block["senders"], block["hashes"])
    short, full = (json.loads(block_json(*parts, full=full)) for full in (False, True))
    hashes = [block["hashes"][at : at + 32].hex() for at in (0, 32)]
    assert short["transactions"] == [f"0x{value}" for value in hashes]
    assert [item["hash"] for item in full["transactions"]] == short["transactions"]
    assert full["transactions"][1] == json.loads(transaction_json(*parts[:3], 1))
    assert full["transactions"][1]["from"] == f"0x{SENDER.hex()}"
    assert full["transactions"][1]["input"] == "0x0102"
    assert short["uncles"] == []
    assert int(short["size"], 16) == len(rlp_of_block(block))


def rlp_of_block(block: dict[str, bytes]) -> bytes:
    """The block's RLP, put together from encoded parts."""
    transactions = b"".join(rlp(raw) for raw in unpack(block["transactions"]))
    withdrawals = b"\xc0" if "withdrawalsRoot" in json.loads(
        block_json(block["header"], b"", b"", b"", full=False)
    ) else b""  # fmt: skip
    return wrap(block["header"] + wrap(transactions) + b"\xc0" + withdrawals)


def wrap(payload: bytes) -> bytes:
    if len(payload) < 56:
        return bytes([0xC0 + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(length)]) + length + payload


def test_receipts_count_gas_and_logs_over_the_block(block: dict[str, bytes]) -> None:
    parts = (block["header"], block["transactions"], block["senders"], block["receipts"])
    first, second = json.loads(receipts_json(*parts, None))
    assert (first["gasUsed"], first["status"], first["logs"]) == ("0x5208", "0x1", [])
    assert (second["gasUsed"], second["cumulativeGasUsed"], second["status"]) == ("0x526c", "0xa474", "0x0")
    assert second["logs"][0]["transactionIndex"] == "0x1"
    assert second == json.loads(receipts_json(*parts, 1))
    assert second["contractAddress"] is None
    with pytest.raises(KernelInputError) as caught:
        receipts_json(*parts, 2)
    assert caught.value.field == "index"


def test_consensus_receipts_have_type_and_bloom(block: dict[str, bytes]) -> None:
    raw = unpack(raw_receipts(block["transactions"], block["receipts"]))
    assert [item[0] for item in raw] == [2, 2]
    bloom = bytes.fromhex(
        json.loads(receipts_json(block["header"], block["transactions"], block["senders"], block["receipts"], 1))[
            "logsBloom"
        ][2:]
    )
    assert raw[1] == b"\2" + rlp([0, 42_100, bloom, [[ADDRESS, [TOPIC], b"\x09"]]])
    assert len(ordered_root(pack(*raw))) == 32
    assert bloom_matches(bloom, ADDRESS, [TOPIC])
    assert bloom_matches(bloom, b"", [b"", b""])
    assert not bloom_matches(bloom, b"\x12" * 20, [])
    assert not bloom_matches(bloom, ADDRESS, [b"", TOPIC[:31] + b"\0"])


def test_a_header_without_the_bloom_shows_no_logs_and_terms_are_sorted(block: dict[str, bytes]) -> None:
    found = logs_json(block["header"], block["hashes"], block["receipts"], addresses=ADDRESS, topics=[], limit=5)
    assert found == (0, b"[]")
    everything = logs_json(block["header"], block["hashes"], block["receipts"], addresses=b"", topics=[], limit=5)
    assert everything[0] == 1
    assert json.loads(everything[1])[0]["logIndex"] == "0x0"
    assert log_terms(block["receipts"]) == bytes(13) + ADDRESS + b"\1" + TOPIC
    assert BlockEnv.from_header(block["header"]) is not None
