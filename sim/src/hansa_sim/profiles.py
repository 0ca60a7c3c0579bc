"""What the simulator must know of an engine: who may fail, what bounds its maps, and what else is worth checking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hansa_consensus.core import events as ev
from hansa_consensus.core.limits import (
    CANDIDATES_PER_HEIGHT_MAX,
    CERTIFICATES_AHEAD_MAX,
    HEIGHTS_AHEAD_MAX,
    PROPOSALS_STASHED_MAX,
    SYNC_BLOCKS_MAX,
)
from hansa_consensus.core.types import Certificate, NewView, PeerStatus, ViewChange, Vote

Bounds = Iterator[tuple[str, int, int]]  # (name, size, bound)
Received = Callable[[int, int, Any], ev.Event]  # (now, sender, message)


def _pbft_bounds(engine: Any, members: int) -> Bounds:
    yield "votes", len(engine.votes.slots), 2 * HEIGHTS_AHEAD_MAX
    yield "votes of a slot", max((len(slot) for slot in engine.votes.slots.values()), default=0), members
    yield "view changes", len(engine.changes.latest), members
    yield "proposals", len(engine._stash), PROPOSALS_STASHED_MAX


def _none(engine: Any, members: int) -> Bounds:
    yield from ()


RECEIVED: Final[dict[type, Received]] = {
    Vote: ev.VoteReceived,
    ViewChange: ev.ViewChangeReceived,
    NewView: ev.NewViewReceived,
    Certificate: ev.CertificateReceived,
    PeerStatus: ev.StatusReceived,
}
"""Message of a peer -> event. (A proposal's event also has the time of the clock on the wall.)"""


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine. `indispensable`: members without whom nothing can be decided, so they only crash and come back."""

    name: str
    faulty_max: Callable[[int], int]  # of n members, how many may be faulty in any way
    quorum: Callable[[int], int]
    indispensable: tuple[int, ...] = ()
    has_views: bool = True
    checks_locks: bool = False  # PBFT's rules P3 to P7
    own_bounds: Callable[[Any, int], Bounds] = _none  # of what only this engine has
    patience_ms: Callable[[Any], int] = lambda engine: 0  # how long it will wait for a leader as things stand
    received: Mapping[type, Received] = field(default_factory=lambda: RECEIVED)

    def bounds(self, engine: Any, members: int) -> Bounds:
        """Of the engine's queues, maps and caches."""
        yield "candidates", len(engine.chain.candidates), CANDIDATES_PER_HEIGHT_MAX
        yield "certificates", len(engine.chain.certificates), CERTIFICATES_AHEAD_MAX
        yield "blocks being fetched", len(engine.catchup.queue), 2 * SYNC_BLOCKS_MAX
        yield "variants", max((len(known.variants) for known in engine.chain.candidates.values()), default=0), members
        yield from self.own_bounds(engine, members)


def third(members: int) -> int:
    """f = floor((n - 1) / 3)."""
    return (members - 1) // 3


PROFILES: Final = {
    "pbft": Profile(
        "pbft",
        third,
        lambda members: members - third(members),
        checks_locks=True,
        own_bounds=_pbft_bounds,
        patience_ms=lambda engine: int(engine._timeout_ms()),
    ),
    "poa": Profile("poa", lambda members: members - 1, lambda members: 1, indispensable=(0,), has_views=False),
}
