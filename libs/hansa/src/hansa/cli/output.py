"""What commands print and how they end."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer

from hansa.errors import EXIT_FAILED, EXIT_USAGE, Explained

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class CommandFailed(Explained):
    """A command ends with this text on standard error and this status."""

    def __init__(self, text: str, status: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.status = status


def usage(text: str) -> CommandFailed:
    """What to raise for wrong usage."""
    return CommandFailed(text, EXIT_USAGE)


def line(text: str = "") -> None:
    """Print a line, with rich's markup on a terminal."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text)


def plain(text: str) -> None:
    """Print a line as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def as_json(value: Any) -> None:
    """Print a value as indented JSON."""
    plain(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_DATACLASS, default=str).decode())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title or None, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False).print(shown)


def pairs(values: Sequence[tuple[str, Any]]) -> None:
    """Print names and values, one pair per line, aligned."""
    width = max((len(name) for name, _ in values), default=0)
    for name, value in values:
        plain(f"{name.ljust(width)}  {value}")
