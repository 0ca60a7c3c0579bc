"""Logs, metrics and health of a process.

Logs are one JSON object per line (`ts level event service member ...`), pretty on a terminal. Metrics are declared
once per service in its `metrics.py` with prometheus-client's default registry.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from hansa import __version__
from hansa.config import LogSettings
from hansa.rpc import PortTaken

if TYPE_CHECKING:
    from hansa.service import Check, Service

BUILD_INFO = Gauge("hansa_build_info", "Version that runs; always 1.", ["version"])
UP_SINCE = Gauge("hansa_up_since_seconds", "Unix time at which the process started, seconds.")

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def setup_logging(settings: LogSettings, **bound: str) -> None:
    """Configure structlog for this process; `bound` (service, member) goes with every line."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stdout.isatty())
    render: Any = (
        structlog.dev.ConsoleRenderer()
        if pretty
        else structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=str).decode())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.StackInfoRenderer(),
            *(() if pretty else (structlog.processors.format_exc_info,)),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stdout, format="%(levelname)s %(name)s %(message)s"
    )


def readiness(services: "Sequence[Service]", *, started: bool) -> tuple[bool, dict[str, Any]]:
    """(ready, body): each check with its value and bound."""
    found: list[tuple[str, Check]] = [(service.name, check) for service in services for check in service.checks()]
    ready = started and all(check.ok for _, check in found)
    body = {
        "ready": ready,
        "checks": [
            {"service": name, "name": check.name, "ok": check.ok, "value": check.value, "bound": check.bound}
            for name, check in found
        ],
    }
    return ready, body


class MetricsServer:
    """`/metrics`, `/livez`, `/readyz` and `/startupz` of the process. A stalled chain does not end liveness."""

    def __init__(self, host: str, port: int, services: "Sequence[Service]") -> None:
        self.started = False
        self._host = host
        self._services = services
        # Told apart from asgi2 by name: uvicorn takes a bound method for an asgi2 application.
        config = uvicorn.Config(
            self._app, host=host, port=port, interface="asgi3", log_config=None, lifespan="off", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task: asyncio.Task[None] | None = None
        BUILD_INFO.labels(version=__version__).set(1)
        UP_SINCE.set(time.time())

    @property
    def port(self) -> int:
        """The bound port, once started."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Bind and serve. Raises `PortTaken`."""
        self._task = await serve_uvicorn(self._server)

    async def stop(self) -> None:
        """Close the port."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _app(self, scope: Scope, receive: object, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = self.answer(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body) of a path."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest()
        if path in ("/livez", "/liveness"):
            return 200, "application/json", b'{"live":true}'
        if path == "/startupz":
            return (200 if self.started else 503), "application/json", orjson.dumps({"started": self.started})
        if path in ("/readyz", "/readiness"):
            ready, body = readiness(self._services, started=self.started)
            return (200 if ready else 503), "application/json", orjson.dumps(body)
        return 404, "application/json", b'{"error":"there are /metrics /livez /readyz /startupz"}'


async def serve_uvicorn(server: uvicorn.Server) -> "asyncio.Task[None]":
    """Start a uvicorn server in this loop without its signal handlers; returns when it listens. Raises `PortTaken`."""
    config = server.config
    if not config.loaded:
        config.load()
    server.lifespan = config.lifespan_class(config)
    try:
        await server.startup()
    except SystemExit as error:  # uvicorn's way to say that binding failed
        raise PortTaken(f"{config.host}:{config.port}") from error
    if not server.started:
        raise PortTaken(f"{config.host}:{config.port}")

    async def run() -> None:
        await server.main_loop()
        await server.shutdown()

    return asyncio.create_task(run(), name=f"http {config.port}")
