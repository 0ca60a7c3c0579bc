"""Makes `docs/internals/wish-list-figures.md` and its plots from `results/`: the wish list's figures beside ours.

`make bench-figures` measures (`wish_list.py`) and makes the page; end-to-end figures are those of the last `make bench`.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "internals" / "wish-list-figures.md"
PLOTS = PAGE.parent / "figures"

READ_SECONDS = 100e-6  # a state read of the wish list
DEPTHS = {"one read at a time": 1, "32 at once": 32, "all of a round at once": None}
WISHED_TX = (1_000, 2_000)  # per second and node
WISHED_ROOTS_MS = (28.5, 45.7)  # root per transaction, root per block
WISHED_GAS = 50_000  # of a transaction
OURS, WISHED, OTHER = "#1f6f8b", "#d9a441", "#8a8a8a"


def loaded(name: str) -> dict[str, Any]:
    """A result file; empty where it was not measured."""
    path = RESULTS / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def reads(mode: dict[str, Any], depth: int | None) -> tuple[float, float]:
    """(seconds, reads per second) of a block whose reads take `READ_SECONDS`, `depth` of them at once."""
    waits = mode["rounds"] if depth is None else math.ceil(mode["keys"] / depth) + mode["rounds"] - 1
    seconds = mode["seconds"] + waits * READ_SECONDS
    return seconds, mode["keys"] / seconds


class Figures:
    """The results by what they show."""

    def __init__(self) -> None:
        self.wish = loaded("wish_list.json")
        self.compare = loaded("compare.json")
        self.kernel = loaded("kernel.json")
        if not self.wish or not self.compare:
            sys.exit("bench/results lacks wish_list.json or compare.json: run `make bench` and `make bench-figures`")
        self.threads: dict[str, Any] = self.wish["threads"]
        self.count: int = self.wish["transactions"]
        self.most = max(self.threads, key=int)

    def throughput(self) -> list[tuple[str, float, float]]:
        """(name, transactions per second, median latency ms) at full load."""
        return [
            (f"{row['chain']}, {row['workload']}", row["tx_per_second"], row["p50_ms"])
            for row in self.compare["medians"]
            if row["rate"] == "max"
        ]

    def roots(self, threads: str) -> tuple[float, float]:
        """Milliseconds of a block of transfers: a root after each transaction, and one for the block."""
        found = self.threads[threads]["roots"]
        each = found["execute_each_ms"] + found["root_per_transaction_ms"]
        return each, found["execute_block_ms"] + found["root_per_block_ms"]

    def gas(self, threads: str) -> tuple[float, float]:
        """(Mgas, transactions) per second of token transfers."""
        tokens = self.threads[threads]["tokens"]
        rate = self.count / tokens["hinted"]["seconds"]
        return rate * tokens["gas_per_transaction"] / 1e6, rate

    def signatures(self, threads: str) -> dict[str, float]:
        """Signatures checked per second by scheme."""
        found: dict[str, float] = self.threads[threads]["signatures"]
        return found


def bars(axes: Any, title: str, names: list[str], values: list[float], colours: list[str], unit: str) -> None:
    """One panel of horizontal bars with their values."""
    axes.barh(names, values, color=colours)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:,.0f}" if value >= 100 else f" {value:.1f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def plot(figures: Figures, name: str, draw: Any, height: float) -> None:
    """Draw one panel into an SVG file, the same bytes for the same results."""
    with plt.rc_context({"svg.hashsalt": "hansa", "svg.fonttype": "none"}):
        canvas, axes = plt.subplots(figsize=(7, height), layout="constrained")
        draw(axes, figures)
        PLOTS.mkdir(exist_ok=True)
        canvas.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
        plt.close(canvas)
    text = (PLOTS / f"{name}.svg").read_text()
    (PLOTS / f"{name}.svg").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def draw_throughput(axes: Any, figures: Figures) -> None:
    """Transactions per second beside the wished band."""
    rows = figures.throughput()
    colours = [OTHER if name.startswith("anvil") else OURS for name, _, _ in rows]
    bars(axes, "end to end", [row[0] for row in rows], [row[1] for row in rows], colours, "transactions per second")
    axes.axvspan(*WISHED_TX, color=WISHED, alpha=0.35, zorder=0)


def draw_roots(axes: Any, figures: Figures) -> None:
    """Blocks with a root per transaction and with one root."""
    names = ["wish list, per transaction", "wish list, per block"]
    values, colours = list(WISHED_ROOTS_MS), [WISHED, WISHED]
    for threads in figures.threads:
        each, once = figures.roots(threads)
        names += [f"ours, per transaction, threads: {threads}", f"ours, per block, threads: {threads}"]
        values += [each, once]
        colours += [OURS, OURS]
    bars(axes, f"root per transaction and per block, {figures.count:,} transfers", names, values, colours, "ms")


def draw_reads(axes: Any, figures: Figures) -> None:
    """State reads per second by how many the storage does at once."""
    tokens = figures.threads[figures.most]["tokens"]
    names, values = ["wish list, one after the other"], [1 / READ_SECONDS]
    for text, depth in DEPTHS.items():
        for mode in ("unhinted", "hinted"):
            names.append(f"{mode} block, {text}")
            values.append(reads(tokens[mode], depth)[1])
    bars(axes, "state reads at 100 µs each", names, values, [WISHED] + [OURS] * (len(names) - 1), "reads per second")


def draw_signatures(axes: Any, figures: Figures) -> None:
    """Signatures per second by scheme."""
    found = figures.signatures(figures.most)
    names = list(found)
    bars(axes, f"signatures, threads: {figures.most}", names, list(found.values()), [OURS] * len(names), "per second")


def draw_gas(axes: Any, figures: Figures) -> None:
    """Gas per second beside what the wished transactions per second come to."""
    names = [f"ours, threads: {threads}" for threads in figures.threads]
    values = [figures.gas(threads)[0] for threads in figures.threads]
    names.insert(0, f"wish list, {WISHED_TX[1]:,} tx/s")
    values.insert(0, WISHED_TX[1] * WISHED_GAS / 1e6)
    bars(axes, "execution of token transfers", names, values, [WISHED] + [OURS] * (len(names) - 1), "Mgas per second")


def beside_revm(kernel: dict[str, Any]) -> str:
    """The figures of `make bench-kernel` that have a target; nothing where it has not run."""
    rows = [
        [
            f"{figure['part']}: {figure['case']}",
            str(figure["who"]),
            str(figure["threads"]),
            f"{figure['median']:,.2f} {figure['unit']}",
            "" if figure["ratio"] is None else f"{figure['ratio']:.2f} x {figure['of']}",
            str(figure["target"]),
        ]
        for figure in kernel.get("figures", [])
        if figure["reached"] is not None
    ]
    if not rows:
        return ""
    found = table(["what", "who", "threads", "median", "ratio", "target"], rows)
    return f"""
