"""Run every public test with every runner and write docs/internals/conformance.md; ends with 1 when a case fails.

`python tests/conformance/report.py [--only SUITE]... [--runner NAME] [--no-write]`
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hansa_kernel
from hansa.cli.evm.tests import shown_progress
from hansa.cli.output import plain
from hansa.conformance import Case, Job, run_jobs
from support.conformance import PARALLEL_RUNNERS, SUITES, Suite
from support.sources import ROOT
from support.step_traces import trace_cases
from support.transitions import transition_cases

PAGE = ROOT / "docs" / "internals" / "conformance.md"
PARALLEL_THREADS = 2
FAILURES_SHOWN_MAX = 40
FORK_ORDER = (
    "Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "Constantinople", "ConstantinopleFix", "Istanbul",
    "Berlin", "London", "Paris", "Merge", "Shanghai", "Cancun", "Prague", "Osaka",
)  # fmt: skip

Key = tuple[str, str, str]  # suite, fork, runner
Counts = dict[Key, Counter[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="only this suite (may be repeated)")
    parser.add_argument("--runner", choices=("sequential", *PARALLEL_RUNNERS), help="only this runner")
    parser.add_argument("--no-write", action="store_true", help="print the counts, write no page")
    chosen = parser.parse_args()
    begun = time.monotonic()
    counts: Counts = {}
    failures: list[str] = []
    ran: set[tuple[str, str]] = set()
    for suite in (suite for suite in SUITES if not chosen.only or suite.name in chosen.only):
        for runner in runners(suite):
            if chosen.runner in (None, runner):
                jobs = list(suite.jobs() if runner == "sequential" else suite.parallel_jobs(runner))
                suite_begun = time.monotonic()
                ran.add((suite.name, runner))
                add(counts, failures, suite.name, runner, run(jobs, runner))
                plain(summary(counts, suite.name, runner, time.monotonic() - suite_begun))
    if (not chosen.only or "t8n" in chosen.only) and chosen.runner in (None, "sequential"):
        suite_begun = time.monotonic()
        add(counts, failures, "t8n", "sequential", transition_cases())
        add(counts, failures, "t8n", "sequential", trace_cases())
        plain(summary(counts, "t8n", "sequential", time.monotonic() - suite_begun))
    for failure in failures[:FAILURES_SHOWN_MAX]:
        plain(failure)
    total = sum(counts.values(), Counter())
    plain(
        f"{total['passed']} passed, {total['failed']} failed, {total['cases'] - total['passed'] - total['failed']} skipped"
    )
    if not chosen.no_write:
        PAGE.write_text(page(counts, ran, time.monotonic() - begun))
    sys.exit(1 if total["failed"] else 0)


def run(jobs: list[Job], runner: str) -> Iterable[Case]:
    """All cases of the jobs, on as many processes as the threads of each leave cores for."""
    threads = 1 if runner == "sequential" else PARALLEL_THREADS
    processes = max(1, (os.cpu_count() or 1) // threads)
    for result in shown_progress(run_jobs(jobs, processes=processes, threads=threads), len(jobs)):
        yield from result.cases


def add(counts: Counts, failures: list[str], suite: str, runner: str, cases: Iterable[Case]) -> None:
    for case in cases:
        entry = counts.setdefault((suite, case.fork, runner), Counter())
        entry["cases"] += 1
        if case.passed:
            entry["passed"] += 1
        elif case.skipped:
            entry[f"skipped: {case.skipped}"] += 1
        else:
            entry["failed"] += 1
            failures.append(f"✗ {suite}, {runner}: {case.name} ({case.fork}): {case.error}")


def summary(counts: Counts, suite: str, runner: str, seconds: float) -> str:
    total = sum((entry for key, entry in counts.items() if (key[0], key[2]) == (suite, runner)), Counter())
    return f"{suite}, {runner}: {total['passed']} of {total['cases']} passed in {seconds:.0f} s"


def fork_rank(fork: str) -> tuple[int, str]:
    return (FORK_ORDER.index(fork) if fork in FORK_ORDER else len(FORK_ORDER), fork)


def page(counts: Counts, ran: set[tuple[str, str]], seconds: float) -> str:
    """The page: what is run, the reasons for skipping, a table per suite and runner, one by fork."""
    total = sum(counts.values(), Counter())
    skipped = total["cases"] - total["passed"] - total["failed"]
    lines = [
        "# Conformance",
        "",
        "Made by `make conformance`: Ethereum's public tests against the kernel. State tests run one transaction each;",
        f"blocks of two or more transactions run with every runner, the parallel ones on {PARALLEL_THREADS} threads. The",
        "files are those of the folder that `HANSA_VECTORS` names (default `../shared/vectors` beside the repository).",
        "",
        f"{total['cases']} runs of cases: {total['passed']} passed, {total['failed']} failed, {skipped} skipped, in",
        f"{seconds / 60:.0f} minutes on {os.cpu_count()} cores.",
        "",
        *left_out(ran),
        "A case is skipped only for one of these reasons:",
        "",
        "| reason | meaning | cases |",
        "| --- | --- | --- |",
    ]
    for name, text in hansa_kernel.CONFORMANCE_SKIPS:
        lines.append(f"| `{name}` | {text} | {total[f'skipped: {name}']} |")
    lines += [
        "",
        "Tries: keys that hashing never makes, longer than 32 bytes or one the beginning of another, run on the plain",
        "trie of the runner alone.",
        "",
        "## By suite",
        "",
        *table(counts, ("suite", "runner"), lambda key: (key[0], key[2])),
        "",
        "## By suite and fork",
        "",
        *table(counts, ("suite", "fork", "runner"), lambda key: key),
    ]
    return "\n".join(lines) + "\n"


def left_out(ran: set[tuple[str, str]]) -> list[str]:
    """What a shortened run did not look at."""
    wanted = [(suite.name, runner) for suite in SUITES for runner in runners(suite)]
    missing = [f"{suite} ({runner})" for suite, runner in wanted if (suite, runner) not in ran]
    return [f"**Not in this run**: {', '.join(missing)}.", ""] if missing else []


def runners(suite: Suite) -> tuple[str, ...]:
    """Who runs a suite."""
    return ("sequential", *(PARALLEL_RUNNERS if suite.blocks else ()))


def table(counts: Counts, names: tuple[str, ...], group: object) -> list[str]:
    grouped: dict[tuple[str, ...], Counter[str]] = {}
    order = {suite.name: index for index, suite in enumerate(SUITES)}
    for key in sorted(counts, key=lambda key: (order.get(key[0], len(order)), fork_rank(key[1]))):
        grouped.setdefault(group(key), Counter()).update(counts[key])  # type: ignore[operator]
    reasons = [name for name, _ in hansa_kernel.CONFORMANCE_SKIPS]
    lines = [
        "| " + " | ".join((*names, "cases", "passed", "failed", *(f"skipped: {name}" for name in reasons))) + " |",
        "| " + " | ".join(["---"] * (len(names) + 3 + len(reasons))) + " |",
    ]
    for key, entry in grouped.items():
        numbers = [entry["cases"], entry["passed"], entry["failed"], *(entry[f"skipped: {name}"] for name in reasons)]
        lines.append("| " + " | ".join((*key, *(str(number) for number in numbers))) + " |")
    return lines


if __name__ == "__main__":
    main()
