"""Processor time goes to the stage that used it, and to no other."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import hansa_kernel
import pytest
from hansa.stages import (
    Charged,
    Stage,
    charge,
    charged,
    charged_call,
    charged_kernel_call,
    charged_stream,
    seconds_by_stage,
)

BURN_SECONDS = 0.05


def burn(seconds: float = BURN_SECONDS) -> None:
    """Use the processor for this long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Rises:
    """Seconds that stages have risen by since it was made."""

    def __init__(self) -> None:
        self._before = seconds_by_stage()

    def __getitem__(self, stage: Stage) -> float:
        return seconds_by_stage().get(stage, 0.0) - self._before.get(stage, 0.0)


def test_work_inside_another_stage_pauses_that_one() -> None:
    rises = Rises()
    with charge("commit"):
        burn()
        with charge("root"):
            burn(2 * BURN_SECONDS)
    assert rises["commit"] == pytest.approx(BURN_SECONDS, abs=0.02)
    assert rises["root"] == pytest.approx(2 * BURN_SECONDS, abs=0.02)


def test_waiting_costs_nothing() -> None:
    rises = Rises()
    with charge("commit"):
        time.sleep(0.1)
    assert rises["commit"] < 0.02


def test_work_without_a_stage_is_charged_to_none() -> None:
    rises = Rises()
    with charge("commit"):
        pass
    burn()
    assert rises["commit"] < 0.02


async def test_what_runs_while_a_coroutine_waits_is_not_charged_to_it() -> None:
    rises = Rises()

    @charged("vote")
    async def waits() -> int:
        burn()
        await asyncio.sleep(0.02)
        return 7

    @charged("gossip")
    async def works() -> None:
        burn(2 * BURN_SECONDS)

    assert (await asyncio.gather(waits(), works()))[0] == 7
    assert rises["vote"] == pytest.approx(BURN_SECONDS, abs=0.02)
    assert rises["gossip"] == pytest.approx(2 * BURN_SECONDS, abs=0.02)


async def test_errors_and_cancellation_pass_through_a_charged_coroutine() -> None:
    @charged("vote")
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("as it was")

    with pytest.raises(ValueError, match="as it was"):
        await fails()

    caught = []

    @charged("vote")
    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            caught.append(True)
            raise

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await waits()


async def test_a_charged_coroutine_can_be_a_task() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 3

    assert await asyncio.create_task(Charged("vote", answer())) == 3


async def test_items_of_a_charged_stream_arrive_and_its_end_is_told() -> None:
    rises = Rises()
    ended = []

    @charged_stream("read")
    async def items() -> AsyncIterator[int]:
        try:
            for number in range(3):
                burn(BURN_SECONDS / 3)
                await asyncio.sleep(0)
                yield number
        finally:
            ended.append(True)

    found = []
    async for number in items():
        burn()
        found.append(number)
    assert found == [0, 1, 2]
    assert rises["read"] == pytest.approx(BURN_SECONDS, abs=0.02)

    stream: Any = items()
    assert await anext(stream) == 0
    await stream.aclose()  # a reader that leaves early
    assert ended == [True, True]


def test_time_of_threads_that_have_ended_is_kept() -> None:
    rises = Rises()
    thread = threading.Thread(target=charged_call, args=("journal", burn))
    thread.start()
    thread.join()
    assert rises["journal"] == pytest.approx(BURN_SECONDS, abs=0.02)


def test_the_kernels_own_threads_work_for_the_stage_of_the_call() -> None:
    keys = b"".join(number.to_bytes(32, "big") for number in range(1, 2_001))
    charged_kernel_call("kernel_other", hansa_kernel.address_of_secret_keys, keys)  # starts the threads
    rises = Rises()
    began = time.process_time()
    charged_kernel_call("recover", hansa_kernel.address_of_secret_keys, keys)
    used = time.process_time() - began
    assert used > 0.01
    assert rises["recover"] == pytest.approx(used, rel=0.5)
    assert rises["kernel_other"] < 0.2 * used
