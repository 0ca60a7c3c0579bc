"""Packed lists and RLP, written a second time for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Item: TypeAlias = bytes | int | Sequence["Item"]


def pack(*items: bytes) -> bytes:
    """A packed list."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def unpack(packed: bytes) -> list[bytes]:
    """Items of a packed list."""
    items, at = [], 0
    while at < len(packed):
        length = int.from_bytes(packed[at : at + 4], "big")
        items.append(packed[at + 4 : at + 4 + length])
        at += 4 + length
    return items


def rlp(item: Item) -> bytes:
    """RLP of byte strings, numbers (big-endian, no leading zeros) and lists of these."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        offset, payload = 0x80, item
    else:
        offset, payload = 0xC0, b"".join(rlp(part) for part in item)
    if len(payload) < 56:
        return bytes([offset + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(length)]) + length + payload
