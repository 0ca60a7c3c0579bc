"""Reads the kernel's write-set layout (`_kernel.pyi`, "write set")."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from hansa_statedb.errors import RequestInvalid

DELETED = 1
WIPED = 2
CODE_FOLLOWS = 4

_FIXED = struct.Struct(">20sB40s32s")  # address, flags, nonce and balance, code hash


class AccountWrite(NamedTuple):
    """An account after a block, without its storage root."""

    address: bytes
    deleted: bool
    wiped: bool  # its storage is emptied before `slots` are written
    nonce_and_balance: bytes  # 40 bytes
    code_hash: bytes
    code: bytes | None  # None: unchanged


@dataclass(frozen=True, slots=True)
class WriteSet:
    """What a block changes."""

    accounts: tuple[AccountWrite, ...]  # ascending by address
    slots: dict[bytes, bytes]  # 52-byte key -> 32-byte value, ascending


def parse_write_set(data: bytes) -> WriteSet:
    """Split a write set. Raises `RequestInvalid` when it is cut short, out of order or has bytes left over."""
    size = len(data)
    if size < 4:
        raise RequestInvalid("write_set", "at least 4 bytes", f"{size} bytes")
    count = int.from_bytes(data[:4], "big")
    at = 4
    accounts: list[AccountWrite] = []
    slots: dict[bytes, bytes] = {}
    previous = b""
    for _ in range(count):
        end = at + _FIXED.size
        if end + 4 > size:
            raise RequestInvalid("write_set", f"an account at byte {at}", f"{size} bytes in all")
        address, flags, nonce_and_balance, code_hash = _FIXED.unpack_from(data, at)
        if address <= previous:
            raise RequestInvalid("write_set", "ascending addresses", address.hex())
        previous = address
        at = end
        code: bytes | None = None
        if flags & CODE_FOLLOWS:
            length = int.from_bytes(data[at : at + 4], "big")
            code = data[at + 4 : at + 4 + length]
            at += 4 + length
        slot_count = int.from_bytes(data[at : at + 4], "big")
        at += 4
        end = at + 64 * slot_count
        if at > size or end > size:
            raise RequestInvalid("write_set", f"{slot_count} slots at byte {at}", f"{size} bytes in all")
        while at < end:
            slots[address + data[at : at + 32]] = data[at + 32 : at + 64]
            at += 64
        accounts.append(
            AccountWrite(address, bool(flags & DELETED), bool(flags & WIPED), nonce_and_balance, code_hash, code)
        )
    if at != size:
        raise RequestInvalid("write_set", f"{at} bytes", f"{size} bytes")
    return WriteSet(tuple(accounts), slots)
