"""Bounds of files of blocks, with their reasons."""

from typing import Final

BLOCK_BYTES_MAX: Final = 64 << 20
"""Largest block that is read: six times the largest that EIP-7934 allows; older blocks were far smaller."""

READ_BYTES: Final = 1 << 20
"""Bytes asked for at once: what a prefix claims is not set aside before it is there."""

ERA_BLOCKS_MAX: Final = 8_192
"""Blocks of an era1 file: an epoch's accumulator has as many places (Portal network, "history network")."""

ENTRY_BYTES_MAX: Final = 32 << 20
"""Largest entry of an era1 file as it stands there; Snappy unpacks it to at most 22 times that."""
