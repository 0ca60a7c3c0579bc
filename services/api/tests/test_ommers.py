"""Blocks of imported chains as clients see them: with uncles and withdrawals."""

import json

import hansa_kernel
import pytest
import rlp
from hansa.packing import pack
from hansa.v1 import types_pb2
from hansa_api.blocks import CommittedBlock
from hansa_api.rlp import encode_block

EMPTY = hansa_kernel.EMPTY_ROOT
NUMBER = rlp.sedes.big_endian_int.serialize


def header(height: int, ommers: list[bytes], withdrawals: list[list[bytes]] | None = None) -> bytes:
    """The RLP of a header that names these."""
    ommers_hash = hansa_kernel.keccak(rlp.encode([rlp.decode(ommer) for ommer in ommers]))
    fields = [
        bytes(32), ommers_hash, bytes(20), EMPTY, EMPTY, EMPTY, bytes(256), NUMBER(7), NUMBER(height), NUMBER(5_000), b"",
        NUMBER(10), b"", bytes(32), bytes(8),
    ]  # fmt: skip
    if withdrawals is not None:
        fields += [NUMBER(1), hansa_kernel.ordered_root(pack([rlp.encode(item) for item in withdrawals]))]
    return bytes(rlp.encode(fields))


def committed(raw: bytes, *, ommers: list[bytes], withdrawals: bytes = b"") -> CommittedBlock:
    block = types_pb2.Block(
        hash=hansa_kernel.keccak(raw), header=raw, ommers=pack(ommers), withdrawals=withdrawals, receipts=b"\xc0"
    )
    return CommittedBlock(block, with_receipts=True)


def test_a_block_shows_its_uncles_and_each_uncle_its_header() -> None:
    ommers = [header(3, []), header(4, [header(2, [])])]
    raw = header(5, ommers)
    block = committed(raw, ommers=ommers)
    shown = json.loads(block.block_json(full=False))
    assert shown["uncles"] == ["0x" + hansa_kernel.keccak(ommer).hex() for ommer in ommers]
    whole = encode_block(raw, [], block.ommer_headers, None)
    assert rlp.decode(whole) == [rlp.decode(raw), [], [rlp.decode(ommer) for ommer in ommers]]
    assert int(shown["size"], 16) == len(whole)
    assert "uncles" not in json.loads(block.head_json)
    for index, ommer in enumerate(ommers):
        uncle = json.loads(block.ommer_json(index) or b"")
        assert (uncle["hash"], uncle["uncles"]) == (shown["uncles"][index], [])
        assert int(uncle["number"], 16) == index + 3
        assert int(uncle["size"], 16) == len(encode_block(ommer, [], [], None))
        assert "transactions" not in uncle
    assert block.ommer_json(2) is None


def test_a_block_shows_its_withdrawals() -> None:
    items = [[NUMBER(7), NUMBER(300), b"\xaa" * 20, NUMBER(1_000)], [NUMBER(8), b"", b"\xbb" * 20, NUMBER(1)]]
    raw = header(5, [], items)
    block = committed(raw, ommers=[], withdrawals=rlp.encode(items))
    shown = json.loads(block.block_json(full=True))
    assert shown["withdrawals"] == [
        {"index": "0x7", "validatorIndex": "0x12c", "address": "0x" + "aa" * 20, "amount": "0x3e8"},
        {"index": "0x8", "validatorIndex": "0x0", "address": "0x" + "bb" * 20, "amount": "0x1"},
    ]
    assert int(shown["size"], 16) == len(encode_block(raw, [], [], block.withdrawals))
    assert json.loads(committed(header(5, [], []), ommers=[]).block_json(full=False))["withdrawals"] == []


@pytest.mark.parametrize("missing", ["ommers", "withdrawals"])
def test_what_the_header_names_must_be_there(missing: str) -> None:
    raw = header(5, [header(3, [])]) if missing == "ommers" else header(5, [], [[b"", b"", bytes(20), b""]])
    with pytest.raises(hansa_kernel.KernelInputError) as raised:
        committed(raw, ommers=[]).block_json(full=False)
    assert raised.value.field == missing
