"""Notices of newly admitted transactions: read from consensus only while somebody listens.

With Redis, one of the replicas that have listeners reads them and publishes them to the others.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import structlog
from hansa.packing import chunks
from hansa.stages import charged
from hansa.v1 import consensus_pb2

from hansa_api import metrics
from hansa_api.backend import Backend

if TYPE_CHECKING:
    from hansa_api.redis_bus import RedisBus  # loaded only where Redis is used: it takes a quarter of a second

CHANNEL = "pool"
DUTY = "pool"
LEASE_MS = 5_000
"""How long a dead leader's duty stays with it."""
LINGER_SECONDS = 10
"""The stream stays open this long after the last listener left: pollers come back."""

Listener = Callable[[list[bytes]], None]

log = structlog.get_logger()


class PoolFeed:
    """Calls listeners with transaction hashes, in the order of admission."""

    def __init__(self, backend: Backend, bus: "RedisBus | None") -> None:
        self._backend = backend
        self._bus = bus
        self._listeners: list[Listener] = []
        self._wanted = asyncio.Event()
        self._reading = False
        self.connected = asyncio.Event()
        if bus is not None:
            bus.listen(CHANNEL, self._from_bus)

    def add(self, listener: Listener) -> None:
        """From now on, tell `listener`."""
        self._listeners.append(listener)
        self._wanted.set()

    def remove(self, listener: Listener) -> None:
        """No longer tell `listener`."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    @charged("heads")
    async def run(self) -> None:
        """For the service's life."""
        while True:
            await self._wanted.wait()
            try:
                if self._bus is None or await self._bus.lead(DUTY):
                    await self._read()
                else:
                    self.connected.set()
                    await asyncio.sleep(LEASE_MS / 2_000)
                    if not self._listeners:
                        self._wanted.clear()
            except grpc.aio.AioRpcError as error:
                log.info("pool_stream_lost", detail=error.details())
                await asyncio.sleep(0.5)

    async def _read(self) -> None:
        call = self._backend.consensus.StreamPool(consensus_pb2.StreamPoolRequest(), wait_for_ready=True)
        keeper = asyncio.create_task(self._keep(call))
        self._reading = True
        try:
            await call.wait_for_connection()
            self.connected.set()
            async for response in call:
                if response.skipped:
                    metrics.EVENTS_DROPPED.labels("pool").inc(response.skipped)
                if self._bus is not None:
                    self._bus.publish(CHANNEL, response.hashes)
                self._tell(chunks(response.hashes, 32))
        except asyncio.CancelledError:
            if not call.cancelled() or not keeper.done():
                raise
        finally:
            self._reading = False
            self.connected.clear()
            keeper.cancel()
            call.cancel()

    async def _keep(self, call: "grpc.aio.UnaryStreamCall[object, consensus_pb2.StreamPoolResponse]") -> None:
        """End the stream when nobody listens any more, or when another replica has the duty."""
        idle = 0.0
        pause = LEASE_MS / 3_000
        while True:
            await asyncio.sleep(pause)
            idle = 0.0 if self._listeners else idle + pause
            if idle >= LINGER_SECONDS:
                self._wanted.clear()
                if self._bus is not None:
                    await self._bus.resign(DUTY)
                break
            if self._bus is not None and not await self._bus.lead(DUTY):
                break
        call.cancel()

    def _from_bus(self, payload: bytes) -> None:
        if not self._reading and len(payload) % 32 == 0:
            self._tell(chunks(payload, 32))

    def _tell(self, hashes: list[bytes]) -> None:
        for listener in list(self._listeners):
            listener(hashes)
