"""What a service is, and how a process runs one or all of a member's services.

A service package names its factory in the entry-point group `hansa.services`; so this library starts services without
importing them. The runtime loads settings and chain spec once, starts services in the order of `START_ORDER`, serves
metrics and health, ends them in reverse on SIGTERM or SIGINT, and ends the process when a service fails: a broken
invariant stops the service rather than lets it go on.
"""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from hansa.chainspec import ChainSpec
from hansa.config import Settings
from hansa.memory import find_trim, give_back_when_quiet
from hansa.names import EXIT_FAILED as EXIT_FAILED
from hansa.names import START_ORDER as START_ORDER
from hansa.rpc import PortTaken

if TYPE_CHECKING:
    from hansa.telemetry import MetricsServer

STOP_SECONDS_MAX = 10
"""A service that has not stopped after this long is left to the end of the process."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a readiness answer: `value` and the `bound` that it is judged by, as text."""

    name: str
    ok: bool
    value: str
    bound: str


class Service(Protocol):
    """A service of one member."""

    name: str

    async def start(self) -> None:
        """Return once requests are answered. Raises a typed error with what to do when it cannot start."""

    async def stop(self) -> None:
        """Finish what was promised, close files and sockets. Also called after a failed start."""

    def checks(self) -> Sequence[Check]:
        """Readiness, from memory; cheap."""


@dataclass(slots=True)
class ServiceContext:
    """What a factory gets: `create(context) -> Service`."""

    settings: Settings
    chain: ChainSpec
    failure: "asyncio.Future[BaseException]"
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run `work` in the background; if it raises, the process ends with `EXIT_FAILED`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def fail(self, error: BaseException) -> None:
        """Report that this process must not go on."""
        if not self.failure.done():
            self.failure.set_result(error)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            structlog.get_logger().error("task_failed", task=task.get_name(), exc_info=error)
            self.fail(error)


class StartRefused(Exception):
    """A service cannot start until somebody does something; the text says what."""


class ServiceUnknown(ValueError):
    """No installed package provides this service."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no service {name!r} is installed; there are: {', '.join(known)}")


def find_services(names: Sequence[str]) -> list[Any]:
    """Factories of `names` in start order. Raises `ServiceUnknown`."""
    found = {entry.name: entry for entry in entry_points(group="hansa.services")}
    for name in names:
        if name not in found:
            raise ServiceUnknown(name, sorted(found))
    return [found[name].load() for name in START_ORDER if name in names]


async def run_services(names: Sequence[str], settings: Settings, chain: ChainSpec) -> int:
    """Run until a signal or a failure; returns the process's exit status.

    Raises `StartRefused` when a service says that it cannot start: a taken port, damaged data, wrong keys.
    """
    from hansa.telemetry import MetricsServer  # here, so that tests can build services without a web server

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    context = ServiceContext(settings, chain, loop.create_future())
    context.failure.add_done_callback(lambda _: ended.set())
    services: list[Service] = [create(context) for create in find_services(names)]
    metrics = MetricsServer(settings.metrics.host, settings.metrics.port, services)
    started: list[Service] = []
    try:
        await _start(metrics, services, started, ended)
        if (trim := find_trim()) is not None:
            context.spawn(give_back_when_quiet(trim), "memory")
        await ended.wait()
        return EXIT_FAILED if context.failure.done() else 0
    finally:
        await _stop(started, context)
        await metrics.stop()


async def _start(
    metrics: "MetricsServer", services: Sequence[Service], started: list[Service], ended: asyncio.Event
) -> None:
    """Start services in order; a signal or a failure meanwhile ends the attempt."""
    log = structlog.get_logger()

    async def each() -> None:
        await metrics.start()
        for service in services:
            started.append(service)
            await service.start()
            log.info("service_started", service=service.name)
        metrics.started = True

    starting = asyncio.ensure_future(each())
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return
    except PortTaken as error:
        raise StartRefused(str(error)) from error


async def _stop(started: Sequence[Service], context: ServiceContext) -> None:
    log = structlog.get_logger()
    for service in reversed(started):
        try:
            await asyncio.wait_for(service.stop(), STOP_SECONDS_MAX)
        except TimeoutError:
            log.warning("service_stop_timed_out", service=service.name, seconds=STOP_SECONDS_MAX)
        except Exception:  # the outermost place: the others are to be stopped all the same
            log.exception("service_stop_failed", service=service.name)
    for task in list(context.tasks):
        task.cancel()
