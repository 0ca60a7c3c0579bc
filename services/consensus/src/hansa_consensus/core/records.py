"""Records of the vote log as values; their bytes are made and read by `encode` and `decode` (reliability, section
5)."""

from dataclasses import dataclass

from .types import InstalledView, PreparedBlock, ViewChange, Vote


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """A prepare or commit vote of ours, with its signature: it can be sent again byte for byte."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """A locked block: prepared certificate (`poa`: commit certificate), header, hashes and bodies."""

    prepared: PreparedBlock
    bodies: bytes  # packed list of raw transactions, in order


@dataclass(frozen=True, slots=True)
class ViewChangeRecord:
    """A view change of ours, whole."""

    view_change: ViewChange


@dataclass(frozen=True, slots=True)
class InstalledViewRecord:
    """A view entered, with its proof."""

    installed: InstalledView


@dataclass(frozen=True, slots=True)
class ReleasedRecord:
    """Observe mode ended at this height."""

    height: int


@dataclass(frozen=True, slots=True)
class PrunedRecord:
    """Blocks up to this height are committed: prepared blocks up to it are of no use any more."""

    height: int


Record = VoteRecord | PreparedRecord | ViewChangeRecord | InstalledViewRecord | ReleasedRecord | PrunedRecord
