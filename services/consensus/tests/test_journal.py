"""The pool journal on a real disk."""

import asyncio
from pathlib import Path

import pytest
from hansa_consensus.errors import JournalDamaged
from hansa_consensus.journal import FILE_NAME, Journal, encode_record


async def reopened(folder: Path) -> list[bytes]:
    """What a start finds."""
    journal = Journal(folder, 0)
    records = await journal.open()
    await journal.close()
    return records


async def test_appended_batches_are_there_after_a_restart_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 5)
    assert await journal.open() == []
    await asyncio.gather(*(journal.append(b"batch %d" % number) for number in range(20)))
    await journal.append(b"last")
    await journal.close()
    assert await reopened(tmp_path) == [*(b"batch %d" % number for number in range(20)), b"last"]


@pytest.mark.parametrize("kept", range(1, len(encode_record(b"torn"))))
async def test_torn_tail_of_any_length_is_cut_and_later_batches_are_kept(tmp_path: Path, kept: int) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(encode_record(b"whole") + encode_record(b"torn")[:kept])
    journal = Journal(tmp_path, 0)
    assert await journal.open() == [b"whole"]
    await journal.append(b"after")
    await journal.close()
    assert await reopened(tmp_path) == [b"whole", b"after"]


async def test_broken_record_before_a_whole_one_is_damage_and_refused(tmp_path: Path) -> None:
    data = bytearray(encode_record(b"first") + encode_record(b"second"))
    data[14] ^= 1
    (tmp_path / FILE_NAME).write_bytes(data)
    with pytest.raises(JournalDamaged) as caught:
        await Journal(tmp_path, 0).open()
    assert caught.value.offset == 0


async def test_rotation_keeps_what_still_waits_and_what_comes_after(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    await journal.open()
    await journal.append(b"committed")
    await journal.append(b"waiting")
    await journal.rotate(lambda: [b"waiting"])
    await journal.append(b"new")
    await journal.close()
    assert await reopened(tmp_path) == [b"waiting", b"new"]


async def test_cut_short_rotation_leaves_the_old_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    await journal.open()
    await journal.append(b"waiting")
    await journal.close()
    (tmp_path / "pool.new").write_bytes(b"half")
    assert await reopened(tmp_path) == [b"waiting"]
