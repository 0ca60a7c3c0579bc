"""One attack's block in a process of its own, whose memory is the kernel's. A module by itself: the process imports it."""

import resource
from collections.abc import Iterator
from dataclasses import dataclass

import hansa_kernel
from hansa.worst import attacks, measure, rules
from hansa.worst.case import Case


@dataclass(frozen=True)
class Left:
    """What a block leaves."""

    gas_used: int
    written: dict[bytes, int]  # flags by address
    reads: int
    peak_kib: int


def accounts(write_set: bytes) -> Iterator[tuple[bytes, int]]:
    """Address and flags of every account of a write set (layout in `_kernel.pyi`)."""
    at = 4
    for _ in range(int.from_bytes(write_set[:4], "big")):
        flags = write_set[at + 20]
        yield write_set[at : at + 20], flags
        at += 93
        if flags & 4:
            at += 4 + int.from_bytes(write_set[at : at + 4], "big")
        at += 4 + 64 * int.from_bytes(write_set[at : at + 4], "big")


def peak() -> int:
    """Most memory of this process so far, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def execute(attack: str, under: str, gas: int) -> Left:
    """Run the attack's block five times; to be called in a fresh process."""
    hansa_kernel.configure(1)
    case: Case = getattr(attacks, attack)(gas, under)
    spec = rules.chain(under)
    hinted = measure.hints(case)
    before = peak()
    for _ in range(5):
        once = measure.run(case, spec, hinted=hinted)
    return Left(once.gas, dict(accounts(once.result.write_set)), once.reads, peak() - before)
