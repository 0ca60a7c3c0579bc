"""Memory is given back by a process that has worked and is quiet now, and only then."""

import asyncio
import time

import pytest
from hansa import memory


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(memory, "WORK_SECONDS_MIN", 0.2)


async def test_memory_is_given_back_once_after_work() -> None:
    trims: list[int] = []
    trimmed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def trim(keep: int) -> int:
        trims.append(keep)
        loop.call_soon_threadsafe(trimmed.set)
        return 1

    task = asyncio.create_task(memory.give_back_when_quiet(trim))
    try:
        await asyncio.sleep(0)
        burn(0.25)
        async with asyncio.timeout(10):
            await trimmed.wait()
        await asyncio.sleep(1)
        assert trims == [0]
    finally:
        task.cancel()


async def test_an_idle_process_is_left_alone() -> None:
    trims: list[int] = []

    def trim(keep: int) -> int:
        trims.append(keep)
        return 1

    task = asyncio.create_task(memory.give_back_when_quiet(trim))
    try:
        await asyncio.sleep(1)
        assert not trims
    finally:
        task.cancel()


def test_glibc_is_asked() -> None:
    trim = memory.find_trim()
    assert trim is None or trim(0) in (0, 1)
