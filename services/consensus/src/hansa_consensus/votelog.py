"""The vote log's file: append, sync, recover, rotate (reliability, section 5).

What the bytes mean is decided in `core.records`, what they add up to in `core.logstate`; this file only performs. All
calls block (a sync takes 0.1 to 10 ms): the shell makes them in a thread, one at a time.

A failed write or sync is final: after a failed fsync the kernel may have dropped the dirty pages, so trying again
proves nothing. `VoteLogFailed` must end the process; the restart reads what the disk really holds.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .core.logstate import LogState
from .core.records import (
    FILE_HEAD_BYTES,
    PrunedRecord,
    Record,
    VoteLogDamaged,
    VoteLogForeign,
    decode_log,
    encode_file_head,
    encode_frame,
)
from .core.types import Recovered

__all__ = ["VoteLog", "VoteLogDamaged", "VoteLogFailed", "VoteLogForeign", "VoteLogInUse"]

ROTATE_BYTES: Final = 32 * 1024 * 1024
"""A log that has grown past this is rotated at the next pruned block. A start reads the whole file (about 50 ms)."""

_PREFIX: Final = "votes-"
_SUFFIX: Final = ".log"


class VoteLogInUse(Exception):
    """Another process holds the log: two members with one key would fork the chain (rule P28)."""


class VoteLogFailed(Exception):
    """The disk failed under the log. The process must end; it never continues after a failed sync."""


class VoteLog:
    """One member's votes. Made by `open`; closed by `close`."""

    def __init__(
        self, directory: Path, genesis_hash: bytes, key_id: bytes, rotate_bytes: int, lock: int, state: LogState
    ) -> None:
        self._directory = directory
        self._genesis_hash = genesis_hash
        self._key_id = key_id
        self._rotate_bytes = rotate_bytes
        self._lock = lock
        self._state = state
        self._file = -1
        self._path = directory
        self._size = 0
        self._sequence = 0  # of the next frame
        self._pruned_unwritten: int | None = None
        self._failed = False

    @classmethod
    def open(
        cls, directory: Path, *, genesis_hash: bytes, key_id: bytes, rotate_bytes: int = ROTATE_BYTES
    ) -> "VoteLog":
        """Open or create the log in `directory` (made when absent, mode 0700).

        `key_id`: 8 bytes that name the vote key (the first of Keccak of the public key). Cuts off a torn tail. Raises
        `VoteLogDamaged`, `VoteLogForeign`, `VoteLogInUse`, `VoteLogFailed`.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VoteLogFailed(f"cannot open {directory}: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise VoteLogInUse(f"{directory} is held by another process with the same vote key") from error
        log = cls(directory, genesis_hash, key_id, rotate_bytes, lock, LogState())
        try:
            log._recover()
        except OSError as error:
            log.close()
            raise VoteLogFailed(f"{directory}: {error}") from error
        except BaseException:
            log.close()
            raise
        return log

    @property
    def recovered(self) -> Recovered:
        """What an engine starts from; follows what is appended."""
        return self._state.recovered()

    @property
    def size_bytes(self) -> int:
        """Of the current file."""
        return self._size

    def bodies(self, block_hash: bytes) -> bytes | None:
        """Packed transactions of a prepared, not yet committed block; None when the log has it not."""
        return self._state.bodies(block_hash)

    def append(self, records: Sequence[Record]) -> None:
        """Make `records` durable, all or none: one frame, one fdatasync. Raises `VoteLogFailed` for good."""
        if self._failed:
            raise VoteLogFailed(f"{self._path}: an earlier write failed")
        batch = list(records)
        if self._pruned_unwritten is not None:
            batch.insert(0, PrunedRecord(self._pruned_unwritten))
        frame = encode_frame(self._sequence, self._key_id, batch)
        try:
            _write_all(self._file, frame)
            os.fdatasync(self._file)
        except OSError as error:
            self._failed = True
            raise VoteLogFailed(f"{self._path}: {error}") from error
        self._pruned_unwritten = None
        self._sequence += 1
        self._size += len(frame)
        self._state.apply(batch)

    def prune(self, height: int) -> None:
        """Blocks up to `height` are committed in statedb. The marker is written with the next records: losing it
        costs a longer recovery and nothing else. Rotates a log that has grown large."""
        self._pruned_unwritten = max(height, self._pruned_unwritten or 0)
        if self._size >= self._rotate_bytes:
            self._state.apply([PrunedRecord(self._pruned_unwritten)])
            self._pruned_unwritten = None
            try:
                self._rotate()
            except OSError as error:
                self._failed = True
                raise VoteLogFailed(f"{self._directory}: {error}") from error

    def close(self) -> None:
        """Let go of file and lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _recover(self) -> None:
        for leftover in sorted(self._directory.glob("*.new")):
            leftover.unlink()  # a rotation that a crash cut short; the old file still holds everything
        logs = sorted(self._directory.glob(f"{_PREFIX}*{_SUFFIX}"))
        if not logs:
            self._rotate()
            return
        path = logs[-1]
        data = path.read_bytes()
        try:
            frames, end = decode_log(data, self._genesis_hash, self._key_id)
        except VoteLogDamaged as damage:
            raise VoteLogDamaged(damage.offset, damage.reason, str(path)) from damage
        for frame in frames:
            self._state.apply(frame.records)
        self._sequence = frames[-1].sequence + 1
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = end
        if end < len(data):
            os.ftruncate(self._file, end)
        # Also when nothing was cut: what was read may still be only in the page cache of a killed process, and a
        # vote that is sent again must be durable first.
        os.fsync(self._file)
        self._sync_directory()
        for old in logs[:-1]:
            old.unlink()

    def _rotate(self) -> None:
        """A new file with what must be kept; it gets its name when it is durable, then the old one goes."""
        path = self._directory / f"{_PREFIX}{self._sequence:016x}{_SUFFIX}"
        fresh = path.with_suffix(".new")
        content = encode_file_head(self._genesis_hash, self._key_id)
        assert len(content) == FILE_HEAD_BYTES
        content += encode_frame(self._sequence, self._key_id, self._state.snapshot())
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, content)
            os.fsync(file)
            os.rename(fresh, path)
            self._sync_directory()
        except BaseException:
            os.close(file)
            raise
        old_file, old_path = self._file, self._path
        self._file, self._path, self._size = file, path, len(content)
        self._sequence += 1
        if old_file >= 0:
            os.close(old_file)
            old_path.unlink(missing_ok=True)

    def _sync_directory(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(file, view)
        view = view[written:]
