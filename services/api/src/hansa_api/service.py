"""Puts the parts of the api together and starts and stops them."""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any

import uvicorn
from hansa.config import ApiSettings
from hansa.service import Check, ServiceContext, StartRefused
from hansa.telemetry import serve_uvicorn

from hansa_api.api import Api
from hansa_api.backend import Backend
from hansa_api.blocks import CommittedBlock
from hansa_api.fees import Fees
from hansa_api.filters import Filters
from hansa_api.grpc_service import GrpcServer
from hansa_api.heads import Heads
from hansa_api.http import HttpApp
from hansa_api.limits import LimitInvalid, Limits
from hansa_api.methods import all_methods
from hansa_api.methods.eth_node import syncing
from hansa_api.origins import Origins
from hansa_api.pending import PendingBlocks
from hansa_api.pool_feed import PoolFeed
from hansa_api.protocol import Gate, http_protocol, websocket_protocol
from hansa_api.rates import Rates
from hansa_api.rest.app import rest_app
from hansa_api.state import StateReader
from hansa_api.submit import Submitter
from hansa_api.subscriptions import Subscriptions

HEADS_CHANNEL = "heads"
WEBSOCKET_PING_SECONDS = 20
BACKLOG = 1_024
"""Connections that the operating system keeps while the event loop is busy."""
GRACEFUL_SECONDS = 2
"""Requests under way may finish for this long when the service stops."""


class ApiService:
    """The api of one member; `port`, `ws_port` and `grpc_port` are the bound ones."""

    name = "api"

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        settings = context.settings
        self.limits = Limits.from_settings(settings.api.limits)
        self._api = build_api(context, self.limits)
        origins = Origins(settings.api.allowed_hosts, settings.api.cors_origins)
        self._gate = Gate(self.limits, loopback_free=settings.profile != "production")
        rest = rest_app(self._api)
        self._servers = [
            self._http_server(rest, origins, settings.api.port, websocket_only=False),
            self._http_server(rest, origins, settings.api.ws_port, websocket_only=True),
        ]
        self._grpc = GrpcServer(
            self._api,
            self.limits,
            settings.api.grpc_host,
            settings.api.grpc_port,
            reflection=settings.api.grpc_reflection,
        )
        self._tasks: list[asyncio.Task[Any]] = []
        self._serving: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Port of HTTP and WebSocket, once started."""
        return _port(self._servers[0])

    @property
    def ws_port(self) -> int:
        """Port of the second WebSocket door, once started."""
        return _port(self._servers[1])

    @property
    def grpc_port(self) -> int:
        """Port of the public gRPC, once started."""
        return self._grpc.port

    async def start(self) -> None:
        """Listen. Requests that need a service which is away wait or get -32002. Raises `PortTaken`."""
        api, spawn = self._api, self._context.spawn
        api.heads.listeners.append(api.subscriptions.on_block)
        if api.bus is not None:
            bus = api.bus
            bus.listen(HEADS_CHANNEL, lambda payload: api.heads.told(int.from_bytes(payload[:8], "big")))

            def tell_head(block: CommittedBlock) -> None:
                bus.publish(HEADS_CHANNEL, block.number.to_bytes(8, "big"))

            api.heads.listeners.append(tell_head)
            self._tasks.append(spawn(bus.run(), "api redis"))
        self._tasks += [
            spawn(api.heads.run(), "api heads"),
            spawn(api.state.run(), "api state reader"),
            spawn(api.subscriptions.run_full(), "api pending transactions"),
            spawn(api.subscriptions.run_syncing(lambda: syncing(api)), "api syncing"),
        ]
        if not api.backend.read_only:
            self._tasks.append(spawn(api.feed.run(), "api pool feed"))
        for server in self._servers:
            self._serving.append(await serve_uvicorn(server))
        await self._grpc.start()

    async def stop(self) -> None:
        """Close the ports, then everything behind them."""
        await self._grpc.stop()
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._api.submitter.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._api.bus is not None:
            await self._api.bus.close()
        await self._api.backend.close()

    def checks(self) -> Sequence[Check]:
        """Whether committed blocks arrive; Redis is no condition, since everything works without it."""
        heads = self._api.heads
        found = [
            Check("statedb", heads.following or heads.started, str(heads.started).lower(), "true"),
        ]
        if self._api.bus is not None:
            found.append(Check("redis", True, "up" if self._api.bus.up else "away", "any"))
        return found

    def _http_server(self, rest: Any, origins: Origins, port: int, *, websocket_only: bool) -> uvicorn.Server:
        limits = self.limits
        app = HttpApp(self._api, rest, origins, self._gate, [self], websocket_only=websocket_only)
        config = uvicorn.Config(
            app,
            host=self._context.settings.api.host,
            port=port,
            http=http_protocol(self._gate),
            ws=websocket_protocol(self._gate),
            ws_max_size=limits.websocket_message_bytes,
            ws_ping_interval=WEBSOCKET_PING_SECONDS,
            ws_ping_timeout=WEBSOCKET_PING_SECONDS,
            ws_per_message_deflate=False,
            timeout_keep_alive=limits.idle_timeout_ms // 1000,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            backlog=BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # limits count the address that connects, which nobody can choose
            server_header=False,
            date_header=False,
        )
        return uvicorn.Server(config)


def build_api(context: ServiceContext, limits: Limits) -> Api:
    """The parts, not yet running."""
    settings, chain = context.settings, context.chain
    backend = Backend(settings.addresses, limits)
    bus = None
    if settings.redis_url is not None:
        from hansa_api.redis_bus import RedisBus  # loaded only where Redis is used

        bus = RedisBus(settings.redis_url, f"hansa:{chain.genesis_hash[:8].hex()}:{settings.member}")
    heads = Heads(backend, limits, chain.kernel)
    feed = PoolFeed(backend, bus)
    return Api(
        settings=settings,
        chain=chain,
        limits=limits,
        backend=backend,
        heads=heads,
        state=StateReader(backend, limits),
        submitter=Submitter(backend, limits),
        feed=feed,
        filters=Filters(limits, feed),
        subscriptions=Subscriptions(backend, feed, limits),
        pending=PendingBlocks(backend, heads, chain.kernel, strict_timestamps=chain.consensus.strict_timestamps),
        fees=Fees(heads, chain.kernel),
        rates=Rates(limits, bus) if settings.api.rate_limit else None,
        bus=bus,
        registry=all_methods(limits, traces=_serves_traces(settings.api)),
    )


def _serves_traces(settings: ApiSettings) -> bool:
    if settings.traces != "auto":
        return settings.traces == "on"
    try:
        return ipaddress.ip_address(settings.host.strip("[]")).is_loopback
    except ValueError:
        return settings.host == "localhost"


def _port(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


def create(context: ServiceContext) -> ApiService:
    """The factory that the runtime calls. Raises `StartRefused` when a limit in the settings is wrong."""
    try:
        return ApiService(context)
    except LimitInvalid as error:
        raise StartRefused(str(error)) from error
