"""What errors for people have in common. Imports nothing, so that a command line that ends well pays for nothing."""

from typing import Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
"""Statuses with which the command line ends; `evm t8n` has geth's as well."""


class Explained(Exception):
    """Its text tells a person what is wrong and what to do: the command line prints it and ends with `status`."""

    status: int = EXIT_FAILED
