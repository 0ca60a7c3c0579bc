"""Throughput and latency of `hansa up`, side by side with anvil in the same run (`make bench`).

Rounds of all candidates are interleaved, so that a noisy machine hits all alike; the table shows medians.
"""

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
ANVIL = ROOT / "tests" / "integration" / "clients" / "node_modules" / ".bin" / "anvil"
GAS_LIMIT = 60_000_000
MEMBERS = 4
HANSA = [sys.executable, "-m", "hansa.cli.main"]

console = Console()


@dataclass(frozen=True)
class Candidate:
    """A running chain: where to send, and whose CPU to count."""

    name: str
    urls: list[str]
    pids: list[int]
    key: str
    metrics: list[str]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def metrics_urls(folder: Path) -> list[str]:
    """/metrics of every process of a consortium."""
    ports = json.loads((folder / "consortium.json").read_text())["ports"]
    return [
        f"http://127.0.0.1:{port}/metrics"
        for slots in ports.values()
        for slot, port in slots.items()
        if slot.startswith("metrics")
    ]


@contextlib.contextmanager
def consortium(name: str, folder: Path, *options: str) -> Iterator[Candidate]:
    """Four members as `hansa up` starts them, in a folder of its own."""
    data = ["--data", str(folder)]
    subprocess.run(
        [*HANSA, "up", *data, "--members", str(MEMBERS), "--ports", str(12_000 + os.getpid() % 19_000), *options],
        check=True,
    )
    try:
        status = json.loads(subprocess.run([*HANSA, "status", "--json", *data], capture_output=True, check=True).stdout)
        pids = [pid for member in status["members"] for pid in member["pids"].values()]
        urls = [member["rpc_url"] for member in status["members"]]
        yield Candidate(name, urls, pids, status["accounts"][0]["private_key"], metrics_urls(folder))
    finally:
        subprocess.run([*HANSA, "down", *data], check=True)


