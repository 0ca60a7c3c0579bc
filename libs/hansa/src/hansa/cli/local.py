"""`up`, `down`, `status`, `logs`: a local consortium."""

import shutil
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed
from hansa.cli.target import DataFolder
from hansa.consortium.folder import DEFAULT
from hansa.errors import EXIT_UNREACHABLE

app = typer.Typer()

UP_SECONDS_MAX: Final = 60.0
"""Default bound of the start; a quiet machine needs a tenth."""

_LABEL = 27


@app.command()
def up(
    members: Annotated[int | None, typer.Option(help="Members; default 4.")] = None,
    engine: Annotated[str | None, typer.Option(help="pbft (default) or poa.")] = None,
    data: DataFolder = DEFAULT,
    ports: Annotated[int | None, typer.Option(help="First port; default 8545 and so on.", min=1024, max=60_000)] = None,
    block_time: Annotated[str | None, typer.Option(help="Least time between blocks; default 200ms.")] = None,
    empty_block_time: Annotated[
        str | None, typer.Option(help="An empty block after this long; default 5s, 0: never.")
    ] = None,
    split: Annotated[bool | None, typer.Option("--split/--no-split", help="A process per service.")] = None,
    executors: Annotated[int | None, typer.Option(help="Executors of the first member; default 1.")] = None,
    chain_id: Annotated[int | None, typer.Option(help="Chain id; default 1337.")] = None,
    fees: Annotated[bool | None, typer.Option("--fees/--no-fees", help="EIP-1559 base fee instead of none.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until it is given up.")] = UP_SECONDS_MAX,
    detach: Annotated[bool, typer.Option("--detach/--no-detach", help="Leave it running in the background.")] = True,
) -> None:
    """Start a local consortium, or resume the one in the folder."""
    from hansa.cli.up import Options, start_consortium

    options = Options(members, engine, ports, block_time, empty_block_time, split, executors, chain_id, fees)
    start_consortium(data, options, time.monotonic() + timeout)
    if not detach:
        _stay(data)


def _stay(data: Path) -> None:
    from hansa.consortium.folder import ConsortiumFolder
    from hansa.consortium.processes import stop
    from hansa.supervise.plan import is_supervised

    folder = ConsortiumFolder(data)
    try:
        while is_supervised(folder.run):
            time.sleep(0.5)
    except KeyboardInterrupt:
        stop(folder)


@app.command()
def down(
    data: DataFolder = DEFAULT,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete chain, keys and logs.")] = False,
) -> None:
    """Stop the local consortium."""
    from hansa.consortium.folder import ConsortiumFolder
    from hansa.consortium.processes import stop

    folder = ConsortiumFolder(data)
    stopped = stop(folder)
    output.plain("stopped" if stopped else f"nothing runs in {folder.root}")
    if wipe and folder.root.exists():
        entries = [path for path in folder.root.iterdir() if not path.name.startswith(".")]
        if entries and not (folder.exists() or folder.run.run.exists()):
            raise CommandFailed(f"{folder.root} holds no consortium; it is left as it is")
        shutil.rmtree(folder.root)
        output.plain(f"{folder.root} deleted")


@app.command()
def status(data: DataFolder = DEFAULT, json: AsJson = False) -> None:
    """Members, heads, views, and who is missing. Ends with 3 when nobody answers."""
    from hansa.consortium.folder import ConsortiumFolder
    from hansa.consortium.status import read_status

    found = read_status(ConsortiumFolder(data))
    if json:
        output.as_json(found)
    else:
        output.plain(f"chain id {found.chain_id}, engine {found.engine}")
        rows = [
            (
                member.name,
                "up" if member.up else "away",
                "-" if member.head is None else str(member.head),
                "-" if member.view is None else str(member.view),
                member.rpc_url,
                " ".join(f"{service}:{pid}" for service, pid in member.pids.items()) or "-",
            )
            for member in found.members
        ]
        output.table("", ("member", "state", "head", "view", "JSON-RPC", "processes"), rows)
        if found.missing:
            output.plain(f"missing: {', '.join(found.missing)}")
    if all(member.head is None for member in found.members):
        raise typer.Exit(EXIT_UNREACHABLE)


@app.command()
def logs(
    member: Annotated[str | None, typer.Argument(help="Only this member, or process such as member1-api.")] = None,
    data: DataFolder = DEFAULT,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Last lines of each process.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
) -> None:
    """Show what members log."""
    from hansa.consortium.folder import ConsortiumFolder

    folder = ConsortiumFolder(data)
    folder.read()
    files = {path.stem: path for path in sorted(folder.logs.glob("*.log"))}
    if member is not None:
        chosen = {name: path for name, path in files.items() if name == member or name.startswith(f"{member}-")}
        if not chosen:
            raise CommandFailed(f"no process is called {member!r}; there are: {', '.join(files) or 'none'}")
        files = chosen
    offsets: dict[str, int] = {}
    for name, path in files.items():
        text = path.read_bytes()
        offsets[name] = len(text)
        for entry in text.decode(errors="replace").splitlines()[-lines:]:
            output.plain(f"{name}  {entry}" if len(files) > 1 else entry)
    while follow:
        try:
            time.sleep(0.2)
        except KeyboardInterrupt:
            return
        for name, path in files.items():
            offsets[name] = _more(name, path, offsets[name], prefix=len(files) > 1)


def _more(name: str, path: Path, offset: int, *, prefix: bool) -> int:
    """Print whole lines beyond `offset`; returns where to go on."""
    size = path.stat().st_size
    if size < offset:  # set aside by the supervisor
        offset = 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    for entry in data[:end].decode(errors="replace").splitlines():
        output.plain(f"{name}  {entry}" if prefix else entry)
    return offset + end
