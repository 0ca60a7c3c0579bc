"""Whether this machine executes the chain's largest block in time: checked when the executor starts."""

import asyncio
from concurrent.futures import Executor
from typing import Literal

import structlog
from hansa.chainspec import ChainSpec
from hansa.service import StartRefused
from hansa.worst import startup

from hansa_executor import limits, metrics

GasLimitCheck = Literal["warn", "refuse", "off"]


async def refuse_if_too_high(chain: ChainSpec, mode: GasLimitCheck) -> None:
    """Under `refuse`, measure before anything is served. Raises `StartRefused`."""
    if mode != "refuse" or not chain.hansa:
        return
    found = await asyncio.to_thread(_check, chain)
    if found is not None:
        raise StartRefused(f"{found.text} (setting executor.gas_limit_check is refuse)")


async def warn_if_too_high(chain: ChainSpec, mode: GasLimitCheck, pool: Executor) -> None:
    """Under `warn`, measure once the start is over, on a worker that gives way to blocks."""
    if mode != "warn" or not chain.hansa:
        return
    await asyncio.sleep(limits.GAS_LIMIT_CHECK_DELAY_SECONDS)
    found = await asyncio.get_running_loop().run_in_executor(pool, _check, chain)
    if found is not None:
        structlog.get_logger().warning(
            "gas_limit_too_high",
            field="gasLimit",
            gas_limit=found.gas_limit,
            mix=found.slowest.mix,
            gas_per_second=round(found.slowest.gas_per_second),
            block_ms=found.block_ms,
            allowed_ms=found.allowed_ms,
            suggestion=found.gas_limit_max,
            text=found.text,
        )


def _check(chain: ChainSpec) -> startup.GasLimitTooHigh | None:
    found = startup.slowest(chain.kernel)
    if found is not None:
        metrics.SLOWEST_MIX.set(found.gas_per_second)
    return startup.judge(chain, found)
