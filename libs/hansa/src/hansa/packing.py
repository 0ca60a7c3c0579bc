"""Packed lists: how batches of byte strings cross borders (layout in the kernel's `_kernel.pyi`)."""

import struct
from collections.abc import Iterable

_LENGTH = struct.Struct(">I")


class PackedListInvalid(ValueError):
    """A packed list ends in the middle of an item; `offset` is where that item starts."""

    def __init__(self, offset: int, size: int) -> None:
        super().__init__(f"packed list: item at byte {offset} does not fit into {size} bytes")
        self.offset = offset
        self.size = size


def pack(items: Iterable[bytes]) -> bytes:
    """Join `items`, each behind its big-endian u32 length."""
    return b"".join(part for item in items for part in (_LENGTH.pack(len(item)), item))


def unpack(packed: bytes) -> list[bytes]:
    """Split a packed list. Raises `PackedListInvalid`."""
    items: list[bytes] = []
    offset, size = 0, len(packed)
    while offset < size:
        start = offset + 4
        if start > size:
            raise PackedListInvalid(offset, size)
        end = start + _LENGTH.unpack_from(packed, offset)[0]
        if end > size:
            raise PackedListInvalid(offset, size)
        items.append(packed[start:end])
        offset = end
    return items


def count_packed(packed: bytes) -> int:
    """Items of a packed list that is known to be well-formed, without cutting them out."""
    count = offset = 0
    while offset < len(packed):
        offset += 4 + _LENGTH.unpack_from(packed, offset)[0]
        count += 1
    return count


def chunks(array: bytes, width: int) -> list[bytes]:
    """Split a fixed-width array, such as 32-byte hashes, into its items. Raises `ValueError` on a rest."""
    if len(array) % width:
        raise ValueError(f"array of {len(array)} bytes is not a multiple of {width}")
    return [array[i : i + width] for i in range(0, len(array), width)]
