"""States that a campaign must reach at some time: one that is never reached is a gap in the faults, not a success."""

from __future__ import annotations

from collections import Counter
from typing import Final

COMMON: Final = (
    "catch-up of 16 blocks or more",
    "crash with a torn frame in the vote log",
    "message delivered after a restart",
    "power of all members cut",
    "failed sync ended the process",
    "full disk ended the process",
    "vote log rotated",
    "vote log damaged, moved away",
    "fewer members up than a quorum",
    "bodies fetched from another member",
    "transaction accepted before a crash committed after it",
    "statedb behind the vote log at a start",
    "block of the vote log committed after a restart",
    "member stopped for more than 5 s",
    "connection reset",
    "execution failed through our own fault",
    "clock an hour off",
    "disk slow for a second",
)

VIEWS: Final = (
    "view above 3",
    "two views failed in a row",
    "view change joined",
    "view change carried a prepared certificate",
    "new-view bound a block",
    "lock gave way to another block",
    "own proposal lost in a crash",
    "proposal refused for its time",
    "proposal refused by execution",
    "double vote found",
    "observe mode entered",
    "observe mode ended",
    "view entered by certificate",
    "view change under way in calm",
)


def points_of(has_views: bool) -> tuple[str, ...]:
    """Names that a campaign with this kind of engine must reach."""
    return COMMON + (VIEWS if has_views else ())


class Points(Counter[str]):
    """How often each was reached in one run."""

    def sometimes(self, name: str) -> None:
        """This was reached."""
        assert name in COMMON or name in VIEWS, name
        self[name] += 1
