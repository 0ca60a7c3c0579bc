"""Ports of the members of one host (spec: ports and paths)."""

import socket
from dataclasses import dataclass
from typing import Final

from hansa.consortium.errors import ConsortiumError

SLOTS: Final = {
    "http": 8545,
    "ws": 8546,
    "grpc": 50051,
    "p2p": 30303,
    "metrics": 9545,
    "consensus": 7001,
    "executor": 7002,
    "statedb": 7003,
    "p2p_internal": 7004,
    "metrics_consensus": 9546,
    "metrics_executor": 9547,
    "metrics_statedb": 9548,
    "metrics_p2p": 9549,
}
"""Name of a port -> default for the first member, in the order of the table (offset from BASE with `--ports`)."""

EXTRA_EXECUTOR: Final = 7005
"""Second executor; further ones follow."""

EXTRA_EXECUTOR_METRICS: Final = 9550

STEP: Final = 100
"""Distance between the ports of two members."""

EXECUTORS_MAX: Final = 16
"""Executors of one member on one host: they share its cores."""

_SEARCH_MAX: Final = 2_000
"""Ports looked at for a free one."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A port that was taken and what is used in its place."""

    member: str
    slot: str
    wanted: int
    used: int


def wanted_ports(number: int, base: int | None, executors: int, *, split: bool) -> dict[str, int]:
    """Slot -> port for member `number` (0 for the first)."""
    ports = {
        slot: (default if base is None else base + offset) + STEP * number
        for offset, (slot, default) in enumerate(SLOTS.items())
        if split or not slot.startswith("metrics_")
    }
    for extra in range(executors - 1):
        if base is None:
            ports[f"executor{extra + 2}"] = EXTRA_EXECUTOR + extra + STEP * number
            ports[f"metrics_executor{extra + 2}"] = EXTRA_EXECUTOR_METRICS + extra + STEP * number
        else:
            ports[f"executor{extra + 2}"] = base + len(SLOTS) + 2 * extra + STEP * number
            ports[f"metrics_executor{extra + 2}"] = base + len(SLOTS) + 2 * extra + 1 + STEP * number
    return ports


def free_ports(wanted: dict[str, dict[str, int]]) -> tuple[dict[str, dict[str, int]], list[Replaced]]:
    """Replace taken ports: (member -> slot -> port, what was replaced). Raises `ConsortiumError` when none is free."""
    reserved = {port for ports in wanted.values() for port in ports.values()}
    used: set[int] = set()
    found: dict[str, dict[str, int]] = {}
    replaced: list[Replaced] = []
    for member, ports in wanted.items():
        found[member] = {}
        for slot, port in ports.items():
            chosen = port
            if port in used or not _is_free(port):
                chosen = _next_free(port, used | reserved)
                replaced.append(Replaced(member, slot, port, chosen))
            used.add(chosen)
            found[member][slot] = chosen
    return found, replaced


def _next_free(port: int, avoid: set[int]) -> int:
    for candidate in range(port + 1, port + 1 + _SEARCH_MAX):
        if candidate > 65_535:
            break
        if candidate not in avoid and _is_free(candidate):
            return candidate
    raise ConsortiumError(f"no free port above {port}", "choose other ports: hansa up --ports BASE")


def _is_free(port: int) -> bool:
    if not 0 < port <= 65_535:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
