"""A campaign in parts that add up: a results file that is gone on with, and the page that is written from it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from .mutants import MUTANTS, Caught, hunt_by_name
from .parallel import cores, in_order
from .points import points_of
from .profiles import PROFILES
from .seeds import run_seed
from .summary import RECOVERY_STEP_MS, Summary, quantile
from .twins import SCENARIOS, SHARD, run_part

MINUTES: Final = 5.0
"""Virtual, per seed."""
SEEDS: Final = {"pbft": 10_000, "poa": 2_000}
"""Targets of the specification."""
SAMPLES: Final = 100_000
SAVED_EVERY: Final = 20
POINTS_AFTER_SEEDS: Final = 500
SAMPLE_SHARD: Final = 500
SHARES: Final = {"mutants": 0.1, "pbft": 0.5, "poa": 0.1, "drop": 0.12, "late": 0.13, "sample": 0.05}
"""Of the time, when it does not suffice for all."""


class Campaign:
    """What was run so far."""

    def __init__(self, path: Path, workers: int, tell: Callable[[str], None]) -> None:
        self.path = path
        self.workers = workers
        self.tell = tell
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.commit = commit()

    def save(self) -> None:
        """All or nothing."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.data, indent=1, sort_keys=True) + "\n")
        fresh.replace(self.path)

    def go_on(self, seconds: float) -> None:
        """Work for so long (0: until all is done)."""
        end = time.monotonic() + seconds if seconds else float("inf")
        steps: dict[str, Callable[[float], None]] = {
            "mutants": self._mutants,
            **{engine: partial(self._seeds, engine) for engine in SEEDS},
            **{mode: partial(self._twins, mode) for mode in ("drop", "late", "sample")},
        }
        left = sum(SHARES.values())
        for name, step in steps.items():
            rest = end - time.monotonic()
            if rest <= 0:
                break
            step(time.monotonic() + rest * SHARES[name] / left)
            left -= SHARES[name]
            self.save()

    # --- parts --------------------------------------------------------------------------------------------------------

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = self.data.setdefault(kind, {}).setdefault(
            name, {"next": 0, "seconds": 0.0, "commits": {}}
        )
        return entry

    def _stamp(self, entry: dict[str, Any], count: int, seconds: float) -> None:
        entry["next"] += count
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        entry["commits"][self.commit] = entry["commits"].get(self.commit, 0) + count
        entry["date"] = datetime.now(UTC).date().isoformat()
        entry["machine"] = _machine()

    def _seeds(self, engine: str, end: float) -> None:
        entry = self._entry("seeds", engine)
        summary = Summary.from_json(entry["summary"]) if "summary" in entry else Summary()
        began, count = time.monotonic(), 0

        def keep() -> None:
            nonlocal began, count
            self._stamp(entry, count, time.monotonic() - began)
            entry["summary"] = summary.to_json()
            self.save()
            self.tell(f"{engine}: {entry['next']} of {SEEDS[engine]} seeds, {len(summary.violations)} violations")
            began, count = time.monotonic(), 0

        work = in_order(partial(run_seed, engine, 0, MINUTES), range(entry["next"], SEEDS[engine]), self.workers)
        for outcome in work:
            summary.add(outcome)
            count += 1
            if outcome.violation:
                self.tell(f"{engine} seed {outcome.seed}: {outcome.violation}")
            if count >= SAVED_EVERY:
                keep()
                if time.monotonic() > end:
                    break
        if count:
            keep()

    def _twins(self, mode: str, end: float) -> None:
        entry = self._entry("twins", mode)
        for name in ("events", "decided"):
            entry.setdefault(name, 0)
        violations = entry.setdefault("violations", [])
        total, size = (SAMPLES, SAMPLE_SHARD) if mode == "sample" else (SCENARIOS, SHARD // 4)
        began = time.monotonic()
        jobs = [(mode, first, min(total, first + size)) for first in range(entry["next"], total, size)]
        for part in in_order(run_part, jobs, self.workers):
            entry["events"] += part.events
            entry["decided"] += part.decided
            violations += part.violations or []
            self._stamp(entry, part.scenarios, time.monotonic() - began)
            began = time.monotonic()
            self.save()
            self.tell(f"twins, {mode}: {entry['next']} of {total}, {len(violations)} violations")
            if began > end:
                break

    def _mutants(self, end: float) -> None:
        entry = self._entry("mutants", "found")
        known: dict[str, Any] = entry.setdefault("caught", {})
        jobs = [(mutant.name, 0) for mutant in MUTANTS if mutant.name not in known]
        began = time.monotonic()
        for caught in in_order(hunt_by_name, jobs, self.workers):
            known[caught.name] = asdict(caught)
            self._stamp(entry, 1, time.monotonic() - began)
            began = time.monotonic()
            self.save()
            self.tell(f"{caught.name}: {f'seed {caught.seed}' if caught.seeds else 'NOT FOUND'}")
            if began > end:
                break

    # --- totals -------------------------------------------------------------------------------------------------------

    def violations(self) -> int:
        """Of everything that was run."""
        seeds = sum(len(entry["summary"]["violations"]) for entry in self.data.get("seeds", {}).values())
        return int(seeds + sum(len(entry["violations"]) for entry in self.data.get("twins", {}).values()))

    def unreached(self) -> list[str]:
        """Named states that no seed of a campaign of some size has reached: a gap in the faults."""
        found = []
        for engine, entry in self._of("seeds"):
            summary = Summary.from_json(entry["summary"])
            if summary.seeds >= POINTS_AFTER_SEEDS:
                names = points_of(PROFILES[engine].has_views)
                found += [f"{engine}: {name}" for name in names if not summary.points_seeds[name]]
        return found

    def caught(self) -> list[Caught]:
        """Of the planted bugs that were tried."""
        entries = self.data.get("mutants", {}).get("found", {}).get("caught", {})
        return [Caught(**entries[mutant.name]) for mutant in MUTANTS if mutant.name in entries]

    def as_json(self) -> dict[str, Any]:
        """One object for programs."""
        caught = self.caught()
        return {
            "seeds": {name: Summary.from_json(at["summary"]).report() for name, at in self._of("seeds")},
            "twins": {
                name: {key: at[key] for key in ("next", "events", "violations")} for name, at in self._of("twins")
            },
            "planted": len(caught),
            "caught": sum(each.seeds > 0 for each in caught),
            "unreached": self.unreached(),
            "violations": self.violations(),
        }

    def _of(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(name, entry) for name, entry in self.data.get(kind, {}).items() if entry["next"]]

    def page(self) -> str:
        """Markdown."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _INTRODUCTION.splitlines()
        yield from ("", "## Random lives", "")
        yield "| | " + " | ".join(name for name, _ in self._of("seeds")) + " |"
        yield "| --- |" + " --- |" * len(self._of("seeds"))
        columns = [(Summary.from_json(entry["summary"]), entry, name) for name, entry in self._of("seeds")]
        for title, show in _ROWS:
            yield f"| {title} | " + " | ".join(show(*column) for column in columns) + " |"
        yield from ("", "Seeds in which each named state was reached:", "")
        yield "| state | " + " | ".join(name for _, _, name in columns) + " |"
        yield "| --- |" + " --- |" * len(columns)
        for point in points_of(True):
            cells = [
                str(summary.points_seeds[point]) if point in points_of(PROFILES[name].has_views) else "–"
                for summary, _, name in columns
            ]
            yield f"| {point} | " + " | ".join(cells) + " |"
        yield from ("", "## Twins", "")
        yield "| mode | scenarios run | of | with a block decided | events | violations | commits | machine, date |"
        yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
        for mode, entry in self._of("twins"):
            total = SAMPLES if mode == "sample" else SCENARIOS
            yield (
                f"| {_MODES[mode]} | {entry['next']:,} | {total:,} | {entry['decided']:,} | {entry['events']:,} | "
                f"{len(entry['violations'])} | {_commits(entry)} | {entry['machine']}, {entry['date']} |"
            )
        yield from ("", "## Planted bugs", "")
        caught = self.caught()
        found = [each.seeds for each in caught if each.seeds]
        if caught:
            yield (
                f"{len(found)} of {len(caught)} tried were found, with {median(found or [0]):g} seeds of three virtual"
                f" minutes as the median ({len(MUTANTS)} are planted; commits {_commits(self.data['mutants']['found'])})."
            )
        yield from ("", "| bug | seeds until found | what was seen |", "| --- | --- | --- |")
        for each in caught:
            seen = each.violation.split(": ", 1)[-1][:110].replace("|", "/")
            yield f"| {each.name} | {each.seeds or 'not found'} | {seen} |"


def _hours(summary: Summary, entry: dict[str, Any], name: str) -> str:
    hours = summary.counts["virtual_ms"] / 3_600_000
    return f"{hours:,.1f} h, {hours * 3600 / max(entry['seconds'], 1):,.0f} times real time"


_ROWS: Final[tuple[tuple[str, Callable[[Summary, dict[str, Any], str], str]], ...]] = (
    ("seeds run (target)", lambda s, e, n: f"{s.seeds:,} ({SEEDS[n]:,})"),
    ("virtual time", _hours),
    ("**violations**", lambda s, e, n: f"**{len(s.violations)}**"),
    ("blocks committed", lambda s, e, n: f"{s.counts['blocks_committed']:,}"),
    ("blocks of a seed, median", lambda s, e, n: f"{quantile(s.blocks, 0.5)}"),
    ("view changes sent", lambda s, e, n: f"{s.counts['view_changes']:,}"),
    ("seeds with a view change", lambda s, e, n: f"{100 * s.view_change_seeds / max(1, s.seeds):.1f} %"),
    ("crashes", lambda s, e, n: f"{s.counts['crashes']:,}"),
    ("power cuts", lambda s, e, n: f"{s.counts['power_cuts']:,}"),
    ("partitions", lambda s, e, n: f"{s.counts['partitions']:,}"),
    ("disk faults and corruptions", lambda s, e, n: f"{s.counts['corruptions']:,}"),
    ("members that lied, or whose disks did", lambda s, e, n: f"{s.counts['faulty_members']:,}"),
    ("double votes found", lambda s, e, n: f"{s.counts['evidence']:,}"),
    ("messages, lost, doubled", lambda s, e, n: " / ".join(
        f"{s.counts[name]:,}" for name in ("messages", "messages_lost", "messages_duplicated"))),
    ("client transactions", lambda s, e, n: f"{s.counts['transactions']:,}"),
    ("calm to three new blocks everywhere, median, worst", lambda s, e, n: (
        f"{quantile(s.recovery, 0.5) * RECOVERY_STEP_MS / 1000:.1f} s, "
        f"{quantile(s.recovery, 1.0) * RECOVERY_STEP_MS / 1000:.1f} s")),
    ("engine events, per second", lambda s, e, n: (
        f"{s.counts['events']:,}, {s.counts['events'] / max(e['seconds'], 1):,.0f}")),
    ("commits", lambda s, e, n: _commits(e)),
    ("machine, date", lambda s, e, n: f"{e['machine']}, {e['date']}"),
)  # fmt: skip

_MODES: Final = {
    "drop": "4 members, dropped",
    "late": "4 members, delivered at the end of the next view",
    "sample": "7 members, two twice, four views, three sets; drawn",
}

_INTRODUCTION: Final = """# Simulation, measured

Written by `make sim-report` from `sim/results.json`, which it goes on with: parts add up, and what has not been run does
not stand here. What is simulated and what is checked: `sim/README.md`. A seed is five virtual minutes: 70 % with faults, then
calm. Block intervals of 0.2, 1 and 5 s are drawn, 4, 5 or 7 members, BLS signatures in one seed of a hundred.
`hansa sim replay SEED --engine ENGINE` repeats one."""


def _commits(entry: dict[str, Any]) -> str:
    return ", ".join(f"{commit} ({count:,})" for commit, count in entry["commits"].items())


def commit() -> str:
    """Short name of the one checked out; with + when sources differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "sim/src", "services/consensus/src")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def _machine() -> str:
    return f"{cores()} cores ({platform.machine()}, {os.uname().sysname}), Python {platform.python_version()}"
