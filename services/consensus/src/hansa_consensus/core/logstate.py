"""What the records of a vote log add up to, and what of it must be kept when a log is rotated."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .records import (
    InstalledViewRecord,
    PreparedRecord,
    PrunedRecord,
    Record,
    ReleasedRecord,
    ViewChangeRecord,
    VoteRecord,
)
from .types import InstalledView, Phase, PreparedBlock, Recovered, ViewChange, Vote


@dataclass(slots=True)
class LogState:
    """Records folded in their order; deterministic, no I/O.

    Bounded: votes of at most the heights not yet pruned (one per phase, height and view) and the last of each phase;
    prepared blocks of heights not yet pruned, the highest view per height.
    """

    votes: list[Vote] = field(default_factory=list)
    last_vote: dict[Phase, Vote] = field(default_factory=dict)  # highest (view, height) of each phase
    prepared: dict[int, PreparedRecord] = field(default_factory=dict)  # by height
    view_change: ViewChange | None = None
    installed: InstalledView | None = None
    released: int | None = None
    pruned: int = 0

    def apply(self, records: Iterable[Record]) -> None:
        """Fold more records."""
        for record in records:
            match record:
                case VoteRecord(vote):
                    self._vote(vote)
                case PreparedRecord(prepared, _):
                    self._prepared(prepared, record)
                case ViewChangeRecord(view_change):
                    self.view_change = view_change
                    self._vote(view_change.vote)
                case InstalledViewRecord(installed):
                    self.installed = installed
                case ReleasedRecord(height):
                    self.released = height
                case PrunedRecord(height):
                    self._prune(height)

    def _vote(self, vote: Vote) -> None:
        last = self.last_vote.get(vote.phase)
        if last is None or (vote.view, vote.to_height) >= (last.view, last.to_height):
            self.last_vote[vote.phase] = vote
        if vote.phase is not Phase.VIEW_CHANGE and vote not in self.votes:
            self.votes.append(vote)

    def _prepared(self, prepared: PreparedBlock, record: PreparedRecord) -> None:
        height = prepared.certificate.to_height
        known = self.prepared.get(height)
        # P5 asks for the highest view; an older lock of the same height is dead.
        if known is None or prepared.certificate.view >= known.prepared.certificate.view:
            self.prepared[height] = record

    def _prune(self, height: int) -> None:
        self.pruned = max(self.pruned, height)
        self.votes = [vote for vote in self.votes if vote.to_height > self.pruned]
        self.prepared = {at: record for at, record in self.prepared.items() if at > self.pruned}

    def recovered(self) -> Recovered:
        """What an engine starts from."""
        last = [vote for vote in self.last_vote.values() if vote not in self.votes]
        return Recovered(
            votes=tuple(last + self.votes),
            prepared=tuple(self.prepared[height].prepared for height in sorted(self.prepared)),
            installed=self.installed,
            view_change=self.view_change,
            released_height=self.released,
        )

    def bodies(self, block_hash: bytes) -> bytes | None:
        """Packed transactions of a prepared block."""
        for record in self.prepared.values():
            if record.prepared.certificate.to_hash == block_hash:
                return record.bodies
        return None

    def snapshot(self) -> list[Record]:
        """Records that fold to the same state: what a rotated log starts with."""
        records: list[Record] = [PrunedRecord(self.pruned)]
        if self.released is not None:
            records.append(ReleasedRecord(self.released))
        if self.installed is not None:
            records.append(InstalledViewRecord(self.installed))
        if self.view_change is not None:
            records.append(ViewChangeRecord(self.view_change))
        kept = [self.last_vote[phase] for phase in Phase if phase in self.last_vote]
        records += [VoteRecord(vote) for vote in kept if vote not in self.votes]
        records += [self.prepared[height] for height in sorted(self.prepared)]
        records += [VoteRecord(vote) for vote in self.votes]
        return records
