"""What can go wrong with importing and exporting, beside the files themselves (`hansa.chainfiles.errors`).

ReplayError
├── LedgerUnusable   the data folder or its services cannot be used
├── BlockRefused     a block breaks a rule, or running it gives something else than its header says
└── RangeInvalid     blocks to export that are not there, or do not fit the format
"""

from pathlib import Path

from hansa.errors import Explained


class ReplayError(Explained):
    """Base; the text says what to do."""


class LedgerUnusable(ReplayError):
    """The data folder cannot be used, or a service on it failed."""


class BlockRefused(ReplayError):
    """Block `number` of a file is invalid; `code` is the broken rule's name. The blocks before it stay imported."""

    def __init__(self, path: Path, number: int, code: str, text: str) -> None:
        super().__init__(f"{path}: block {number} is refused ({code}): {text}")
        self.path = path
        self.number = number
        self.code = code


class RangeInvalid(ReplayError):
    """These blocks cannot be exported."""
