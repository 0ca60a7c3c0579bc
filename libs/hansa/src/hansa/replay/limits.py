"""Bounds of importing and exporting, with their reasons."""

from typing import Final

BATCH_BLOCKS: Final = 64
"""Blocks decoded in one go: thread changes and queue cost nothing beside them, and they stay small in memory."""

BATCH_BYTES: Final = 4 << 20
"""A batch ends behind the block with which its transactions reach this size: few large blocks wait, not 64."""

TX_GAS_MIN: Final = 21_000
"""Gas of the cheapest transaction: a block has no more of them than its gas limit has room for."""

BATCHES_WAITING_MAX: Final = 2
"""Decoded batches that wait for execution."""

STAGED_MAX: Final = 48
"""Blocks executed and not yet durable: below what statedb keeps staged (64), so that none is dropped."""

RPC_TIMEOUT_SECONDS: Final = 600.0
"""Longest time of one block: contracts of a stress test on a slow disk; only a fault takes longer."""

HEADERS_AT_ONCE: Final = 1_000
"""Headers of one request when difficulties are added up."""

BLOCKS_AT_ONCE: Final = 256
"""Blocks of one request when exporting; statedb sends fewer when they are large."""

OMMER_DEPTH: Final = 6
"""Generations within which an ommer's parent lies (Yellow Paper 11.1)."""

PROGRESS_SECONDS: Final = 5.0
"""Time between two reports."""
