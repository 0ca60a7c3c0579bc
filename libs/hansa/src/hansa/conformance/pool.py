"""Files of tests on several processes: the kernel decides the cases, a process per worker keeps runs apart.

A worker has a kernel pool of its own, so `threads` means threads per block. Files that take longest are handed out first,
so that none of them is left for the end.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILES_IN_FLIGHT_PER_PROCESS: Final = 4
"""Enough that no worker waits for the next file, few enough that results come as they are made."""


LONG_FOLDERS: Final = frozenset({"stTimeConsuming", "stQuadraticComplexityTest", "stAttackTest", "vmPerformance"})
"""Their files are small and run for seconds or minutes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How cases are run."""

    fork: str | None = None
    runner: str = "sequential"
    cold: bool = False
    transactions_min: int = 0  # only cases with a block of at least so many transactions
    trace: tuple[str, ...] | None = None  # as `hansa_kernel.run_conformance` takes it


@dataclass(frozen=True, slots=True)
class Job:
    """One file under one setting."""

    kind: str  # as `hansa_kernel.run_conformance` takes it
    path: Path
    setting: Setting = Setting()


@dataclass(frozen=True, slots=True)
class Case:
    """One decided case."""

    name: str
    fork: str
    passed: bool
    skipped: str | None  # a reason's name
    error: str
    trace: str = ""  # where it was asked for: a line a step (EIP-3155) and one at the end


@dataclass(frozen=True, slots=True)
class FileResult:
    """All cases of a job that its setting wants."""

    job: Job
    cases: tuple[Case, ...]
    seconds: float


def run_jobs(jobs: Sequence[Job], *, processes: int, threads: int) -> Iterator[FileResult]:
    """Decide all jobs on `processes` workers of `threads` kernel threads each; results come as they end.

    A file that is not of its kind, and a worker that dies, is a result with one failed case.
    """
    waiting = sorted(jobs, key=_weight)  # taken from the end
    while waiting:
        # A dead worker takes its pool with it: what was under way fails, the rest goes on in a new one.
        yield from _run_pool(waiting, processes, threads)


def _weight(job: Job) -> tuple[bool, int]:
    return (any(part in LONG_FOLDERS for part in job.path.parts), job.path.stat().st_size)


def _run_pool(waiting: list[Job], processes: int, threads: int) -> Iterator[FileResult]:
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_configure, initargs=(threads,))
    running: dict[Future[FileResult], Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes * FILES_IN_FLIGHT_PER_PROCESS:
                job = waiting.pop()
                running[executor.submit(decide, job)] = job
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = False
            for future in done:
                job = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    broken = True
                    yield _failed(job, "the process that ran this file, or one beside it, died")
            if broken:
                for job in running.values():
                    yield _failed(job, "the process that ran this file, or one beside it, died")
                return
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _configure(threads: int) -> None:
    import hansa_kernel

    hansa_kernel.configure(threads)


def decide(job: Job) -> FileResult:
    """Decide one job in this process."""
    import hansa_kernel

    begun = time.monotonic()
    setting = job.setting
    try:
        results = hansa_kernel.run_conformance(
            job.kind,
            job.path.stem,
            job.path.read_bytes(),
            fork=setting.fork,
            runner=setting.runner,
            cold=setting.cold,
            transactions_min=setting.transactions_min,
            trace=setting.trace,
        )
    except (OSError, hansa_kernel.KernelInputError, hansa_kernel.KernelBug) as error:
        return _failed(job, f"{type(error).__name__}: {error}", time.monotonic() - begun)
    cases = tuple(Case(case.name, case.fork, case.passed, case.skipped, case.error, case.trace) for case in results)
    return FileResult(job, cases, time.monotonic() - begun)


def _failed(job: Job, error: str, seconds: float = 0.0) -> FileResult:
    return FileResult(job, (Case(str(job.path), "", passed=False, skipped=None, error=error),), seconds)
