"""Files of blocks: what is written is read again, and whatever is cut or changed is refused by name."""

import contextlib
import gzip
import io
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import hansa_kernel
import pytest
from hansa.chainfiles import (
    BlockFile,
    ChainFileError,
    Era1File,
    FileBlock,
    FileMalformed,
    FileTruncated,
    FileUnreadable,
    open_chain_file,
    open_chain_files,
    rlp,
)
from hansa.chainfiles import limits as file_limits
from hansa.chainfiles.era1 import VERSION, Era1Writer, SnappyInvalid, pack_snappy, snappy_size, unpack_snappy
from hansa.packing import pack, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EMPTY_OMMERS = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
BLOCKS = 5


def number(value: int) -> bytes:
    return rlp.string_of(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def header(height: int, parent_hash: bytes, difficulty: int = 1_000) -> bytes:
    fields = [
        rlp.string_of(parent_hash), rlp.string_of(EMPTY_OMMERS), rlp.string_of(bytes(20)),
        *(rlp.string_of(hansa_kernel.EMPTY_ROOT) for _ in range(3)), rlp.string_of(bytes(256)), number(difficulty),
        number(height), number(5_000), number(0), number(10 * height), rlp.string_of(b"test"), rlp.string_of(bytes(32)),
        rlp.string_of(bytes(8)),
    ]  # fmt: skip
    return rlp.list_of(fields)


def chain_of_blocks(count: int, first: int = 0) -> list[FileBlock]:
    """Blocks with a legacy transaction, a typed one, and receipts of both."""
    parent, found, total = bytes(32), [], 0
    legacy = rlp.list_of([number(7), rlp.string_of(b"legacy" * 50)])
    typed = b"\x02" + rlp.list_of([number(8), rlp.string_of(b"typed" * 60)])
    for height in range(first, first + count):
        head = header(height, parent)
        parent = hansa_kernel.keccak(head)
        total += 1_000
        body = [rlp.list_of(map(rlp.enveloped, (legacy, typed))), rlp.list_of(())]
        found.append(FileBlock(rlp.list_of([head, *body]), 0, pack((legacy, typed)), total))
    return found


def era1_bytes(blocks: list[FileBlock], first: int = 0) -> bytes:
    file = io.BytesIO()
    writer = Era1Writer(file, first)
    for block in blocks:
        writer.add(block)
    writer.finish()
    return file.getvalue()


def parts(blocks: list[FileBlock]) -> list[tuple[bytes, bytes | None, int | None]]:
    return [(block.rlp, block.receipts, block.total_difficulty) for block in blocks]


def test_an_era1_file_gives_back_what_was_written(tmp_path: Path) -> None:
    blocks = chain_of_blocks(BLOCKS)
    (tmp_path / "a.era1").write_bytes(era1_bytes(blocks))
    file = open_chain_file(tmp_path / "a.era1")
    assert isinstance(file, Era1File)
    assert (file.count, file.first.number) == (BLOCKS, 0)
    assert parts(list(file.blocks())) == parts(blocks)
    assert era1_bytes(list(file.blocks())) == (tmp_path / "a.era1").read_bytes()


@pytest.mark.parametrize("packed", [False, True])
def test_a_block_file_gives_back_what_was_written(tmp_path: Path, packed: bool) -> None:
    blocks = chain_of_blocks(BLOCKS, first=1)
    raw = b"".join(block.rlp for block in blocks)
    path = tmp_path / "chain.rlp"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    file = open_chain_file(path)
    assert isinstance(file, BlockFile)
    assert (file.count, file.first.number) == (BLOCKS, 1)
    assert [block.rlp for block in file.blocks()] == [block.rlp for block in blocks]


def test_files_of_a_folder_come_in_the_order_of_their_blocks(tmp_path: Path) -> None:
    blocks = chain_of_blocks(BLOCKS)
    (tmp_path / "b.rlp").write_bytes(b"".join(block.rlp for block in blocks[:2]))
    (tmp_path / "a.rlp").write_bytes(b"".join(block.rlp for block in blocks[2:]))
    (tmp_path / "notes.txt").write_text("no blocks")
    assert [file.first.number for file in open_chain_files(tmp_path)] == [0, 2]


@pytest.mark.parametrize("missing", ["folder of other things", "nothing"])
def test_a_path_without_blocks_is_unreadable(tmp_path: Path, missing: str) -> None:
    (tmp_path / "notes.txt").write_text("no blocks")
    with pytest.raises(FileUnreadable):
        open_chain_files(tmp_path if missing == "folder of other things" else tmp_path / "nothing")


def _rlp_file(blocks: list[FileBlock]) -> bytes:
    return b"".join(block.rlp for block in blocks)


def _gzip_file(blocks: list[FileBlock]) -> bytes:
    return gzip.compress(_rlp_file(blocks), mtime=0)


@pytest.mark.parametrize("form", [era1_bytes, _rlp_file, _gzip_file])
def test_every_cut_is_refused_or_ends_between_blocks(tmp_path: Path, form: Callable[[list[FileBlock]], bytes]) -> None:
    blocks = chain_of_blocks(2)
    whole = form(blocks)
    path = tmp_path / "cut"
    between = {len(blocks[0].rlp)} if form is _rlp_file else set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length in between:
            assert open_chain_file(path).count == 1
            continue
        with pytest.raises((FileTruncated, FileMalformed)) as raised:
            open_chain_file(path)
        assert str(path) in str(raised.value)
        if length > 16:
            assert isinstance(raised.value, FileTruncated), f"cut at {length}: {raised.value}"


def test_changed_bytes_of_an_era1_file_are_refused_or_change_nothing(tmp_path: Path) -> None:
    blocks = chain_of_blocks(2)
    whole = era1_bytes(blocks)
    path = tmp_path / "changed.era1"
    same = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 0x40,)) + whole[place + 1 :])
        try:
            found = list(open_chain_file(path).blocks())
        except ChainFileError:
            continue
        assert parts(found) == parts(blocks), f"byte {place}"
        same += 1  # Snappy may copy the same bytes from elsewhere
    assert same < len(whole) // 50


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_end_in_a_named_error_or_in_blocks(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    whole = era1_bytes(chain_of_blocks(2))
    path = tmp_path / "random"
    start = rng.choice((b"", whole[:8], whole[: rng.randrange(len(whole))], b"\x1f\x8b\x08\x00", b"\xf9"))
    path.write_bytes(start + rng.randbytes(rng.randrange(200)))
    with contextlib.suppress(ChainFileError):
        list(open_chain_file(path).blocks())


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80",  # a string
        b"\xf8\x01\x00",  # a length that could be shorter
        b"\xfb\x7f\xff\xff\xff",  # far beyond the bound
        rlp.list_of([rlp.list_of(())]),  # no block
    ],
)
def test_what_is_no_block_is_malformed(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "chain.rlp"
    path.write_bytes(raw)
    with pytest.raises(FileMalformed):
        open_chain_file(path)


def test_items_of_a_list_are_those_that_were_put_in() -> None:
    strings = [b"", b"\x00", b"\x7f", b"\x80", b"a" * 55, b"b" * 56, b"c" * 300]
    nested = rlp.list_of(map(rlp.string_of, strings))
    assert [payload for _, _, payload in rlp.items_of(nested)] == strings
    assert rlp.items_of(rlp.list_of([nested]))[0][1] == nested
    for cut in range(len(nested)):
        with pytest.raises(rlp.RlpInvalid):
            rlp.items_of(nested[:cut])


def bomb(size: int) -> bytes:
    """Snappy frames of `size` zeros: one literal byte and copies of 64 bytes each, 21 to 1."""
    return pack_snappy(bytes(size))


@given(data=st.binary(max_size=300).map(lambda part: part * 7), cut=st.integers(0, 3_000))
def test_snappy_tells_its_size_before_it_is_unpacked(data: bytes, cut: int) -> None:
    packed = pack_snappy(data)
    assert (snappy_size(packed), unpack_snappy(packed)) == (len(data), data)
    for other in (packed[: cut % (len(packed) + 1)], packed[cut % (len(packed) + 1) :]):
        with contextlib.suppress(SnappyInvalid):
            assert len(unpack_snappy(other)) <= len(data)


@pytest.mark.parametrize(
    ("chunk", "word"),
    [
        (b"\x00\x06\x00\x00crc?\x80\x80", "without its size"),
        (b"\x00\x09\x00\x00crc?\xff\xff\xff\xff\x0f", "at most 65536"),
        (b"\x01\x03\x00\x00crc", "without checksum"),
        (b"\x02\x00\x00\x00", "type 0x02"),
        (b"\x00\xff\xff\xffcrc?", "ends inside"),
    ],
)
def test_frames_that_lie_about_themselves_are_refused(chunk: bytes, word: str) -> None:
    with pytest.raises(SnappyInvalid, match=word):
        unpack_snappy(pack_snappy(b"") + chunk)


def with_receipts(packed: bytes) -> bytes:
    """An era1 file of one block whose receipts are these bytes."""
    blocks = chain_of_blocks(1)
    file = io.BytesIO()
    writer = Era1Writer(file, 0)
    writer.add(blocks[0])
    whole = file.getvalue()
    kept = pack_snappy(rlp.list_of(map(rlp.enveloped, unpack(blocks[0].receipts or b""))))
    assert whole.count(kept) == 1
    entry = whole.index(kept) - 8
    head = struct.pack("<HIH", 5, len(packed), 0)
    changed = whole[:entry] + head + packed + whole[entry + 8 + len(kept) :]
    writer._at += len(changed) - len(whole)
    file.seek(0)
    file.write(changed)
    writer.finish()
    return file.getvalue()


def peak_of(work: Callable[[], object]) -> int:
    """Most bytes that were held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_through(path: Path) -> None:
    for _ in open_chain_file(path).blocks():
        pass


ONE_BYTE_ITEMS = rlp.list_of([b"\x01" * 2_000_000])


@pytest.mark.parametrize(
    "raw",
    [
        with_receipts(bomb(30_000_000)),
        with_receipts(pack_snappy(rlp.list_of([rlp.string_of(bytes(2_000_000))]))),
        with_receipts(pack_snappy(ONE_BYTE_ITEMS)),
        gzip.compress(rlp.list_of([rlp.string_of(bytes(60_000_000))])),
        gzip.compress(rlp.list_of([rlp.string_of(bytes(1_000_000))])),
        rlp.list_of([b"\x01" * 2_000_000]),
        era1_bytes(chain_of_blocks(1))[:8] + struct.pack("<HIH", VERSION, 0, 0) * 400_000,
    ],
    ids=["snappy", "long receipt", "short receipts", "gzip", "small gzip", "short parts", "empty entries"],
)
def test_a_file_takes_memory_of_sixteen_times_its_size(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(raw)

    def work() -> None:
        with contextlib.suppress(ChainFileError):
            read_through(path)

    work()  # what is loaded once does not count
    assert peak_of(work) <= 16 * max(len(raw), file_limits.UNPACKED_FREE_BYTES)


def test_an_entry_that_unpacks_to_more_than_its_file_allows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.era1"
    path.write_bytes(with_receipts(bomb(30_000_000)))
    file = open_chain_file(path)
    with pytest.raises(FileMalformed, match="receipts that unpacks to at most"):
        list(file.blocks())
