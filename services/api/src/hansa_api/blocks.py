"""Committed blocks in memory: one block with its views as JSON, and bounded caches of them."""

from collections import OrderedDict
from functools import cached_property
from typing import Any

import orjson
from hansa.packing import unpack
from hansa.v1 import types_pb2
from hansa_kernel import Header, Spec, block_json, logs_json, ommer_json, receipts_json, transaction_json

PER_TRANSACTION_BYTES = 150
"""What an entry of the transaction index takes beside the block's own bytes; counted into the caches' bounds."""


class CommittedBlock:
    """A block, immutable; `receipts` is None when it was fetched without them."""

    def __init__(self, block: types_pb2.Block, *, with_receipts: bool, spec: Spec | None = None) -> None:
        self._spec = spec  # what blobs cost; None where there are none
        self.header_rlp = block.header
        self.header = Header.decode(block.header)
        self.number = self.header.number
        self.hash = block.hash
        self.transactions = block.transactions
        self.senders = block.senders
        self.hashes = block.hashes
        self.ommers = block.ommers  # packed list of headers
        self.withdrawals = block.withdrawals
        self.receipts: bytes | None = block.receipts if with_receipts else None
        self.certificate = block.certificate if block.HasField("certificate") else None

    def __len__(self) -> int:
        """Transactions."""
        return len(self.hashes) // 32

    @cached_property
    def blob_gas_price(self) -> int | None:
        """Blob base fee, wei; None before Cancun and where nobody asked for it."""
        if self._spec is None or self.header.excess_blob_gas is None:
            return None
        return self._spec.blob_base_fees(self.header_rlp)[0]

    @cached_property
    def weight(self) -> int:
        """Bytes that keeping this block takes, about."""
        parts = (self.header_rlp, self.transactions, self.senders, self.hashes, self.ommers, self.withdrawals)
        return sum(map(len, parts)) + len(self.receipts or b"") + PER_TRANSACTION_BYTES * len(self) + 1_000

    def transaction_hash(self, index: int) -> bytes:
        """Hash of the transaction at `index`."""
        return self.hashes[32 * index : 32 * index + 32]

    def transaction_hashes(self) -> list[bytes]:
        """Hashes in order."""
        hashes = self.hashes
        return [hashes[i : i + 32] for i in range(0, len(hashes), 32)]

    def raw_transaction(self, index: int) -> bytes:
        """EIP-2718 bytes of the transaction at `index`."""
        return unpack(self.transactions)[index]

    @cached_property
    def json_hashes(self) -> bytes:
        """`eth_getBlockBy*` with transaction hashes; kept, since many clients poll the newest block."""
        return self._json(full=False)

    def json_full(self) -> bytes:
        """`eth_getBlockBy*` with whole transactions."""
        return self._json(full=True)

    def block_json(self, *, full: bool) -> bytes:
        """`eth_getBlockBy*` result."""
        return self.json_full() if full else self.json_hashes

    def _json(self, *, full: bool) -> bytes:
        return block_json(
            self.header_rlp,
            self.transactions,
            self.senders,
            self.hashes,
            full=full,
            ommers=self.ommers,
            withdrawals=self.withdrawals,
        )

    @cached_property
    def ommer_headers(self) -> list[bytes]:
        """RLP of the ommers' headers; only blocks of imported chains have any."""
        return unpack(self.ommers)

    def ommer_json(self, index: int) -> bytes | None:
        """`eth_getUncleBy*` result."""
        return ommer_json(self.ommer_headers[index]) if index < len(self.ommer_headers) else None

    @cached_property
    def head_json(self) -> bytes:
        """The header as `newHeads` sends it."""
        attached = {"ommers": self.ommers, "withdrawals": self.withdrawals}
        found: dict[str, Any] = orjson.loads(block_json(self.header_rlp, b"", b"", b"", full=False, **attached))
        for key in ("transactions", "uncles", "withdrawals", "size"):
            found.pop(key, None)
        return orjson.dumps(found)

    def transaction_json(self, index: int) -> bytes:
        """`eth_getTransactionBy*` result."""
        return transaction_json(self.header_rlp, self.transactions, self.senders, index)

    def receipts_json(self, index: int | None) -> bytes:
        """One receipt, or the array of all when `index` is None."""
        assert self.receipts is not None, "the block was fetched without receipts"
        price = self.blob_gas_price if self.header.blob_gas_used else None
        return receipts_json(
            self.header_rlp, self.transactions, self.senders, self.receipts, index, blob_gas_price=price
        )

    def logs_json(self, addresses: bytes, topics: tuple[bytes, ...], limit: int) -> tuple[int, bytes]:
        """(count, JSON array) of the logs that match."""
        assert self.receipts is not None, "the block was fetched without receipts"
        return logs_json(self.header_rlp, self.hashes, self.receipts, addresses=addresses, topics=topics, limit=limit)


class BlockCache:
    """Blocks by hash, least recently used go first; bounded by count and bytes."""

    def __init__(self, *, blocks_max: int, bytes_max: int) -> None:
        self._blocks: OrderedDict[bytes, CommittedBlock] = OrderedDict()
        self._blocks_max = blocks_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def get(self, block_hash: bytes) -> CommittedBlock | None:
        """The block, which becomes the most recently used."""
        found = self._blocks.get(block_hash)
        if found is not None:
            self._blocks.move_to_end(block_hash)
        return found

    def put(self, block: CommittedBlock) -> None:
        """Keep the block, in place of one with fewer parts."""
        before = self._blocks.pop(block.hash, None)
        if before is not None:
            self._bytes -= before.weight
        self._blocks[block.hash] = block
        self._bytes += block.weight
        while len(self._blocks) > self._blocks_max or self._bytes > self._bytes_max:
            _, dropped = self._blocks.popitem(last=False)
            self._bytes -= dropped.weight


class Lru(OrderedDict[Any, Any]):
    """A dict that forgets the oldest beyond `size`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def put(self, key: Any, value: Any) -> None:
        """Set, and forget the oldest."""
        self[key] = value
        if len(self) > self._size:
            self.popitem(last=False)
