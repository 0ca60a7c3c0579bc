"""Filters that clients poll (eth_newFilter and its kin).

A log or block filter remembers only the height it was read up to: a poll asks for what came since, so nothing is
buffered and nothing is lost. A pending-transaction filter buffers hashes. A filter nobody polls ends after a while;
one that would have to give more than `filter_items` at once ends with `filter not found`.
"""

import secrets
import time
from collections import Counter
from dataclasses import dataclass, field

from hansa_api import metrics
from hansa_api.errors import LimitExceeded, ServerError
from hansa_api.limits import Limits
from hansa_api.params import LogFilter
from hansa_api.pool_feed import PoolFeed


@dataclass(slots=True)
class Filter:
    """One filter. `next_block`: first height not yet given; `criteria` of log filters only."""

    id: str
    kind: str  # "logs", "blocks", "pending"
    address: str
    next_block: int
    criteria: LogFilter | None = None
    hashes: list[bytes] = field(default_factory=list)
    used_at: float = 0.0


class FilterNotFound(ServerError):
    """Unknown, ended or uninstalled."""

    def __init__(self) -> None:
        super().__init__("filter not found")


class Filters:
    """All filters of this api process."""

    def __init__(self, limits: Limits, feed: PoolFeed) -> None:
        self._limits = limits
        self._feed = feed
        self._filters: dict[str, Filter] = {}
        self._per_address: Counter[str] = Counter()
        self._pending: dict[str, Filter] = {}

    def __len__(self) -> int:
        return len(self._filters)

    def install(self, kind: str, address: str, next_block: int, criteria: LogFilter | None = None) -> str:
        """A new filter's id. Raises `LimitExceeded`."""
        limits = self._limits
        self.expire()
        if self._per_address[address] >= limits.filters_per_address:
            raise LimitExceeded(
                f"too many filters: {self._per_address[address]}, limit {limits.filters_per_address} per address"
            )
        if len(self._filters) >= limits.filters:
            raise LimitExceeded(f"too many filters: {len(self._filters)}, limit {limits.filters}")
        found = Filter(
            hex(secrets.randbits(128) | 1 << 124), kind, address, next_block, criteria, used_at=time.monotonic()
        )
        self._filters[found.id] = found
        self._per_address[address] += 1
        if kind == "pending":
            if not self._pending:
                self._feed.add(self._on_pending)
            self._pending[found.id] = found
        metrics.FILTERS.set(len(self._filters))
        return found.id

    def get(self, filter_id: str) -> Filter:
        """The filter, marked as used. Raises `FilterNotFound`."""
        self.expire()
        found = self._filters.get(filter_id)
        if found is None:
            raise FilterNotFound
        found.used_at = time.monotonic()
        return found

    def remove(self, filter_id: str) -> bool:
        """Whether there was one."""
        found = self._filters.pop(filter_id, None)
        if found is None:
            return False
        self._per_address[found.address] -= 1
        if not self._per_address[found.address]:
            del self._per_address[found.address]
        if self._pending.pop(filter_id, None) is not None and not self._pending:
            self._feed.remove(self._on_pending)
        metrics.FILTERS.set(len(self._filters))
        return True

    def expire(self) -> None:
        """End filters that nobody has polled."""
        before = time.monotonic() - self._limits.filter_idle_ms / 1000
        for found in [item for item in self._filters.values() if item.used_at < before]:
            self.remove(found.id)

    def _on_pending(self, hashes: list[bytes]) -> None:
        for found in list(self._pending.values()):
            if len(found.hashes) + len(hashes) > self._limits.filter_items:
                metrics.EVENTS_DROPPED.labels("filter").inc(len(found.hashes))
                self.remove(found.id)
            else:
                found.hashes.extend(hashes)
