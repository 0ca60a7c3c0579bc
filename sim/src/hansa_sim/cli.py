"""`hansa sim`: run seeds, repeat one, enumerate twins, plant bugs, add results up."""

from __future__ import annotations

import time
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

import typer
from hansa.cli import output
from hansa.cli.output import CommandFailed

app = typer.Typer(
    help="Consortia in virtual time, with faults: the same engines, repeatable from a seed.", no_args_is_help=True
)

Engine = Annotated[str, typer.Option(help="pbft or poa.")]
Members = Annotated[int, typer.Option(help="How many; 0: drawn from each seed (4, 5 or 7).", min=0, max=16)]
Minutes = Annotated[float, typer.Option(help="Virtual minutes per seed.", min=0.2)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Workers = Annotated[int, typer.Option(help="Processes; 0: one per core.", min=0)]

TOLD_MAX = 3
"""Violations that are shown whole; the others are counted and can be replayed."""


def _range(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    try:
        low, high = int(first), int(last if dots else first)
    except ValueError as error:
        raise CommandFailed(f"seeds are written A..B (both run), not {text!r}") from error
    if not 0 <= low <= high:
        raise CommandFailed(f"no seeds in {text}")
    return low, high


def _known(engine: str) -> None:
    from .profiles import PROFILES

    if engine not in PROFILES:
        raise CommandFailed(f"unknown engine {engine!r}: {', '.join(PROFILES)}")


@app.command()
def run(
    engine: Engine = "pbft",
    members: Members = 0,
    seeds: Annotated[str, typer.Option(help="A..B, both run.")] = "0..63",
    minutes: Minutes = 5,
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Run seeds; exit status 1 when one of them breaks a promise."""
    from .parallel import in_order
    from .seeds import run_seed
    from .summary import Summary

    _known(engine)
    low, high = _range(seeds)
    began = time.perf_counter()
    summary = Summary()
    for outcome in in_order(partial(run_seed, engine, members, minutes), range(low, high + 1), workers):
        summary.add(outcome)
        if outcome.violation and not as_json and len(summary.violations) <= TOLD_MAX:
            _tell(engine, members, outcome.seed, minutes)
    seconds = time.perf_counter() - began
    report = {"engine": engine, "minutes": minutes, **summary.report(), "seconds": round(seconds, 1)}
    report["events_per_second"] = round(summary.counts["events"] / seconds)
    if as_json:
        output.as_json(report)
    else:
        for name, value in report.items():
            if name not in ("points", "violation_list"):
                output.plain(f"{name:>22}  {value}")
        for name, count in report["points"].items():
            output.plain(f"{count:>22}  seeds reached: {name}")
    if summary.violations:
        raise typer.Exit(1)


def _tell(engine: str, members: int, seed: int, minutes: float) -> bool:
    """Run a seed again and show what is wrong with it; False when nothing is."""
    from .plan import draw_plan
    from .report import commit
    from .seeds import minimise, run_plan

    plan = draw_plan(engine, members, seed, minutes)
    outcome = run_plan(plan)
    if not outcome.violation:
        output.plain(f"seed {seed}: nothing wrong; trace {outcome.trace_hash}, {outcome.counts}")
        return False
    smaller = minimise(plan)
    last = run_plan(smaller)
    output.plain(last.picture)
    output.plain(f"\ncommit {commit()}, seed {seed}, {plan.members} members: {outcome.violation}")
    output.plain(f"smallest plan found: {last.violation}")
    output.plain(f"  faulty: {smaller.faulty}, dead in the calm: {smaller.dead_in_calm}, buggify: {smaller.buggify}")
    output.plain(f"  network: {smaller.quality}")
    for fault in smaller.faults:
        output.plain(f"  {fault}")
    output.plain(f"again: hansa sim replay {seed} --engine {engine} --members {members} --minutes {minutes:g}")
    return True


@app.command()
def replay(
    seed: Annotated[int, typer.Argument(help="As told with a violation.", min=0)],
    engine: Engine = "pbft",
    members: Members = 0,
    minutes: Minutes = 5,
) -> None:
    """Run one seed again, with its last events and the fewest faults that it fails with."""
    _known(engine)
    if _tell(engine, members, seed, minutes):
        raise typer.Exit(1)


@app.command()
def twins(
    mode: Annotated[str, typer.Option(help="drop, late (both enumerate 216,000) or sample (7 members).")] = "drop",
    scenarios: Annotated[str, typer.Option(help="A..B, both run; empty: all.")] = "",
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Members that run twice with one key, over all partitions and leaders; exit status 1 when agreement breaks."""
    from .parallel import in_order
    from .report import SAMPLES
    from .twins import SCENARIOS, run_part

    if mode not in ("drop", "late", "sample"):
        raise CommandFailed(f"no mode {mode!r}: drop, late, sample")
    total = SAMPLES if mode == "sample" else SCENARIOS
    low, high = _range(scenarios) if scenarios else (0, total - 1)
    if high >= total:
        raise CommandFailed(f"there are {total} scenarios, 0..{total - 1}")
    began = time.perf_counter()
    step = 250
    jobs = [(mode, first, min(high + 1, first + step)) for first in range(low, high + 1, step)]
    parts = list(in_order(run_part, jobs, workers))
    violations = [each for part in parts for each in part.violations or []]
    seconds = time.perf_counter() - began
    report = {
        "mode": mode,
        "scenarios": sum(part.scenarios for part in parts),
        "violations": len(violations),
        "violation_list": violations,
        "decided": sum(part.decided for part in parts),
        "events": sum(part.events for part in parts),
        "trace_hash": _hash_of([part.trace_hash for part in parts]),
        "seconds": round(seconds, 1),
    }
    _print(report, as_json=as_json)
    if violations:
        raise typer.Exit(1)


@app.command()
def mutants(
    only: Annotated[str, typer.Option(help="Name of one planted bug.")] = "",
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Plant bugs one by one; exit status 1 when one is not found."""
    from statistics import median

    from .mutants import MUTANTS, hunt_by_name
    from .parallel import in_order

    names = [mutant.name for mutant in MUTANTS if only in ("", mutant.name)]
    if not names:
        raise CommandFailed(f"no planted bug is called {only!r}")
    found = []
    for caught in in_order(hunt_by_name, [(name, 0) for name in names], workers):
        found.append(caught)
        if not as_json:
            output.plain(f"{caught.seeds or 'NOT FOUND':>9}  {caught.name}: {caught.violation}")
    counts = [caught.seeds for caught in found if caught.seeds]
    report = {
        "planted": len(found),
        "caught": len(counts),
        "seeds_median": median(counts) if counts else 0,
        "missed": [caught.name for caught in found if not caught.seeds],
        "seeds": {caught.name: caught.seeds for caught in found},
    }
    _print(report, as_json=as_json)
    if report["missed"]:
        raise typer.Exit(1)


@app.command()
def report(
    work_minutes: Annotated[float, typer.Option(help="Go on for so long; 0: until all is run.", min=0)] = 0,
    only_page: Annotated[bool, typer.Option("--only-page", help="Run nothing, write the page.")] = False,
    results: Annotated[Path, typer.Option(help="What was run so far.")] = Path("sim/results.json"),
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/internals/simulation.md"),
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Go on with the campaign and write its page; exit status 1 when anything is wrong in what was run."""
    from .report import Campaign

    campaign = Campaign(results, workers, output.warn)
    if not only_page:
        campaign.go_on(work_minutes * 60)
    page.write_text(campaign.page())
    _print(campaign.as_json(), as_json=as_json)
    if campaign.violations() or campaign.unreached() or any(not caught.seeds for caught in campaign.caught()):
        raise typer.Exit(1)


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(report)
        return
    for name, value in report.items():
        if not isinstance(value, dict | list) or value:
            output.plain(f"{name:>22}  {value}")


def _hash_of(parts: list[str]) -> str:
    return blake2b("".join(parts).encode(), digest_size=16).hexdigest()
