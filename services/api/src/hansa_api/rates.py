"""Token buckets per address (spec reliability 6.1): in memory, or shared by replicas through Redis."""

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from hansa_api.limits import Limits

if TYPE_CHECKING:
    from hansa_api.redis_bus import RedisBus


class Rates:
    """`take` cost units; the answer is how long to wait."""

    def __init__(self, limits: Limits, bus: "RedisBus | None") -> None:
        self._limits = limits
        self._bus = bus
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (tokens, at)

    async def take(self, address: str, cost: int) -> int:
        """0 when the units were taken, else whole seconds until they would be there. A cost above the whole bucket
        is charged as the whole bucket, or nobody could ever pay it."""
        cost = min(cost, self._limits.rate_burst)
        if self._bus is not None:
            shared = await self._bus.take(address, self._limits.rate_per_second, self._limits.rate_burst, cost)
            if shared is not None:
                return shared
        return self._take(address, cost, time.monotonic())

    def _take(self, address: str, cost: int, now: float) -> int:
        rate, burst = self._limits.rate_per_second, self._limits.rate_burst
        tokens, at = self._buckets.pop(address, (float(burst), now))
        tokens = min(burst, tokens + (now - at) * rate)
        wait = 0
        if tokens >= cost:
            tokens -= cost
        else:
            wait = math.ceil((cost - tokens) / rate)
        self._buckets[address] = (tokens, now)
        if len(self._buckets) > self._limits.rate_addresses:
            self._buckets.popitem(last=False)
        return wait
