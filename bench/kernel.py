"""The kernel beside bare revm (`make bench-kernel`): runs `kernel/benches/kernel`, shows its figures and draws them.

Everything that is compared runs in turns inside one process; figures are medians over the turns, ratios are medians of
the ratios within each turn. `--binary` takes a benchmark that is built already. Nothing is asserted: machines differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
CARGO = ["cargo", "bench", "--profile", "kernel-dev", "--bench", "kernel", "--"]
LINES = 110
"""Figures of a whole run, for the progress."""

PARTS = {
    "execute": "execution, against bare revm",
    "threads": "execution on two threads, against our own on one",
    "block": "decoded transactions to receipts, write set and access list",
    "recover": "senders of raw transactions",
    "whole": "raw bytes to the state root, among a million accounts",
    "root": "root after a block, by size of the state",
}
COLUMNS = ("case", "who", "threads", "median", "fastest", "", "ratio", "target")

console = Console(width=None if sys.stdout.isatty() else 150)


def run(command: list[str], path: Path) -> dict[str, Any]:
    """The report of one run."""
    columns = [
        SpinnerColumn(),
        *Progress.get_default_columns()[1:3],
        TimeElapsedColumn(),
        TextColumn("{task.fields[at]}"),
    ]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=LINES, at="")
        with subprocess.Popen(
            [*command, "--json", str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT / "kernel"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                progress.update(task, advance=1, at=" ".join(line.split()[:2]))
        if process.returncode:
            sys.exit(process.returncode)
    return dict(json.loads(path.read_text()))


def show(figures: list[dict[str, Any]]) -> None:
    """A table for each part."""
    for part, title in PARTS.items():
        rows = [figure for figure in figures if figure["part"] == part]
        if not rows:
            continue
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in ("case", "who", "") else "right")
        for before, row in zip([None, *rows], rows, strict=False):
            if before and before["case"] != row["case"]:
                table.add_section()
            colour = {True: "green", False: "red", None: ""}[row["reached"]]
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} x {row['of']}"
            median = f"{row['median']:,.2f}"
            table.add_row(
                row["case"],
                row["who"],
                str(row["threads"]),
                f"[{colour}]{median}[/]" if colour and not ratio else median,
                f"{row['fastest']:,.2f}",
                row["unit"],
                f"[{colour}]{ratio}[/]" if colour else ratio,
                f"[{colour}]{row['target']}[/]" if colour else row["target"],
            )
        console.print(table)
    aims = [figure for figure in figures if figure["reached"] is not None]
    reached = sum(figure["reached"] for figure in aims)
    console.print(f"{reached} of {len(aims)} targets reached on this machine")


def draw(report: dict[str, Any], path: Path) -> None:
    """Every figure that has a target, as a share of it: 1 or more reaches it."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "hansa"
    from matplotlib import pyplot

    aims = [figure for figure in report["figures"] if figure["reached"] is not None][::-1]
    shares, labels = [], []
    for figure in aims:
        sign, target = figure["target"].split()
        value = figure["median"] if figure["ratio"] is None else figure["ratio"]
        shares.append(value / float(target) if sign == ">=" else float(target) / value)
        shown = f"{value:,.0f} {figure['unit']}" if value >= 1_000 else f"{value:.2f}"
        shown += f" x {figure['of']}" if figure["ratio"] is not None else "" if value >= 1_000 else f" {figure['unit']}"
        labels.append(f"{figure['part']}: {figure['case']}, {figure['who']}\n{shown} ({figure['target']})")
    figure, axes = pyplot.subplots(figsize=(11, 0.55 * len(aims) + 1.2))
    axes.barh(range(len(aims)), shares, color=["#2a9d8f" if share >= 1 else "#e76f51" for share in shares])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(aims)), labels, fontsize=7)
    axes.set_xlabel("share of the target (1: reached)")
    machine = report["machine"]
    axes.set_title(
        f"kernel, {machine['cores']} cores ({machine['architecture']}), medians of {report['rounds']} rounds",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", help="a built benchmark, instead of cargo")
    parser.add_argument("--runs", type=int, default=15, help="rounds, at least 7")
    parser.add_argument("--count", type=int, default=1_000, help="transactions of a block")
    parser.add_argument("--out", type=Path, default=RESULTS / "kernel.json")
    arguments = parser.parse_args()
    command = [str(Path(arguments.binary).resolve())] if arguments.binary else CARGO
    out = arguments.out.resolve()
    report = run([*command, "--runs", str(arguments.runs), "--count", str(arguments.count)], out)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    report["commit"] = commit.stdout.strip()
    out.write_text(json.dumps(report, indent=1) + "\n")
    show(report["figures"])
    draw(report, out.with_suffix(".svg"))
    console.print(f"written to {out} and {out.with_suffix('.svg').name}")


if __name__ == "__main__":
    main()
