"""The pool journal: transactions that this member accepted and must not forget (design, section 3).

Append-only; one record is `magic, u32 length, u32 CRC32C of the payload, payload`, the payload a packed list of raw
transactions. Records are written and synced in groups by one thread; a batch is accepted when its group is durable.
A torn tail is cut off at start. When it has grown enough, the file is written anew with what still waits.
"""

import asyncio
import os
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from hansa.stages import charge, charged

from . import metrics
from .errors import JournalDamaged, JournalFailed
from .limits import JOURNAL_RECORD_BYTES_MAX, JOURNAL_ROTATE_BYTES

MAGIC = b"HJ1\n"
_HEAD = struct.Struct(">4sII")
FILE_NAME = "pool.journal"


def encode_record(payload: bytes) -> bytes:
    """One record."""
    return _HEAD.pack(MAGIC, len(payload), google_crc32c.value(payload)) + payload


def _record_at(data: bytes, offset: int) -> bytes | None:
    """Payload of the whole record at `offset`, else None."""
    if offset + _HEAD.size > len(data):
        return None
    magic, length, checksum = _HEAD.unpack_from(data, offset)
    start = offset + _HEAD.size
    if magic != MAGIC or length > JOURNAL_RECORD_BYTES_MAX or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if google_crc32c.value(payload) == checksum else None


def read_records(path: Path) -> tuple[list[bytes], int]:
    """Payloads in order and the length of the whole part; what follows is a torn tail.

    Raises `JournalDamaged` when a whole record stands behind a broken one: that was durable, and is no tail.
    """
    data = path.read_bytes() if path.exists() else b""
    records: list[bytes] = []
    offset = 0
    while (payload := _record_at(data, offset)) is not None:
        records.append(payload)
        offset += _HEAD.size + len(payload)
    following = data.find(MAGIC, offset + 1)
    while following != -1:
        if _record_at(data, following) is not None:
            raise JournalDamaged(path, offset)
        following = data.find(MAGIC, following + 1)
    return records, offset


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    durable: "asyncio.Future[None]"


class Journal:
    """One file in `folder`; all of its I/O happens on one thread of its own."""

    def __init__(self, folder: Path, sync_ms: int) -> None:
        self._path = folder / FILE_NAME
        self._sync_seconds = sync_ms / 1_000
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pool-journal")
        self._loop = asyncio.get_running_loop()
        self._file = -1
        self._size = 0
        self._size_at_rotation = 0
        self._waiting: list[_Waiting] = []  # bounded by the batches under admission
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed: JournalFailed | None = None

    async def open(self) -> list[bytes]:
        """Open or create; returns the packed lists in it. Raises `JournalDamaged`, `OSError`."""
        records = await self._loop.run_in_executor(self._thread, self._open)
        self._task = asyncio.create_task(self._run(), name="pool journal")
        return records

    def _open(self) -> list[bytes]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        records, size = read_records(self._path)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        os.fsync(self._file)
        _sync_folder(self._path.parent)
        self._size = size
        metrics.JOURNAL_BYTES.set(size)
        return records

    async def append(self, payload: bytes) -> None:
        """Return when `payload` is durable. Raises `JournalFailed`."""
        if self._failed is not None:
            raise self._failed
        item = _Waiting(payload, self._loop.create_future())
        self._waiting.append(item)
        self._wake.set()
        await item.durable

    def should_rotate(self) -> bool:
        """Whether most of the file is likely to be of committed transactions."""
        return self._size > JOURNAL_ROTATE_BYTES and self._size > 2 * self._size_at_rotation

    async def rotate(self, snapshot: Callable[[], list[bytes]]) -> None:
        """Write the file anew with `snapshot()`, packed lists of all that still waits.

        It is called on the journal's thread, after everything appended so far was written, so nothing gets lost
        between the two. Raises `JournalFailed`.
        """
        if self._failed is not None:
            raise self._failed
        try:
            await self._loop.run_in_executor(self._thread, self._rotate, snapshot)
        except OSError as error:
            self._failed = JournalFailed(f"{self._path}: {error}")
            raise self._failed from error

    def _rotate(self, snapshot: Callable[[], list[bytes]]) -> None:
        with charge("journal"):
            self._replace(snapshot())

    def _replace(self, payloads: list[bytes]) -> None:
        fresh = self._path.with_suffix(".new")
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        data = b"".join(encode_record(payload) for payload in payloads)
        _write_all(file, data)
        os.fsync(file)
        os.rename(fresh, self._path)
        _sync_folder(self._path.parent)
        os.close(self._file)
        self._file, self._size, self._size_at_rotation = file, len(data), len(data)
        metrics.JOURNAL_BYTES.set(self._size)

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if self._waiting:
                await self._write_group()
        await self._loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @charged("journal")
    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = self._loop.time()
            await self._write_group()
            # One sync per `journal_sync_ms` at most while batches keep coming: what comes meanwhile shares the next.
            rest = self._sync_seconds / 2 - (self._loop.time() - began)
            if rest > 0:
                await asyncio.sleep(rest)

    async def _write_group(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return
        try:
            await self._loop.run_in_executor(self._thread, self._write, [item.payload for item in group])
        except OSError as error:
            self._failed = JournalFailed(f"{self._path}: {error}")
            for item in group:
                if not item.durable.done():
                    item.durable.set_exception(self._failed)
            return
        for item in group:
            if not item.durable.done():
                item.durable.set_result(None)

    def _write(self, payloads: list[bytes]) -> None:
        with charge("journal"):
            self._append(payloads)

    def _append(self, payloads: list[bytes]) -> None:
        data = b"".join(encode_record(payload) for payload in payloads)
        _write_all(self._file, data)
        began = time.perf_counter()
        os.fdatasync(self._file)
        metrics.JOURNAL_SYNC.observe(time.perf_counter() - began)
        self._size += len(data)
        metrics.JOURNAL_BYTES.set(self._size)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
