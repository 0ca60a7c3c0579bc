"""RLP, as far as the api builds it: unsigned transactions and the header of the pending block."""

from collections.abc import Sequence
from typing import TypeAlias

Item: TypeAlias = "bytes | int | Sequence[Item]"


def encode(item: Item) -> bytes:
    """RLP of bytes, of an integer (big-endian without leading zeros) or of a list of items."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    body = b"".join(encode(part) for part in item)
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length < 56:
        return bytes((base + length,))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((base + 55 + len(size),)) + size


def decode_flat(rlp: bytes) -> list[bytes]:
    """The items of a list of byte strings, such as a header that the kernel has made. Raises `ValueError`."""
    offset, end = _payload(rlp, 0, 0xC0)
    if end != len(rlp):
        raise ValueError("bytes after the list")
    items: list[bytes] = []
    while offset < end:
        if rlp[offset] < 0x80:
            items.append(rlp[offset : offset + 1])
            offset += 1
            continue
        start, offset = _payload(rlp, offset, 0x80)
        items.append(rlp[start:offset])
    return items


def _payload(rlp: bytes, offset: int, base: int) -> tuple[int, int]:
    first = rlp[offset] - base
    if not 0 <= first < 0x40:
        raise ValueError(f"unexpected RLP prefix 0x{rlp[offset]:02x}")
    start = offset + 1
    length = first
    if first > 55:
        start += first - 55
        length = int.from_bytes(rlp[offset + 1 : start], "big")
    if start + length > len(rlp):
        raise ValueError("RLP item does not fit")
    return start, start + length


def encode_block(
    header: bytes, transactions: Sequence[bytes], ommers: Sequence[bytes], withdrawals: bytes | None
) -> bytes:
    """A block: `header`, `ommers` and the list `withdrawals` (None: not there) are RLP already, typed transactions become
    strings."""
    raws = b"".join(raw if raw[0] >= 0xC0 else encode(raw) for raw in transactions)
    stale = b"".join(ommers)
    body = header + _prefix(len(raws), 0xC0) + raws + _prefix(len(stale), 0xC0) + stale + (withdrawals or b"")
    return _prefix(len(body), 0xC0) + body


def first_item(rlp: bytes) -> bytes:
    """The first item of a list, a list itself, with its prefix: the header of a block. Raises `ValueError`."""
    if not rlp:
        raise ValueError("no RLP")
    start, end = _payload(rlp, 0, 0xC0)
    if end != len(rlp) or start >= end:
        raise ValueError("no list of items")
    _, stop = _payload(rlp, start, 0xC0)
    if stop > end:
        raise ValueError("RLP item does not fit")
    return rlp[start:stop]
