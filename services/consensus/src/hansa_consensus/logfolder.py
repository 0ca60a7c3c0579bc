"""The folder that a vote log lives in: the few calls of the file system that the log makes, in its words.

`OsFolder` performs them; the simulator has a folder whose disk forgets, tears and fails (`hansa_sim.disk`).
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

__all__ = ["FolderInUse", "LogFolder", "OsFolder"]


class FolderInUse(Exception):
    """Another process holds the folder."""


class LogFolder(Protocol):
    """Every call blocks and may raise `OSError`. Files are named without their folder; handles are small numbers."""

    @property
    def place(self) -> str:
        """For people: where this is."""

    def names(self) -> list[str]:
        """Of the files in it, sorted."""

    def read(self, name: str) -> bytes: ...
    def create(self, name: str) -> int:
        """To append to a new, empty file."""

    def write(self, file: int, data: bytes) -> None:
        """All of `data` at the end; not durable yet."""

    def sync_data(self, file: int) -> None:
        """What was written is durable (fdatasync)."""

    def sync_file(self, file: int) -> None:
        """What was written and the length are durable (fsync)."""

    def sync_names(self) -> None:
        """What was created, renamed and removed is durable (fsync of the folder)."""

    def rename(self, name: str, new_name: str) -> None: ...
    def remove(self, name: str) -> None:
        """Nothing when there is no such file."""

    def close_file(self, file: int) -> None: ...
    def close(self) -> None:
        """Let go of the folder."""


class OsFolder:
    """A folder of the operating system, held by one process at a time (flock)."""

    def __init__(self, path: Path) -> None:
        """Makes the folder (mode 0700) when it is absent. Raises `FolderInUse`, `OSError`."""
        self._path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise FolderInUse(str(path)) from error

    @property
    def place(self) -> str:
        return str(self._path)

    def names(self) -> list[str]:
        return sorted(path.name for path in self._path.iterdir() if path.is_file())

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def create(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path / name, flags, 0o600)

    def write(self, file: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def sync_data(self, file: int) -> None:
        os.fdatasync(file)

    def sync_file(self, file: int) -> None:
        os.fsync(file)

    def sync_names(self) -> None:
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def rename(self, name: str, new_name: str) -> None:
        os.rename(self._path / name, self._path / new_name)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def close_file(self, file: int) -> None:
        os.close(file)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
