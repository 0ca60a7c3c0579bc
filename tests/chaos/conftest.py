"""Consortia to break, and the table that a full run writes."""

import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consortium import UP_SECONDS_MAX, Consortium, kill, running, wait_for
from support.links import Links
from support.recovery import results

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("HANSA_CHAOS_ROUNDS", "1"))
REPORT_ROUNDS_MIN = 10
"""A run with fewer rounds says too little to be published."""

REPORT = ROOT / "docs" / "internals" / "reliability.md"
BEGIN, END = "<!-- chaos table: written by make chaos -->", "<!-- end of chaos table -->"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_number" in metafunc.fixturenames:
        metafunc.parametrize("round_number", range(ROUNDS))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Four members of one process each."""
    with running(tmp_path_factory.mktemp("whole"), "--members", "4", "--engine", "pbft") as started:
        yield started


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Four members of five processes each, two executors for the first."""
    options = ("--members", "4", "--engine", "pbft", "--split", "--executors", "2")
    with running(tmp_path_factory.mktemp("split"), *options) as started:
        yield started


@pytest.fixture(scope="session")
def linked(whole: Consortium) -> Iterator[tuple[Consortium, Links]]:
    """The same members, from now on connected through proxies of the test."""
    members = whole.members()
    chain = json.loads((whole.folder / "chain.json").read_text())
    endpoints = {entry["name"]: entry["endpoint"].rsplit(":", 1) for entry in chain["config"]["hansa"]["validators"]}
    links = Links([(endpoints[member.name][0], int(endpoints[member.name][1])) for member in members])
    for source, member in enumerate(members):
        lines = [
            f'{other.name} = "127.0.0.1:{links.links[source, target].listening}"\n'
            for target, other in enumerate(members)
            if target != source
        ]
        path = whole.folder / member.name / "config.toml"
        text, count = re.subn(
            r"(?ms)^\[p2p\.endpoints\]\n.*?\n$", "[p2p.endpoints]\n" + "".join(lines), path.read_text()
        )
        assert count == 1, f"no endpoints of members in {path}"
        path.write_text(text)
    # The supervisor starts them again with what stands there now; `hansa up` would write the files anew.
    for member in members:
        kill(member.pids["node"])
    try:
        wait_for("members are back behind the proxies", links.connected, UP_SECONDS_MAX)
        yield whole, links
    finally:
        links.heal()
        links.close()


def _median_and_worst(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} | {max(seconds):.1f}" if seconds else " | "


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures, of few rounds too."""
    for fault, runs in results.items():
        times = ", ".join("failed" if one is None else f"{one.next_commit:.1f}/{one.all_follow:.1f} s" for one in runs)
        terminalreporter.write_line(f"{fault}: next commit/all follow {times}")


def pytest_sessionfinish() -> None:
    """Write the table of a full run; rows of faults that were not part of it stay."""
    if ROUNDS < REPORT_ROUNDS_MIN or not results:
        return
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    where = f"{commit.stdout.strip()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    text = REPORT.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    rows = {
        line.split(" | ")[0].removeprefix("| "): line
        for line in text[len(before) : len(text) - len(after)].splitlines()
        if line.startswith("| ") and not line.startswith(("| fault", "| ---"))
    }
    for fault, runs in results.items():
        good = [recovery for recovery in runs if recovery is not None]
        commits, follows = ([getattr(one, name) for one in good] for name in ("next_commit", "all_follow"))
        cells = [str(len(runs)), str(len(good)), _median_and_worst(commits), _median_and_worst(follows), where]
        rows[fault] = f"| {fault} | {' | '.join(cells)} |"
    head = [
        "| fault | runs | passed | next commit, median s | worst s | all members follow, median s | worst s | commit, machine |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    intro = "Seconds count from the end of the fault, under load."
    block = "\n".join([BEGIN, "", intro, "", *head, *rows.values(), "", END])
    REPORT.write_text(before + block + after)