## Beside bare revm

By `make bench-kernel`, commit {kernel["commit"]}: [more of it](../../bench/README.md).

{found}
"""


def page(figures: Figures) -> str:
    """The whole page."""
    machine, most = figures.wish["machine"], figures.most
    each, once = figures.roots(most)
    mgas, rate = figures.gas(most)
    tokens = figures.threads[most]["tokens"]
    low, high = (wished * WISHED_GAS / 1e6 for wished in WISHED_TX)
    best = {name: value for name, value, _ in figures.throughput() if name.startswith("hansa,")}
    summary = table(
        ["figure", "wish list", "ours"],
        [
            [
                "transactions per second and node, end to end",
                f"{WISHED_TX[0]:,} to {WISHED_TX[1]:,}",
                "; ".join(f"{value:,.0f} ({name.removeprefix('hansa, ')})" for name, value in best.items()),
            ],
            [
                "block with a root per transaction against one root",
                " against ".join(f"{value} ms" for value in WISHED_ROOTS_MS),
                f"{each:.1f} ms against {once:.1f} ms ({figures.count:,} transfers)",
            ],
            [
                "state reads per second at 100 µs each",
                f"{1 / READ_SECONDS:,.0f} one after the other",
                f"{reads(tokens['hinted'], 32)[1]:,.0f} with 32 at once (hinted block)",
            ],
            [
                "signatures per second",
                "one per transaction",
                f"{figures.signatures(most)['secp256k1']:,.0f} (secp256k1)",
            ],
            [
                f"gas per second at {WISHED_GAS:,} gas a transaction",
                f"{low:,.0f} to {high:,.0f} Mgas",
                f"{mgas:,.0f} Mgas ({rate:,.0f} transactions of {tokens['gas_per_transaction']:,.0f} gas)",
            ],
        ],
    )
    throughput = table(
        ["chain, workload", "tx/s", "p50 latency at full load, ms"],
        [[name, f"{value:,.0f}", f"{latency:,.0f}"] for name, value, latency in figures.throughput()],
    )
    roots = table(
        ["threads", "execution, ms", "one root, ms", "execution one by one, ms", "root after each, ms", "ratio"],
        [
            [
                threads,
                *(
                    f"{entry['roots'][key]:.1f}"
                    for key in (
                        "execute_block_ms",
                        "root_per_block_ms",
                        "execute_each_ms",
                        "root_per_transaction_ms",
                    )
                ),
                f"{figures.roots(threads)[0] / figures.roots(threads)[1]:.1f}",
            ]
            for threads, entry in figures.threads.items()
        ],
    )
    read_rows = []
    for mode in ("unhinted", "hinted"):
        for text, depth in DEPTHS.items():
            seconds, rate_of_reads = reads(tokens[mode], depth)
            read_rows.append(
                [mode, str(tokens[mode]["rounds"]), text, f"{1_000 * seconds:.1f}", f"{rate_of_reads:,.0f}"]
            )
    reads_table = table(["block", "rounds", "storage does", "block, ms", "reads/s"], read_rows)
    signatures = table(
        ["scheme", *(f"threads: {threads}" for threads in figures.threads)],
        [
            [name, *(f"{figures.signatures(threads)[name]:,.0f}" for threads in figures.threads)]
            for name in figures.signatures(most)
        ],
    )
    gas = table(
        ["threads", "Mgas/s", "tx/s"],
        [[threads, *(f"{value:,.0f}" for value in figures.gas(threads))] for threads in figures.threads],
    )
    return f"""# The wish list's figures beside ours

