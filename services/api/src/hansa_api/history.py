"""Log queries: a resolved filter to statedb's index, with bounds that name a range which fits."""

import orjson
from hansa.v1 import statedb_pb2

from hansa_api.backend import Backend
from hansa_api.errors import HeaderNotFound, InvalidParams, LimitExceeded
from hansa_api.heads import Heads
from hansa_api.limits import Limits
from hansa_api.params import At, LogFilter


async def resolve_height(heads: Heads, at: At) -> int:
    """Height that a tag or number of a range means; `pending` is the head, since pending blocks have no logs."""
    if at.is_latest or at.is_pending:
        return (await heads.latest()).number
    if at.tag == "earliest":
        return heads.earliest
    return at.number


async def find_logs(backend: Backend, heads: Heads, limits: Limits, wanted: LogFilter) -> orjson.Fragment:
    """Logs that match, as a JSON array. Raises `LimitExceeded` with a range that fits."""
    if wanted.block_hash:
        block = await heads.block(At(hash=wanted.block_hash), receipts=True)
        if block is None:
            raise HeaderNotFound("unknown block 0x" + wanted.block_hash.hex())
        count, logs = block.logs_json(wanted.addresses, wanted.topics, limits.logs_results + 1)
        if count > limits.logs_results:
            raise _one_block_too_many(limits, block.number)
        return orjson.Fragment(logs)
    start, stop = await resolve_height(heads, wanted.start), await resolve_height(heads, wanted.stop)
    if start > stop and wanted.stop.number < 0:
        return orjson.Fragment(b"[]")  # a follower that asks from its next block on to `latest`
    if start > stop:
        raise InvalidParams(f"invalid block range params: fromBlock {start} > toBlock {stop}")
    return await logs_of_range(backend, heads, limits, wanted, start, stop)


async def logs_of_range(
    backend: Backend, heads: Heads, limits: Limits, wanted: LogFilter, start: int, stop: int
) -> orjson.Fragment:
    """Logs of heights `start`..`stop`, both included; heights above the head have none."""
    asked = stop
    stop = min(stop, (await heads.latest()).number)
    if start > stop:
        return orjson.Fragment(b"[]")
    too_wide = asked - start + 1 > limits.logs_blocks
    if too_wide:
        stop = min(stop, start + limits.logs_blocks - 1)
    request = statedb_pb2.GetLogsRequest(
        **{"from": start},
        to=stop,
        addresses=wanted.addresses,
        topics=wanted.topics,
        results_max=limits.logs_results,
    )
    answer: statedb_pb2.GetLogsResponse = await backend.ask(
        backend.statedb.GetLogs, request, "statedb", limits.logs_timeout_ms
    )
    if answer.truncated:
        if answer.fits_to < start:
            raise _one_block_too_many(limits, start)
        raise LimitExceeded(
            f"query returned more than {limits.logs_results} results."
            f" Try with this block range [{hex(start)}, {hex(answer.fits_to)}]."
        )
    if too_wide:
        raise LimitExceeded(
            f"query spans {asked - start + 1} blocks, limit {limits.logs_blocks}."
            f" Try with this block range [{hex(start)}, {hex(stop)}]."
        )
    return orjson.Fragment(answer.logs_json or b"[]")


def _one_block_too_many(limits: Limits, number: int) -> LimitExceeded:
    return LimitExceeded(
        f"query returned more than {limits.logs_results} results: block {hex(number)} alone has more;"
        " narrow the filter by address or topics."
    )
