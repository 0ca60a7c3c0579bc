"""Processor time by stage of the work: where the next bottleneck is.

A stage is charged with the processor time of the thread that works for it, never with waiting, so the stages of a
process add up to what the process used. One is current per thread: entering another one pauses it. A clock is read when
the stage of a thread changes, that is per batch, never per transaction (0.3 µs each).

The kernel works on threads of its own while its caller waits. Their time goes to the oldest call that is under way, as
many calls at once as there are threads: the kernel takes calls in their order.
"""

import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from pathlib import Path
from typing import Any, Final, Literal, ParamSpec, TypeVar

from prometheus_client.core import REGISTRY, CounterMetricFamily
from prometheus_client.registry import Collector

P = ParamSpec("P")
T = TypeVar("T")

Stage = Literal[
    "rpc", "heads", "recover", "admit", "journal", "gossip", "vote", "propose", "decode", "execute", "call", "read",
    "stage", "root", "commit", "query", "transport", "network_threads", "compaction", "kernel_other",
]  # fmt: skip
"""What `hansa_cpu_seconds_total` is split by; libs/hansa/README.md says what each means."""

_TASKS: Final = Path("/proc/self/task")
_KERNEL_THREADS: Final = "kernel-"
_OWN_THREADS: Final[dict[str, Stage]] = {
    "rocksdb": "compaction",
    "event_engine": "network_threads",
    "grpc": "network_threads",
    "lifeguard": "network_threads",
    "resolver": "network_threads",
}
"""Threads that libraries start, by the beginning of their names."""


def thread_clock(thread: int) -> int:
    """The clock of the processor time of a thread of this process, by its id in the kernel (clock_getres(2))."""
    return ~thread << 3 | 6  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED


class _Account(threading.local):
    """What this thread's stages have used."""

    def __init__(self) -> None:
        self.spent: dict[Stage, float] = {}
        self.current: Stage | None = None
        self.since = 0.0
        _accounts.append(self.spent)  # outlives the thread; as many as there ever were threads with stages

    def switch(self, stage: Stage | None) -> Stage | None:
        """Make `stage` current; returns the one before."""
        now = time.thread_time()
        before = self.current
        if before is not None:
            self.spent[before] = self.spent.get(before, 0.0) + now - self.since
        self.current, self.since = stage, now
        return before


_accounts: list[dict[Stage, float]] = []
_account = _Account()


class _Kernel:
    """The kernel's threads and the calls that wait for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clocks: list[int] = []
        self._seen = 0.0  # seconds of all threads that are charged
        self._calls: dict[object, Stage] = {}  # under way, oldest first
        self.spent: dict[Stage, float] = {}

    def begin(self, stage: Stage) -> object:
        """A call is about to begin; returns its token for `end`."""
        token = object()
        if not self._clocks:
            self.find()
        with self._lock:
            self._settle()
            self._calls[token] = stage
        return token

    def end(self, token: object) -> None:
        """A call has ended."""
        with self._lock:
            self._settle()
            del self._calls[token]

    def find(self) -> None:
        """Look for the kernel's threads, which begin with its first call."""
        clocks = sorted(thread_clock(thread) for thread, name in _threads() if name.startswith(_KERNEL_THREADS))
        with self._lock:
            if clocks != self._clocks:
                self._settle()
                self._clocks, calls = clocks, self._calls
                self._calls = {}  # what was used before anybody looked is nobody's
                self._settle()
                self._calls = calls

    def _settle(self) -> None:
        now = sum(map(time.clock_gettime, self._clocks))
        used, self._seen = now - self._seen, now
        served = list(self._calls.values())[: len(self._clocks)] or ["kernel_other"]
        for stage in served:
            self.spent[stage] = self.spent.get(stage, 0.0) + used / len(served)


_kernel = _Kernel()


class charge:
    """`with charge(stage):` around synchronous work."""

    __slots__ = ("_before", "_stage")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before: Stage | None = None

    def __enter__(self) -> None:
        self._before = _account.switch(self._stage)

    def __exit__(self, *_: object) -> None:
        _account.switch(self._before)


