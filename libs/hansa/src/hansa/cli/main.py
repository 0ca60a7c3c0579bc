"""Entry point of `hansa`: gathers the groups of commands and turns errors into texts and exit statuses."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import typer

from hansa.cli import (
    about,
    accounts,
    bench,
    chains,
    evm,
    genesis,
    keys,
    local,
    processes,
    proof,
    reading,
    settings,
    transactions,
    validator,
)
from hansa.errors import EXIT_FAILED, Explained

app = typer.Typer(
    name="hansa",
    help="Hansa: an Ethereum-compatible ledger for consortia.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
for group in (local, processes, transactions, reading, chains, about):
    app.add_typer(group.app)
app.add_typer(genesis.app, name="genesis", help="Make and check chain specs.")
app.add_typer(keys.app, name="keys", help="Keys of a member.")
app.add_typer(accounts.app, name="account", help="Ethereum accounts in key files.")
app.add_typer(proof.app, name="proof", help="Check blocks without a node.")
app.add_typer(settings.app, name="config", help="Settings of a node.")
app.add_typer(validator.app, name="validator", help="A member's votes.")
app.add_typer(bench.app, name="bench", help="Measure a node.")
app.add_typer(evm.app, name="evm", help="The EVM alone: public tests, state transitions, single runs.")
for command in entry_points(group="hansa.commands"):  # of packages that need services: the simulator
    app.add_typer(command.load(), name=command.name)


def main() -> None:
    """Run the command line and end the process with its status."""
    sys.exit(run(app))


def run(command: Callable[[], object]) -> int:
    """Run a command; errors that have a text for people become that text and a status."""
    try:
        command()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_FAILED
    except Explained as error:
        sys.stderr.write(f"✗ {error}\n")
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read our output has had enough.
        sys.stderr.close()
        return 0
    return 0


if __name__ == "__main__":
    main()
