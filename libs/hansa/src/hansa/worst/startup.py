"""Whether a chain's blocks are small enough for the slowest thing that their gas can buy, on this machine.

A full block of the slowest mix must be built by the leader and then executed by the others before its view is given up,
so it may take half of `requestTimeout`, or `blockTime` where that is longer. How fast this machine is, is measured: a few
short runs of the mixes that `bench/worst_case.py` found slowest, by the chain's own rules and prices.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import hansa_kernel

from hansa.chainspec import ChainSpec
from hansa.worst import measure
from hansa.worst.case import Case
from hansa.worst.opcodes import cold_code
from hansa.worst.precompiles import only

GAS = 150_000
"""Of one run: some 10 ms. Enough for 50 cold contracts."""

RUNS_MAX = 3
"""Runs of one mix; the fastest counts, since a machine is busy when a chain starts."""

BUDGET_SECONDS = 0.3
"""After which no further run begins."""

SHOWN_GAS = 100_000
"""Suggestions are multiples of this."""


def mixes() -> list[Case]:
    """The slowest mixes that were measured, of three kinds: large cold code, P-256, a KZG proof."""
    return [cold_code(GAS), only("p256 verify", GAS), only("point evaluation", GAS)]


@dataclass(frozen=True, slots=True)
class Slowest:
    """The slowest mix here."""

    mix: str
    gas_per_second: float


@dataclass(frozen=True, slots=True)
class GasLimitTooHigh:
    """A full block of the slowest mix takes longer than the chain has for it."""

    gas_limit: int
    slowest: Slowest
    block_ms: int
    allowed_ms: int

    @property
    def gas_limit_max(self) -> int:
        """The largest gas limit that fits."""
        fits = int(self.slowest.gas_per_second * self.allowed_ms / 1000)
        return max(SHOWN_GAS, fits // SHOWN_GAS * SHOWN_GAS)

    @property
    def text(self) -> str:
        """For people: the field, the estimate, and what to do."""
        return (
            f"gasLimit {self.gas_limit}: a full block of {self.slowest.mix} takes some {self.block_ms} ms on this machine "
            f"({self.slowest.gas_per_second / 1e6:.1f} Mgas/s), and config.hansa.consensus leaves {self.allowed_ms} ms; "
            f"lower gasLimit to {self.gas_limit_max}, or raise requestTimeout or config.hansa.vm.gas"
        )


def slowest(spec: hansa_kernel.Spec, clock: Callable[[], float] = time.perf_counter) -> Slowest | None:
    """Measure the mixes by a chain's rules. None where its transactions may not have the gas of one run."""
    end = clock() + BUDGET_SECONDS
    found: list[Slowest] = []
    for case in mixes():
        if not measure.allowed(case, spec):
            return None
        hinted = measure.hints(case)
        speeds: list[float] = []
        while len(speeds) < RUNS_MAX and (not speeds or clock() < end):
            run = measure.run(case, spec, hinted=hinted, clock=clock)
            speeds.append(run.gas / max(run.seconds, 1e-9))
        found.append(Slowest(case.name, max(speeds)))
        if clock() >= end:
            break
    return min(found, key=lambda one: one.gas_per_second)


def allowed_ms(chain: ChainSpec) -> int:
    """Milliseconds that a full block may take."""
    return max(chain.consensus.block_time_ms, chain.consensus.request_timeout_ms // 2)


def judge(chain: ChainSpec, found: Slowest | None) -> GasLimitTooHigh | None:
    """Compare the chain's gas limit with the slowest mix."""
    if found is None:
        return None
    block_ms = int(chain.gas_limit / found.gas_per_second * 1000)
    if block_ms <= allowed_ms(chain):
        return None
    return GasLimitTooHigh(chain.gas_limit, found, block_ms, allowed_ms(chain))


def check(chain: ChainSpec, clock: Callable[[], float] = time.perf_counter) -> GasLimitTooHigh | None:
    """Measure and compare: at most some 0.4 s of one thread. None when it fits, or for a chain of others' rules."""
    return judge(chain, slowest(chain.kernel, clock)) if chain.hansa else None
