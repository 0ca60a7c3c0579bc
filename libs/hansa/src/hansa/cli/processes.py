"""`node` and `service`: run a member's services in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).", exists=True, dir_okay=False)]


@app.command()
def node(config: ConfigFile = None) -> None:
    """Run all services of a member in this process until it is told to end."""
    from hansa.names import START_ORDER
    from hansa.node import run

    raise typer.Exit(run(config, START_ORDER))


@app.command()
def service(
    name: Annotated[str, typer.Argument(help="statedb, executor, p2p, consensus or api.")], config: ConfigFile = None
) -> None:
    """Run one service of a member in this process until it is told to end."""
    from hansa.cli.output import usage
    from hansa.names import START_ORDER
    from hansa.node import run

    if name not in START_ORDER:
        raise usage(f"there is no service {name!r}; there are: {', '.join(START_ORDER)}")
    raise typer.Exit(run(config, [name]))
