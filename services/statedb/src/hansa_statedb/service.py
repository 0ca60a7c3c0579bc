"""The statedb service: opens the data folder, serves gRPC, reports sizes."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import grpc
import structlog
from hansa.rpc import add_health, bind, new_server, set_serving
from hansa.service import Check, Service, ServiceContext, StartRefused
from hansa.v1 import statedb_pb2_grpc

from hansa_statedb import limits, metrics
from hansa_statedb.chain import Chain, ChainRules
from hansa_statedb.errors import StoreFailed, StoreRefused
from hansa_statedb.servicer import StateDbServicer
from hansa_statedb.store import Store

GRPC_NAME = "hansa.v1.StateDb"


class StateDbService:
    """One chain's data, in `data_dir/statedb`."""

    name = "statedb"

    def __init__(self, context: ServiceContext) -> None:
        self.port = 0  # the bound port, once started
        self._context = context
        self._chain: Chain | None = None
        self._servicer: StateDbServicer | None = None
        self._server: grpc.aio.Server | None = None
        self._sizes: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Open (or create) the folder and serve. Raises `StartRefused` with what to do, `PortTaken`."""
        settings = self._context.settings.statedb
        try:
            self._chain = await asyncio.to_thread(self._open)
        except (StoreRefused, StoreFailed) as error:
            raise StartRefused(str(error)) from error
        self._servicer = StateDbServicer(self._chain, self._context.fail)
        self._server = new_server()
        statedb_pb2_grpc.add_StateDbServicer_to_server(self._servicer, self._server)
        health = add_health(self._server, GRPC_NAME)
        self.port = bind(self._server, settings.host, settings.port)
        await self._server.start()
        await set_serving(health, GRPC_NAME)
        self._sizes = self._context.spawn(self._report_sizes(self._chain), "statedb sizes")

    async def stop(self) -> None:
        """Let running requests end, then close the folder."""
        self._stopping.set()
        if self._sizes is not None:  # not cancelled: its thread would go on in a store that is being closed
            await asyncio.gather(self._sizes, return_exceptions=True)
        if self._servicer is not None:
            self._servicer.end_streams()
        if self._server is not None:
            await self._server.stop(limits.STOP_SECONDS)
        if self._servicer is not None:
            await asyncio.to_thread(self._servicer.close)
        if self._chain is not None:
            await asyncio.to_thread(self._chain.store.close)
            self._chain = None

    def checks(self) -> Sequence[Check]:
        """Whether the folder is open, and at which height."""
        head = str(self._chain.head.number) if self._chain else "closed"
        return (Check("store", self._chain is not None, head, "open"),)

    @property
    def folder(self) -> Path:
        """Where the data lies."""
        return self._context.settings.data_dir / "statedb"

    def _open(self) -> Chain:
        settings, chain = self._context.settings.statedb, self._context.chain
        store = Store(
            self.folder,
            block_cache_bytes=settings.block_cache_bytes,
            write_buffer_bytes=settings.write_buffer_bytes,
        )
        try:
            opened = Chain(store, ChainRules(chain.kernel, chain.genesis_hash, chain.proof_window))
        except BaseException:
            store.close()
            raise
        log = structlog.get_logger().bind(service=self.name)
        if store.torn_tail:
            log.warning("torn_tail_cut_off", folder=str(self.folder), head=opened.head.number)
        log.info("chain_opened", head=opened.head.number, folder=str(self.folder))
        return opened

    async def _report_sizes(self, chain: Chain) -> None:
        while not self._stopping.is_set():
            for family, size in (await asyncio.to_thread(chain.store.sizes)).items():
                metrics.SIZE_BYTES.labels(cf=family).set(size)
            for part, size in (await asyncio.to_thread(chain.store.memory_bytes)).items():
                metrics.MEMORY_BYTES.labels(part=part).set(size)
            metrics.COMPACTION_PENDING_BYTES.set(await asyncio.to_thread(chain.store.compaction_pending_bytes))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), limits.METRICS_SECONDS)


def create(context: ServiceContext) -> Service:
    """Factory of the entry point `hansa.services`."""
    return StateDbService(context)
