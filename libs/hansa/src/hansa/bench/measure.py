"""What a run costs the processes it is aimed at: processor time, memory, disk, and their own metrics."""

import os
import re
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PROCESS_CPU: Final = "process_cpu_seconds_total"
_STAGE = re.compile(r'hansa_cpu_seconds_total\{stage="(\w+)"\}$')
_METRIC = re.compile(r"^([a-zA-Z_:][\w:]*)(\{[^}]*\})? ([^ ]+)")


@dataclass(slots=True)
class Usage:
    """One process over a run."""

    pid: int
    cpu_begin: float | None = None  # seconds
    cpu_end: float | None = None
    peak_rss_bytes: int = 0

    @property
    def cpu_seconds(self) -> float | None:
        """Processor time of the run; None when the process was not there throughout."""
        if self.cpu_begin is None or self.cpu_end is None:
            return None
        return self.cpu_end - self.cpu_begin


@dataclass(slots=True)
class Measured:
    """All processes, folders and metrics of a run."""

    pids: dict[str, int]
    data_dirs: list[Path]
    metrics: list[str]
    processes: dict[str, Usage] = field(default_factory=dict)
    disk_begin: int = 0
    disk_end: int = 0
    counters_begin: dict[str, float] = field(default_factory=dict)
    counters_end: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        """At the start of the load."""
        for name, pid in self.pids.items():
            self.processes[name] = Usage(pid, cpu_begin=cpu_seconds(pid))
        self.disk_begin = sum(disk_bytes(folder) for folder in self.data_dirs)
        self.counters_begin = self._scrape()
        self.sample()

    def sample(self) -> None:
        """Now and then."""
        for usage in self.processes.values():
            usage.peak_rss_bytes = max(usage.peak_rss_bytes, rss_bytes(usage.pid))

    def end(self) -> None:
        """When everything is committed."""
        self.sample()
        for usage in self.processes.values():
            usage.cpu_end = cpu_seconds(usage.pid)
        self.disk_end = sum(disk_bytes(folder) for folder in self.data_dirs)
        self.counters_end = self._scrape()

    def counter_rises(self) -> dict[str, float]:
        """Rise of every counter and sum of the processes' metrics over the run, added up over processes."""
        return {
            name: value - self.counters_begin.get(name, 0.0)
            for name, value in sorted(self.counters_end.items())
            if value > self.counters_begin.get(name, 0.0)
        }

    def stage_seconds(self) -> dict[str, float]:
        """Processor time of the run by stage of the work, and `rest`: what no stage explains. Empty without metrics."""
        rises = self.counter_rises()
        stages = {match[1]: seconds for name, seconds in rises.items() if (match := _STAGE.match(name))}
        if stages and PROCESS_CPU in rises:
            stages["rest"] = rises[PROCESS_CPU] - sum(stages.values())
        return stages

    def _scrape(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for url in self.metrics:
            for name, value in scrape(url).items():
                total[name] = total.get(name, 0.0) + value
        return total


def tree(pid: int) -> list[int]:
    """A process and its descendants, as far as they are there."""
    found = [pid]
    for parent in found:
        try:
            found += [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        except OSError:
            continue
    return found


def cpu_seconds(pid: int) -> float | None:
    """User and system time so far of a process and its descendants; None when there is none."""
    ticks = 0
    for process in tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            if process == pid:
                return None
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants; 0 when there is none."""
    pages = 0
    for process in tree(pid):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(folder: Path) -> int:
    """Bytes of the files below a folder, as allocated."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:  # files of a database come and go
            continue
    return total


def scrape(url: str) -> dict[str, float]:
    """Hansa's counters and sums (`_total`, `_sum`) at a /metrics URL, and the process' own processor time; empty when it
    does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
    except (OSError, ValueError):
        return {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _METRIC.match(line)
        if match and (
            match[1] == PROCESS_CPU or (match[1].startswith("hansa_") and match[1].endswith(("_total", "_sum")))
        ):
            found[match[1] + (match[2] or "")] = float(match[3])
    return found