class charge_kernel:
    """`with charge_kernel(stage):` around a call that the kernel's threads work for."""

    __slots__ = ("_before", "_stage", "_token")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before: Stage | None = None
        self._token: object = None

    def __enter__(self) -> None:
        self._before = _account.switch(self._stage)
        self._token = _kernel.begin(self._stage)

    def __exit__(self, *_: object) -> None:
        _kernel.end(self._token)
        _account.switch(self._before)


def charged_call(stage: Stage, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call `work` for `stage`."""
    with charge(stage):
        return work(*arguments, **named)


def charged_kernel_call(stage: Stage, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call `work`, which waits for the kernel's threads, for `stage`."""
    with charge_kernel(stage):
        return work(*arguments, **named)


class Charged(Coroutine[Any, Any, T]):
    """A coroutine whose every step is charged to `stage`, and not what runs while it waits."""

    __slots__ = ("_stage", "_work")

    def __init__(self, stage: Stage, work: Coroutine[Any, Any, T]) -> None:
        self._stage = stage
        self._work = work

    def send(self, value: Any) -> Any:
        """One step."""
        before = _account.switch(self._stage)
        try:
            return self._work.send(value)
        finally:
            _account.switch(before)

    def throw(self, *error: Any) -> Any:
        """One step that begins with an exception."""
        before = _account.switch(self._stage)
        try:
            return self._work.throw(*error)
        finally:
            _account.switch(before)

    def close(self) -> None:
        """End it."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                waited = self.send(value) if error is None else self.throw(error)
            except StopIteration as ended:
                result: T = ended.value
                return result
            try:
                value, error = (yield waited), None
            except GeneratorExit:
                self.close()
                raise
            except BaseException as raised:  # noqa: BLE001 - cancelled, or what was waited for failed: the coroutine's
                value, error = None, raised


def charged(
    stage: Stage,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorator of a coroutine function: its steps are charged to `stage`."""

    def decorate(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(function)
        async def work(*arguments: P.args, **named: P.kwargs) -> T:
            return await Charged(stage, function(*arguments, **named))

        return work

    return decorate


def charged_stream(
    stage: Stage,
) -> Callable[[Callable[P, AsyncIterator[T]]], Callable[P, AsyncIterator[T]]]:
    """Decorator of an asynchronous generator function: its steps are charged to `stage`."""

    def decorate(function: Callable[P, AsyncIterator[T]]) -> Callable[P, AsyncIterator[T]]:
        @functools.wraps(function)
        async def work(*arguments: P.args, **named: P.kwargs) -> AsyncIterator[T]:
            items: Any = function(*arguments, **named)
            try:
                while True:
                    try:
                        item: T = await Charged(stage, items.__anext__())
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                await items.aclose()

        return work

    return decorate


def _threads() -> Iterable[tuple[int, str]]:
    """(id, name) of this process's threads."""
    for task in _TASKS.glob("*"):
        try:
            yield int(task.name), (task / "comm").read_text().rstrip()
        except OSError:  # it has ended
            continue


def _clock(thread: int) -> float:
    try:
        return time.clock_gettime(thread_clock(thread))
    except OSError:
        return 0.0


def seconds_by_stage() -> dict[Stage, float]:
    """Processor time so far by stage; threads of libraries and what the event loop did outside of stages included."""
    _kernel.find()
    total: dict[Stage, float] = {}
    for spent in (*list(_accounts), _kernel.spent):
        for stage, seconds in list(spent.items()):
            total[stage] = total.get(stage, 0.0) + seconds
    for thread, name in _threads():
        for beginning, stage in _OWN_THREADS.items():
            if name.startswith(beginning):
                total[stage] = total.get(stage, 0.0) + _clock(thread)
    return total


class _Stages(Collector):
    """`/metrics` of the stages; nothing is computed between two scrapes."""

    def __init__(self) -> None:
        self._loop = threading.main_thread()

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(
            "hansa_cpu_seconds", "Processor time by stage of the work; threads' time, not waiting.", labels=["stage"]
        )
        found = seconds_by_stage()
        # Only the main thread has a loop: what it used outside of stages is reading and writing of sockets.
        if self._loop.native_id is not None:
            _account.switch(_account.current)  # up to now
            found["transport"] = max(0.0, _clock(self._loop.native_id) - sum(_main_spent.values()))
        for stage, seconds in sorted(found.items()):
            family.add_metric([stage], seconds)
        yield family


_main_spent = _account.spent  # this module is imported by the main thread
REGISTRY.register(_Stages())
