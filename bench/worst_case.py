"""Every opcode, precompile and recorded attack in its worst form: gas per second in the kernel (`make bench-worst-case`).

A case is a block whose transactions do one thing until their gas is gone (`hansa.worst`). It runs in order on one thread,
with the list of what it reads, as a validator runs it; time is that of the kernel, root included, without reading from
disk (`--read-us` adds so much for each key). `builder ms` is what it costs whoever has no such list and tries to put it
into a block. Results go to `results/worst_case.json` and `.svg`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import hansa_kernel
from hansa.worst import attacks, case, measure, opcodes, precompiles, rules
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
ROUNDS_MAX = 64  # of a block that is built or verified, as services run them
BUILDER_READS = 200  # from which the rounds of a builder are worth a look
BAR = 40
GROUPS = ("opcode", "precompile", "attack")
SLOW = ((20.0, "red"), (60.0, "yellow"), (float("inf"), "green"))  # Mgas/s

WIDTH = 150  # of the table where there is no terminal

console = Console(width=None if sys.stdout.isatty() else WIDTH)


@dataclass(frozen=True)
class Row:
    """Medians of one case."""

    name: str
    group: str
    rules: str
    mgas_per_second: float
    gas: int
    execution_ms: float
    root_ms: float
    reads: int
    builder_ms: float | None  # None where it reads little
    built: bool | None  # whether the builder could include it


def all_cases(under: str, gas: int, groups: list[str]) -> list[case.Case]:
    """Cases that mean something under those rules. Opcodes and precompiles are those of the oldest or newest."""
    place = rules.RULES.index(under)
    old = place < rules.RULES.index("eip150")
    new = place >= rules.RULES.index("osaka")
    found: list[case.Case] = []
    if "opcode" in groups and (old or new):
        found += opcodes.cases(gas, old=old)
    if "precompile" in groups and (old or new):
        found += precompiles.cases(gas, old=old)
    if "attack" in groups:
        found += attacks.cases(under)
    return found


def measured(one: case.Case, under: str, spec: hansa_kernel.Spec, arguments: argparse.Namespace) -> Row:
    """The case's row: the first run warms up tables and allocators."""
    hinted = measure.hints(one)
    measure.run(one, spec, hinted=hinted)
    runs = [measure.run(one, spec, hinted=hinted) for _ in range(arguments.runs)]
    seconds = statistics.median(run.seconds + run.reads * arguments.read_us / 1e6 for run in runs)
    builder_ms, built = None, None
    if arguments.builder and runs[0].reads >= BUILDER_READS:
        tried = measure.run(one, spec, building=True, rounds_max=ROUNDS_MAX)
        builder_ms, built = tried.execution_s * 1e3, bool(tried.result.included)
    return Row(
        one.name, one.group, under, runs[0].gas / seconds / 1e6, runs[0].gas,
        statistics.median(run.execution_s for run in runs) * 1e3, statistics.median(run.root_s for run in runs) * 1e3,
        runs[0].reads, builder_ms, built,
    )  # fmt: skip


def show(rows: list[Row], title: str) -> None:
    """The table, slowest first."""
    table = Table(title=title)
    for column in ("case", "kind", "rules"):
        table.add_column(column)
    for column in ("Mgas/s", "Mgas", "ms", "root ms", "reads", "builder ms"):
        table.add_column(column, justify="right")
    table.add_column("time per gas, of the slowest")
    slowest = rows[0].mgas_per_second
    for row in rows:
        colour = next(colour for limit, colour in SLOW if row.mgas_per_second < limit)
        builder = "" if row.builder_ms is None else f"{row.builder_ms:.0f}" + ("" if row.built else ", left out")
        bar = "█" * max(1, round(BAR * slowest / row.mgas_per_second))
        table.add_row(
            row.name, row.group, row.rules, f"[{colour}]{row.mgas_per_second:.1f}", f"{row.gas / 1e6:.2f}",
            f"{row.execution_ms:.1f}", f"{row.root_ms:.1f}", str(row.reads), builder, f"[{colour}]{bar}",
        )  # fmt: skip
    console.print(table)


