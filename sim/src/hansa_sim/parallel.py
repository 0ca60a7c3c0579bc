"""Work on all cores: one process per core, answers in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many processes are worth while."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[T], R], items: Sequence[T], workers: int = 0) -> Iterator[R]:
    """`work(item)` of each, in the order of the items. `workers` 0: one per core; 1: in this process."""
    count = min(workers or cores(), len(items))
    if count <= 1:
        yield from map(work, items)
        return
    # Spawned, not forked: nothing of this process, threads of the kernel least of all, is in them.
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap(work, items)
