"""Trie nodes as they were: two layouts for two uses.

`WindowHistory` keeps what a block overwrote as one value, with a list of fingerprints beside it. Writing is two entries
per block instead of one per node (a block of 400 transfers overwrites 1,900 nodes, more than it writes of anything
else), and blob files keep compaction from moving them. Looking a node up walks the fingerprints of the blocks since:
at most `proofWindow` of them, 8 KB each.

`ArchiveHistory` keeps one entry per (path, block), so that a lookup is one seek however old the height is.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Protocol

from hansa.packing import unpack

from hansa_statedb import limits
from hansa_statedb.core.layout import u64
from hansa_statedb.store import Batch, Store

OldNodes = list[tuple[int, bytes]]
"""(index of the path asked for, RLP before; empty = there was none)."""


class NodeHistory(Protocol):
    """What `Reader` and `Chain` need."""

    kind: bytes  # stands in the folder's meta family

    def put(self, batch: Batch, number: int, old_nodes: bytes) -> None:
        """Keep what block `number` overwrites: the kernel's `node_old`. Also prunes."""

    def at(self, height: int, newest: int, paths: Sequence[bytes]) -> OldNodes:
        """Nodes at `height` of those paths that a block from `height + 1` to `newest` changed."""


class WindowHistory:
    """Node history of the last blocks."""

    kind = b"window"

    def __init__(self, store: Store, window: int) -> None:
        self._store = store
        self._window = window
        self._prune_blocks = max(1, window // limits.PRUNE_PARTS)

    def put(self, batch: Batch, number: int, old_nodes: bytes) -> None:
        """One value and its fingerprints; now and then a range delete of what no proof needs."""
        key = u64(number)
        if old_nodes:
            batch.put_all("node_history", [(key, old_nodes)])
            batch.put_all("node_history_paths", [(key, fingerprints(unpack(old_nodes)[::2]))])
        last_unneeded = number - self._window  # proofs at height h need the entries of blocks above h
        if last_unneeded > 0 and last_unneeded % self._prune_blocks == 0:
            for family in ("node_history", "node_history_paths"):
                batch.delete_range(family, u64(0), u64(last_unneeded + 1))

    def at(self, height: int, newest: int, paths: Sequence[bytes]) -> OldNodes:
        """Walks the blocks since, until all paths are found."""
        found: OldNodes = []
        waiting = dict(enumerate(fingerprint(path) for path in paths))
        for key, row in self._store.between("node_history_paths", u64(height + 1), u64(newest + 1)):
            if not waiting:
                break
            likely = [index for index, mark in waiting.items() if mark in row]
            if not likely:
                continue
            packed = unpack(self._store.get("node_history", key) or b"")
            table = dict(zip(packed[::2], packed[1::2], strict=True))
            for index in likely:
                if (old := table.get(paths[index])) is not None:
                    found.append((index, old))
                    del waiting[index]
        return found


class ArchiveHistory:
    """Node history of all blocks."""

    kind = b"archive"

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, batch: Batch, number: int, old_nodes: bytes) -> None:
        """One entry per node."""
        packed = unpack(old_nodes)
        suffix = u64(number)
        pairs = zip(packed[::2], packed[1::2], strict=True)
        batch.keep_all("node_history", ((_prefix(path) + suffix, old) for path, old in pairs))

    def at(self, height: int, newest: int, paths: Sequence[bytes]) -> OldNodes:
        """One seek per path."""
        suffix = u64(height + 1)
        entries = self._store.first_from("node_history", [(_prefix(path), suffix) for path in paths])
        return [(index, entry[1]) for index, entry in enumerate(entries) if entry is not None]


def fingerprint(path: bytes) -> bytes:
    """4 bytes; a chance match costs one more read and nothing else."""
    return zlib.crc32(path).to_bytes(4, "big")


def fingerprints(paths: Sequence[bytes]) -> bytes:
    """Those of all `paths`."""
    return struct.pack(f">{len(paths)}I", *map(zlib.crc32, paths))


def _prefix(path: bytes) -> bytes:
    return bytes((len(path),)) + path  # the length makes paths prefix-free
