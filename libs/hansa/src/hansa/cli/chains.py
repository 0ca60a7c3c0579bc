"""`import`, `export`, `serve`: blocks of public chains, from files, to files and to clients."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, usage

app = typer.Typer()

T = TypeVar("T")

ChainSpecFile = Annotated[
    Path, typer.Option("--chain-spec", help="Genesis file of the chain (geth's).", exists=True, dir_okay=False)
]
DataDir = Annotated[Path, typer.Option("--data-dir", help="Folder of the chain's data; made when it is not there.")]


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="File of blocks (RLP, packed with gzip or not; era1), or folder of them.")
    ],
    chain_spec: ChainSpecFile,
    data_dir: DataDir = Path("chain-data"),
    json: AsJson = False,
) -> None:
    """Run the blocks of a public chain and keep them; every root is verified, seals are not checked.

    A file that is truncated or holds another chain is refused before anything is written. Behind an invalid block what
    came before stays; running the command again goes on from there.
    """
    from hansa.chainfiles import open_chain_files
    from hansa.chainspec import load_chain_spec
    from hansa.config import LogSettings
    from hansa.replay import Imported, Importer, Progress, open_ledger
    from hansa.replay.blocks import check_first
    from hansa.telemetry import setup_logging

    setup_logging(LogSettings(level="error"))
    chain = load_chain_spec(chain_spec)
    files = open_chain_files(source)
    for file in files:
        check_first(file, chain.genesis_hash)  # before the data folder is made

    def report(progress: Progress) -> None:
        if not json:
            output.plain(
                f"  block {progress.number} of {progress.last}: {_rate(progress.blocks, progress.seconds)} blocks/s, "
                f"{_rate(progress.gas / 1e6, progress.seconds)} Mgas/s"
            )

    async def run() -> Imported:
        async with open_ledger(chain, data_dir, chain_spec) as ledger:
            return await Importer(ledger, report).run(files)

    if not json:
        output.plain(
            f"chain id {chain.chain_id}, genesis 0x{chain.genesis_hash.hex()}; seals not checked "
            "(Ethash, signers, beacon votes); every root is"
        )
    done = _run(run())
    if json:
        output.as_json(
            {
                "blocks": done.blocks,
                "skipped": done.skipped,
                "transactions": done.transactions,
                "gas": done.gas,
                "seconds": round(done.seconds, 3),
                "head": {"number": done.head_number, "hash": "0x" + done.head_hash.hex()},
                "seals_checked": False,
            }
        )
        return
    there = f" ({done.skipped} were there already)" if done.skipped else ""
    output.plain(
        f"{done.blocks} blocks{there}, {done.transactions} transactions, {done.gas / 1e6:.1f} Mgas in {done.seconds:.1f} s: "
        f"{_rate(done.blocks, done.seconds)} blocks/s, {_rate(done.gas / 1e6, done.seconds)} Mgas/s"
    )
    output.plain(f"head {done.head_number} 0x{done.head_hash.hex()}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write, never overwritten; a name that ends in .gz is packed.")],
    chain_spec: ChainSpecFile,
    data_dir: DataDir = Path("chain-data"),
    first: Annotated[int, typer.Option(min=0, help="First block.")] = 0,
    last: Annotated[int | None, typer.Option(min=0, help="Last block; else the newest.")] = None,
    form: Annotated[str, typer.Option("--format", help="rlp, or era1 (one era of a chain before the merge).")] = "rlp",
    json: AsJson = False,
) -> None:
    """Write blocks of an imported chain to a file, as other clients read it."""
    from hansa.chainspec import load_chain_spec
    from hansa.config import LogSettings
    from hansa.node import MARKER
    from hansa.replay import Exported, export_blocks, open_ledger
    from hansa.telemetry import setup_logging

    if form not in ("rlp", "era1"):
        raise usage(f"--format is rlp or era1, not {form!r}")
    if not (data_dir / MARKER).is_file():
        raise usage(f"{data_dir} is no data folder; `hansa import` makes one")
    setup_logging(LogSettings(level="error"))
    chain = load_chain_spec(chain_spec)

    async def run() -> Exported:
        async with open_ledger(chain, data_dir, chain_spec) as ledger:
            return await export_blocks(ledger, file, first, last, "era1" if form == "era1" else "rlp")

    done = _run(run())
    if json:
        output.as_json({"file": str(file), "blocks": done.blocks, "bytes": done.bytes})
    else:
        output.plain(f"{file}: {done.blocks} blocks, {done.bytes} bytes")


@app.command()
def serve(
    chain_spec: ChainSpecFile,
    data_dir: DataDir = Path("chain-data"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of JSON-RPC and WebSocket; 0: any.")] = 8545,
    ws_port: Annotated[int, typer.Option(min=0, max=65535, help="Second WebSocket port; 0: any.")] = 8546,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0: any.")] = 50051,
    json: AsJson = False,
) -> None:
    """Answer clients from an imported chain until told to end: everything but sending transactions.

    Other settings (`api.limits`, `executor.call_gas_max`, ...) come from the environment, as those of a node.
    """
    from hansa.chainspec import load_chain_spec
    from hansa.config import LogSettings
    from hansa.node import MARKER
    from hansa.replay import Served, serve_chain
    from hansa.telemetry import setup_logging

    if not (data_dir / MARKER).is_file():
        raise usage(f"{data_dir} is no data folder; `hansa import` makes one")
    setup_logging(LogSettings(level="error"))
    chain = load_chain_spec(chain_spec)

    def report(served: Served) -> None:
        if json:
            output.as_json({**asdict(served), "head_hash": "0x" + served.head_hash.hex(), "seals_checked": False})
            return
        output.plain(
            f"chain id {chain.chain_id}, head {served.head_number} 0x{served.head_hash.hex()}; read-only, seals not checked"
        )
        output.plain(
            f"  JSON-RPC and REST  {served.http}\n  WebSocket          {served.ws}\n  gRPC               {served.grpc}"
        )

    api = {"host": host, "port": port, "ws_port": ws_port, "grpc_host": host, "grpc_port": grpc_port}
    raise typer.Exit(_run(serve_chain(chain, data_dir, chain_spec, api, report)))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run services and what uses them in the loop that they have in a node, too."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _rate(amount: float, seconds: float) -> str:
    return f"{amount / seconds:.0f}" if seconds else "0"
