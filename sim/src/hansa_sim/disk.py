"""A disk under the vote log: volatile until synced, torn by power cuts, and failing when told to.

Writes go to the cache. A sync, or a change of names, is queued and takes effect when `settle` is called, which is when
the simulated sync is over; a power cut before that keeps any beginning of the queue, and any pages of what was not
synced. A process that is killed loses nothing: the cache survives it. After a failed sync the pages count as clean but
are not on the disk, as on Linux: the next process reads them and no sync will ever write them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

PAGE_BYTES: Final = 64
"""Smaller than a real page, since records are small: tears must fall inside them."""


@dataclass(slots=True)
class File:
    """One file in cache and on disk."""

    cache: bytearray = field(default_factory=bytearray)
    disk: bytearray = field(default_factory=bytearray)
    clean_to: int = 0  # bytes of the cache that need not be written any more
    lost: list[tuple[int, int]] = field(default_factory=list)  # clean, but never written: a sync failed

    def write_back(self, size: int) -> None:
        """The cache up to `size` is on the disk, but for what a failed sync lost."""
        if size <= self.clean_to:
            return
        self.disk += self.cache[len(self.disk) : size]
        for start, end in self.lost:
            self.disk[start:end] = bytes(end - start)
        self.clean_to = size

    @property
    def is_durable(self) -> bool:
        """All that can be read is on the disk."""
        return self.disk == self.cache


@dataclass
class Folder:
    """`logfolder.LogFolder` in memory."""

    random: Random
    place: str = "simulated disk"
    full: bool = False  # no space left
    failing: dict[str, int] = field(default_factory=dict)  # "write", "sync", "read" -> how many fail from now on
    faults: int = 0  # failed calls so far
    torn: int = 0
    _names: dict[str, File] = field(default_factory=dict)
    _names_on_disk: dict[str, File] = field(default_factory=dict)
    _renames: list[Callable[[dict[str, File]], None]] = field(default_factory=list)  # done, not durable
    _queue: list[Callable[[], None]] = field(default_factory=list)  # in the order in which a process waits for them
    _handles: list[File | None] = field(default_factory=list)

    # --- logfolder.LogFolder ------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(self._names)

    def read(self, name: str) -> bytes:
        self._fail("read", errno.EIO)
        return bytes(self._names[name].cache)

    def create(self, name: str) -> int:
        if self.full:
            self._raise(errno.ENOSPC)
        fresh = File()
        self._change(lambda names: names.__setitem__(name, fresh))
        self._handles.append(fresh)
        return len(self._handles) - 1

    def write(self, file: int, data: bytes) -> None:
        target = self._file(file)
        if self.full:
            target.cache += data[: self.random.randrange(len(data))]
            self._raise(errno.ENOSPC)
        self._fail("write", errno.EIO)
        target.cache += data

    def sync_data(self, file: int) -> None:
        target = self._file(file)
        if self.failing.get("sync", 0):
            if target.clean_to < len(target.cache):
                target.disk += bytes(target.cache[len(target.disk) : target.clean_to])
                target.lost.append((target.clean_to, len(target.cache)))
                target.clean_to = len(target.cache)
            self._fail("sync", errno.EIO)
        size = len(target.cache)
        self._queue.append(lambda: target.write_back(size))

    def sync_file(self, file: int) -> None:
        self.sync_data(file)

    def sync_names(self) -> None:
        self._queue.append(self._names_synced)

    def rename(self, name: str, new_name: str) -> None:
        self._change(lambda names: names.__setitem__(new_name, names.pop(name)))

    def remove(self, name: str) -> None:
        self._change(lambda names: names.pop(name, None))

    def close_file(self, file: int) -> None:
        self._handles[file] = None

    def close(self) -> None:
        self._handles = [None] * len(self._handles)

    # --- what the world does ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Every sync that was asked for is over."""
        for step in self._queue:
            step()
        self._queue.clear()

    @property
    def is_durable(self) -> bool:
        """Whether everything in the named files would survive a power cut."""
        return all(file.is_durable for file in self._names.values())

    def power_cut(self) -> None:
        """Only what is on the disk remains: any beginning of the syncs under way, any pages of what was not synced."""
        for step in self._queue[: self.random.randrange(len(self._queue) + 1)]:
            step()
        self._queue.clear()
        for rename in self._renames[: self.random.randrange(len(self._renames) + 1)]:
            rename(self._names_on_disk)
        self._renames.clear()
        self._names = dict(self._names_on_disk)
        for file in self._names.values():
            self._tear(file)
        self._handles.clear()

    def killed(self) -> None:
        """The process ended; the machine did not: the cache reaches the disk."""
        self.settle()
        self._handles.clear()

    def image(self) -> dict[str, bytes]:
        """What is on the disk now, to be restored later."""
        return {name: bytes(file.disk) for name, file in self._names_on_disk.items()}

    def restore(self, image: dict[str, bytes]) -> None:
        """Put an image in the place of everything. An empty one: the files are lost."""
        self._queue.clear()
        self._renames.clear()
        self._handles.clear()
        self._names = {name: File(bytearray(data), bytearray(data), len(data)) for name, data in sorted(image.items())}
        self._names_on_disk = dict(self._names)

    def rot(self) -> bool:
        """One bit at rest changes; False when there is nothing to rot."""
        files = [file for _, file in sorted(self._names.items()) if file.disk]
        if not files:
            return False
        file = files[self.random.randrange(len(files))]
        at = self.random.randrange(len(file.disk))
        file.disk[at] ^= 1 << self.random.randrange(8)
        file.cache[at : at + 1] = file.disk[at : at + 1]
        return True

    # --- tools --------------------------------------------------------------------------------------------------------

    def _file(self, handle: int) -> File:
        file = self._handles[handle] if 0 <= handle < len(self._handles) else None
        if file is None:
            self._raise(errno.EBADF)
        assert file is not None
        return file

    def _change(self, change: Callable[[dict[str, File]], object]) -> None:
        def apply(names: dict[str, File]) -> None:
            change(names)

        apply(self._names)
        self._queue.append(lambda: self._renames.append(apply))

    def _names_synced(self) -> None:
        for rename in self._renames:
            rename(self._names_on_disk)
        self._renames.clear()

    def _tear(self, file: File) -> None:
        unsynced = file.cache[file.clean_to :]
        kept = bytearray(file.disk[: file.clean_to])
        kept += bytes(file.clean_to - len(kept))
        if unsynced:
            self.torn += 1
            size = self.random.randrange(len(unsynced) + 1)
            for start in range(0, size, PAGE_BYTES):
                page = bytes(unsynced[start : min(start + PAGE_BYTES, size)])
                kept += page if self.random.random() < 0.7 else bytes(len(page))
        file.cache, file.disk, file.clean_to, file.lost = kept, bytearray(kept), len(kept), []

    def _fail(self, call: str, number: int) -> None:
        if self.failing.get(call, 0) > 0:
            self.failing[call] -= 1
            self._raise(number)

    def _raise(self, number: int) -> None:
        self.faults += 1
        raise OSError(number, errno.errorcode[number])