def plot(rows: list[Row], title: str) -> str:
    """Nanoseconds per gas as bars, an SVG."""
    height, left, width = 14, 260, 560
    worst = 1e3 / rows[0].mgas_per_second
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height * (len(rows) + 3)}"'
        ' font-family="sans-serif" font-size="11">',
        f'<text x="4" y="16" font-size="13">{escape(title)}: nanoseconds per gas (Mgas/s)</text>',
    ]
    for place, row in enumerate(rows):
        y, cost = height * (place + 2), 1e3 / row.mgas_per_second
        colour = {"opcode": "#4477aa", "precompile": "#cc6677", "attack": "#ddaa33"}[row.group]
        label = f"{row.name}, {row.rules}" if row.group == "attack" else row.name
        out.append(f'<text x="{left - 6}" y="{y + 10}" text-anchor="end">{escape(label)}</text>')
        out.append(
            f'<rect x="{left}" y="{y}" width="{width * cost / worst:.1f}" height="{height - 3}" fill="{colour}"/>'
        )
        text = f"{cost:.1f} ({row.mgas_per_second:.0f})"
        out.append(f'<text x="{left + width * cost / worst + 4:.1f}" y="{y + 10}">{text}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def machine() -> dict[str, object]:
    """What ran it."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {"cores": os.cpu_count(), "processor": model, "python": platform.python_version()}


def main() -> None:
    """Run all cases, print them and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", default="osaka,homestead", help=f"of {', '.join(rules.RULES)}")
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--gas", type=int, default=3_000_000, help="of one run of an opcode or precompile")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--read-us", type=float, default=0.0, help="microseconds to add for each key that is read")
    parser.add_argument("--state-read-percent", type=int, default=100, help="the chain's price of reads")
    parser.add_argument("--state-growth-percent", type=int, default=100, help="the chain's price of growth")
    parser.add_argument("--no-builder", dest="builder", action="store_false")
    parser.add_argument("--out", type=Path, default=RESULTS / "worst_case.json")
    arguments = parser.parse_args()
    hansa_kernel.configure(1)

    prices = {
        "stateReadPercent": arguments.state_read_percent,
        "stateGrowthPercent": arguments.state_growth_percent,
    }
    found = [
        (under, one)
        for under in arguments.rules.split(",")
        for one in all_cases(under, arguments.gas, arguments.groups.split(","))
        if arguments.only in one.name
    ]
    specs = {under: rules.chain(under, {"gas": prices}) for under in arguments.rules.split(",")}
    rows = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(found))
        for under, one in found:
            progress.update(task, description=f"{one.name} ({under})")
            rows.append(measured(one, under, specs[under], arguments))
            progress.advance(task)
    rows.sort(key=lambda row: row.mgas_per_second)

    title = f"worst cases, {arguments.rules}, reads at {prices['stateReadPercent']} %, growth at {prices['stateGrowthPercent']} %"
    show(rows, title)
    slowest = rows[0]
    console.print(
        f"slowest: {slowest.name} with {slowest.mgas_per_second:.1f} Mgas/s, so a block of "
        f"{slowest.mgas_per_second:.1f} Mgas takes a second"
    )
    arguments.out.parent.mkdir(exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    report = {
        "machine": machine(), "commit": commit.stdout.strip(), "date": time.strftime("%Y-%m-%d"), "prices": prices,
        "read_us": arguments.read_us, "runs": arguments.runs, "cases": [asdict(row) for row in rows],
    }  # fmt: skip
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    arguments.out.with_suffix(".svg").write_text(plot(rows, title))
    console.print(f"written: {arguments.out} and {arguments.out.with_suffix('.svg').name}")


if __name__ == "__main__":
    main()