Made by `make bench-figures` (`bench/wish_list.py`, `bench/figures.py`) on {machine["cores"]} cores
({machine["architecture"]}), commit {figures.wish["commit"]}, {figures.wish["date"]}; end-to-end figures by `make bench`,
commit {figures.compare["commit"]}, {figures.compare["date"]}. Timings are noisy: no test asserts one. Kernel figures are
medians of time inside the kernel on {most} threads where nothing else is said.

{summary}

## Transactions per second

Four members with everything they run, and the load generator, share the cores; each member executes every transaction, so
the consortium's figure is that of each node. anvil is one process without consensus, in the same run.

{throughput}

![transactions per second](figures/throughput.svg)

## Root per transaction, root per block

Ethereum had a state root in every receipt until Byzantium (EIP-658 took it out). A block of {figures.count:,} transfers
between different accounts, in a state of {figures.wish["accounts"]:,} accounts in memory: executed as one block with one
root, and transaction by transaction with a root after each. The list gives no workload for its two figures, so only the
ratio says something: one root per block shares the upper nodes of the tree between all transactions, is hashed in
parallel, and is what lets transactions run in parallel at all.

{roots}

![roots](figures/roots.svg)

## State reads

A block of {figures.count:,} token transfers to new holders, nothing cached. The kernel asks for all it lacks in rounds; a
round's reads wait for the storage together. Time of a block: measured time inside the kernel, and 100 µs for each wait,
by how many reads the storage does at once. A hinted block comes with its access list.

{reads_table}

![reads](figures/reads.svg)

## Signatures

Decoding of a transaction included, with recovery of the sender (secp256k1) or the check of the account signature
([schemes](account-schemes.md)). A block of {WISHED_TX[1]:,} transactions a second takes
{100 * WISHED_TX[1] / figures.signatures(most)["secp256k1"]:.0f} % of this for secp256k1.

{signatures}

![signatures](figures/signatures.svg)

## Gas per second

The same token transfers, {tokens["gas_per_transaction"]:,.0f} gas each, hinted: from decoded transactions to receipts, their
root, bloom and write set, without the state root. {WISHED_TX[0]:,} to {WISHED_TX[1]:,} transactions of {WISHED_GAS:,} gas
would be {low:,.0f} to {high:,.0f} Mgas/s. How far that is from bare revm: `make bench-kernel`. The slowest instructions stand in
[denial of service](denial-of-service.md).

{gas}

![gas](figures/gas.svg)
{beside_revm(figures.kernel)}"""


def main() -> None:
    """Write page and plots."""
    figures = Figures()
    plot(figures, "throughput", draw_throughput, 2.4)
    plot(figures, "roots", draw_roots, 2.6)
    plot(figures, "reads", draw_reads, 3.0)
    plot(figures, "signatures", draw_signatures, 2.4)
    plot(figures, "gas", draw_gas, 1.8)
    PAGE.write_text(page(figures))


if __name__ == "__main__":
    main()
