"""Executed blocks that are not committed yet, and the newest committed ones, with their bodies."""

from collections import OrderedDict
from dataclasses import dataclass, field

from hansa.packing import chunks, unpack

from .core.types import HASH_BYTES
from .limits import CANDIDATES_MAX, RECENT_BLOCKS_MAX


@dataclass(frozen=True, slots=True)
class Body:
    """What was executed under one block hash."""

    transactions: bytes  # packed list
    senders: bytes  # 20 bytes each, recovered here
    hashes: bytes  # 32 bytes each
    account_updates: bytes  # (address, record)*
    gas_used: int


@dataclass(slots=True)
class BlockStore:
    """Bodies by block hash; both parts are bounded, oldest first out."""

    _candidates: OrderedDict[bytes, Body] = field(default_factory=OrderedDict)
    _recent: OrderedDict[bytes, Body] = field(default_factory=OrderedDict)

    def put(self, block_hash: bytes, body: Body) -> None:
        """Keep an executed block."""
        self._candidates[block_hash] = body
        self._candidates.move_to_end(block_hash)
        while len(self._candidates) > CANDIDATES_MAX:
            self._candidates.popitem(last=False)

    def get(self, block_hash: bytes) -> Body | None:
        """A block executed here and not abandoned."""
        return self._candidates.get(block_hash) or self._recent.get(block_hash)

    def abandon(self, block_hash: bytes) -> None:
        """Let go of a candidate."""
        self._candidates.pop(block_hash, None)

    def committed(self, block_hash: bytes) -> None:
        """Keep the bodies a little longer for members that still need them."""
        body = self._candidates.pop(block_hash, None)
        if body is not None:
            self._recent[block_hash] = body
            while len(self._recent) > RECENT_BLOCKS_MAX:
                self._recent.popitem(last=False)

    def find(self, wanted: bytes) -> dict[bytes, bytes]:
        """Raw transactions by hash, of those in `wanted` (32 bytes each) that some kept block has."""
        missing = set(chunks(wanted, HASH_BYTES))
        found: dict[bytes, bytes] = {}
        for body in (*self._candidates.values(), *self._recent.values()):
            if not missing:
                break
            hashes = chunks(body.hashes, HASH_BYTES)
            if missing.isdisjoint(hashes):
                continue
            for transaction_hash, raw in zip(hashes, unpack(body.transactions), strict=True):
                if transaction_hash in missing:
                    found[transaction_hash] = raw
                    missing.discard(transaction_hash)
        return found
