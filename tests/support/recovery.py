"""How long it took until all was well again, per fault, over a session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

RECOVERY_FACTOR = 3
"""Tests wait this many times as long as the published bound, since machines are noisy; the table shows real figures."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the end of a fault."""

    next_commit: float  # seen on any member
    all_follow: float  # every member answers and has a block made after the fault


results: dict[str, list[Recovery | None]] = {}
"""Per fault; None for a run that failed."""


@contextmanager
def record(fault: str) -> Iterator[Callable[[Recovery], None]]:
    """Keep what the body reports; a body that raises counts as failed."""
    runs = results.setdefault(fault, [])
    index = len(runs)
    runs.append(None)
    reported: list[Recovery] = []
    yield reported.append
    runs[index] = reported[0]
