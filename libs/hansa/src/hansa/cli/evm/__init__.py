"""`evm`: public tests, state transitions and single runs on the kernel, without a chain."""

import typer

from hansa.cli.evm.run import run
from hansa.cli.evm.t8n import t8n
from hansa.cli.evm.tests import blocktest, statetest

app = typer.Typer(no_args_is_help=True)


@app.callback()
def evm() -> None:
    """Run the EVM alone: public tests, state transitions, single calls."""


app.command("statetest")(statetest)
app.command("blocktest")(blocktest)
app.command("t8n")(t8n)
app.command("run")(run)
