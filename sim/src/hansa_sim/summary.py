"""What many seeds add up to; can be written down, read again and added to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from .seeds import Outcome

ADDED = (
    "blocks_committed",
    "view_changes",
    "crashes",
    "power_cuts",
    "partitions",
    "corruptions",
    "evidence",
    "transactions",
    "messages",
    "messages_lost",
    "messages_duplicated",
    "resets",
    "faulty_members",
    "events",
    "virtual_ms",
)
RECOVERY_STEP_MS = 100


@dataclass
class Summary:
    """Of one engine."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    points_seeds: Counter[str] = field(default_factory=Counter)  # in how many seeds each was reached
    blocks: Counter[int] = field(default_factory=Counter)  # blocks of a seed -> seeds
    recovery: Counter[int] = field(default_factory=Counter)  # in steps -> seeds
    view_change_seeds: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)
    _hash: Any = field(default_factory=lambda: blake2b(digest_size=16))

    def add(self, outcome: Outcome) -> None:
        """One more seed; in order, for `trace_hash`."""
        self.seeds += 1
        self.counts.update(outcome.counts)
        self.points.update(outcome.points)
        self.points_seeds.update(outcome.points.keys())
        self.blocks[outcome.counts["blocks_committed"]] += 1
        self.view_change_seeds += outcome.counts["view_changes"] > 0
        if outcome.recovery_ms >= 0:
            self.recovery[-(-outcome.recovery_ms // RECOVERY_STEP_MS)] += 1
        if outcome.violation:
            self.violations.append({"seed": outcome.seed, "what": outcome.violation})
        self._hash.update(outcome.trace_hash.encode())

    def merge(self, other: Summary) -> None:
        """Add another part."""
        self.seeds += other.seeds
        for name in ("counts", "points", "points_seeds", "blocks", "recovery"):
            getattr(self, name).update(getattr(other, name))
        self.view_change_seeds += other.view_change_seeds
        self.violations += other.violations

    def report(self) -> dict[str, Any]:
        """As `hansa sim run --json` prints it."""
        return {
            "seeds": self.seeds,
            "violations": len(self.violations),
            "violation_list": self.violations,
            **{name: self.counts[name] for name in ADDED},
            "blocks_median": quantile(self.blocks, 0.5),
            "view_change_seeds": self.view_change_seeds,
            "recovery_ms_median": quantile(self.recovery, 0.5) * RECOVERY_STEP_MS,
            "recovery_ms_worst": quantile(self.recovery, 1.0) * RECOVERY_STEP_MS,
            "points": dict(sorted(self.points_seeds.items())),
            "trace_hash": self._hash.hexdigest(),
        }

    def to_json(self) -> dict[str, Any]:
        """To be read again by `from_json`."""
        return {
            "seeds": self.seeds,
            "counts": dict(sorted(self.counts.items())),
            "points": dict(sorted(self.points.items())),
            "points_seeds": dict(sorted(self.points_seeds.items())),
            "blocks": {str(key): value for key, value in sorted(self.blocks.items())},
            "recovery": {str(key): value for key, value in sorted(self.recovery.items())},
            "view_change_seeds": self.view_change_seeds,
            "violations": self.violations,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Summary:
        """What `to_json` gave."""
        return cls(
            seeds=data["seeds"],
            counts=Counter(data["counts"]),
            points=Counter(data["points"]),
            points_seeds=Counter(data["points_seeds"]),
            blocks=Counter({int(key): value for key, value in data["blocks"].items()}),
            recovery=Counter({int(key): value for key, value in data["recovery"].items()}),
            view_change_seeds=data["view_change_seeds"],
            violations=list(data["violations"]),
        )


def quantile(histogram: Counter[int], share: float) -> int:
    """The smallest value that at least this share is at or below; 0 of nothing."""
    total, seen = sum(histogram.values()), 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= share * total:
            return value
    return 0
