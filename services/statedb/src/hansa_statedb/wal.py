"""Tells a torn tail of RocksDB's write-ahead log from damage in its middle, before RocksDB opens it.

RocksDB's point-in-time recovery stops at the first bad record and silently leaves out what follows. That is right for
the last write of a power cut, and wrong for a flipped bit further up, which would take committed blocks back. So: a bad
record is a torn tail only if no other record begins after it.

Format: blocks of 32 KiB; records `masked CRC32C u32, length u16, type u8` (little-endian), for types 5 to 8 also the
`log number u32`; the checksum covers type, log number and payload (RocksDB wiki, "Write Ahead Log File Format").
"""

from pathlib import Path

import google_crc32c

from hansa_statedb.errors import StoreDamaged

BLOCK_BYTES = 32_768
_HEADER_BYTES = 7
_RECYCLED_HEADER_BYTES = 11
_FULL, _FIRST = 1, 2
_RECYCLED_FULL, _RECYCLED_FIRST, _RECYCLED_LAST = 5, 6, 8
_SET_COMPRESSION, _RECYCLED_TYPE_MAX = 9, 13  # 10..13: timestamp sizes and predecessor information
_RECYCLED_SPECIAL = frozenset((11, 13))
_BEGINS = frozenset((_FULL, _FIRST, _RECYCLED_FULL, _RECYCLED_FIRST))
_MASK_DELTA = 0xA282EAD8


def check_wal(folder: Path) -> bool:
    """Check all logs of a RocksDB folder; True when the newest ends in a torn record, which recovery cuts off.

    Raises `StoreDamaged` naming the file. Costs one read of at most `WAL_BYTES_MAX` or so.
    """
    torn = False
    logs = sorted(path for path in folder.glob("*.log") if path.stem.isdigit())
    for position, path in enumerate(logs):
        bad = first_bad_record(path.read_bytes())
        if bad is None:
            continue
        offset, more = bad
        if more or any(later.stat().st_size for later in logs[position + 1 :]):
            raise StoreDamaged(str(path), f"record at byte {offset} has a wrong checksum and others follow it")
        torn = True
    return torn


def first_bad_record(data: bytes) -> tuple[int, bool] | None:
    """(offset, whether a record begins after it) of the first record that does not check; None when all do."""
    at = 0
    size = len(data)
    while at < size:
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < _HEADER_BYTES:
            at += left
            continue
        end = _record_end(data, at)
        if end is None:
            return (at, _record_begins_after(data, at)) if any(data[at : at + BLOCK_BYTES]) else _zeros(data, at)
        at = end
    return None


def _zeros(data: bytes, at: int) -> tuple[int, bool] | None:
    """A log may end in zeros (preallocated); records after zeros are damage."""
    return (at, True) if _record_begins_after(data, at) else None


def _record_begins_after(data: bytes, at: int) -> bool:
    """Whether a valid first fragment stands in a later block: the writer went on after the record at `at`.

    Within the block of `at` itself lengths cannot be trusted, so each offset is tried; what is found must reach the end
    of the block in whole records, since the torn record's own payload may hold bytes that a stranger chose.
    """
    block_end = min(at - at % BLOCK_BYTES + BLOCK_BYTES, len(data))
    for offset in range(at + 1, block_end - _HEADER_BYTES):
        if data[offset + 6] in _BEGINS and _chain_end(data, offset, block_end) > block_end - _HEADER_BYTES:
            return True
    at = at - at % BLOCK_BYTES + BLOCK_BYTES
    while at < len(data):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        end = None if left < _HEADER_BYTES else _record_end(data, at)
        if end is None:
            at += left
            continue
        if data[at + 6] in _BEGINS:
            return True
        at = end
    return False


def _chain_end(data: bytes, at: int, block_end: int) -> int:
    """Where whole records from `at` on end, at most `block_end`."""
    while at <= block_end - _HEADER_BYTES and (end := _record_end(data, at)) is not None:
        at = end
    return at


def _record_end(data: bytes, at: int) -> int | None:
    """Offset behind the record at `at`, or None when it is cut off or its checksum is wrong."""
    if at + _HEADER_BYTES > len(data):
        return None
    kind = data[at + 6]
    if kind == 0 or kind > _RECYCLED_TYPE_MAX:
        return None
    recycled = _RECYCLED_FULL <= kind <= _RECYCLED_LAST or kind in _RECYCLED_SPECIAL
    header = _RECYCLED_HEADER_BYTES if recycled else _HEADER_BYTES
    end = at + header + int.from_bytes(data[at + 4 : at + 6], "little")
    if end > len(data) or end > at - at % BLOCK_BYTES + BLOCK_BYTES:
        return None
    checksum = int(google_crc32c.value(data[at + 6 : end]))
    masked = (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
    return end if masked == int.from_bytes(data[at : at + 4], "little") else None
