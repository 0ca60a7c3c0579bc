"""`evm statetest` and `evm blocktest`: Ethereum's public tests."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer

from hansa.cli import output
from hansa.cli.evm import trace
from hansa.cli.output import CommandFailed, usage
from hansa.conformance import Case, FileResult, Job, Setting, find_test_files, run_jobs
from hansa.errors import EXIT_FAILED

Paths = Annotated[list[Path], typer.Argument(help="Files of tests, or folders of them.", metavar="PATH...")]
Fork = Annotated[str | None, typer.Option("--fork", help="Only cases of this fork or network.")]
Runner = Annotated[str, typer.Option("--runner", help="Who executes a block: sequential, window, stm or access-list.")]
Threads = Annotated[
    int, typer.Option("--threads", min=1, max=256, help="Threads of one block (with a parallel runner).")
]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, max=256, help="Files at the same time; default: cores / threads.")
]
Cold = Annotated[bool, typer.Option("--cold", help="Begin each block without any value of the state.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per case: name, fork, pass, error.")]


def statetest(
    paths: Paths,
    fork: Fork = None,
    runner: Runner = "sequential",
    threads: Threads = 1,
    processes: Processes = None,
    cold: Cold = False,
    json: Json = False,
    traced: trace.Trace = False,
    trace_memory: trace.Memory = False,
    trace_nostack: trace.NoStack = False,
    trace_returndata: trace.ReturnData = False,
    trace_callframes: trace.CallFrames = False,
) -> None:
    """Run state tests. Traces go to standard error. Ends with 1 when a case fails."""
    parts = trace.parts(
        wanted=traced,
        memory=trace_memory,
        no_stack=trace_nostack,
        return_data=trace_returndata,
        call_frames=trace_callframes,
    )
    setting = Setting(fork=fork, runner=runner, cold=cold, trace=None if parts is None else tuple(parts))
    _run("state", paths, setting, threads, processes, json=json)


def blocktest(
    paths: Paths,
    fork: Fork = None,
    runner: Runner = "sequential",
    threads: Threads = 1,
    processes: Processes = None,
    cold: Cold = False,
    json: Json = False,
) -> None:
    """Run blockchain tests. Seals of proof of work are not checked. Ends with 1 when a case fails."""
    _run("block", paths, Setting(fork=fork, runner=runner, cold=cold), threads, processes, json=json)


def _run(
    kind: str, paths: Sequence[Path], setting: Setting, threads: int, processes: int | None, *, json: bool
) -> None:
    import hansa_kernel

    if setting.runner not in hansa_kernel.CONFORMANCE_RUNNERS:
        raise usage(f"--runner is one of {', '.join(hansa_kernel.CONFORMANCE_RUNNERS)}, not {setting.runner!r}")
    try:
        # A runner that this kernel lacks fails here, not in every file.
        hansa_kernel.run_conformance(kind, "", b"{}", runner=setting.runner)
        files = find_test_files(paths)
    except hansa_kernel.KernelInputError as error:
        raise usage(str(error)) from error
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no {error}") from error
    workers = processes or max(1, (os.cpu_count() or 1) // threads)
    passed = failed = skipped = 0
    jobs = [Job(kind, path, setting) for path in files]
    for result in shown_progress(run_jobs(jobs, processes=workers, threads=threads), len(jobs)):
        for case in result.cases:
            passed += case.passed
            skipped += case.skipped is not None
            failed += not case.passed and case.skipped is None
            if case.trace:
                output.warn(case.trace.rstrip("\n"))
            if json:
                output.plain(_json_line(case))
            elif not case.passed:
                output.plain(_line(case))
    output.plain(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _json_line(case: Case) -> str:
    shown: dict[str, object] = {"name": case.name, "fork": case.fork, "pass": case.passed, "error": case.error}
    if case.skipped is not None:
        shown["skipped"] = case.skipped
    return orjson.dumps(shown).decode()


def _line(case: Case) -> str:
    fork = f" ({case.fork})" if case.fork else ""
    if case.skipped is not None:
        return f"- {case.name}{fork}: skipped: {case.skipped}"
    return f"✗ {case.name}{fork}: {case.error}"


def shown_progress(results: Iterator[FileResult], files: int) -> Iterator[FileResult]:
    """Pass results on, with a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files  {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=files)
        cases = failed = 0
        for result in results:
            cases += len(result.cases)
            failed += sum(not case.passed and case.skipped is None for case in result.cases)
            progress.update(task, advance=1, description=f"{cases} cases, {failed} failed")
            yield result
