"""A data folder opened in this process: statedb, and an executor on it, on ports that the system chooses.

The services come through the entry points of `hansa.service`; nothing of them is imported here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import grpc

from hansa.chainspec import ChainSpec
from hansa.config import Settings
from hansa.node import DataFolderInvalid, claim_data_folder
from hansa.replay.errors import LedgerUnusable
from hansa.rpc import PortTaken, channel
from hansa.service import Service, ServiceContext, ServiceUnknown, StartRefused, find_services
from hansa.v1 import executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2

MEMBER = "import"
"""Whose data an imported chain is: nobody's of a consortium."""


class Serving(Service, Protocol):
    """A service that listens."""

    port: int  # the bound one, once started


@dataclass(frozen=True, slots=True)
class Ledger:
    """Stubs of an open data folder."""

    chain: ChainSpec
    settings: Settings  # with the addresses of the services that run
    statedb: statedb_pb2_grpc.StateDbStub
    executor: executor_pb2_grpc.ExecutorStub
    failure: "asyncio.Future[BaseException]"  # set when a service must not go on

    async def head(self) -> types_pb2.Head:
        """The committed head."""
        head: types_pb2.Head = (await self.statedb.GetHead(statedb_pb2.GetHeadRequest())).head
        return head


@asynccontextmanager
async def open_ledger(
    chain: ChainSpec, data_dir: Path, chain_spec: Path, chosen: Settings | None = None
) -> AsyncIterator[Ledger]:
    """Open `data_dir`, or make it; `chosen` has settings of statedb and executor, whose ports the system chooses.

    Raises `LedgerUnusable` with what to do.
    """
    if chain.hansa:
        raise LedgerUnusable(
            "the chain spec is a consortium's (config.hansa): its members fetch blocks with certificates from each other"
        )
    own = {} if chosen is None else chosen.model_dump(include={"statedb", "executor"})
    try:
        claim_data_folder(data_dir, chain, MEMBER)
        async with AsyncExitStack() as stack:
            failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

            def settings(**addresses: str | tuple[str, ...]) -> Settings:
                return Settings.model_validate(
                    {
                        "profile": "local",
                        "member": MEMBER,
                        "chain_spec": chain_spec,
                        "data_dir": data_dir,
                        "statedb": {**own.get("statedb", {}), "port": 0},
                        "executor": {**own.get("executor", {}), "port": 0},
                        "addresses": addresses,
                    }
                )

            statedb = await start(stack, "statedb", ServiceContext(settings(), chain, failure))
            statedb_at = f"127.0.0.1:{statedb.port}"
            executor = await start(stack, "executor", ServiceContext(settings(statedb=statedb_at), chain, failure))
            links = [channel(f"127.0.0.1:{service.port}") for service in (statedb, executor)]
            for link in links:
                stack.push_async_callback(link.close, None)
            yield Ledger(
                chain,
                settings(statedb=statedb_at, executors=(f"127.0.0.1:{executor.port}",)),
                statedb_pb2_grpc.StateDbStub(links[0]),
                executor_pb2_grpc.ExecutorStub(links[1]),
                failure,
            )
    except (StartRefused, DataFolderInvalid, ServiceUnknown, PortTaken) as error:
        raise LedgerUnusable(str(error)) from error
    except grpc.aio.AioRpcError as error:
        raise LedgerUnusable(f"{data_dir}: {error.code().name}: {error.details()}") from error


async def start(stack: AsyncExitStack, name: str, context: ServiceContext) -> Serving:
    """Start a service that `stack` stops."""
    (create,) = find_services([name])
    service = cast(Serving, create(context))
    stack.push_async_callback(service.stop)  # also after a start that failed
    await service.start()
    return service
