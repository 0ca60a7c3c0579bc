"""Serves an imported chain to clients: statedb, executor and api on one data folder, and no consensus."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from hansa.chainspec import ChainSpec
from hansa.config import load_settings
from hansa.names import EXIT_FAILED
from hansa.replay.errors import LedgerUnusable
from hansa.replay.ledger import MEMBER, Serving, open_ledger, start
from hansa.rpc import PortTaken
from hansa.service import ServiceContext, StartRefused


class _Api(Serving, Protocol):
    ws_port: int
    grpc_port: int


@dataclass(frozen=True, slots=True)
class Served:
    """Where clients reach what."""

    http: str
    ws: str
    grpc: str
    head_number: int
    head_hash: bytes


async def serve_chain(
    chain: ChainSpec,
    data_dir: Path,
    chain_spec: Path,
    api: Mapping[str, Any],
    report: Callable[[Served], None] = lambda _: None,
) -> int:
    """Serve until SIGTERM, SIGINT or the failure of a service; the process's exit status.

    `api`: settings of section `api`; others come from the environment. `report` is called once clients are answered.
    Raises `LedgerUnusable`, `SettingsInvalid`.
    """
    chosen = load_settings(
        None, profile="local", member=MEMBER, chain_spec=chain_spec, data_dir=data_dir, redis_url=None, api=dict(api)
    )
    async with open_ledger(chain, data_dir, chain_spec, chosen) as ledger, AsyncExitStack() as stack:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        ledger.failure.add_done_callback(lambda _: ended.set())
        addresses = ledger.settings.addresses.model_copy(update={"consensus": ""})
        settings = chosen.model_copy(update={"addresses": addresses})
        context = ServiceContext(settings, chain, ledger.failure)
        try:
            served = cast(_Api, await start(stack, "api", context))
        except (StartRefused, PortTaken) as error:
            raise LedgerUnusable(str(error)) from error
        host, head = settings.api.host, await ledger.head()
        report(
            Served(
                http=f"http://{host}:{served.port}",
                ws=f"ws://{host}:{served.ws_port}",
                grpc=f"{settings.api.grpc_host}:{served.grpc_port}",
                head_number=head.number,
                head_hash=head.hash,
            )
        )
        await ended.wait()
        return EXIT_FAILED if ledger.failure.done() else 0
