"""`bench load`: offers transactions to any Ethereum node and measures what becomes of them."""

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import output
from hansa.cli.output import usage

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure a node."""


@app.command()
def load(
    rpc: Annotated[str, typer.Option("--rpc", help="JSON-RPC URLs, separated by commas.")],
    workload: Annotated[str, typer.Option(help="transfer, erc20 or mixed.")] = "transfer",
    senders: Annotated[int, typer.Option(min=1, max=50_000, help="Sending accounts, each bound to one URL.")] = 1_000,
    recipients: Annotated[int, typer.Option(min=1, max=100_000, help="Receiving accounts.")] = 10_000,
    rate: Annotated[str, typer.Option(help="Transactions per second, or max.")] = "max",
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="How long to offer load.")] = 30.0,
    batch: Annotated[int, typer.Option(min=1, max=1_000, help="Transactions per request.")] = 100,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON, and a plot beside it.")] = None,
    funder: Annotated[
        str, typer.Option("--funder", "--key", help="Pays for all: 0 to 9 (test account) or a private key.")
    ] = "0",
    pids: Annotated[
        str, typer.Option(help="Processes to measure with their children, by commas; PID or NAME=PID.")
    ] = "",
    metrics: Annotated[str, typer.Option(help="/metrics URLs of Hansa processes, separated by commas.")] = "",
    data_dirs: Annotated[str, typer.Option(help="Folders whose growth is measured, separated by commas.")] = "",
    in_flight: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="With --rate max: uncommitted transactions at most.")
    ] = 20_000,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Sign in advance, send, follow blocks, check balances, and report throughput and latency."""
    import asyncio

    from hansa.bench.report import plot, summary
    from hansa.bench.run import Load, run_load
    from hansa.cli.target import secret_key

    if workload not in ("transfer", "erc20", "mixed"):
        raise usage(f"--workload is transfer, erc20 or mixed, not {workload!r}")
    if rate != "max" and not _is_number(rate):
        raise usage(f"--rate is a number above 0, or max, not {rate!r}")
    urls = [url.strip() for url in rpc.split(",") if url.strip()]
    if not urls:
        raise usage("--rpc names no URL")
    load_ = Load(
        urls=urls,
        workload=workload,
        senders=senders,
        recipients=recipients,
        rate=None if rate == "max" else float(rate),
        seconds=seconds,
        batch=batch,
        funder=secret_key(funder, None, None, chain_id=0),
        pids=_pids(pids),
        metrics=[url for url in metrics.split(",") if url],
        data_dirs=[Path(path) for path in data_dirs.split(",") if path],
        in_flight_max=in_flight,
    )
    result = asyncio.run(run_load(load_, (lambda _: None) if quiet else output.warn))
    report = summary(result)
    output.as_json(report)
    if out is not None:
        import orjson

        out.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        note = plot(result, out.with_suffix(".png"))
        output.warn(note)
    if report["lost"]:
        output.warn(f"✗ {report['lost']} accepted transactions were not committed")
        raise typer.Exit(1)
    if not report["balances_right"]:
        output.warn("✗ balances at the end are not what was sent")
        raise typer.Exit(1)


def _is_number(text: str) -> bool:
    try:
        return 0 < float(text) < 1e7
    except ValueError:
        return False


def _pids(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, number = part.rpartition("=")
        if not number.isdigit():
            raise usage(f"--pids takes PID or NAME=PID, not {part!r}")
        found[name or number] = int(number)
    return found
