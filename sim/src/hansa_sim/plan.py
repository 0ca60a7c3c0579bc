"""What one run is, drawn from its seed: the network, the members that are faulty and how, and which faults happen when.

Each run draws *which* kinds of faults are on and how strongly: a run with everything always on finds less. The plan is
data, so a failing one can be run again with parts of it left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from .network import Quality
from .profiles import PROFILES, Profile

BLOCK_TIMES_MS: Final = (200, 1_000, 5_000)
CALM_SHARE: Final = 0.3
"""Of a run's time, at its end: faults stop and the chain must go on."""
BEGIN_MS: Final = 5_000
"""A new chain begins when all have met (rule K4): until then there are no faults."""
REAL_SIGNATURES_EVERY: Final = 100

KINDS: Final = (
    "crash",
    "power_cut",
    "power_cut_all",
    "crash_at_effect",
    "partition",
    "isolate_leader",
    "deaf_leader",
    "one_way",
    "bridge",
    "ring",
    "swizzle",
    "flapping_leader",
    "rolling_restart",
    "quorum_lost",
    "stop",
    "clog",
    "reset",
    "sync_fails",
    "write_fails",
    "disk_full",
    "executor_away",
    "clock_jump",
    "statedb_behind",
    "lossy",
)
"""Kinds of faults; `faults` has a function for each."""
PARTITIONS: Final = frozenset(
    {"partition", "isolate_leader", "deaf_leader", "one_way", "bridge", "ring", "swizzle", "flapping_leader"}
)
SCRIPTS: Final = (
    "mutator",
    "silent",
    "silent_leader",
    "silent_to_some",
    "equivocating_leader",
    "bodies_to_few",
    "invalid_blocks",
    "eager_voter",
    "double_voter",
    "lock_hider",
    "stale_view_changes",
    "disobedient_leader",
    "spammer",
    "poisoner",
    "censor",
    "edge_of_time",
    "old_history",
)
"""Scripts of byzantine members; `liars` has a class for each."""
DISK_LIES: Final = ("restore_old", "lost_log", "rot", "wiped")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. What the numbers mean depends on the kind; members are taken modulo what there is."""

    at_ms: int
    kind: str
    victim: int
    for_ms: int
    number: int  # any further choice


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    engine: str
    members: int
    until_ms: int
    calm_ms: int  # from here on there are no faults
    quality: Quality
    engine_settings: dict[str, Any]
    faulty: dict[int, str]  # member -> "twins", "disk", or the name of a script; at most f members
    dead_in_calm: tuple[int, ...]
    faults: tuple[Fault, ...]
    work_ms: int
    sync_ms: int
    execution_failure: float
    rotate_bytes: int
    buggify: bool
    real_signatures: bool
    drifts_ppm: tuple[int, ...]  # per member
    offsets_ms: tuple[int, ...]  # per member
    submit_every_ms: int

    @property
    def block_time_ms(self) -> int:
        """Of the chain."""
        return int(self.engine_settings["block_time_ms"])


def draw_plan(engine: str, members: int, seed: int, minutes: float) -> Plan:
    """The plan of a seed. `members` 0: drawn."""
    profile = PROFILES[engine]
    draw = Random(f"{seed} plan {engine}")
    n = members or draw.choice((4, 4, 4, 4, 5, 7))
    until_ms = int(minutes * 60_000)
    calm_ms = max(BEGIN_MS, int(until_ms * (1 - CALM_SHARE)))
    block_time_ms = draw.choice(BLOCK_TIMES_MS)
    settings = {
        "engine": engine,
        "block_time_ms": block_time_ms,
        "empty_block_time_ms": draw.choice((0, block_time_ms, 2 * block_time_ms, max(5_000, block_time_ms))),
        "request_timeout_ms": draw.choice((1_000, 2_000, 2_000)),
        "leader_term": draw.choice((1, 3, 16, 64)),
    }
    quality = Quality(
        base_ms=draw.choice((1, 1, 5, 30)),
        jitter_ms=draw.choice((2, 10, 20, 100)),
        loss=draw.choice((0.0, 0.0, 0.0, 0.02, 0.1)),
        duplicate=draw.choice((0.0, 0.0, 0.1)),
        slow=draw.choice((0.0, 0.0, 0.01)),
        in_order=draw.random() < 0.5,
        bytes_per_ms=draw.choice((0, 0, 0, 20, 125)),
    )
    faulty = _faulty(profile, n, draw)
    dead = _dead(profile, n, faulty, draw)
    offsets = _offsets(profile, n, (*faulty, *dead), draw)
    return Plan(
        seed=seed,
        engine=engine,
        members=n,
        until_ms=until_ms,
        calm_ms=calm_ms,
        quality=quality,
        engine_settings=settings,
        faulty=faulty,
        dead_in_calm=dead,
        faults=_faults(profile, n, faulty, calm_ms, draw),
        work_ms=draw.choice((2, 10, 50, 200)),
        sync_ms=draw.choice((0, 1, 5, 30)),
        execution_failure=draw.choice((0.0, 0.0, 0.0, 0.03)),
        rotate_bytes=draw.choice((1 << 14, 1 << 16, 1 << 20)),
        buggify=draw.random() < 0.5,
        real_signatures=seed % REAL_SIGNATURES_EVERY == REAL_SIGNATURES_EVERY - 1,
        drifts_ppm=tuple(draw.choice((0, 0, draw.randint(-500, 500))) for _ in range(n)),
        offsets_ms=offsets,
        submit_every_ms=draw.choice((block_time_ms // 2, block_time_ms, 3 * block_time_ms)),
    )


def _faulty(profile: Profile, n: int, draw: Random) -> dict[int, str]:
    """At most f members that lie, or whose disks do; the rest may crash, be cut off and be late, but is honest."""
    most = min(profile.faulty_max(n), (n - 1) // 3 if profile.has_views else 2)
    candidates = [member for member in range(n) if member not in profile.indispensable]
    count = min(draw.choice((0, 1, 1, most)), most, len(candidates))
    chosen = {}
    for member in sorted(draw.sample(candidates, count)):
        roll = draw.random()
        chosen[member] = "twins" if roll < 0.15 else "disk" if roll < 0.35 else draw.choice(SCRIPTS)
    return chosen


def _dead(profile: Profile, n: int, faulty: dict[int, str], draw: Random) -> tuple[int, ...]:
    """Who stays away in the calm: with the faulty ones no more than f."""
    room = min(profile.faulty_max(n), (n - 1) // 3 if profile.has_views else n - 1) - len(faulty)
    others = [member for member in range(n) if member not in faulty and member not in profile.indispensable]
    dead = draw.sample(others, draw.randint(0, min(room, len(others)))) if room > 0 and draw.random() < 0.5 else []
    return tuple(sorted(dead))


def _offsets(profile: Profile, n: int, others: tuple[int, ...], draw: Random) -> tuple[int, ...]:
    """Clocks within half a second of each other, but for some members in some runs: with those that are faulty, or dead
    in the calm, no more than f, since they refuse what others propose."""
    offsets = [draw.randint(-500, 500) for _ in range(n)]
    if draw.random() < 0.3:
        room = (n - 1) // 3 - len(others)
        able = [member for member in range(n) if member not in others and member not in profile.indispensable]
        for member in draw.sample(able, min(max(room, 0), len(able))):
            offsets[member] = draw.choice((-3_600_000, 3_600_000, draw.randint(-3_600_000, 3_600_000)))
    return tuple(offsets)


def _faults(profile: Profile, n: int, faulty: dict[int, str], calm_ms: int, draw: Random) -> tuple[Fault, ...]:
    kinds = draw.sample(KINDS, draw.randint(3, 8))
    if not any(kind in PARTITIONS for kind in kinds):
        kinds.append(draw.choice(sorted(PARTITIONS)))
    pause = draw.choice((4_000, 8_000, 15_000, 30_000))
    faults: list[Fault] = []
    at = BEGIN_MS
    while True:
        at += 200 + draw.randrange(2 * pause)
        if at >= calm_ms:
            break
        length = draw.choice((300, 1_500, 4_000, 8_000, 8_000, 20_000))
        faults.append(Fault(at, draw.choice(kinds), draw.randrange(1 << 16), length, draw.randrange(1 << 30)))
    for member, how in faulty.items():
        if how == "disk":
            for _ in range(draw.randint(1, 3)):
                at = BEGIN_MS + draw.randrange(max(1, calm_ms - BEGIN_MS))
                faults.append(
                    Fault(at, draw.choice(DISK_LIES), member, 500 + draw.randrange(5_000), draw.randrange(99))
                )
    return tuple(sorted(faults, key=lambda fault: (fault.at_ms, fault.kind)))
