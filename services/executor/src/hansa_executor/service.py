"""The executor service: one cache, three worker kinds, one stream of reads for each."""

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from hansa.rpc import add_health, bind, channel, new_server, set_serving
from hansa.service import Check, Service, ServiceContext
from hansa.v1 import executor_pb2_grpc, statedb_pb2_grpc
from hansa_kernel import StateCache

from hansa_executor import limits
from hansa_executor.blocks import BlockExecutor
from hansa_executor.calls import CallExecutor, CallLimits
from hansa_executor.gas_limit import refuse_if_too_high, warn_if_too_high
from hansa_executor.heads import Heads
from hansa_executor.reads import StateReads
from hansa_executor.servicer import ExecutorServicer
from hansa_executor.traces import TraceExecutor
from hansa_executor.witnesses import WitnessMaker

GRPC_NAME = "hansa.v1.Executor"


class ExecutorService:
    """Runs blocks and calls on this member's statedb; statedb may come up later, and come and go."""

    name = "executor"

    def __init__(self, context: ServiceContext) -> None:
        self.port = 0  # the bound port, once started
        self._context = context
        self._server: grpc.aio.Server | None = None
        self._channel: grpc.aio.Channel | None = None
        self._heads: Heads | None = None
        self._following: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._reads: list[StateReads] = []
        self._pools: list[ThreadPoolExecutor] = []

    async def start(self) -> None:
        """Serve. Raises `PortTaken`, `StartRefused`."""
        settings, chain = self._context.settings, self._context.chain
        await refuse_if_too_high(chain, settings.executor.gas_limit_check)
        spec = chain.kernel
        workers = settings.executor.call_workers
        self._channel = channel(settings.addresses.statedb)
        stub = statedb_pb2_grpc.StateDbStub(self._channel)
        cache = StateCache(entries_max=settings.executor.cache_entries, overlays_max=limits.OVERLAYS_MAX)
        self._heads = Heads(stub, cache)
        self._reads = [StateReads(stub, name) for name in ("blocks", "calls", "witnesses", "traces")]
        self._pools = [
            ThreadPoolExecutor(1, "executor-block"),
            ThreadPoolExecutor(workers, "executor-call", _yield_to_blocks),
            ThreadPoolExecutor(1, "executor-witness", _yield_to_blocks),
            ThreadPoolExecutor(limits.TRACE_WORKERS, "executor-trace", _yield_to_blocks),
        ]
        blocks = BlockExecutor(spec, cache, stub, self._reads[0], self._pools[0])
        call_limits = CallLimits(settings.executor.call_timeout_ms, settings.executor.call_gas_max)
        calls = CallExecutor(spec, cache, stub, self._reads[1], self._pools[1], call_limits, follows_clock=chain.hansa)
        witnesses = WitnessMaker(spec, chain.genesis_hash, stub, self._reads[2], self._pools[2])
        traces = TraceExecutor(spec, cache, stub, self._reads[3], self._pools[3], calls)
        self._server = new_server()
        executor_pb2_grpc.add_ExecutorServicer_to_server(
            ExecutorServicer(blocks, calls, witnesses, traces, call_workers=workers), self._server
        )
        health = add_health(self._server, GRPC_NAME)
        self.port = bind(self._server, settings.executor.host, settings.executor.port)
        self._following = self._context.spawn(self._heads.follow(), "executor heads")
        await self._server.start()
        await set_serving(health, GRPC_NAME)
        check = warn_if_too_high(chain, settings.executor.gas_limit_check, self._pools[1])
        self._checking = self._context.spawn(check, "gas limit check")

    async def stop(self) -> None:
        """Let running requests end."""
        if self._server is not None:
            await self._server.stop(limits.STOP_SECONDS)
        for task in (self._following, self._checking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for reads in self._reads:
            await reads.close()
        for pool in self._pools:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        if self._channel is not None:
            await self._channel.close(None)

    def checks(self) -> Sequence[Check]:
        """Whether statedb answers."""
        heads = self._heads
        connected = heads is not None and heads.connected
        return (Check("statedb", connected, str(heads.number) if heads and connected else "away", "connected"),)


def _yield_to_blocks() -> None:
    """Begin a call worker's thread: it gives way to the threads that make blocks, here and in other members."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), limits.CALL_NICENESS)


def create(context: ServiceContext) -> Service:
    """Factory of the entry point `hansa.services`."""
    return ExecutorService(context)
