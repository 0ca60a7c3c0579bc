"""Which processes a consortium consists of, and starting and ending them through the supervisor."""

import os
import signal
import subprocess
import sys
import time
from typing import Final

from hansa.consortium.errors import ConsortiumError
from hansa.consortium.folder import ConsortiumFolder, Shape
from hansa.names import START_ORDER
from hansa.supervise.plan import Process, State, is_supervised, read_state, write_plan
from hansa.supervise.supervisor import STOP_SECONDS_MAX

START_SECONDS_MAX: Final = 10.0
"""Until the supervisor itself is there."""

MALLOC_ARENAS: Final = "2"
"""glibc keeps up to eight arenas per core, each with its own free memory; threads of a member allocate in bursts.
Measured under full ERC-20 load: a peak of 304 MB per member instead of 342."""

METRICS_SLOT: Final = {
    "api": "metrics",
    "consensus": "metrics_consensus",
    "executor": "metrics_executor",
    "statedb": "metrics_statedb",
    "p2p": "metrics_p2p",
}
"""Slot of each service's metrics port when it is a process of its own."""


def plan(folder: ConsortiumFolder, shape: Shape) -> list[Process]:
    """All processes, first those that others need."""
    processes: list[Process] = []
    for number, member in enumerate(shape.members):
        ports = shape.ports[member]
        if shape.split:
            for service in START_ORDER:
                processes.append(
                    _process(folder, member, service, service, {"METRICS__PORT": ports[METRICS_SLOT[service]]})
                )
        else:
            processes.append(_process(folder, member, "node", None, {}))
        if number == 0:
            for extra in range(2, shape.executors + 1):
                changes = {
                    "EXECUTOR__PORT": ports[f"executor{extra}"],
                    "METRICS__PORT": ports[f"metrics_executor{extra}"],
                }
                processes.append(_process(folder, member, f"executor{extra}", "executor", changes))
    return processes


def _process(
    folder: ConsortiumFolder, member: str, label: str, service: str | None, changes: dict[str, int]
) -> Process:
    name = member if label == "node" else f"{member}-{label}"
    only = () if service is None else ("--service", service)
    return Process(
        name=name,
        member=member,
        service=label,
        argv=(sys.executable, "-m", "hansa.node", "--config", str(folder.config(member)), *only),
        log=str(folder.logs / f"{name}.log"),
        environment={
            "MALLOC_ARENA_MAX": MALLOC_ARENAS,
            **{f"HANSA_{key}": str(value) for key, value in changes.items()},
        },
    )


def start(folder: ConsortiumFolder, shape: Shape) -> State:
    """Start the supervisor, detached from this terminal. Raises `ConsortiumError`."""
    folder.logs.mkdir(exist_ok=True)
    folder.run.run.mkdir(exist_ok=True)
    write_plan(folder.run, plan(folder, shape))
    with folder.run.log.open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "hansa.supervise", str(folder.run.run)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Settings of this shell's environment are not settings of the members, whose files say all.
            env={key: value for key, value in os.environ.items() if not key.startswith("HANSA_")},
        )
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        state = read_state(folder.run)
        if state is not None and state.supervisor == supervisor.pid:
            return state
        if supervisor.poll() is not None:
            break
        time.sleep(0.02)
    raise ConsortiumError("the supervisor did not start", f"its log says why: {folder.run.log}")


def stop(folder: ConsortiumFolder) -> bool:
    """End all processes; False when none ran. Raises `ConsortiumError` when they do not end."""
    state = read_state(folder.run)
    if state is None:
        return False
    try:
        os.kill(state.supervisor, signal.SIGTERM)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + STOP_SECONDS_MAX + 10
    while is_supervised(folder.run):
        if time.monotonic() > deadline:
            raise ConsortiumError(f"process {state.supervisor} does not end", f"look at {folder.run.log}")
        time.sleep(0.05)
    return True
