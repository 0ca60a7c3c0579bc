"""What files of blocks have in common: kinds, what is known of them before they are read, and their blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from hansa_kernel import Header, KernelInputError

from hansa.chainfiles import limits, rlp
from hansa.chainfiles.errors import ChainFileError, FileMalformed, FileUnreadable

BLOCK_PARTS_MAX = 4
"""Header, transactions, ommers and, from Shanghai on, withdrawals."""


@dataclass(frozen=True, slots=True)
class FileBlock:
    """A block as a file has it."""

    rlp: bytes
    offset: int  # byte of the file, uncompressed where it is packed as a whole
    receipts: bytes | None = None  # packed list of EIP-2718 receipts, where the file has them
    total_difficulty: int | None = None  # up to and with this block, where the file has it


class ChainFile(Protocol):
    """A file that was looked through once: it is whole as far as that can be told without running its blocks."""

    path: Path
    count: int  # blocks, at least 1
    first: Header  # header of the first block

    def blocks(self) -> Iterator[FileBlock]:
        """All blocks in order. Raises `ChainFileError`."""


def unpacked_max(file_bytes: int) -> int:
    """Most bytes that may be unpacked at once of a file of this size."""
    return max(limits.UNPACKED_FREE_BYTES, limits.UNPACKED_RATIO_MAX * file_bytes)


def header_of(path: Path, block: bytes, offset: int) -> Header:
    """Header of a block. Raises `FileMalformed`."""
    header, count = b"", 0
    try:
        for _, item, _ in islice(rlp.each_item(block), BLOCK_PARTS_MAX + 1):
            header = header or item
            count += 1
    except rlp.RlpInvalid as error:
        raise FileMalformed(path, offset + error.offset, "the RLP of a block", str(error)) from error
    if count not in (3, BLOCK_PARTS_MAX):
        raise FileMalformed(path, offset, "a block of 3 or 4 parts", str(count))
    return decode_header(path, header, offset)


def decode_header(path: Path, header: bytes, offset: int) -> Header:
    """A decoded header. Raises `FileMalformed`."""
    try:
        return Header.decode(header)
    except KernelInputError as error:
        raise FileMalformed(path, offset, f"a header ({error.field}: {error.expected})", error.got) from error


def unreadable(path: Path, error: OSError) -> ChainFileError:
    """What to raise for the system's refusal."""
    return FileUnreadable(path, f"cannot be read: {error.strerror or error}")
