"""Links between running copies: latency, loss, duplication, order, bandwidth; clogged, cut one way, reset.

One link per direction and pair. A message that was sent arrives at whatever life of the receiver there is then, unless the
connection was reset in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from hansa_consensus.core.types import Message, NewView, PeerStatus, Proposal, ViewChange

VOTE_BYTES: Final = 300


@dataclass(slots=True)
class Quality:
    """How a link behaves; drawn per run."""

    base_ms: int = 1
    jitter_ms: int = 10
    loss: float = 0.0
    duplicate: float = 0.0
    slow: float = 0.0  # share of messages that take up to `slow_ms`
    slow_ms: int = 3_000
    in_order: bool = False
    bytes_per_ms: int = 0  # 0: as many as there are


@dataclass(slots=True)
class Link:
    """One direction between two copies."""

    cut: bool = False
    clogged_until: int = 0
    resets: int = 0
    last_arrival: int = 0
    free_at: int = 0  # bandwidth: when the line is idle again


class Network:
    """All links; decides when a message arrives, if at all."""

    def __init__(self, copies: int, random: Random, quality: Quality) -> None:
        self.random = random
        self.quality = quality
        self.links = [[Link() for _ in range(copies)] for _ in range(copies)]
        self.sent = self.lost = self.duplicated = self.resets = 0

    def delays(self, link: Link, now: int, size_bytes: int) -> tuple[int, ...]:
        """After how many milliseconds a message arrives: once, twice or never."""
        self.sent += 1
        quality, draw = self.quality, self.random.random
        if link.cut or (quality.loss and draw() < quality.loss):
            self.lost += 1
            return ()
        if quality.slow and draw() < quality.slow:
            delay = quality.base_ms + int(draw() * quality.slow_ms)
        else:
            delay = quality.base_ms + int(draw() * quality.jitter_ms)
        arrival = now + delay
        if quality.bytes_per_ms:
            start = link.free_at if link.free_at > now else now
            link.free_at = start + size_bytes // quality.bytes_per_ms
            arrival += link.free_at - now
        if link.clogged_until > arrival:
            arrival = link.clogged_until
        if quality.in_order:
            if link.last_arrival > arrival:
                arrival = link.last_arrival
            link.last_arrival = arrival
        if quality.duplicate and draw() < quality.duplicate:
            self.duplicated += 1
            return (arrival - now, arrival - now + int(draw() * quality.jitter_ms))
        return (arrival - now,)

    def round_trip(self, there: Link, back: Link, now: int, size_bytes: int) -> int | None:
        """How long a question and its answer take; None when one of the two is lost."""
        first = self.delays(there, now, VOTE_BYTES)
        if not first:
            return None
        second = self.delays(back, now + first[0], size_bytes)
        return first[0] + second[0] if second else None

    def cut(self, is_cut: Callable[[int, int], bool]) -> None:
        """Cut exactly the links (from, to) of which `is_cut` says so."""
        for sender, row in enumerate(self.links):
            for receiver, link in enumerate(row):
                link.cut = sender != receiver and is_cut(sender, receiver)

    def reset(self, one: int, other: int) -> None:
        """What is in flight between the two is lost."""
        self.resets += 1
        self.links[one][other].resets += 1
        self.links[other][one].resets += 1


def size_of(message: Message) -> int:
    """About as many bytes as on the wire."""
    match message:
        case Proposal(transaction_hashes=hashes):
            return 1_500 + 120 * (len(hashes) // 32)
        case ViewChange(prepared=prepared):
            return VOTE_BYTES * 2 + sum(1_000 + len(block.transaction_hashes) for block in prepared)
        case NewView(view_changes=changes):
            return sum(size_of(change) for change in changes)
        case PeerStatus(new_view=new_view):
            return 2 * VOTE_BYTES + (0 if new_view is None else size_of(new_view))
    return VOTE_BYTES
