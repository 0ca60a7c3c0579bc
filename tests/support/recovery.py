"""How long it took until blocks went on, per fault, over a session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

RECOVERY_FACTOR = 3
"""Tests wait this many times as long as the published bound, since machines are noisy; the table shows real figures."""

results: dict[str, list[float | None]] = {}
"""Seconds from the end of the fault to the next commit, per fault; None for a run that failed."""


@contextmanager
def record(fault: str) -> Iterator[Callable[[float], None]]:
    """Keep the recovery time that the body reports; a body that raises counts as failed."""
    runs = results.setdefault(fault, [])
    index = len(runs)
    runs.append(None)
    reported: list[float] = []
    yield reported.append
    runs[index] = reported[0]
