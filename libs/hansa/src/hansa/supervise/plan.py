"""Files of a supervisor: what it is to run, and who runs."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Process:
    """One process to keep alive."""

    name: str  # unique, e.g. member1 or member1-statedb
    member: str
    service: str  # "node", or the service it runs
    argv: tuple[str, ...]
    log: str  # file that its output is appended to
    environment: dict[str, str] = field(default_factory=dict)  # beside the supervisor's own


@dataclass(slots=True)
class ProcessState:
    """What became of a process."""

    pid: int | None = None  # None: not running now
    restarts: int = 0
    last_exit: int | None = None  # exit status, negative signal number, None: never ended
    since: float = 0.0  # Unix time of the last start or end


@dataclass(slots=True)
class State:
    """Who runs."""

    supervisor: int
    processes: dict[str, ProcessState] = field(default_factory=dict)


class Folder:
    """Paths of a supervisor inside a consortium's folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.plan = run / "plan.json"
        self.state = run / "state.json"
        self.lock = run / "lock"
        self.log = run / "supervisor.log"


def write_plan(folder: Folder, processes: list[Process]) -> None:
    """Write what the next supervisor is to run."""
    _write(folder.plan, {"processes": [asdict(process) for process in processes]})


def read_plan(folder: Folder) -> list[Process]:
    """Raises `OSError` or `ValueError` when there is no valid plan."""
    document = json.loads(folder.plan.read_bytes())
    return [Process(**{**entry, "argv": tuple(entry["argv"])}) for entry in document["processes"]]


def write_state(folder: Folder, state: State) -> None:
    """Replace the state file; readers see the old one or the new one."""
    _write(folder.state, asdict(state))


def read_state(folder: Folder) -> State | None:
    """State of the supervisor that runs; None when none does."""
    if not is_supervised(folder):
        return None
    try:
        document: dict[str, Any] = json.loads(folder.state.read_bytes())
    except (OSError, ValueError):
        return None
    return State(document["supervisor"], {name: ProcessState(**entry) for name, entry in document["processes"].items()})


def is_supervised(folder: Folder) -> bool:
    """Whether a supervisor holds the lock of this folder."""
    try:
        descriptor = os.open(folder.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write(path: Path, document: Any) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document, indent=1) + "\n")
    draft.replace(path)
