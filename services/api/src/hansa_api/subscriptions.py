"""Live subscriptions of WebSocket connections.

Each connection has one bounded queue for answers and notices. A reader that falls behind loses its connection (close
code 1013), never a single notice. What many subscribers want is computed once per block.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from hansa_kernel import bloom_matches

from hansa_api import metrics
from hansa_api.backend import Backend
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import LimitExceeded, RpcError
from hansa_api.limits import Limits
from hansa_api.pool_feed import PoolFeed

SYNCING_PAUSE_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscription asks for."""

    kind: str  # newHeads, logs, newPendingTransactions, syncing, transactionReceipts
    addresses: bytes = b""
    topics: tuple[bytes, ...] = ()
    full: bool = False
    hashes: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Subscriber:
    """A WebSocket connection's outgoing side; `overflow` is called once when the queue is full."""

    limits: Limits
    subscriptions: dict[str, Wanted] = field(default_factory=dict)
    starting: list[str] = field(default_factory=list)  # answered, but the answer is not in the queue yet
    queue: deque[bytes] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    overflowed: bool = False

    def push(self, message: bytes) -> None:
        """Queue a message for the connection's writer."""
        if self.overflowed:
            return
        if len(self.queue) >= self.limits.subscription_queue:
            self.overflowed = True
            metrics.EVENTS_DROPPED.labels("subscription").inc(len(self.queue))
            self.queue.clear()
        else:
            self.queue.append(message)
        self.ready.set()


