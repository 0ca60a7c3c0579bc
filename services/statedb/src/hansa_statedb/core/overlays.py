"""Staged blocks in memory: a tree of overlays whose root is the committed head.

A `View` is what one block looks like: its chain of overlays, newest first, and the height of the committed block below.
It stays right while blocks are committed, since readers of the base then consult history (`reader.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hansa_statedb.core.layout import ZERO_WORD
from hansa_statedb.errors import NotChildOfHead, NotStaged, ParentUnknown, StagedFull


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block with everything that is kept beside it; parts that were not read are empty."""

    number: int
    hash: bytes
    header: bytes
    transactions: bytes = b""  # packed list
    senders: bytes = b""
    hashes: bytes = b""
    receipts: bytes = b""
    certificate: bytes = b""  # serialised, empty for genesis
    ommers: bytes = b""  # packed list of headers; imported chains only
    withdrawals: bytes = b""  # RLP list, empty where there are none; imported chains only

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        parts = (
            self.header,
            self.transactions,
            self.senders,
            self.hashes,
            self.receipts,
            self.ommers,
            self.withdrawals,
        )
        return sum(map(len, parts))


@dataclass(frozen=True, slots=True)
class Overlay:
    """A staged block: what it changes, and what was there before (for history)."""

    block: StoredBlock
    parent_hash: bytes
    state_root: bytes
    accounts: dict[bytes, bytes]  # address -> 105-byte record
    slots: dict[bytes, bytes]  # 52-byte key -> 32-byte value
    wiped: frozenset[bytes]  # addresses whose slots are zero unless in `slots`
    codes: dict[bytes, bytes]
    nodes: dict[bytes, bytes]  # path -> RLP, empty = deleted
    old_accounts: dict[bytes, bytes]  # stored forms, as `layout` has them
    old_slots: dict[bytes, bytes]
    old_nodes: bytes  # packed list of path and RLP before, alternating
    log_terms: bytes = b""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One block's state: overlays newest first, on the committed block `base_number`."""

    overlays: tuple[Overlay, ...]
    base_number: int
    block_hash: bytes

    @property
    def number(self) -> int:
        """Height of the block that is looked at."""
        return self.base_number + len(self.overlays)


@dataclass(slots=True)
class Overlays:
    """The tree. Not thread-safe: its owner holds a lock."""

    blocks_max: int
    bytes_max: int
    head_hash: bytes = b""
    head_number: int = -1  # -1 before genesis
    size_bytes: int = 0
    staged: dict[bytes, Overlay] = field(default_factory=dict)  # least recently used first

    def view(self, block_hash: bytes) -> View | None:
        """The view of the head or of a staged block, else None."""
        chain: list[Overlay] = []
        at = block_hash
        while at != self.head_hash:
            overlay = self.staged.get(at)
            if overlay is None:
                return None
            chain.append(overlay)
            at = overlay.parent_hash
        return View(tuple(chain), self.head_number, block_hash)

    def get(self, block_hash: bytes) -> Overlay | None:
        """A staged block, marked as used."""
        overlay = self.staged.pop(block_hash, None)
        if overlay is not None:
            self.staged[block_hash] = overlay
        return overlay

    def add(self, overlay: Overlay) -> int:
        """Keep a staged block; returns how many others were dropped for it.

        Raises `ParentUnknown` when its parent was dropped or passed by meanwhile, `StagedFull` when the room is taken
        by its own ancestors.
        """
        if overlay.block.hash in self.staged:
            return 0
        view = self.view(overlay.parent_hash)
        if view is None:
            raise ParentUnknown(overlay.parent_hash)
        ancestors = {ancestor.block.hash for ancestor in view.overlays}
        dropped = 0
        while len(self.staged) >= self.blocks_max or (
            self.staged and self.size_bytes + overlay.size_bytes > self.bytes_max
        ):
            leaf = self._oldest_leaf(ancestors)
            if leaf is None:
                raise StagedFull(len(ancestors))
            self._remove(leaf)
            dropped += 1
        self.staged[overlay.block.hash] = overlay
        self.size_bytes += overlay.size_bytes
        return dropped

    def next_to_commit(self, block_hash: bytes) -> Overlay:
        """The staged child of the head with this hash. Raises `NotStaged`, `NotChildOfHead`."""
        overlay = self.get(block_hash)
        if overlay is None:
            raise NotStaged(block_hash)
        if overlay.parent_hash != self.head_hash:
            raise NotChildOfHead(overlay.block.number, self.head_number)
        return overlay

    def path_to_commit(self, block_hash: bytes) -> list[Overlay]:
        """All staged blocks from the child of the head to the one with this hash. Raises `NotStaged`."""
        view = self.view(block_hash)
        if view is None or not view.overlays:
            raise NotStaged(block_hash)
        return list(reversed(view.overlays))

    def committed(self, overlay: Overlay) -> int:
        """Make `overlay` the head; returns how many staged blocks that do not descend from it were dropped."""
        self._remove(overlay.block.hash)
        self.head_hash, self.head_number = overlay.block.hash, overlay.block.number
        dead = [block_hash for block_hash in self.staged if self.view(block_hash) is None]
        for block_hash in dead:
            self._remove(block_hash)
        return len(dead)

    def _remove(self, block_hash: bytes) -> None:
        self.size_bytes -= self.staged.pop(block_hash).size_bytes

    def _oldest_leaf(self, keep: set[bytes]) -> bytes | None:
        parents = {overlay.parent_hash for overlay in self.staged.values()}
        return next((found for found in self.staged if found not in parents and found not in keep), None)


def overlay_account(view: View, address: bytes) -> bytes | None:
    """105-byte record written by a staged block of the view, or None."""
    for overlay in view.overlays:
        if (record := overlay.accounts.get(address)) is not None:
            return record
    return None


def overlay_slot(view: View, key: bytes) -> bytes | None:
    """32-byte value written or wiped by a staged block of the view, or None."""
    for overlay in view.overlays:
        if (value := overlay.slots.get(key)) is not None:
            return value
        if overlay.wiped and key[:20] in overlay.wiped:
            return ZERO_WORD
    return None


def overlay_node(view: View, path: bytes) -> bytes | None:
    """Node written by a staged block of the view (empty: deleted), or None."""
    for overlay in view.overlays:
        if (node := overlay.nodes.get(path)) is not None:
            return node
    return None


def overlay_code(view: View, code_hash: bytes) -> bytes | None:
    """Code deployed by a staged block of the view, or None."""
    for overlay in view.overlays:
        if (code := overlay.codes.get(code_hash)) is not None:
            return code
    return None


def overlay_hashes(view: View) -> Iterator[tuple[int, bytes]]:
    """(height, hash) of the staged blocks of the view."""
    for overlay in view.overlays:
        yield overlay.block.number, overlay.block.hash


__all__ = [
    "Overlay",
    "Overlays",
    "StoredBlock",
    "View",
    "overlay_account",
    "overlay_code",
    "overlay_hashes",
    "overlay_node",
    "overlay_slot",
]
