"""What a run costs the processes it is aimed at: processor time, memory, disk, and their own metrics."""

import os
import re
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_METRIC = re.compile(r"^([a-zA-Z_:][\w:]*)(\{[^}]*\})? ([^ ]+)")


@dataclass(slots=True)
class Usage:
    """One process over a run."""

    pid: int
    cpu_begin: float | None = None  # seconds
    cpu_end: float | None = None
    peak_rss_bytes: int = 0

    @property
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
    """Counters and sums (`_total`, `_sum`) at a /metrics URL; empty when it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
    except (OSError, ValueError):
        return {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _METRIC.match(line)
        if match and match[1].startswith("hansa_") and match[1].endswith(("_total", "_sum")):
            found[match[1] + (match[2] or "")] = float(match[3])
    return found
