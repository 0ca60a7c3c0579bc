"""What the simulator must know of an engine: who may fail, what bounds its maps, and what else is worth checking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hansa_consensus.core.limits import (
    CANDIDATES_PER_HEIGHT_MAX,
    CERTIFICATES_AHEAD_MAX,
    HEIGHTS_AHEAD_MAX,
    PROPOSALS_STASHED_MAX,
    SYNC_BLOCKS_MAX,
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine. `indispensable`: members without whom nothing can be decided, so they only crash and come back."""

    name: str
    faulty_max: Callable[[int], int]  # of n members, how many may be faulty in any way
    quorum: Callable[[int], int]
    indispensable: tuple[int, ...] = ()
    has_views: bool = True
    checks_locks: bool = False  # PBFT's rules P3 to P7

    def patience_ms(self, engine: Any) -> int:
        """How long the engine will wait for a leader as things stand, or for nobody."""
        return int(engine._timeout_ms()) if self.has_views else 0

    def bounds(self, engine: Any, members: int) -> Iterator[tuple[str, int, int]]:
        """(name, size, bound) of the engine's queues, maps and caches."""
        yield "candidates", len(engine.chain.candidates), CANDIDATES_PER_HEIGHT_MAX
        yield "certificates", len(engine.chain.certificates), CERTIFICATES_AHEAD_MAX
        yield "blocks being fetched", len(engine.catchup.queue), 2 * SYNC_BLOCKS_MAX
        yield "variants", max((len(known.variants) for known in engine.chain.candidates.values()), default=0), members
        if self.has_views:
            yield "votes", len(engine.votes.slots), 2 * HEIGHTS_AHEAD_MAX
            yield "votes of a slot", max((len(slot) for slot in engine.votes.slots.values()), default=0), members
            yield "view changes", len(engine.changes.latest), members
            yield "proposals", len(engine._stash), PROPOSALS_STASHED_MAX


def third(members: int) -> int:
    """f = floor((n - 1) / 3)."""
    return (members - 1) // 3


PROFILES = {
    "pbft": Profile("pbft", third, lambda members: members - third(members), checks_locks=True),
    "poa": Profile("poa", lambda members: members - 1, lambda members: 1, indispensable=(0,), has_views=False),
}
