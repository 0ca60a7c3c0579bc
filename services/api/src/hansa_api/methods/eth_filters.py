"""Filters that clients poll."""

from typing import Any

from hansa_api.api import Api
from hansa_api.connection import Connection
from hansa_api.errors import InvalidParams, LimitExceeded
from hansa_api.filters import Filter, FilterNotFound
from hansa_api.history import find_logs, logs_of_range, resolve_height
from hansa_api.limits import Limits
from hansa_api.methods.eth_logs import logs_cost
from hansa_api.params import LogFilter, Param, log_filter, text
from hansa_api.registry import Method


async def new_filter(api: Api, connection: Connection, wanted: LogFilter) -> str:
    """A log filter; changes are those after the present head."""
    if wanted.block_hash:
        raise InvalidParams("a filter cannot name a block hash, use eth_getLogs")
    start, stop = await resolve_height(api.heads, wanted.start), await resolve_height(api.heads, wanted.stop)
    if wanted.stop.number >= 0 and start > stop:
        raise InvalidParams(f"invalid block range params: fromBlock {start} > toBlock {stop}")
    return api.filters.install("logs", connection.address, api.heads.head.number + 1, wanted)


def new_block_filter(api: Api, connection: Connection) -> str:
    """A filter of new block hashes."""
    return api.filters.install("blocks", connection.address, api.heads.head.number + 1)


def new_pending_filter(api: Api, connection: Connection) -> str:
    """A filter of newly admitted transactions' hashes."""
    return api.filters.install("pending", connection.address, 0)


def uninstall(api: Api, filter_id: str) -> bool:
    """Whether there was such a filter."""
    return api.filters.remove(filter_id)


async def changes(api: Api, filter_id: str) -> Any:
    """What came since the last poll."""
    found = api.filters.get(filter_id)
    if found.kind == "pending":
        hashes, found.hashes = found.hashes, []
        return ["0x" + item.hex() for item in hashes]
    start, head = found.next_block, (await api.heads.latest()).number
    if head < start:
        return []
    # Taken before the read, so that two polls at once do not answer the same blocks; put back if the read fails.
    found.next_block = head + 1
    try:
        return (
            await _blocks(api, found, start, head) if found.kind == "blocks" else await _logs(api, found, start, head)
        )
    except BaseException:
        found.next_block = min(found.next_block, start)
        raise


async def _blocks(api: Api, found: Filter, start: int, head: int) -> list[str]:
    if head - start + 1 > api.limits.filter_items:
        api.filters.remove(found.id)
        raise FilterNotFound
    return ["0x" + item.hex() for item in await api.heads.header_hashes(start, head)]


async def _logs(api: Api, found: Filter, start: int, head: int) -> Any:
    assert found.criteria is not None
    first, last = found.criteria.start.number, found.criteria.stop.number
    start = max(start, first)
    stop = head if last < 0 else min(head, last)
    if start > stop:
        return []
    try:
        return await logs_of_range(api.backend, api.heads, api.limits, found.criteria, start, stop)
    except LimitExceeded:
        api.filters.remove(found.id)
        raise FilterNotFound from None


async def filter_logs(api: Api, filter_id: str) -> Any:
    """All logs that match a log filter's criteria."""
    found = api.filters.get(filter_id)
    if found.criteria is None:
        raise FilterNotFound
    return await find_logs(api.backend, api.heads, api.limits, found.criteria)


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    filter_id = Param("filterId", text)
    criteria = Param("filter", log_filter(limits), schema={"type": ["object", "null"]})
    return [
        Method("eth_newFilter", new_filter, (criteria,), cost=logs_cost, connection=True),
        Method("eth_newBlockFilter", new_block_filter, connection=True),
        Method("eth_newPendingTransactionFilter", new_pending_filter, connection=True),
        Method("eth_getFilterChanges", changes, (filter_id,), cost=2),
        Method("eth_getFilterLogs", filter_logs, (filter_id,), cost=10),
        Method("eth_uninstallFilter", uninstall, (filter_id,)),
    ]