class Subscriptions:
    """Who wants what, and telling them."""

    def __init__(self, backend: Backend, feed: PoolFeed, limits: Limits) -> None:
        self._backend = backend
        self._feed = feed
        self._limits = limits
        self._wanted: dict[str, dict[str, tuple[Subscriber, Wanted]]] = {kind: {} for kind in KINDS}
        self._tasks: set[asyncio.Task[None]] = set()
        self._full_queue: asyncio.Queue[list[bytes]] = asyncio.Queue(limits.subscription_queue)
        self._syncing: bool | None = None

    def add(self, subscriber: Subscriber, wanted: Wanted) -> str:
        """Subscribe; the id. Notices begin once `activate` is called. Raises `LimitExceeded`."""
        limit = self._limits.subscriptions_per_connection
        if len(subscriber.subscriptions) >= limit:
            raise LimitExceeded(
                f"too many subscriptions: {len(subscriber.subscriptions)}, limit {limit} per connection"
            )
        number = "0x" + secrets.token_hex(16)
        subscriber.subscriptions[number] = wanted
        subscriber.starting.append(number)
        return number

    def activate(self, subscriber: Subscriber) -> None:
        """Begin with what was subscribed: its ids are in the queue, so the client learns them first."""
        for number in subscriber.starting:
            wanted = subscriber.subscriptions.get(number)
            if wanted is None:
                continue
            group = self._wanted[wanted.kind]
            if wanted.kind == "newPendingTransactions" and not group:
                self._feed.add(self._on_pending)
            group[number] = (subscriber, wanted)
            metrics.SUBSCRIPTIONS.labels(wanted.kind).inc()
        subscriber.starting.clear()

    def remove(self, subscriber: Subscriber, number: str) -> bool:
        """Whether there was one."""
        wanted = subscriber.subscriptions.pop(number, None)
        if wanted is None:
            return False
        group = self._wanted[wanted.kind]
        if group.pop(number, None) is not None:
            metrics.SUBSCRIPTIONS.labels(wanted.kind).dec()
            if wanted.kind == "newPendingTransactions" and not group:
                self._feed.remove(self._on_pending)
        return True

    def drop(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        for number in list(subscriber.subscriptions):
            self.remove(subscriber, number)

    # --- events -------------------------------------------------------------------------------------------------------

    def on_block(self, block: CommittedBlock) -> None:
        """Tell everybody about a committed block: heads first, then logs, then receipts."""
        if group := self._wanted["newHeads"]:
            head = block.head_json
            for number, (subscriber, _) in list(group.items()):
                subscriber.push(notice(number, head))
        if group := self._wanted["logs"]:
            self._tell_logs(block, group)
        if (group := self._wanted["transactionReceipts"]) and len(block):
            self._tell_receipts(block, group)

    def _tell_logs(self, block: CommittedBlock, group: dict[str, tuple[Subscriber, Wanted]]) -> None:
        bloom = block.header.logs_bloom
        found: dict[Wanted, list[bytes]] = {}
        for number, (subscriber, wanted) in list(group.items()):
            logs = found.get(wanted)
            if logs is None:
                logs = []
                if bloom_matches(bloom, wanted.addresses, wanted.topics):
                    _, array = block.logs_json(wanted.addresses, wanted.topics, limit=_NO_LIMIT)
                    logs = [orjson.dumps(item) for item in orjson.loads(array)]
                found[wanted] = logs
            for item in logs:
                subscriber.push(notice(number, item))

    @staticmethod
    def _tell_receipts(block: CommittedBlock, group: dict[str, tuple[Subscriber, Wanted]]) -> None:
        everything: bytes | None = None
        for number, (subscriber, wanted) in list(group.items()):
            if not wanted.hashes:
                everything = everything or block.receipts_json(None)
                subscriber.push(notice(number, everything))
                continue
            receipts = [
                orjson.Fragment(block.receipts_json(index))
                for index, transaction_hash in enumerate(block.transaction_hashes())
                if transaction_hash in wanted.hashes
            ]
            if receipts:
                subscriber.push(notice(number, orjson.dumps(receipts)))

    def _on_pending(self, hashes: list[bytes]) -> None:
        group = self._wanted["newPendingTransactions"]
        quoted = [b'"0x%s"' % item.hex().encode() for item in hashes]
        any_full = False
        for number, (subscriber, wanted) in list(group.items()):
            if wanted.full:
                any_full = True
                continue
            for item in quoted:
                subscriber.push(notice(number, item))
        if any_full:
            if self._full_queue.full():
                metrics.EVENTS_DROPPED.labels("pending").inc(len(self._full_queue.get_nowait()))
            self._full_queue.put_nowait(hashes)

    async def run_full(self) -> None:
        """Fetch whole pending transactions for those who want them; for the service's life."""
        while True:
            hashes = await self._full_queue.get()
            try:
                pool = await self._backend.pool(hashes=b"".join(hashes))
            except RpcError as error:
                log.info("pending_not_fetched", detail=error.message)
                continue
            found = [orjson.dumps(item) for item in orjson.loads(pool.transactions_json or b"[]") if item is not None]
            for number, (subscriber, wanted) in list(self._wanted["newPendingTransactions"].items()):
                if wanted.full:
                    for item in found:
                        subscriber.push(notice(number, item))

    async def run_syncing(self, describe: Callable[[], Any]) -> None:
        """Tell `syncing` subscribers of changes; for the service's life."""
        while True:
            await asyncio.sleep(SYNCING_PAUSE_SECONDS)
            group = self._wanted["syncing"]
            if not group:
                self._syncing = None
                continue
            try:
                status = await describe()
            except RpcError:
                continue
            syncing = status is not False
            if syncing == self._syncing:
                continue
            self._syncing = syncing
            body = orjson.dumps({"syncing": True, "status": status} if syncing else False)
            for number, (subscriber, _) in list(group.items()):
                subscriber.push(notice(number, body))


KINDS = ("newHeads", "logs", "newPendingTransactions", "syncing", "transactionReceipts")
_NO_LIMIT = (1 << 31) - 1  # a block's gas bounds its logs


def notice(number: str, result: bytes) -> bytes:
    """One `eth_subscription` message."""
    return b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%s","result":%s}}' % (
        number.encode(),
        result,
    )
