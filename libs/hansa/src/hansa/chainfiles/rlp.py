"""RLP as far as files of blocks need it: where items begin and end (Yellow Paper, appendix B)."""

from collections.abc import Iterable, Iterator
from itertools import islice

PREFIX_BYTES_MAX = 9
"""One byte, and eight of length."""


class RlpInvalid(ValueError):
    """Not RLP; `offset` is where."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(text)
        self.offset = offset


def prefix_of(data: bytes, offset: int = 0) -> tuple[bool, int, int] | None:
    """(is a list, bytes of the prefix, bytes of the payload) of the item at `offset`, None when `data` ends inside the
    prefix. Raises `RlpInvalid` for a length that is not canonical."""
    if offset >= len(data):
        return None
    first = data[offset]
    if first < 0x80:
        return False, 0, 1
    is_list = first >= 0xC0
    short = first - (0xC0 if is_list else 0x80)
    if short < 56:
        return is_list, 1, short
    width = short - 55
    if offset + 1 + width > len(data):
        return None
    length = int.from_bytes(data[offset + 1 : offset + 1 + width], "big")
    if length < 56 or not data[offset + 1]:
        raise RlpInvalid(offset, "a length that is not written as short as it can be")
    return is_list, 1 + width, length


def each_item(data: bytes) -> Iterator[tuple[bool, bytes, bytes]]:
    """(is a list, the whole item, its payload) of what stands in a list, one after the other. Raises `RlpInvalid`."""
    start, end = _payload(data, 0, len(data), wanted_list=True)
    if end != len(data):
        raise RlpInvalid(end, "bytes behind the list")
    at = start
    while at < end:
        is_list = data[at] >= 0xC0
        begin, stop = _payload(data, at, end, wanted_list=is_list)
        yield is_list, data[at:stop], data[begin:stop]
        at = stop


def items_of(data: bytes, most: int | None = None) -> list[tuple[bool, bytes, bytes]]:
    """All of `each_item`. Raises `RlpInvalid`, also for more than `most`: short items take many times their bytes here."""
    if most is None:
        return list(each_item(data))
    found = list(islice(each_item(data), most + 1))
    if len(found) > most:
        raise RlpInvalid(0, f"a list of more than {most} items")
    return found


def list_of(items: Iterable[bytes]) -> bytes:
    """The list of items that are RLP already."""
    payload = b"".join(items)
    return _prefix(len(payload), 0xC0) + payload


def string_of(data: bytes) -> bytes:
    """A string."""
    return data if len(data) == 1 and data[0] < 0x80 else _prefix(len(data), 0x80) + data


def enveloped(raw: bytes) -> bytes:
    """A transaction or receipt as it stands in a list: one with a type is a string (EIP-2718)."""
    return raw if raw[:1] >= b"\xc0" else string_of(raw)


def _payload(data: bytes, at: int, end: int, *, wanted_list: bool) -> tuple[int, int]:
    prefix = prefix_of(data, at)
    if prefix is None or at + prefix[1] + prefix[2] > end:
        raise RlpInvalid(at, "an item that goes beyond its list")
    is_list, width, length = prefix
    if is_list != wanted_list:
        raise RlpInvalid(at, f"a {'list' if is_list else 'string'}")
    return at + width, at + width + length


def _prefix(length: int, base: int) -> bytes:
    if length < 56:
        return bytes((base + length,))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((base + 55 + len(size),)) + size
