"""Questions between members: bodies of transactions and committed blocks; asks and answers, all bounded in time."""

import asyncio
from collections.abc import Sequence

import structlog
from hansa.packing import chunks, pack, unpack
from hansa.stages import charged
from hansa.v1 import types_pb2, wire_pb2
from hansa_kernel import TxPool

from . import metrics
from .blocks import BlockStore
from .clients import StateDbClient
from .core.types import HASH_BYTES, MessageClass, SyncBlock
from .errors import ServiceAway
from .limits import (
    BODIES_QUERY_HASHES_MAX,
    BODIES_SECONDS_MAX,
    QUERIES_SERVED_MAX,
    SYNC_ANSWER_BYTES_MAX,
    SYNC_BLOCKS_SERVED_MAX,
)
from .network import Network
from .wire import Malformed, certificate_from_proto

_log = structlog.get_logger()


class Queries:
    """Asks other members and answers them. One answer per request id is taken, from the member that was asked."""

    def __init__(self, *, network: Network, statedb: StateDbClient, pool: TxPool, blocks: BlockStore) -> None:
        self._network = network
        self._statedb = statedb
        self._pool = pool
        self._blocks = blocks
        self._next_id = 0
        self._asked: dict[tuple[int, int], asyncio.Future[wire_pb2.WireMessage]] = {}
        self._serving: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- asking ------------------------------------------------------------------------------------------------------

    async def bodies(self, member: int, hashes: bytes) -> list[bytes]:
        """Raw transactions by hash, empty where the member has none; all empty when it does not answer in time."""
        metrics.BODIES_ASKED.inc(len(hashes) // HASH_BYTES)
        count = len(hashes) // HASH_BYTES
        request_id = self._new_id()
        query = wire_pb2.WireMessage(bodies_query=wire_pb2.BodiesQuery(request_id=request_id, hashes=hashes))
        answer = await self._ask(member, request_id, MessageClass.PROPOSAL, query, BODIES_SECONDS_MAX)
        if answer is None:
            return [b""] * count
        try:
            found = unpack(answer.bodies_answer.transactions)
        except ValueError:
            found = []
        if len(found) != count:
            self._network.score(member, "bad_bodies_answer")
            return [b""] * count
        return found

    async def blocks(self, member: int, request_id: int, start: int, count: int, seconds: float) -> list[SyncBlock]:
        """Committed blocks of a member; empty when it has none, does not answer in time, or answers nonsense."""
        query = wire_pb2.BlocksQuery(request_id=request_id, count=count, **{"from": start})
        answer = await self._ask(
            member, request_id, MessageClass.SYNC, wire_pb2.WireMessage(blocks_query=query), seconds
        )
        if answer is None:
            return []
        try:
            return [
                SyncBlock(block.header, block.transactions, certificate_from_proto(block.certificate))
                for block in answer.blocks_answer.blocks[:count]
            ]
        except Malformed as error:
            self._network.score(member, error.reason)
            return []

    def _new_id(self) -> int:
        # The engine numbers its requests itself; ours stay apart from them by the top bit.
        self._next_id += 1
        return (1 << 62) | self._next_id

    async def _ask(
        self, member: int, request_id: int, kind: MessageClass, query: wire_pb2.WireMessage, seconds: float
    ) -> wire_pb2.WireMessage | None:
        if not self._network.up.get(member, False):
            return None
        future: asyncio.Future[wire_pb2.WireMessage] = asyncio.get_running_loop().create_future()
        self._asked[member, request_id] = future
        try:
            self._network.send_wire([member], kind, query)
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None
        finally:
            self._asked.pop((member, request_id), None)

    def answered(self, sender: int, request_id: int, message: wire_pb2.WireMessage) -> None:
        """An answer arrived; one that nobody waits for is late, and nothing."""
        future = self._asked.get((sender, request_id))
        if future is not None and not future.done():
            future.set_result(message)

    def gone(self, member: int) -> None:
        """A member went away: it will not answer any more."""
        for (asked, _), future in list(self._asked.items()):
            if asked == member and not future.done():
                future.set_exception(TimeoutError("the member went away"))

    # --- answering ---------------------------------------------------------------------------------------------------

    def serve(self, sender: int, message: wire_pb2.WireMessage) -> None:
        """Answer a query in the background; dropped when the member has too many under way."""
        if self._serving.get(sender, 0) >= QUERIES_SERVED_MAX:
            metrics.DROPPED.labels(queue="queries").inc()
            return
        self._serving[sender] = self._serving.get(sender, 0) + 1
        task = asyncio.create_task(self._serve(sender, message), name="serve query")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._served(sender, done))

    def _served(self, sender: int, task: "asyncio.Task[None]") -> None:
        self._serving[sender] -= 1
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("query_failed", exc_info=error)

    @charged("gossip")
    async def _serve(self, sender: int, message: wire_pb2.WireMessage) -> None:
        if message.WhichOneof("message") == "bodies_query":
            query = message.bodies_query
            if len(query.hashes) % HASH_BYTES or len(query.hashes) > BODIES_QUERY_HASHES_MAX * HASH_BYTES:
                self._network.score(sender, "bad_bodies_query")
                return
            packed = await asyncio.to_thread(self._held, query.hashes)
            answer = wire_pb2.WireMessage(
                bodies_answer=wire_pb2.BodiesAnswer(request_id=query.request_id, transactions=packed)
            )
            self._network.send_wire([sender], MessageClass.PROPOSAL, answer)
            return
        wanted = message.blocks_query
        try:
            blocks = await self._statedb.blocks(
                start=getattr(wanted, "from"),
                count=min(wanted.count, SYNC_BLOCKS_SERVED_MAX),
                bytes_max=SYNC_ANSWER_BYTES_MAX,
            )
        except ServiceAway:
            blocks = []
        answer = wire_pb2.WireMessage(
            blocks_answer=wire_pb2.BlocksAnswer(request_id=wanted.request_id, blocks=_with_certificates(blocks))
        )
        self._network.send_wire([sender], MessageClass.SYNC, answer)

    def _held(self, hashes: bytes) -> bytes:
        batch, missing = self._pool.get(hashes)
        if not missing:
            return batch.packed()
        found = self._blocks.find(missing)
        found.update(zip(chunks(batch.hashes(), HASH_BYTES), unpack(batch.packed()), strict=True))
        return pack(found.get(transaction_hash, b"") for transaction_hash in chunks(hashes, HASH_BYTES))

    def close(self) -> None:
        """Stop answering."""
        for task in list(self._tasks):
            task.cancel()


def _with_certificates(blocks: Sequence[types_pb2.Block]) -> list[types_pb2.Block]:
    """Blocks as they travel: header, transactions, certificate. Genesis has no certificate and does not travel."""
    return [
        types_pb2.Block(header=block.header, transactions=block.transactions, certificate=block.certificate)
        for block in blocks
        if block.HasField("certificate")
    ]
