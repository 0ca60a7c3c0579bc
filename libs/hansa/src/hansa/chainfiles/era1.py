"""era1 files: up to 8,192 blocks of a chain before the merge with their receipts (e2store; "era1" in the archive format
specification of the execution clients).

An entry is `u16 type, u32 length, u16 zero`, little-endian, and the data. Entries: version; per block header, body and
receipts (RLP in the framing format of Snappy) and total difficulty (256 bits, little-endian); the accumulator; the index
of the blocks, whose places count from its own entry's beginning.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import cramjam
from hansa_kernel import Header, keccak

from hansa.chainfiles import limits, rlp
from hansa.chainfiles.errors import FileMalformed, FileTruncated
from hansa.chainfiles.source import FileBlock, decode_header, unpacked_max, unreadable
from hansa.packing import pack, unpack

VERSION: Final = 0x3265
HEADER: Final = 0x03
BODY: Final = 0x04
RECEIPTS: Final = 0x05
TOTAL_DIFFICULTY: Final = 0x06
ACCUMULATOR: Final = 0x07
INDEX: Final = 0x3266
MAGIC: Final = struct.pack("<HIH", VERSION, 0, 0)

BODY_PARTS_MAX: Final = 2
"""Transactions and ommers: era1 files end before there are withdrawals."""

SNAPPY_PACKED: Final = 0x00
SNAPPY_PLAIN: Final = 0x01
SNAPPY_SKIPPED: Final = 0x80
"""Chunks from this type on are passed over; those between may not be."""
SNAPPY_HEAD: Final = 4
SNAPPY_CHECKSUM: Final = 4
SNAPPY_CHUNK_MAX: Final = 65_536
"""Bytes of a chunk, unpacked."""

_ENTRY: Final = struct.Struct("<HIH")
_NAMES: Final = {HEADER: "header", BODY: "body", RECEIPTS: "receipts", TOTAL_DIFFICULTY: "total difficulty"}
_BLOCK: Final = tuple(_NAMES)  # entries of one block, in their order

_Entry = tuple[int, int, int]
"""(type, byte where the entry begins, bytes of its data)."""


class Era1File:
    """An era1 file. Making one checks everything but bodies and receipts: entries, index, and the accumulator over all
    headers' hashes and total difficulties."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._blocks = self._read_structure(file)
                self.count = len(self._blocks)
                self.first = self._check_accumulator(file)
        except OSError as error:
            raise unreadable(path, error) from error

    def blocks(self) -> Iterator[FileBlock]:
        """All blocks in order. Raises `ChainFileError`."""
        try:
            with self.path.open("rb") as file:
                for entries in self._blocks:
                    yield self._block(file, entries)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _block(self, file: BinaryIO, entries: Sequence[_Entry]) -> FileBlock:
        header, body, receipts, total = entries
        head = self._unpacked(file, header)
        tail = self._unpacked(file, body)
        listed = self._unpacked(file, receipts)
        try:
            whole = rlp.list_of([head, *(item for _, item, _ in rlp.items_of(tail, BODY_PARTS_MAX))])
            raw = pack(item if is_list else payload for is_list, item, payload in _receipts(listed))
        except rlp.RlpInvalid as error:
            raise FileMalformed(self.path, body[1], "the RLP of a body and of receipts", str(error)) from error
        return FileBlock(whole, header[1], raw, int.from_bytes(self._data(file, total), "little"))

    # --- looking through ---

    def _read_structure(self, file: BinaryIO) -> list[tuple[_Entry, ...]]:
        """Entries of each block. Raises `FileTruncated`, `FileMalformed`."""
        size = file.seek(0, os.SEEK_END)
        entries: list[_Entry] = []
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(_ENTRY.size)
            if len(head) < _ENTRY.size:
                raise FileTruncated(self.path, at, "an entry")
            kind, length, reserved = _ENTRY.unpack(head)
            if reserved:
                raise FileMalformed(self.path, at, "an entry whose reserved bytes are zero", hex(reserved))
            if at + _ENTRY.size + length > size:
                raise FileTruncated(self.path, at, "an entry")
            if len(entries) == limits.ERA_ENTRIES_MAX:
                raise FileMalformed(self.path, at, f"at most {limits.ERA_ENTRIES_MAX} entries", "another one")
            entries.append((kind, at, length))
            at += _ENTRY.size + length
        return self._check_order(file, entries)

    def _check_order(self, file: BinaryIO, entries: Sequence[_Entry]) -> list[tuple[_Entry, ...]]:
        if not entries or entries[0][0] != VERSION:
            raise FileMalformed(self.path, 0, "an era1 file's version", "something else")
        place, blocks = 1, []
        while place < len(entries) and entries[place][0] in _NAMES:
            block = tuple(entries[place : place + len(_BLOCK)])
            for wanted, (kind, at, _) in zip(_BLOCK, block, strict=False):
                if kind != wanted:
                    raise FileMalformed(self.path, at, f"a {_NAMES[wanted]}", f"type 0x{kind:x}")
            if len(block) < len(_BLOCK):
                raise FileTruncated(self.path, block[0][1], "a block")
            blocks.append(block)
            place += len(_BLOCK)
        rest = entries[place:]
        self._accumulators = [entry for entry in rest if entry[0] == ACCUMULATOR]
        last = entries[-1]
        if not blocks or last[0] != INDEX or len(self._accumulators) != 1 or self._accumulators[0][2] != 32:
            raise FileTruncated(self.path, last[1], "the blocks; accumulator and index should follow, and what")
        if len(blocks) > limits.ERA_BLOCKS_MAX:
            raise FileMalformed(self.path, 0, f"at most {limits.ERA_BLOCKS_MAX} blocks", str(len(blocks)))
        self._first_number = self._check_index(file, last, blocks)
        return blocks

    def _check_index(self, file: BinaryIO, entry: _Entry, blocks: Sequence[tuple[_Entry, ...]]) -> int:
        """The number of the first block."""
        _, at, length = entry
        if length != 8 * (len(blocks) + 2):
            raise FileMalformed(self.path, at, f"an index of {len(blocks)} blocks", f"{length} bytes")
        first, *places, count = struct.unpack(f"<Q{len(blocks)}qQ", self._data(file, entry))
        wrong = next((i for i, block in enumerate(blocks) if at + places[i] != block[0][1]), None)
        if count != len(blocks) or wrong is not None:
            raise FileMalformed(self.path, at, "an index that names where blocks begin", f"block {wrong or count}")
        return int(first)

    def _check_accumulator(self, file: BinaryIO) -> Header:
        """The first header, once all of them are those that the accumulator is made of."""
        first = None
        records = []
        parent = b""
        for index, (header, _, _, total) in enumerate(self._blocks):
            raw = self._unpacked(file, header)
            decoded = decode_header(self.path, raw, header[1])
            if decoded.number != self._first_number + index or (index and decoded.parent_hash != parent):
                raise FileMalformed(
                    self.path, header[1], f"block {self._first_number + index} on its parent", f"block {decoded.number}"
                )
            if total[2] != 32:
                raise FileMalformed(self.path, total[1], "a total difficulty of 32 bytes", f"{total[2]} bytes")
            first = first or decoded
            parent = decoded.hash
            records.append((parent, self._data(file, total)))
        expected, got = self._data(file, self._accumulators[0]), accumulator(records)
        if expected != got:
            raise FileMalformed(self.path, self._accumulators[0][1], f"the accumulator {got.hex()}", expected.hex())
        assert first is not None, "there is at least one block"
        return first

    def _data(self, file: BinaryIO, entry: _Entry) -> bytes:
        _, at, length = entry
        file.seek(at + _ENTRY.size)
        data = file.read(length)
        if len(data) < length:
            raise FileTruncated(self.path, at, "an entry")
        return data

    def _unpacked(self, file: BinaryIO, entry: _Entry) -> bytes:
        kind, at, length = entry
        most = min(limits.ENTRY_BYTES_MAX, unpacked_max(os.fstat(file.fileno()).st_size))
        if length > most:
            raise FileMalformed(self.path, at, f"a {_NAMES[kind]} of at most {most} bytes", str(length))
        try:
            data = self._data(file, entry)
            if (size := snappy_size(data)) > most:
                raise FileMalformed(self.path, at, f"a {_NAMES[kind]} that unpacks to at most {most} bytes", str(size))
            return unpack_snappy(data)
        except SnappyInvalid as error:
            raise FileMalformed(self.path, at, f"a {_NAMES[kind]} in Snappy's framing format", str(error)) from error


