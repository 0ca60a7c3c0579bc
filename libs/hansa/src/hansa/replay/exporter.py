"""Writes blocks of a ledger to a file, as public tools read them."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, cast

from hansa_kernel import Header, raw_receipts

from hansa.chainfiles import FileBlock, FileUnreadable, rlp
from hansa.chainfiles import limits as file_limits
from hansa.chainfiles.era1 import Era1Writer
from hansa.packing import unpack
from hansa.replay.errors import RangeInvalid
from hansa.replay.ledger import Ledger
from hansa.replay.reading import blocks_between, total_difficulty_of
from hansa.v1 import statedb_pb2, types_pb2

ExportFormat: TypeAlias = Literal["rlp", "era1"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    blocks: int
    bytes: int


async def export_blocks(ledger: Ledger, path: Path, first: int, last: int | None, kind: ExportFormat) -> Exported:
    """Write blocks `first` to `last` (None: the head) to a new file; a name that ends in .gz is packed (only `rlp`).

    Raises `RangeInvalid`, `FileUnreadable`. Nothing is left behind when it fails.
    """
    head = (await ledger.head()).number
    last = head if last is None else last
    if not 0 <= first <= last <= head:
        raise RangeInvalid(f"blocks {first} to {last} were asked for; there are blocks 0 to {head}")
    if kind == "era1":
        _check_era(first, last)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists():
            raise FileUnreadable(path, "exists already and is left as it is; choose another name")
        try:
            with draft.open("xb") as file:
                count = await _write(ledger, file, first, last, kind, packed=path.suffix == ".gz")
                file.flush()
                os.fsync(file.fileno())
            size = draft.stat().st_size
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnreadable(path, f"cannot be written: {error.strerror or error}") from error
    return Exported(count, size)


def _check_era(first: int, last: int) -> None:
    size = file_limits.ERA_BLOCKS_MAX
    if first % size or last - first >= size:
        raise RangeInvalid(
            f"an era1 file begins at a multiple of {size} and has at most {size} blocks, not {first} to {last}; "
            "export one era after the other"
        )


async def _write(ledger: Ledger, file: BinaryIO, first: int, last: int, kind: ExportFormat, *, packed: bool) -> int:
    count = 0
    if kind == "era1":
        era = Era1Writer(file, first)
        async for block in _file_blocks(ledger, first, last):
            await asyncio.to_thread(era.add, block)
            count += 1
        era.finish()
        return count
    parts = statedb_pb2.BlockParts(transactions=True)
    out = cast(BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)) if packed else file
    async for found in blocks_between(ledger, first, last, parts):
        out.write(block_rlp(found))
        count += 1
    if packed:
        out.close()
    return count


async def _file_blocks(ledger: Ledger, first: int, last: int) -> AsyncIterator[FileBlock]:
    total = await total_difficulty_of(ledger, first - 1) if first else 0
    parts = statedb_pb2.BlockParts(transactions=True, receipts=True)
    async for block in blocks_between(ledger, first, last, parts):
        header = Header.decode(block.header)
        if header.number and header.difficulty == 0:
            raise RangeInvalid(f"block {header.number} comes after the merge; era1 files end before it")
        total += header.difficulty
        yield FileBlock(block_rlp(block), 0, raw_receipts(block.transactions, block.receipts), total)


def block_rlp(block: types_pb2.Block) -> bytes:
    """The block as public networks pass it on: header, transactions, ommers, and withdrawals where the header has them."""
    parts: list[bytes] = [
        block.header,
        rlp.list_of(map(rlp.enveloped, unpack(block.transactions))),
        rlp.list_of(unpack(block.ommers)),
    ]
    if Header.decode(block.header).withdrawals_root is not None:
        parts.append(block.withdrawals or rlp.list_of(()))
    return rlp.list_of(parts)
