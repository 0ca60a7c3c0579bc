"""The `pending` block: the local pool's next payload on top of the head (spec apis 2.1)."""

import time
from typing import Any

import orjson
from hansa_kernel import Spec, block_json

from hansa_api.backend import Backend
from hansa_api.blocks import CommittedBlock
from hansa_api.heads import Heads
from hansa_api.rlp import decode_flat, encode

# Positions in a header (yellow paper 4.3, then EIP-1559).
_PARENT = 0
_NUMBER, _GAS_USED, _TIMESTAMP, _EXTRA, _BASE_FEE = 8, 10, 11, 12, 15


class PendingBlocks:
    """Builds pending blocks; asks consensus for the payload each time."""

    def __init__(self, backend: Backend, heads: Heads, spec: Spec, *, strict_timestamps: bool) -> None:
        self._backend = backend
        self._heads = heads
        self._spec = spec
        self._strict_timestamps = strict_timestamps

    async def json(self, *, full: bool) -> dict[str, Any]:
        """`eth_getBlockByNumber("pending")`: hash, nonce and miner are null."""
        head = await self._heads.latest()
        pool = await self._backend.pool(payload=True)
        header = self._header(head)
        found: dict[str, Any] = orjson.loads(
            block_json(header, pool.payload_transactions, pool.payload_senders, pool.payload_hashes, full=full)
        )
        for key in ("hash", "nonce", "miner"):
            found[key] = None
        if full:
            for transaction in found["transactions"]:
                transaction["blockHash"] = None
        return found

    async def count(self) -> int:
        """Transactions of the pending block."""
        return len((await self._backend.pool(payload=True)).payload_hashes) // 32

    async def transaction(self, index: int) -> dict[str, Any] | None:
        """The transaction at `index` of the pending block, or None."""
        transactions = (await self.json(full=True))["transactions"]
        found: dict[str, Any] | None = transactions[index] if index < len(transactions) else None
        return found

    def _header(self, head: CommittedBlock) -> bytes:
        items: list[bytes | int] = list(decode_flat(head.header_rlp))
        least = head.header.timestamp + (1 if self._strict_timestamps else 0)
        items[_PARENT] = head.hash
        items[_NUMBER] = head.number + 1
        items[_GAS_USED] = 0
        items[_TIMESTAMP] = least if self._backend.read_only else max(int(time.time()), least)
        items[_EXTRA] = b""
        if len(items) > _BASE_FEE:
            items[_BASE_FEE] = self._spec.next_base_fee(head.header_rlp)
        return encode(items)
