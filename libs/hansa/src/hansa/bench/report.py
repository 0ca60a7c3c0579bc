"""Figures of a run."""

import platform
from pathlib import Path
from typing import Any

from hansa.bench.limits import WARM_UP_SHARE
from hansa.bench.run import Result


def summary(result: Result) -> dict[str, Any]:
    """All figures, ready for JSON. `None` where something was not measured."""
    load = result.load
    latencies = sorted(1000 * (seen - result.sent[number]) for number, seen in result.committed.items())
    committed = len(result.committed)
    lost = sum(1 for number in result.accepted if number not in result.committed)
    processes = result.measured.processes
    cpu = [usage.cpu_seconds for usage in processes.values()]
    cpu_total = None if not cpu or any(seconds is None for seconds in cpu) else sum(seconds or 0.0 for seconds in cpu)
    per_thousand = None if cpu_total is None or not committed else round(cpu_total / committed * 1000, 4)
    rises = result.measured.counter_rises()
    wire = sum(
        value for name, value in rises.items() if name.startswith("hansa_p2p_bytes_total") and 'direction="out"' in name
    )
    disk = result.measured.disk_end - result.measured.disk_begin
    blocks = [block for block in result.watcher.blocks if block.ours] if result.watcher else []
    return {
        "offered": len(result.sent),
        "accepted": len(result.accepted),
        "committed": committed,
        "failed": result.failed,
        "lost": lost,
        "tx_per_second": round(steady_rate(result), 1),
        "latency_ms": {
            name: round(percentile(latencies, share), 1) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        },
        "cpu_seconds_per_1000_tx": per_thousand,
        "peak_rss_bytes": max((usage.peak_rss_bytes for usage in processes.values()), default=None),
        "refused": len(result.refused),
        "refusals": _most_frequent(list(result.refused.values())),
        "retries": result.retries,
        "balances_right": result.balances_right,
        "wrong_balances": result.wrong_balances,
        "blocks": len(blocks),
        "transactions_per_block_max": max((block.ours for block in blocks), default=0),
        "seconds": round(result.sending_ended - result.begun, 2),
        "workload": load.workload,
        "rate": "max" if load.rate is None else load.rate,
        "senders": load.senders,
        "recipients": load.recipients,
        "batch": load.batch,
        "urls": load.urls,
        "processes": {
            name: {
                "cpu_seconds": usage.cpu_seconds,
                "cpu_seconds_per_1000_tx": None
                if usage.cpu_seconds is None or not committed
                else round(usage.cpu_seconds / committed * 1000, 4),
                "peak_rss_bytes": usage.peak_rss_bytes,
            }
            for name, usage in processes.items()
        },
        "cpu_stages_per_1000_tx": {
            stage: round(seconds / committed * 1000, 4)
            for stage, seconds in sorted(result.measured.stage_seconds().items(), key=lambda entry: -entry[1])
        }
        if committed
        else {},
        "wire_bytes_per_tx": round(wire / committed, 1) if wire and committed else None,
        "disk_bytes_per_tx": round(disk / committed, 1) if result.measured.data_dirs and committed else None,
        "counters": rises,
        "load_generator_cpu_seconds": round(result.own_cpu_seconds, 2),
        "machine": {"cores": _cores(), "platform": platform.platform(), "python": platform.python_version()},
    }


def steady_rate(result: Result) -> float:
    """Committed transactions per second between the first and the last block seen in the steady part: after the warm-up
    and before sending ended. The first block's own transactions were made before, so they do not count."""
    if result.watcher is None:
        return 0.0
    begin = result.begun + WARM_UP_SHARE * (result.sending_ended - result.begun)
    blocks = [block for block in result.watcher.blocks if begin <= block.seen <= result.sending_ended]
    if len(blocks) < 2 or blocks[-1].seen <= blocks[0].seen:
        return 0.0
    return sum(block.ours for block in blocks[1:]) / (blocks[-1].seen - blocks[0].seen)


def percentile(ascending: list[float], share: float) -> float:
    """Nearest-rank percentile; 0 of nothing."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, max(0, -(-int(share * 1000) * len(ascending) // 1000) - 1))]


def plot(result: Result, path: Path) -> str:
    """Throughput and latency over time as a picture; returns what to tell about it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return "no plot: matplotlib is not installed (pip install matplotlib)"
    if result.watcher is None:
        return "no plot: no block was seen"
    figure = Figure(figsize=(10, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    per_second: dict[int, int] = {}
    for block in result.watcher.blocks:
        per_second[int(block.seen - result.begun)] = per_second.get(int(block.seen - result.begun), 0) + block.ours
    seconds = range(max(per_second, default=0) + 1)
    upper.step(seconds, [per_second.get(second, 0) for second in seconds], where="post")
    upper.set_ylabel("committed per second")
    upper.set_title(f"{result.load.workload}, {result.load.senders} senders, {len(result.load.urls)} nodes")
    points = [
        (result.sent[number] - result.begun, seen - result.sent[number]) for number, seen in result.committed.items()
    ]
    step = max(1, len(points) // 20_000)
    lower.plot([sent for sent, _ in points[::step]], [taken for _, taken in points[::step]], ",")
    lower.set_ylabel("seconds from send to block")
    lower.set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    return f"plot: {path}"


def _most_frequent(texts: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in texts:
        counts[text[:120]] = counts.get(text[:120], 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1])[:5])


def _cores() -> int:
    import os

    return os.cpu_count() or 1
