"""The committed chain as this api sees it: one stream of heads from statedb, the newest blocks, and who waits for them.

Everything that reacts to a new block (subscriptions, filters, waiting senders) hangs on `listeners`; they are plain
functions called in order, for each height exactly once, without gaps. Reads of older blocks go to statedb and are kept
for a while.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import grpc
import grpc.aio
import structlog
from hansa.stages import charged
from hansa.v1 import statedb_pb2, types_pb2
from hansa_kernel import Spec

from hansa_api import metrics
from hansa_api.backend import Backend, translate
from hansa_api.blocks import BlockCache, CommittedBlock, Lru
from hansa_api.errors import HeaderNotFound, LimitExceeded, RpcError, Unavailable
from hansa_api.limits import Limits
from hansa_api.params import At

NUMBERS_KEPT = 4_096
"""Heights and hashes of old blocks that were asked for; 100 bytes each."""

ALL_PARTS = statedb_pb2.BlockParts(transactions=True, hashes=True, receipts=True, certificate=True)
NO_RECEIPTS = statedb_pb2.BlockParts(transactions=True, hashes=True, certificate=True)
NO_PARTS = statedb_pb2.BlockParts()

log = structlog.get_logger()


class Heads:
    """Follows statedb and answers "which block is that"."""

    def __init__(self, backend: Backend, limits: Limits, spec: Spec) -> None:
        self._backend = backend
        self._spec = spec
        self._limits = limits
        self.listeners: list[Callable[[CommittedBlock], None]] = []
        self._recent: deque[CommittedBlock] = deque()
        self._recent_bytes = 0
        self._by_number: dict[int, CommittedBlock] = {}
        self._by_hash: dict[bytes, CommittedBlock] = {}
        self._places: dict[bytes, tuple[CommittedBlock, int]] = {}
        self._older = BlockCache(blocks_max=limits.cached_blocks, bytes_max=limits.cached_bytes)
        self._hash_of = Lru(NUMBERS_KEPT)
        self._number_of = Lru(NUMBERS_KEPT)
        self._waiters: dict[bytes, list[asyncio.Future[tuple[CommittedBlock, int]]]] = {}
        self._waiting = 0
        self._advanced: asyncio.Future[None] | None = None
        self._told = 0
        self.following = False
        self.genesis_hash = b""
        self.earliest = 0
        self.earliest_proof = 0

    # --- what is there ----------------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether a head is known."""
        return bool(self._recent)

    @property
    def head(self) -> CommittedBlock:
        """The newest committed block. Raises `Unavailable` before statedb has answered once."""
        if not self._recent:
            raise Unavailable("statedb has not answered yet")
        return self._recent[-1]

    def recent(self, count: int) -> list[CommittedBlock]:
        """Up to `count` newest blocks, newest first, as far as they are in memory."""
        return [self._recent[-1 - i] for i in range(min(count, len(self._recent)))]

    def told(self, number: int) -> None:
        """Another replica has shown a client this height: reads here wait a little for it (read-your-writes)."""
        self._told = max(self._told, number)

    async def latest(self) -> CommittedBlock:
        """The head, after a short wait when another replica has shown a newer one."""
        if self._told > self.head.number:
            await self.reach(self._told)
        return self.head

    async def reach(self, number: int) -> bool:
        """Wait, at most `head_wait_ms`, until the head is at `number` or beyond."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._limits.head_wait_ms / 1000
        while self.head.number < number:
            remaining = ends - loop.time()
            if remaining <= 0:
                return False
            if self._advanced is None:
                self._advanced = loop.create_future()
            try:
                await asyncio.wait_for(asyncio.shield(self._advanced), remaining)
            except TimeoutError:
                return False
        return True

    async def advanced(self) -> None:
        """Wait for the next committed block, however long."""
        if self._advanced is None:
            self._advanced = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._advanced)

    # --- blocks -----------------------------------------------------------------------------------------------------

    async def block(self, at: At, *, receipts: bool = False) -> CommittedBlock | None:
        """The committed block, or None; `pending` is not one."""
        if at.is_latest or at.is_pending:
            return await self.latest()
        if at.tag == "earliest":
            at = At(number=self.earliest)
        found = self._by_hash.get(at.hash) if at.hash else self._by_number.get(at.number)
        if found is not None:
            return found
        if not at.hash and at.number > self.head.number and not await self._soon(at.number):
            return None
        known = at.hash or self._hash_of.get(at.number)
        if known is not None:
            found = self._older.get(known)
            if found is not None and (found.receipts is not None or not receipts):
                return found
        parts = ALL_PARTS if receipts else NO_RECEIPTS
        blocks = await self._fetch(at, parts)
        if not blocks:
            return None
        found = CommittedBlock(blocks[0], with_receipts=receipts, spec=self._spec)
        self._remember(found.number, found.hash)
        self._older.put(found)
        return found

    async def _soon(self, number: int) -> bool:
        """A height just above the head: another replica may have shown it."""
        return number <= self._told and await self.reach(number)

    async def state_at(self, at: At) -> tuple[bytes, int]:
        """(hash, height) of a committed block to read state at. Raises `HeaderNotFound`."""
        if at.is_latest or at.is_pending:
            head = await self.latest()
            return head.hash, head.number
        if at.tag == "earliest":
            at = At(number=self.earliest)
        if at.hash:
            recent = self._by_hash.get(at.hash)
            number = recent.number if recent is not None else self._number_of.get(at.hash)
            if number is not None:
                return at.hash, number
        else:
            recent = self._by_number.get(at.number)
            found = recent.hash if recent is not None else self._hash_of.get(at.number)
            if found is not None:
                return found, at.number
            if at.number > self.head.number and not await self._soon(at.number):
                raise HeaderNotFound(f"{at} is above the head {self.head.number}")
        blocks = await self._fetch(at, NO_PARTS)
        if not blocks:
            raise HeaderNotFound(str(at))
        block = CommittedBlock(blocks[0], with_receipts=False)
        self._remember(block.number, block.hash)
        return block.hash, block.number

    async def header_hashes(self, start: int, stop: int) -> list[bytes]:
        """Hashes of heights `start`..`stop`, both included, as far as they are held."""
        found: list[bytes] = []
        number = start
        while number <= stop:
            recent = self._by_number.get(number)
            if recent is not None:
                found.append(recent.hash)
                number += 1
                continue
            request = statedb_pb2.GetBlocksRequest(count=min(1_000, stop - number + 1), parts=NO_PARTS)
            setattr(request, "from", number)
            answer = await self._backend.ask(self._backend.statedb.GetBlocks, request, "statedb")
            if not answer.blocks:
                break
            found.extend(block.hash for block in answer.blocks)
            number += len(answer.blocks)
        return found[: stop - start + 1]

    async def _fetch(self, at: At, parts: statedb_pb2.BlockParts) -> list[types_pb2.Block]:
        if at.hash:
            request = statedb_pb2.GetBlocksRequest(hashes=at.hash, count=1, parts=parts)
        else:
            request = statedb_pb2.GetBlocksRequest(
                selector=types_pb2.BlockSelector(number=at.number), count=1, parts=parts
            )
        try:
            answer = await self._backend.ask(self._backend.statedb.GetBlocks, request, "statedb")
        except HeaderNotFound:
            return []
        return list(answer.blocks)

    def _remember(self, number: int, block_hash: bytes) -> None:
        self._hash_of.put(number, block_hash)
        self._number_of.put(block_hash, number)

    # --- transactions -------------------------------------------------------------------------------------------------

    async def find(self, transaction_hash: bytes, *, receipts: bool = False) -> tuple[CommittedBlock, int] | None:
        """(block, index) of a committed transaction, or None."""
        place = self._places.get(transaction_hash)
        if place is not None:
            return place
        request = statedb_pb2.FindTransactionsRequest(hashes=transaction_hash)
        return await self._find(request, receipts=receipts)

    async def find_by_nonce(self, sender: bytes, nonce: int) -> tuple[CommittedBlock, int] | None:
        """(block, index) of a sender's committed transaction, or None."""
        request = statedb_pb2.FindTransactionsRequest(sender=sender, nonce=nonce)
        return await self._find(request, receipts=False)

    async def _find(
        self, request: statedb_pb2.FindTransactionsRequest, *, receipts: bool
    ) -> tuple[CommittedBlock, int] | None:
        answer = await self._backend.ask(self._backend.statedb.FindTransactions, request, "statedb")
        if not answer.places or not answer.places[0].found:
            return None
        place = answer.places[0]
        # statedb may be a moment ahead of the stream: whoever sees this receipt must then read state at its block.
        await self.reach(place.block_number)
        block = await self.block(At(number=place.block_number), receipts=receipts)
        return None if block is None else (block, place.index)

    def committed(self, transaction_hash: bytes) -> "asyncio.Future[tuple[CommittedBlock, int]]":
        """A future of (block, index), done when the transaction is committed; give it to `forget` in the end."""
        if self._waiting >= self._limits.waiters:
            raise LimitExceeded(f"{self._waiting} requests wait for receipts, limit {self._limits.waiters}")
        future: asyncio.Future[tuple[CommittedBlock, int]] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(transaction_hash, []).append(future)
        self._waiting += 1
        metrics.WAITERS.set(self._waiting)
        place = self._places.get(transaction_hash)
        if place is not None:
            future.set_result(place)
        return future

    def forget(self, transaction_hash: bytes, future: "asyncio.Future[tuple[CommittedBlock, int]]") -> None:
        """Stop waiting."""
        waiting = self._waiters.get(transaction_hash)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            self._waiting -= 1
            metrics.WAITERS.set(self._waiting)
            if not waiting:
                del self._waiters[transaction_hash]

    # --- following ----------------------------------------------------------------------------------------------------

    @charged("heads")
    async def run(self) -> None:
        """Follow statedb for the service's life; it may go and come back."""
        while True:
            try:
                await self._follow()
            except RpcError as error:
                log.info("heads_waiting", detail=error.message)
            except grpc.aio.AioRpcError as error:
                log.info("heads_stream_lost", detail=translate(error, "statedb").message)
            self.following = False
            await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        answer = await self._backend.ask(self._backend.statedb.GetHead, statedb_pb2.GetHeadRequest(), "statedb")
        found: types_pb2.Head = answer.head
        self.genesis_hash = found.genesis_hash
        self.earliest, self.earliest_proof = found.earliest, found.earliest_proof
        if self._recent and not await self._continues(found):
            log.error("chain_changed_under_us", ours=self.head.number, theirs=found.number)
            self._reset()
        if not self._recent:
            block = await self._whole(found)
            self._keep(block)
        request = statedb_pb2.StreamHeadsRequest(**{"from": self.head.number + 1}, parts=ALL_PARTS)
        stream = self._backend.statedb.StreamHeads(request)
        try:
            async for response in stream:
                self.following = True
                block = CommittedBlock(response.block, with_receipts=True, spec=self._spec)
                if block.number <= self.head.number:
                    continue
                if block.number != self.head.number + 1:
                    log.warning("heads_gap", expected=self.head.number + 1, got=block.number)
                    return
                self._advance(block)
        finally:
            stream.cancel()

    async def _continues(self, found: types_pb2.Head) -> bool:
        """Whether statedb still has our head (it was not replaced or wiped meanwhile)."""
        if found.number < self.head.number:
            return False
        blocks = await self._fetch(At(number=self.head.number), NO_PARTS)
        return bool(blocks) and blocks[0].hash == self.head.hash

    async def _whole(self, head: types_pb2.Head) -> CommittedBlock:
        blocks = await self._fetch(At(hash=head.hash), ALL_PARTS)
        if not blocks:
            raise Unavailable("statedb names a head that it does not have")
        return CommittedBlock(blocks[0], with_receipts=True, spec=self._spec)

    def _reset(self) -> None:
        self._recent.clear()
        self._recent_bytes = 0
        for table in (self._by_number, self._by_hash, self._places, self._hash_of, self._number_of):
            table.clear()
        self._older = BlockCache(blocks_max=self._limits.cached_blocks, bytes_max=self._limits.cached_bytes)

    def _advance(self, block: CommittedBlock) -> None:
        self._keep(block)
        for listener in self.listeners:
            listener(block)
        if self._waiters:
            for index, transaction_hash in enumerate(block.transaction_hashes()):
                for future in self._waiters.get(transaction_hash, ()):
                    if not future.done():
                        future.set_result((block, index))
        if self._advanced is not None:
            self._advanced.set_result(None)
            self._advanced = None

    def _keep(self, block: CommittedBlock) -> None:
        self._recent.append(block)
        self._recent_bytes += block.weight
        self._by_number[block.number] = block
        self._by_hash[block.hash] = block
        for index, transaction_hash in enumerate(block.transaction_hashes()):
            self._places[transaction_hash] = (block, index)
        metrics.HEAD_BLOCK.set(block.number)
        limits = self._limits
        while len(self._recent) > 1 and (
            len(self._recent) > limits.head_blocks or self._recent_bytes > limits.head_bytes
        ):
            dropped = self._recent.popleft()
            self._recent_bytes -= dropped.weight
            del self._by_number[dropped.number], self._by_hash[dropped.hash]
            for transaction_hash in dropped.transaction_hashes():
                self._places.pop(transaction_hash, None)