class SnappyInvalid(ValueError):
    """Not Snappy's framing format."""


def snappy_size(data: bytes) -> int:
    """Bytes that Snappy's framing format says it unpacks to, from the heads of its chunks alone (framing_format.txt of
    Snappy). Raises `SnappyInvalid`."""
    total = at = 0
    while at < len(data):
        kind, begin = data[at], at + SNAPPY_HEAD
        length = int.from_bytes(data[at + 1 : begin], "little")
        at = begin + length
        if begin > len(data) or at > len(data):
            raise SnappyInvalid("it ends inside a chunk")
        if kind in (SNAPPY_PACKED, SNAPPY_PLAIN):
            if length < SNAPPY_CHECKSUM:
                raise SnappyInvalid("a chunk without checksum")
            body = begin + SNAPPY_CHECKSUM
            size = _varint(data[body:at]) if kind == SNAPPY_PACKED else at - body
            if size > SNAPPY_CHUNK_MAX:
                raise SnappyInvalid(f"a chunk of {size} bytes, at most {SNAPPY_CHUNK_MAX} are allowed")
            total += size
        elif kind < SNAPPY_SKIPPED:
            raise SnappyInvalid(f"a chunk of type 0x{kind:02x}")
    return total


def _varint(data: bytes) -> int:
    """The number at the beginning: seven bits a byte, the lowest first."""
    found = 0
    for place, byte in enumerate(data[:5]):
        found |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return found
    raise SnappyInvalid("a chunk without its size")


