"""The vote log's file: append, sync, recover, rotate (reliability, section 5).

What the bytes mean is decided in `core.records`, what they add up to in `core.logstate`; this file only performs. All
calls block (a sync takes 0.1 to 10 ms): the shell makes them in a thread, one at a time.

A failed write or sync is final: after a failed fsync the kernel may have dropped the dirty pages, so trying again
proves nothing. `VoteLogFailed` must end the process; the restart reads what the disk really holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .core.buggify import buggify
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
from .logfolder import FolderInUse, LogFolder, OsFolder

__all__ = ["VoteLog", "VoteLogDamaged", "VoteLogFailed", "VoteLogForeign", "VoteLogInUse"]

ROTATE_BYTES: Final = 32 * 1024 * 1024
"""A log that has grown past this is rotated at the next pruned block. A start reads the whole file (about 50 ms)."""

_PREFIX: Final = "votes-"
_SUFFIX: Final = ".log"
_FRESH: Final = ".new"  # not durable yet


class VoteLogInUse(Exception):
    """Another process holds the log: two members with one key would fork the chain (rule P28)."""


class VoteLogFailed(Exception):
    """The disk failed under the log. The process must end; it never continues after a failed sync."""


class VoteLog:
    """One member's votes. Made by `open` or `open_in`; closed by `close`."""

    def __init__(
        self, folder: LogFolder, genesis_hash: bytes, key_id: bytes, rotate_bytes: int, state: LogState
    ) -> None:
        self._folder = folder
        self._genesis_hash = genesis_hash
        self._key_id = key_id
        self._rotate_bytes = rotate_bytes
        self._state = state
        self._file = -1
        self._name = ""
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
            folder = OsFolder(directory)
        except FolderInUse as error:
            raise VoteLogInUse(f"{directory} is held by another process with the same vote key") from error
        except OSError as error:
            raise VoteLogFailed(f"cannot open {directory}: {error}") from error
        return cls.open_in(folder, genesis_hash=genesis_hash, key_id=key_id, rotate_bytes=rotate_bytes)

    @classmethod
    def open_in(
        cls, folder: LogFolder, *, genesis_hash: bytes, key_id: bytes, rotate_bytes: int = ROTATE_BYTES
    ) -> "VoteLog":
        """As `open`, in a folder that is held already; closes it when the log cannot be opened."""
        log = cls(folder, genesis_hash, key_id, rotate_bytes, LogState())
        try:
            log._recover()
        except OSError as error:
            log.close()
            raise VoteLogFailed(f"{folder.place}: {error}") from error
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
            raise VoteLogFailed(f"{self._where}: an earlier write failed")
        batch = list(records)
        if self._pruned_unwritten is not None:
            batch.insert(0, PrunedRecord(self._pruned_unwritten))
        frame = encode_frame(self._sequence, self._key_id, batch)
        try:
            self._folder.write(self._file, frame)
            self._folder.sync_data(self._file)
        except OSError as error:
            self._failed = True
            raise VoteLogFailed(f"{self._where}: {error}") from error
        self._pruned_unwritten = None
        self._sequence += 1
        self._size += len(frame)
        self._state.apply(batch)

    def prune(self, height: int) -> None:
        """Blocks up to `height` are committed in statedb. The marker is written with the next records: losing it
        costs a longer recovery and nothing else. Rotates a log that has grown large."""
        self._pruned_unwritten = max(height, self._pruned_unwritten or 0)
        if self._size >= self._rotate_bytes or buggify("rotate_now"):
            self._state.apply([PrunedRecord(self._pruned_unwritten)])
            self._pruned_unwritten = None
            try:
                self._rotate()
            except OSError as error:
                self._failed = True
                raise VoteLogFailed(f"{self._folder.place}: {error}") from error

    def close(self) -> None:
        """Let go of file and folder."""
        if self._file >= 0:
            self._folder.close_file(self._file)
            self._file = -1
        self._folder.close()

    @property
    def _where(self) -> str:
        return f"{self._folder.place}/{self._name}"

    def _recover(self) -> None:
        names = self._folder.names()
        for leftover in names:
            if leftover.endswith(_FRESH):
                # A rotation that a crash cut short; the old file still holds everything.
                self._folder.remove(leftover)
        logs = [name for name in names if name.startswith(_PREFIX) and name.endswith(_SUFFIX)]
        if not logs:
            self._rotate()
            return
        self._name = logs[-1]
        data = self._folder.read(self._name)
        try:
            frames, _ = decode_log(data, self._genesis_hash, self._key_id)
        except VoteLogDamaged as damage:
            raise VoteLogDamaged(damage.offset, damage.reason, self._where) from damage
        for frame in frames:
            self._state.apply(frame.records)
        self._sequence = frames[-1].sequence + 1
        # All of it is written anew, into another file, before any of it is relied on. What was read may be only in the
        # page cache: of a process that was killed, which a sync would mend, or of one whose sync failed, which no sync
        # mends, since the kernel counts those pages as written. A torn tail stays behind in the old file.
        self._rotate()
        for old in logs:
            self._folder.remove(old)

    def _rotate(self) -> None:
        """A new file with what must be kept; it gets its name when it is durable, then the old one goes."""
        stem = f"{_PREFIX}{self._sequence:016x}"
        name = stem + _SUFFIX
        content = encode_file_head(self._genesis_hash, self._key_id)
        assert len(content) == FILE_HEAD_BYTES
        content += encode_frame(self._sequence, self._key_id, self._state.snapshot())
        file = self._folder.create(stem + _FRESH)
        try:
            self._folder.write(file, content)
            self._folder.sync_file(file)
            self._folder.rename(stem + _FRESH, name)
            self._folder.sync_names()
        except BaseException:
            self._folder.close_file(file)
            raise
        old_file, old_name = self._file, self._name
        self._file, self._name, self._size = file, name, len(content)
        self._sequence += 1
        if old_file >= 0:
            self._folder.close_file(old_file)
            self._folder.remove(old_name)
