"""The vote log: what was synced comes back, a torn tail is cut off, damage elsewhere is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from consensus_traces import GENESIS, block, certificate, new_view, prepared, view_change, vote
from hansa_consensus.core.codec import Malformed, rlp_decode, rlp_encode
from hansa_consensus.core.logstate import LogState
from hansa_consensus.core.records import (
    FILE_HEAD_BYTES,
    InstalledViewRecord,
    PreparedRecord,
    PrunedRecord,
    Record,
    ReleasedRecord,
    ViewChangeRecord,
    VoteLogDamaged,
    VoteLogForeign,
    VoteRecord,
    decode_log,
    encode_file_head,
    encode_frame,
)
from hansa_consensus.core.types import InstalledView, Phase, Recovered
from hansa_consensus.votelog import VoteLog, VoteLogFailed, VoteLogInUse
from hypothesis import given
from hypothesis import strategies as st

KEY = b"key-id-8"
A = block(GENESIS, proposer=0, nonce=1)
A2 = block(A, proposer=0, nonce=2)
CHANGE = view_change(1, 2, last=A, last_commit=certificate(Phase.COMMIT, A), blocks=(prepared(A2, view=1),))
NEW_VIEW = new_view(2, CHANGE, view_change(2, 2), view_change(3, 2, blocks=(prepared(A),)))
GROUPS: list[list[Record]] = [
    [ReleasedRecord(0)],
    [VoteRecord(vote(1, Phase.PREPARE, A))],
    [PreparedRecord(prepared(A), b"bodies of A" * 30), VoteRecord(vote(1, Phase.COMMIT, A))],
    [VoteRecord(vote(1, Phase.PREPARE, A2, 1))],
    [PrunedRecord(1), PreparedRecord(prepared(A2, view=1), b"\x00" * 100), VoteRecord(vote(1, Phase.COMMIT, A2, 1))],
    [ViewChangeRecord(CHANGE)],
    [InstalledViewRecord(InstalledView(2, new_view=NEW_VIEW))],
    [InstalledViewRecord(InstalledView(3, certificate=certificate(Phase.COMMIT, A, view=3)))],
]


def opened(directory: Path, **options: int) -> VoteLog:
    return VoteLog.open(directory, genesis_hash=GENESIS.hash, key_id=KEY, **options)


def only_file(directory: Path) -> Path:
    (path,) = directory.glob("votes-*.log")
    return path


def state_after(groups: list[list[Record]]) -> Recovered:
    state = LogState()
    for group in groups:
        state.apply(group)
    return state.recovered()


def filled(directory: Path) -> list[int]:
    """Write all groups; the file's size after each."""
    log = opened(directory)
    sizes = [log.size_bytes]
    for group in GROUPS:
        log.append(group)
        sizes.append(log.size_bytes)
    log.close()
    return sizes


def test_new_log_is_empty(tmp_path: Path) -> None:
    log = opened(tmp_path / "votes")
    assert log.recovered == Recovered()
    assert log.recovered.is_empty
    log.close()
    assert (tmp_path / "votes").stat().st_mode & 0o777 == 0o700
    assert only_file(tmp_path / "votes").stat().st_mode & 0o777 == 0o600


def test_everything_appended_comes_back(tmp_path: Path) -> None:
    filled(tmp_path)
    log = opened(tmp_path)
    recovered = log.recovered
    assert recovered == state_after(GROUPS)
    assert recovered.view_change == CHANGE
    assert recovered.installed == InstalledView(3, certificate=certificate(Phase.COMMIT, A, view=3))
    assert [each.certificate.to_hash for each in recovered.prepared] == [A2.hash]
    assert log.bodies(A2.hash) == b"\x00" * 100
    assert log.bodies(A.hash) is None, "pruned: A is committed"
    assert recovered.released_height == 0
    log.close()


