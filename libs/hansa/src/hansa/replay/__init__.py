"""Importing and exporting blocks of public chains: statedb and executor of one data folder, in this process."""

from hansa.replay.errors import BlockRefused, LedgerUnusable, ReplayError
from hansa.replay.exporter import Exported, ExportFormat, export_blocks
from hansa.replay.importer import Imported, Importer, Progress
from hansa.replay.ledger import Ledger, open_ledger

__all__ = [
    "BlockRefused",
    "ExportFormat",
    "Exported",
    "Imported",
    "Importer",
    "Ledger",
    "LedgerUnusable",
    "Progress",
    "ReplayError",
    "export_blocks",
    "open_ledger",
]
