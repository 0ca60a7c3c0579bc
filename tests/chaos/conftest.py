"""Consortia to break, and the table that a full run writes."""

import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consortium import Consortium, free_port_base, running
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
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Consortium, Links]]:
    """Four members whose connections run through proxies of the test."""
    folder = tmp_path_factory.mktemp("linked")
    consortium = Consortium(folder, "--ports", str(free_port_base()), "--members", "4", "--engine", "pbft")
    consortium.up()
    consortium.down()
    names = [validator["name"] for validator in _chain(consortium)]
    targets = [_endpoint(consortium, name) for name in names]
    links = Links(targets)
    for source, name in enumerate(names):
        path = folder / name / "config.toml"
        pairs = ", ".join(
            f'{other} = "127.0.0.1:{links.links[source, target].listening}"'
            for target, other in enumerate(names)
            if target != source
        )
        text = re.sub(r"(?ms)^\[p2p\.endpoints\].*?(?=^\[|\Z)", "", path.read_text())
        text = re.sub(r"(?m)^endpoints\s*=.*\n", "", text)
        path.write_text(text.replace("[p2p]\n", f"[p2p]\nendpoints = {{ {pairs} }}\n", 1))
    consortium.up()
    try:
        yield consortium, links
    finally:
        links.heal()
        consortium.down()
        links.close()


def _chain(consortium: Consortium) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((consortium.folder / "chain.json").read_text())["config"]["hansa"][
        "validators"
    ]
    return found


def _endpoint(consortium: Consortium, name: str) -> tuple[str, int]:
    host, port = next(entry["endpoint"] for entry in _chain(consortium) if entry["name"] == name).rsplit(":", 1)
    return host, int(port)


def pytest_sessionfinish() -> None:
    """Write the table of a full run."""
    if ROUNDS < REPORT_ROUNDS_MIN or not results:
        return
    rows = ["| fault | runs | passed | median recovery, s | worst, s |", "| --- | --- | --- | --- | --- |"]
    for fault, runs in results.items():
        good = [seconds for seconds in runs if seconds is not None]
        median, worst = (f"{statistics.median(good):.1f}", f"{max(good):.1f}") if good else ("", "")
        rows.append(f"| {fault} | {len(runs)} | {len(good)} | {median} | {worst} |")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    where = f"{os.cpu_count()} cores, {platform.machine()}, commit {commit.stdout.strip()}, {time.strftime('%Y-%m-%d')}"
    block = "\n".join(
        [BEGIN, "", f"Recovery is the time from the end of the fault to the next commit ({where}).", "", *rows, "", END]
    )
    text = REPORT.read_text()
    REPORT.write_text(text[: text.index(BEGIN)] + block + text[text.index(END) + len(END) :])
