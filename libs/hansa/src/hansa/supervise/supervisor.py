"""Starts processes, starts them again, ends them."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from hansa.supervise.plan import Folder, Process, ProcessState, State, read_plan, write_state

RESTART_SECONDS_MIN: Final = 0.2
"""Pause before a process that died is started again, the first time."""

RESTART_SECONDS_MAX: Final = 5.0
"""Longest pause: a member that comes back by itself is away no longer than this."""

HEALTHY_SECONDS: Final = 20.0
"""A process that ran for this long starts again with the shortest pause."""

STOP_SECONDS_MAX: Final = 20.0
"""A process that has not ended this long after SIGTERM is killed; services give themselves 10 s each at most."""

LOG_BYTES_MAX: Final = 64 << 20
"""A log beyond this is set aside as .1 (replacing the last one)."""

TICK_SECONDS: Final = 5.0
"""Longest sleep: how often logs are looked at."""

_SIGNALS: Final = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_PR_SET_PDEATHSIG: Final = 1


def _in_child() -> None:
    """Undo the supervisor's signal mask, and end with it should it be killed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


try:
    _LIBC: ctypes.CDLL | None = ctypes.CDLL(None)
    if not hasattr(_LIBC, "prctl"):
        _LIBC = None  # not Linux: children of a killed supervisor are found by the next start
except OSError:
    _LIBC = None


class Child:
    """One process and its restarts."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.state = ProcessState()
        self.start_at = 0.0  # monotonic; when to start it (again)
        self._pause = RESTART_SECONDS_MIN
        self._started = 0.0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it runs, as far as reaped."""
        return self._popen is not None

    def start(self) -> None:
        """Start it, its output appended to its log."""
        self._started = time.monotonic()
        self.state.since = time.time()
        try:
            with open(self.process.log, "ab") as log:
                self._popen = subprocess.Popen(
                    self.process.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.process.environment},
                    start_new_session=True,
                    preexec_fn=_in_child,  # safe here: this process has one thread
                )
        except OSError as error:
            print(f"{self.process.name}: cannot be started: {error}", flush=True)  # noqa: T201 - the supervisor's log
            self._ended(127)
            return
        self.state.pid = self._popen.pid

    def reap(self) -> bool:
        """Notice an end; True when it has just ended."""
        if self._popen is None or (status := self._popen.poll()) is None:
            return False
        self._ended(status)
        return True

    def _ended(self, status: int) -> None:
        now = time.monotonic()
        if now - self._started >= HEALTHY_SECONDS:
            self._pause = RESTART_SECONDS_MIN
        self.start_at = now + self._pause
        self._pause = min(self._pause * 2, RESTART_SECONDS_MAX)
        self._popen = None
        self.state.pid = None
        self.state.last_exit = status
        self.state.restarts += 1
        self.state.since = time.time()

    def send(self, number: signal.Signals) -> None:
        """Signal it if it still runs (it is our child, so its id cannot be somebody else's)."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def rotate_log(self) -> None:
        """Set a large log aside. Copied, since the process keeps its descriptor (which appends)."""
        path = Path(self.process.log)
        try:
            if path.stat().st_size > LOG_BYTES_MAX:
                shutil.copyfile(path, path.with_suffix(path.suffix + ".1"))
                os.truncate(path, 0)
        except OSError as error:
            print(f"{path}: cannot be set aside: {error}", flush=True)  # noqa: T201 - the supervisor's log


def supervise(run: Path) -> int:
    """Run the plan in `run` until SIGTERM or SIGINT. Returns 1 when another supervisor does so already."""
    folder = Folder(run)
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _acquire(lock):
        print(f"{run}: another supervisor runs here", flush=True)  # noqa: T201 - the supervisor's log
        return 1
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    children = [Child(process) for process in read_plan(folder)]
    state = State(os.getpid(), {child.process.name: child.state for child in children})
    ending = False
    while not ending:
        now = time.monotonic()
        changed = False
        for child in children:
            if not child.running and child.start_at <= now:
                child.start()
                changed = True
        if changed:
            write_state(folder, state)
        next_start = min((child.start_at - now for child in children if not child.running), default=TICK_SECONDS)
        received = signal.sigtimedwait(_SIGNALS, max(0.01, min(next_start, TICK_SECONDS)))
        ending = received is not None and received.si_signo != signal.SIGCHLD
        # Every child is asked: several ends may arrive as one signal.
        ended = [child for child in children if child.reap()]
        for child in ended:
            print(f"{child.process.name}: ended with {child.state.last_exit}", flush=True)  # noqa: T201 - the log
        if ended:
            write_state(folder, state)
        if received is None:
            for child in children:
                child.rotate_log()
    _stop(children)
    folder.state.unlink(missing_ok=True)
    return 0


def _acquire(lock: int) -> bool:
    """Take the lock; tried for a moment, since who asks whether we run holds it for an instant, too."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(children: list[Child]) -> None:
    """End all, together: SIGTERM, then SIGKILL for those that do not listen."""
    for child in children:
        child.send(signal.SIGTERM)
        child.send(signal.SIGCONT)  # one that was stopped could not hear the first
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while any(child.running for child in children) and time.monotonic() < deadline:
        signal.sigtimedwait(_SIGNALS, 0.1)
        for child in children:
            child.reap()
    for child in children:
        child.send(signal.SIGKILL)
    while any(child.running for child in children):
        signal.sigtimedwait(_SIGNALS, 0.1)
        for child in children:
            child.reap()