def unpack_snappy(data: bytes) -> bytes:
    """Undo Snappy's framing format; takes what `snappy_size` says and no more. Raises `SnappyInvalid`."""
    out = bytearray(snappy_size(data))
    try:
        written = cramjam.snappy.decompress_into(data, out)
    except cramjam.DecompressionError as error:
        raise SnappyInvalid(str(error)) from error
    if written != len(out):
        raise SnappyInvalid(f"{written} bytes instead of {len(out)}")
    return bytes(out)


def _receipts(listed: bytes) -> Iterator[tuple[bool, bytes, bytes]]:
    """Items of a list of receipts. Raises `rlp.RlpInvalid` where one is too short to be any."""
    for found in rlp.each_item(listed):
        if len(found[1]) < limits.RECEIPT_BYTES_MIN:
            raise rlp.RlpInvalid(0, f"a receipt of {len(found[1])} bytes")
        yield found


def pack_snappy(data: bytes) -> bytes:
    """Snappy's framing format."""
    return bytes(cramjam.snappy.compress(data))


def accumulator(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """`hash_tree_root` of a list of at most 8,192 (block hash, total difficulty of 32 little-endian bytes) (SSZ)."""
    level = [hashlib.sha256(block_hash + total).digest() for block_hash, total in records]
    empty = bytes(32)
    for _ in range((limits.ERA_BLOCKS_MAX - 1).bit_length()):
        if len(level) % 2:
            level.append(empty)
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
        empty = hashlib.sha256(empty + empty).digest()
    root = level[0] if level else empty
    return hashlib.sha256(root + len(records).to_bytes(32, "little")).digest()


class Era1Writer:
    """Writes an era1 file to `file`, block by block."""

    def __init__(self, file: BinaryIO, first: int) -> None:
        self._file = file
        self._first = first
        self._places: list[int] = []
        self._records: list[tuple[bytes, bytes]] = []
        self._at = 0
        self._put(VERSION, b"")

    def add(self, block: FileBlock) -> None:
        """The next block, with receipts and total difficulty."""
        assert block.receipts is not None, "era1 has receipts"
        assert block.total_difficulty is not None, "era1 has total difficulties"
        items = rlp.items_of(block.rlp)
        header = items[0][1]
        total = block.total_difficulty.to_bytes(32, "little")
        self._places.append(self._at)
        self._records.append((keccak(header), total))
        self._put(HEADER, pack_snappy(header))
        self._put(BODY, pack_snappy(rlp.list_of(item for _, item, _ in items[1:])))
        self._put(RECEIPTS, pack_snappy(rlp.list_of(map(rlp.enveloped, unpack(block.receipts)))))
        self._put(TOTAL_DIFFICULTY, total)

    def finish(self) -> None:
        """Accumulator and index."""
        self._put(ACCUMULATOR, accumulator(self._records))
        places = [place - self._at for place in self._places]
        self._put(INDEX, struct.pack(f"<Q{len(places)}qQ", self._first, *places, len(places)))

    def _put(self, kind: int, data: bytes) -> None:
        self._file.write(_ENTRY.pack(kind, len(data), 0))
        self._file.write(data)
        self._at += _ENTRY.size + len(data)
