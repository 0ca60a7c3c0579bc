"""Keys and values as they stand in RocksDB; the only place that knows these bytes.

All integers are big-endian, so that the order of keys is the order of heights. Values are kept short where that costs
next to nothing: most accounts are neither contracts nor have storage, and most slots hold small numbers.
"""

import struct

from hansa_kernel import EMPTY_CODE_HASH, EMPTY_ROOT

SCHEMA_VERSION = 1

ADDRESS_BYTES = 20
SLOT_KEY_BYTES = 52
HASH_BYTES = 32
TERM_BYTES = 33
ACCOUNT_BYTES = 105

ABSENT_ACCOUNT = bytes(ACCOUNT_BYTES)
ZERO_WORD = bytes(HASH_BYTES)
ANY_LOG_TERM = b"\xff" + ZERO_WORD
"""Posted for every block with a log: filters that name nothing need not visit the others."""

_U64 = struct.Struct(">Q")
_PLACE = struct.Struct(">QI")
_PLAIN_TAIL = EMPTY_ROOT + EMPTY_CODE_HASH
_PLAIN_BYTES = 40  # nonce and balance


def u64(number: int) -> bytes:
    """8 bytes."""
    return _U64.pack(number)


def read_u64(data: bytes) -> int:
    """The inverse of `u64`."""
    return int(_U64.unpack(data)[0])


def shrink_account(record: bytes) -> bytes:
    """Stored form of a 105-byte record: empty (absent), 40 bytes (no code, no storage) or 104 bytes."""
    if record[0] == 0:
        return b""
    return record[1:41] if record[41:] == _PLAIN_TAIL else record[1:]


def expand_account(stored: bytes | None) -> bytes:
    """The 105-byte record of a stored form; None or empty means absent."""
    if not stored:
        return ABSENT_ACCOUNT
    if len(stored) == _PLAIN_BYTES:
        return b"\x01" + stored + _PLAIN_TAIL
    return b"\x01" + stored


def shrink_word(value: bytes) -> bytes:
    """Stored form of a 32-byte word: without leading zeros."""
    return value.lstrip(b"\x00")


def expand_word(stored: bytes | None) -> bytes:
    """The 32-byte word of a stored form; None or empty means zero."""
    return stored.rjust(HASH_BYTES, b"\x00") if stored else ZERO_WORD


def history_key(key: bytes, number: int) -> bytes:
    """Where the value of an account or slot before block `number` stands."""
    return key + _U64.pack(number)


def place(number: int, index: int) -> bytes:
    """Value of the transaction index."""
    return _PLACE.pack(number, index)


def read_place(value: bytes) -> tuple[int, int]:
    """(block number, index in the block)."""
    number, index = _PLACE.unpack(value)
    return number, index


def after_prefix(prefix: bytes) -> bytes:
    """The smallest key above all keys that begin with `prefix`.

    An address or hash of 0xff bytes alone has none; nobody can make one, and keys longer than this are not written.
    """
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else b"\xff" * 80
