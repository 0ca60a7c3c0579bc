"""The supervisor, with small real processes."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hansa.supervise.plan import Folder, Process, State, is_supervised, read_plan, read_state, write_plan

SECONDS_MAX = 30.0

WAIT = "import time\nprint('started', flush=True)\ntime.sleep(600)"
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('started', flush=True)\ntime.sleep(600)"
)
ENDS = "import sys\nsys.exit(3)"


def process(folder: Path, name: str, code: str, **environment: str) -> Process:
    argv = (sys.executable, "-c", code)
    return Process(name, name, "node", argv, str(folder / f"{name}.log"), environment)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("not in time")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie whose new parent has not noticed it yet is gone for our purposes.
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@contextmanager
def supervised(run: Path, *processes: Process) -> Iterator[tuple[Folder, subprocess.Popen[bytes]]]:
    folder = Folder(run)
    write_plan(folder, list(processes))
    popen = subprocess.Popen([sys.executable, "-m", "hansa.supervise", str(run)], stdout=subprocess.DEVNULL)
    try:
        yield folder, popen
    finally:
        popen.send_signal(signal.SIGTERM)
        popen.wait(SECONDS_MAX)


def pid_of(folder: Folder, name: str) -> int | None:
    state = read_state(folder)
    return state.processes[name].pid if state and name in state.processes else None


def test_plan_is_read_back(tmp_path: Path) -> None:
    planned = process(tmp_path, "a", WAIT, HANSA_X="1")
    write_plan(Folder(tmp_path), [planned])
    assert read_plan(Folder(tmp_path)) == [planned]


def test_processes_start_with_their_environment_and_log(tmp_path: Path) -> None:
    code = "import os, time\nprint(os.environ['HANSA_X'], flush=True)\ntime.sleep(600)"
    with supervised(tmp_path, process(tmp_path, "a", code, HANSA_X="hello")) as (folder, _):
        wait_for(lambda: pid_of(folder, "a"))
        wait_for(lambda: (tmp_path / "a.log").read_text() == "hello\n")


def test_killed_process_comes_back(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", WAIT), process(tmp_path, "b", WAIT)) as (folder, _):
        first = wait_for(lambda: pid_of(folder, "a"))
        other = wait_for(lambda: pid_of(folder, "b"))
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: pid_of(folder, "a") not in (None, first))
        state = read_state(folder)
        assert isinstance(state, State)
        assert state.processes["a"].restarts == 1
        assert state.processes["a"].last_exit == -signal.SIGKILL
        assert state.processes["b"].pid == other


def test_process_that_keeps_ending_is_started_with_growing_pauses(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", ENDS)) as (folder, _):

        def restarts() -> int:
            state = read_state(folder)
            return state.processes["a"].restarts if state else 0

        begun = time.monotonic()
        wait_for(lambda: restarts() >= 3)
        # 0.2 s before the second start, 0.4 s before the third.
        assert time.monotonic() - begun >= 0.6
        state = read_state(folder)
        assert state is not None
        assert state.processes["a"].last_exit == 3


def test_program_that_does_not_exist_is_reported_and_tried_again(tmp_path: Path) -> None:
    broken = Process("a", "a", "node", ("/nonexistent/program",), str(tmp_path / "a.log"))
    with supervised(tmp_path, broken) as (folder, _):

        def restarts() -> int:
            state = read_state(folder)
            return state.processes["a"].restarts if state else 0

        wait_for(lambda: restarts() >= 2)


def test_end_of_the_supervisor_ends_all(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", WAIT), process(tmp_path, "b", WAIT)) as (folder, popen):
        pids = [wait_for(functools.partial(pid_of, folder, name)) for name in "ab"]
        popen.send_signal(signal.SIGTERM)
        assert popen.wait(SECONDS_MAX) == 0
        assert not any(alive(pid) for pid in pids)
        assert not folder.state.exists()
        assert not is_supervised(folder)


def test_stopped_process_is_ended_too(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", WAIT)) as (folder, popen):
        pid = wait_for(lambda: pid_of(folder, "a"))
        os.kill(pid, signal.SIGSTOP)
        popen.send_signal(signal.SIGTERM)
        assert popen.wait(SECONDS_MAX) == 0
        assert not alive(pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", WAIT)) as (folder, popen):
        pid = wait_for(lambda: pid_of(folder, "a"))
        popen.kill()
        popen.wait(SECONDS_MAX)
        wait_for(lambda: not alive(pid))
        assert read_state(folder) is None


def test_second_supervisor_of_a_folder_is_refused(tmp_path: Path) -> None:
    with supervised(tmp_path, process(tmp_path, "a", WAIT)) as (folder, _):
        pid = wait_for(lambda: pid_of(folder, "a"))
        second = subprocess.run(
            [sys.executable, "-m", "hansa.supervise", str(tmp_path)],
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert second.returncode == 1
        assert b"another supervisor" in second.stdout
        assert pid_of(folder, "a") == pid


def test_deaf_process_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom hansa.supervise import supervisor\n"
        "supervisor.STOP_SECONDS_MAX = 0.3\nsys.exit(supervisor.supervise(Path(sys.argv[1])))"
    )
    folder = Folder(tmp_path)
    write_plan(folder, [process(tmp_path, "a", DEAF)])
    popen = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        pid = wait_for(lambda: pid_of(folder, "a"))
        wait_for(lambda: "started" in (tmp_path / "a.log").read_text())
    finally:
        popen.send_signal(signal.SIGTERM)
        assert popen.wait(SECONDS_MAX) == 0
    assert not alive(pid)


def test_folder_without_a_supervisor_has_no_state(tmp_path: Path) -> None:
    assert read_state(Folder(tmp_path)) is None
    (tmp_path / "state.json").write_text('{"supervisor": 1, "processes": {}}')
    assert read_state(Folder(tmp_path)) is None
