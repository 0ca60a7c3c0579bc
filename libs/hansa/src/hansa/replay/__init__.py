"""Importing, exporting and serving blocks of public chains: services of one data folder, in this process."""

from hansa.replay.errors import BlockRefused, LedgerUnusable, ReplayError
from hansa.replay.exporter import Exported, ExportFormat, export_blocks
from hansa.replay.importer import Imported, Importer, Progress
from hansa.replay.ledger import Ledger, open_ledger
from hansa.replay.serving import Served, serve_chain

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
    "Served",
    "export_blocks",
    "open_ledger",
    "serve_chain",
]
