"""Follows statedb's committed heads, so that the shared cache holds exactly the committed state."""

import asyncio

import grpc
import structlog
from hansa.v1 import statedb_pb2, statedb_pb2_grpc
from hansa_kernel import StateCache

from hansa_executor import limits


class Heads:
    """The newest committed head that this executor knows of, and the cache that follows it."""

    def __init__(self, stub: statedb_pb2_grpc.StateDbStub, cache: StateCache) -> None:
        self.hash = b""  # empty until statedb has answered
        self.number = -1
        self.connected = False
        self._stub = stub
        self._cache = cache

    async def follow(self) -> None:
        """Run until cancelled; statedb may come and go."""
        pause = limits.BACKOFF_SECONDS_MIN
        while True:
            try:
                await self._follow_once()
                pause = limits.BACKOFF_SECONDS_MIN
            except grpc.aio.AioRpcError as error:
                if self.connected:
                    structlog.get_logger().info("heads_stream_ended", code=error.code().name)
            self.connected = False
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.BACKOFF_SECONDS_MAX)

    async def _follow_once(self) -> None:
        answer = await self._stub.GetHead(statedb_pb2.GetHeadRequest(), wait_for_ready=True)
        head = answer.head
        if head.hash != self.hash:  # first time, or blocks passed unseen
            self._cache.reset(head.hash)
            self.number, self.hash = head.number, head.hash
        self.connected = True
        request = statedb_pb2.StreamHeadsRequest(**{"from": head.number + 1})
        async for message in self._stub.StreamHeads(request):
            block = message.block
            if not self._cache.commit(block.hash):
                self._cache.reset(block.hash)
            self.number, self.hash = self.number + 1, block.hash
