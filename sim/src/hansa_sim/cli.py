"""`hansa sim`: run seeds, repeat one, enumerate twins, plant bugs, add results up."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

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
    from .seeds import minimise, run_plan

    plan = draw_plan(engine, members, seed, minutes)
    outcome = run_plan(plan)
    if not outcome.violation:
        output.plain(f"seed {seed}: nothing wrong; trace {outcome.trace_hash}, {outcome.counts}")
        return False
    smaller = minimise(plan)
    last = run_plan(smaller)
    output.plain(last.picture)
    output.plain(f"\nseed {seed}, {plan.members} members: {outcome.violation}")
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
