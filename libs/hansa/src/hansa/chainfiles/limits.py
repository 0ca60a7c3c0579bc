"""Bounds of files of blocks, with their reasons."""

from typing import Final

BLOCK_BYTES_MAX: Final = 64 << 20
"""Largest block that is read: six times the largest that EIP-7934 allows; older blocks were far smaller."""

READ_BYTES: Final = 1 << 20
"""Bytes asked for at once: what a prefix claims is not set aside before it is there."""

ERA_BLOCKS_MAX: Final = 8_192
"""Blocks of an era1 file: an epoch's accumulator has as many places (Portal network, "history network")."""

ERA_ENTRIES_MAX: Final = 4 * ERA_BLOCKS_MAX + 3
"""Entries of an era1 file: four a block, version, accumulator and index."""

ENTRY_BYTES_MAX: Final = 32 << 20
"""Largest entry of an era1 file, unpacked: four times the receipts that 30 million gas can make at 8 gas a byte."""

UNPACKED_RATIO_MAX: Final = 4
"""What is unpacked at once (a block of a packed file, an entry of an era1 file) is at most this many times its file: it is
held up to four times while it is taken apart, and a file must not cost more than 16 times its size. Gzip packs 1,000 to 1,
Snappy 21 to 1; blocks of real chains 3 to 1, and the largest of them is a small part of its file."""

UNPACKED_FREE_BYTES: Final = 1 << 20
"""This much may be unpacked at once whatever the size of the file."""

RECEIPT_BYTES_MIN: Final = 256
"""Of a receipt its bloom alone takes as much, so that a list has no more items than fit."""