def test_log_cut_at_every_byte_recovers_the_whole_frames_before_it(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    data = only_file(tmp_path).read_bytes()
    for length in range(len(data) + 1):
        if length < sizes[0]:
            with pytest.raises(VoteLogDamaged):
                decode_log(data[:length], GENESIS.hash, KEY)
            continue
        frames, end = decode_log(data[:length], GENESIS.hash, KEY)
        whole = max(index for index, size in enumerate(sizes) if size <= length)
        assert end == sizes[whole]
        assert len(frames) == whole + 1
        state = LogState()
        for frame in frames:
            state.apply(frame.records)
        assert state.recovered() == state_after(GROUPS[:whole])


def test_torn_tail_is_cut_off_on_disk_and_writing_goes_on(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    path = only_file(tmp_path)
    with path.open("r+b") as file:
        file.truncate(sizes[-1] - 5)
    log = opened(tmp_path)
    assert not path.exists(), "what was read is written anew"
    assert log.recovered == state_after(GROUPS[:-1])
    log.append(GROUPS[-1])
    log.close()
    log = opened(tmp_path)
    assert log.recovered == state_after(GROUPS)
    log.close()


def test_flipped_byte_before_the_last_frame_refuses_to_start(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    data = only_file(tmp_path).read_bytes()
    for at in range(0, sizes[-2], 7):
        broken = bytearray(data)
        broken[at] ^= 0x10
        with pytest.raises((VoteLogDamaged, VoteLogForeign)):
            decode_log(bytes(broken), GENESIS.hash, KEY)


def test_flipped_byte_in_the_last_frame_counts_as_torn(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    data = only_file(tmp_path).read_bytes()
    for at in range(sizes[-2], sizes[-1], 5):
        broken = bytearray(data)
        broken[at] ^= 0x01
        assert decode_log(bytes(broken), GENESIS.hash, KEY)[1] == sizes[-2]


def test_damage_names_file_offset_and_remedy(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[sizes[2] + 20] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(VoteLogDamaged) as caught:
        opened(tmp_path)
    assert caught.value.offset == sizes[2]
    assert str(path) in str(caught.value)
    assert "Move the file away" in str(caught.value)
    with pytest.raises(VoteLogDamaged):
        opened(tmp_path)  # the lock was released, nothing was changed


def test_missing_frame_in_the_middle_is_damage(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    data = only_file(tmp_path).read_bytes()
    with pytest.raises(VoteLogDamaged, match="follows"):
        decode_log(data[: sizes[3]] + data[sizes[4] :], GENESIS.hash, KEY)


def test_log_of_another_chain_or_key_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(VoteLogForeign):
        VoteLog.open(tmp_path, genesis_hash=bytes(32), key_id=KEY)
    with pytest.raises(VoteLogForeign):
        VoteLog.open(tmp_path, genesis_hash=GENESIS.hash, key_id=b"other-id")


def test_second_process_is_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(VoteLogInUse):
        opened(tmp_path)
    log.close()
    opened(tmp_path).close()


def test_rotation_keeps_what_is_needed_and_drops_committed_bodies(tmp_path: Path) -> None:
    log = opened(tmp_path, rotate_bytes=2_000)
    on, head = A, GENESIS
    for height in range(1, 40):
        log.append([VoteRecord(vote(1, Phase.PREPARE, on))])
        log.append([PreparedRecord(prepared(on), bytes(500)), VoteRecord(vote(1, Phase.COMMIT, on))])
        log.prune(height)
        on = block(on, proposer=0)
        assert log.size_bytes < 4_000
    assert head is GENESIS
    log.append([VoteRecord(vote(1, Phase.PREPARE, on))])
    before = log.recovered
    log.close()
    log = opened(tmp_path)
    assert only_file(tmp_path).stat().st_size == log.size_bytes
    assert log.recovered == before
    assert [(each.phase, each.to_height) for each in log.recovered.votes] == [
        (Phase.COMMIT, 39),
        (Phase.PREPARE, 40),
    ], "the watermark of each phase stays for ever"
    log.close()


def test_crash_during_rotation_leaves_the_old_log(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "votes-00000000000000ff.new").write_bytes(b"half a file")
    log = opened(tmp_path)
    assert log.recovered == state_after(GROUPS)
    log.close()
    assert not list(tmp_path.glob("*.new"))


def test_crash_between_rotation_and_removal_takes_the_newer_log(tmp_path: Path) -> None:
    filled(tmp_path)
    state = LogState()
    for group in GROUPS:
        state.apply(group)
    newer = encode_file_head(GENESIS.hash, KEY) + encode_frame(99, KEY, state.snapshot())
    (tmp_path / "votes-0000000000000063.log").write_bytes(newer)
    log = opened(tmp_path)
    assert log.recovered == state.recovered()
    log.append([VoteRecord(vote(1, Phase.PREPARE, A2, 7))])
    log.close()
    assert only_file(tmp_path).name == "votes-0000000000000064.log"


def test_failed_sync_is_final(tmp_path: Path) -> None:
    log = opened(tmp_path)
    os.close(log._file)  # what a disk that went away looks like to us: the next write fails
    with pytest.raises(VoteLogFailed):
        log.append(GROUPS[1])
    with pytest.raises(VoteLogFailed, match="earlier"):
        log.append(GROUPS[1])
    log._file = -1
    log.close()


def test_snapshot_folds_to_the_same_state() -> None:
    for upto in range(len(GROUPS) + 1):
        state = LogState()
        for group in GROUPS[:upto]:
            state.apply(group)
        again = LogState()
        again.apply(state.snapshot())
        assert again.recovered() == state.recovered()
        assert again.snapshot() == state.snapshot()


def test_frame_with_a_record_of_the_future_is_refused_not_skipped() -> None:
    data = encode_file_head(GENESIS.hash, KEY) + encode_frame(0, KEY, [PrunedRecord(0)])
    frame = bytearray(encode_frame(1, KEY, [PrunedRecord(5)]))
    frame[-2] = 0x20  # the kind; put right below
    from google_crc32c import value

    frame[4:8] = value(bytes(frame[:4] + frame[8:])).to_bytes(4, "big")
    with pytest.raises(VoteLogDamaged, match="cannot be read"):
        decode_log(data + bytes(frame), GENESIS.hash, KEY)


@given(st.binary(max_size=200))
def test_any_bytes_after_the_first_frame_are_torn_or_damaged(tail: bytes) -> None:
    data = encode_file_head(GENESIS.hash, KEY) + encode_frame(0, KEY, LogState().snapshot())
    frames, end = decode_log(data + tail, GENESIS.hash, KEY)
    assert (len(frames), end) == (1, len(data))
    assert end > FILE_HEAD_BYTES


Nested = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@given(Nested)
def test_rlp_round_trip(item: object) -> None:
    assert rlp_decode(rlp_encode(item)) == item  # type: ignore[arg-type]


@given(st.binary(max_size=100))
def test_rlp_of_random_bytes_is_an_item_or_malformed(data: bytes) -> None:
    try:
        rlp_decode(data)
    except Malformed:
        return
