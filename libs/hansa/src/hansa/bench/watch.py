"""Follows the chain of one node and notes when each of our transactions is in a block."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from hansa.bench.limits import POLL_SECONDS
from hansa.bench.wire import AnswerInvalid, Connection


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block with transactions of ours."""

    number: int
    seen: float  # monotonic seconds
    ours: int
    transactions: int
    gas_used: int


@dataclass(slots=True)
class Watcher:
    """Notes commits. `pending` maps hash to the number of a transaction and shrinks."""

    url: str
    pending: dict[bytes, int]
    blocks: list[SeenBlock] = field(default_factory=list)
    committed: dict[int, float] = field(default_factory=dict)  # number -> monotonic seconds
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, first: int) -> None:
        """Follow from block `first` on, until cancelled. Failures of the node are waited out."""
        connection = Connection(self.url)
        number = first
        while True:
            try:
                block = await _call(connection, "eth_getBlockByNumber", [hex(number), False])
            except (OSError, AnswerInvalid, asyncio.IncompleteReadError, ValueError, KeyError):
                await asyncio.sleep(0.2)
                continue
            if block is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            self._note(block)
            number += 1

    def _note(self, block: dict[str, Any]) -> None:
        now = time.monotonic()
        ours = 0
        for text in block["transactions"]:
            index = self.pending.pop(bytes.fromhex(text[2:]), None)
            if index is not None:
                self.committed[index] = now
                ours += 1
        count = len(block["transactions"])
        self.blocks.append(SeenBlock(int(block["number"], 16), now, ours, count, int(block["gasUsed"], 16)))
        self.changed.set()


async def _call(connection: Connection, method: str, params: list[Any]) -> Any:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = orjson.loads(await connection.post(body))
    return answer["result"]
