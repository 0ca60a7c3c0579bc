"""Gives memory back that a burst of work has left behind.

glibc keeps what is freed inside its arenas. After a minute of full load that is 100 to 150 MB per member, in pieces
between what is still in use, which only `malloc_trim` finds. It runs when a process has become quiet, so that no block
waits for it.
"""

import asyncio
import ctypes
import time
from collections.abc import Callable
from typing import Final

import structlog

CHECK_SECONDS: Final = 5.0
"""How often it is looked whether the process is quiet."""

QUIET_SHARE: Final = 0.2
"""Of one core: a process that used less since the last look is quiet. An idle member uses 0.02, a busy one above 0.3."""

WORK_SECONDS_MIN: Final = 1.0
"""Processor time that a process must have used since memory was given back, for another time to be worth it."""


def find_trim() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`; None with another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


async def give_back_when_quiet(trim: Callable[[int], int]) -> None:
    """Runs until cancelled; `trim` is called in a thread, without the interpreter lock."""
    log = structlog.get_logger()
    trimmed_at = checked_at = time.process_time()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        now = time.process_time()
        quiet = now - checked_at < QUIET_SHARE * CHECK_SECONDS
        checked_at = now
        if quiet and now - trimmed_at >= WORK_SECONDS_MIN:
            await asyncio.to_thread(trim, 0)
            trimmed_at = checked_at = time.process_time()
            log.debug("memory_given_back")