@contextlib.contextmanager
def anvil() -> Iterator[Candidate]:
    """anvil with a block time of one second, its shortest, and the same gas limit."""
    port = free_port()
    command = [str(ANVIL), "--port", str(port), "--block-time", "1", "--gas-limit", str(GAS_LIMIT), "--silent",
               "--base-fee", "0", "--gas-price", "0", "--order", "fifo"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
                request = urllib.request.Request(url, body, {"content-type": "application/json"})
                urllib.request.urlopen(request, timeout=1).read()
                break
            time.sleep(0.1)
        # anvil's first well-known account
        yield Candidate(
            "anvil", [url], [process.pid], "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", []
        )
    finally:
        process.terminate()
        process.wait(10)


def load(candidate: Candidate, workload: str, rate: str, seconds: int, out: Path) -> dict[str, Any]:
    """One run of the load generator."""
    command = [*HANSA, "bench", "load", "--rpc", ",".join(candidate.urls), "--workload", workload, "--senders", "1000",
               "--rate", rate, "--seconds", str(seconds), "--out", str(out), "--key", candidate.key,
               "--pids", ",".join(map(str, candidate.pids)), "--metrics", ",".join(candidate.metrics)]  # fmt: skip
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def stage_table(runs: dict[tuple[str, str, str], list[dict[str, Any]]]) -> Table:
    """CPU-seconds per 1,000 transactions and member by stage: medians, largest first, and what no stage explains."""
    table = Table(title="CPU s / 1000 tx and member, by stage")
    table.add_column("stage")
    columns = [case for case, found in runs.items() if any(run["cpu_stages_per_1000_tx"] for run in found)]
    medians: dict[str, list[float]] = {}
    for index, (shape, workload, rate) in enumerate(columns):
        table.add_column(f"{shape} {workload} {rate}", justify="right")
        found = [run["cpu_stages_per_1000_tx"] for run in runs[columns[index]]]
        for stage in {stage for run in found for stage in run}:
            row = medians.setdefault(stage, [0.0] * len(columns))
            row[index] = statistics.median(run.get(stage, 0.0) for run in found) / MEMBERS
    for stage, row in sorted(medians.items(), key=lambda entry: (entry[0] == "rest", -max(entry[1]))):
        table.add_row(stage, *(f"{value:.4f}" for value in row))
    return table


def main() -> None:
    """Run all candidates and write `results/compare.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--no-split", action="store_true", help="leave out the split shape")
    parser.add_argument("--no-anvil", action="store_true", help="leave out anvil")
    parser.add_argument("--workloads", default="transfer,erc20")
    arguments = parser.parse_args()

    runs: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    cases = [(workload, "max") for workload in arguments.workloads.split(",")] + [("transfer", "500")]
    for round_number in range(arguments.rounds):
        for shape in ("hansa", "hansa split", "anvil"):
            if (shape == "hansa split" and arguments.no_split) or (
                shape == "anvil" and (arguments.no_anvil or not ANVIL.exists())
            ):
                continue
            for workload, rate in cases:
                with contextlib.ExitStack() as stack:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hansa-bench-")))
                    options = ["--split"] if shape == "hansa split" else []
                    candidate = stack.enter_context(
                        anvil() if shape == "anvil" else consortium(shape, folder / "data", *options)
                    )
                    console.rule(f"round {round_number + 1} of {arguments.rounds}: {shape}, {workload}, {rate} tx/s")
                    found = load(candidate, workload, rate, arguments.seconds, folder / "run.json")
                runs.setdefault((shape, workload, rate), []).append(found)

    table = Table(title=f"medians of {arguments.rounds} runs of {arguments.seconds} s")
    for column in (
        "chain",
        "workload",
        "offered",
        "tx/s",
        "p50 ms",
        "p99 ms",
        "failed",
        "lost",
        "CPU s / 1000 tx",
        "peak RSS MB",
    ):
        table.add_column(column, justify="left" if column in ("chain", "workload") else "right")
    rows = []
    for (shape, workload, rate), found in runs.items():
        middle = lambda *path, found=found: statistics.median(_at(run, path) for run in found)  # noqa: E731
        row = {
            "chain": shape, "workload": workload, "rate": rate, "runs": len(found),
            "tx_per_second": middle("tx_per_second"), "p50_ms": middle("latency_ms", "p50"), "p99_ms": middle("latency_ms", "p99"),
            "failed": sum(run["failed"] for run in found), "lost": sum(run["lost"] for run in found),
            "cpu_seconds_per_1000_tx": middle("cpu_seconds_per_1000_tx"),
            "cpu_stages_per_1000_tx": {
                stage: statistics.median(run["cpu_stages_per_1000_tx"].get(stage, 0.0) for run in found)
                for stage in found[0]["cpu_stages_per_1000_tx"]
            },
            "peak_rss_bytes": middle("peak_rss_bytes"),
        }  # fmt: skip
        rows.append(row)
        table.add_row(shape, workload, rate, f"{row['tx_per_second']:.0f}", f"{row['p50_ms']:.0f}", f"{row['p99_ms']:.0f}",
                      str(row["failed"]), str(row["lost"]), f"{row['cpu_seconds_per_1000_tx']:.2f}",
                      f"{row['peak_rss_bytes'] / 1e6:.0f}")  # fmt: skip
    console.print(table)
    console.print(stage_table(runs))
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (RESULTS / "compare.json").write_text(
        json.dumps(
            {
                "machine": {
                    "cores": os.cpu_count(),
                    "architecture": platform.machine(),
                    "python": platform.python_version(),
                },
                "commit": commit.stdout.strip(),
                "date": time.strftime("%Y-%m-%d"),
                "medians": rows,
                "runs": [{"chain": s, "workload": w, "rate": r, "results": found} for (s, w, r), found in runs.items()],
            },
            indent=2,
        )
        + "\n"
    )


def _at(run: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = run
    for key in path:
        value = value[key]
    return float(value or 0)


if __name__ == "__main__":
    main()
