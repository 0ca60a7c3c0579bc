"""eth_getLogs."""

from collections.abc import Sequence
from typing import Any

from hansa_api.api import Api
from hansa_api.history import find_logs
from hansa_api.limits import Limits
from hansa_api.params import LogFilter, Param, log_filter
from hansa_api.registry import Method


async def get_logs(api: Api, wanted: LogFilter) -> Any:
    """Logs of a block or of a range of blocks that match."""
    return await find_logs(api.backend, api.heads, api.limits, wanted)


def logs_cost(arguments: Sequence[Any]) -> int:
    """10, and 1 per 1,000 blocks when both ends are numbers."""
    wanted: LogFilter = arguments[0]
    span = wanted.stop.number - wanted.start.number if min(wanted.start.number, wanted.stop.number) >= 0 else 0
    return 10 + max(0, span) // 1_000


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method(
            "eth_getLogs",
            get_logs,
            (Param("filter", log_filter(limits), schema={"type": ["object", "null"]}),),
            cost=logs_cost,
        )
    ]
