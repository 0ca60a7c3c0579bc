"""Block files: the RLP of blocks one behind the other, as `geth export` writes them, packed with gzip or not."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hansa.chainfiles import limits, rlp
from hansa.chainfiles.errors import FileMalformed, FileTruncated
from hansa.chainfiles.source import FileBlock, header_of, unpacked_max, unreadable

GZIP_MAGIC = b"\x1f\x8b"


class BlockFile:
    """A block file. Making one reads it through: a file that ends inside a block is refused before any is used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        first = None
        count = 0
        for block in self.blocks():
            count += 1
            first = first or header_of(path, block.rlp, block.offset)
        if first is None:
            raise FileTruncated(path, 0, "the first block")
        self.count = count
        self.first = first

    def blocks(self) -> Iterator[FileBlock]:
        """All blocks in order. Raises `ChainFileError`."""
        try:
            with _opened(self.path) as file:
                yield from self._blocks(file)
        except EOFError as error:
            raise FileTruncated(self.path, 0, "the gzip stream") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FileMalformed(self.path, 0, "a gzip stream", str(error)) from error
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _blocks(self, file: BinaryIO) -> Iterator[FileBlock]:
        most = min(limits.BLOCK_BYTES_MAX, unpacked_max(self.path.stat().st_size))
        offset = 0
        held = b""
        while True:
            if len(held) < rlp.PREFIX_BYTES_MAX:
                held += file.read(limits.READ_BYTES)
            if not held:
                return
            try:
                prefix = rlp.prefix_of(held)
            except rlp.RlpInvalid as error:
                raise FileMalformed(self.path, offset, "the RLP of a block", str(error)) from error
            if prefix is None:
                raise FileTruncated(self.path, offset, "a block")
            is_list, width, length = prefix
            if not is_list:
                raise FileMalformed(self.path, offset, "the RLP of a block", f"byte 0x{held[0]:02x}")
            if length > most:
                raise FileMalformed(self.path, offset, f"a block of at most {most} bytes", str(length))
            held = _filled(file, held, width + length)
            if len(held) < width + length:
                raise FileTruncated(self.path, offset, "a block")
            yield FileBlock(held[: width + length], offset)
            held = held[width + length :]
            offset += width + length


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")


def _filled(file: BinaryIO, held: bytes, size: int) -> bytes:
    """`held` and what follows, at least `size` bytes unless the file ends."""
    parts = [held]
    have = len(held)
    while have < size:
        part = file.read(limits.READ_BYTES)
        if not part:
            break
        parts.append(part)
        have += len(part)
    return b"".join(parts)
