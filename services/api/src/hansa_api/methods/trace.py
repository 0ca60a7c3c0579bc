"""trace_: OpenEthereum's traces. Served only where the settings say so."""

from dataclasses import dataclass
from typing import Any

import orjson
from hansa.v1 import executor_pb2

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import LimitExceeded
from hansa_api.history import resolve_height
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Invalid, Param, address, block, block_number, data, hash32, list_of, uint64
from hansa_api.registry import Method
from hansa_api.traces import (
    LOCALIZED,
    TRACE_COST,
    call_object,
    found_block,
    found_transaction,
    fragment,
    parity,
    selector_of,
    trace_block,
    trace_calls,
    trace_types,
)

TRACE_DEPTH_MAX = 1_024
"""Numbers in a trace address: calls nest no deeper."""


async def of_block(api: Api, at: At) -> Any:
    """All traces of a block, in one array; before the merge its rewards are among them."""
    found = await found_block(api, at)
    traces = await trace_block(api, found, LOCALIZED) if found.number else []
    return _joined([*traces, orjson.dumps(rewards(api, found))])


def rewards(api: Api, found: CommittedBlock) -> list[dict[str, Any]]:
    """What a block before the merge earned its maker, then the makers of its uncles."""
    if not found.number:
        return []
    earned = api.chain.kernel.rewards(found.header_rlp, found.ommers)
    listed = [("block", earned[-1]), *(("uncle", uncle) for uncle in earned[:-1])] if earned else []
    return [
        {
            "action": {"author": "0x" + author.hex(), "rewardType": kind, "value": hex(wei)},
            "blockHash": "0x" + found.hash.hex(),
            "blockNumber": found.number,
            "result": None,
            "subtraces": 0,
            "traceAddress": [],
            "transactionHash": None,
            "transactionPosition": None,
            "type": "reward",
        }
        for kind, (author, wei) in listed
    ]


async def of_transaction(api: Api, transaction_hash: bytes) -> Any:
    """All traces of a transaction, or null."""
    found = await api.heads.find(transaction_hash)
    if found is None:
        return None
    (trace,) = await trace_block(api, found[0], LOCALIZED, first=found[1], count=1)
    return fragment(trace)


async def get(api: Api, transaction_hash: bytes, place: list[int]) -> Any:
    """The trace at an address inside a transaction, or null."""
    found = await api.heads.find(transaction_hash)
    if found is None:
        return None
    (traces,) = await trace_block(api, found[0], LOCALIZED, first=found[1], count=1)
    return next((trace for trace in orjson.loads(traces) if trace["traceAddress"] == place), None)


async def replay_transaction(api: Api, transaction_hash: bytes, types: list[str]) -> Any:
    """Trace, state difference and VM trace of a transaction, as far as asked for."""
    found, index = await found_transaction(api, transaction_hash)
    (trace,) = await trace_block(api, found, parity(types), first=index, count=1)
    return fragment(trace)


async def replay_block(api: Api, at: At, types: list[str]) -> Any:
    """The same of every transaction of a block."""
    found = await found_block(api, at)
    return [fragment(trace) for trace in await trace_block(api, found, parity(types))] if found.number else []


async def call(api: Api, transaction: dict[str, Any], types: list[str], at: At) -> Any:
    """The same of a call."""
    (trace,) = await trace_calls(api, at, [(transaction, None)], config=parity(types))
    return fragment(trace)


async def call_many(api: Api, calls: list[tuple[dict[str, Any], Any]], at: At) -> Any:
    """The same of calls, one on the other."""
    return [fragment(trace) for trace in await trace_calls(api, at, calls)]


async def raw_transaction(api: Api, raw: bytes, types: list[str]) -> Any:
    """The same of a transaction that nobody sent, as the first of the next block."""
    request = executor_pb2.TraceRequest(block=await selector_of(api, LATEST), raw=raw, config=parity(types))
    traces = (await api.backend.trace(request)).traces
    found = orjson.loads(traces[0])
    found.pop("transactionHash", None)
    if "revertReason" in found:  # as of a call, since it is none of a block
        found["output"] = found.pop("revertReason")
    return found


@dataclass(frozen=True, slots=True)
class Filter:
    """Which traces of which blocks; empty sets are any."""

    start: At
    stop: At
    senders: frozenset[str]
    recipients: frozenset[str]
    after: int
    count: int | None


def trace_filter(limits: Limits) -> Any:
    """Parser of the parameter of trace_filter."""

    def addresses(value: Any) -> frozenset[str]:
        if value is None:
            return frozenset()
        if type(value) is str:
            value = [value]
        if type(value) is not list or len(value) > limits.logs_addresses:
            raise Invalid(f"expected at most {limits.logs_addresses} addresses")
        return frozenset("0x" + address(item).hex() for item in value)

    def number(value: Any) -> int:
        return value if type(value) is int and value >= 0 else uint64(value)

    def parse(value: Any) -> Filter:
        if type(value) is not dict:
            raise Invalid("json: cannot unmarshal into a trace filter")
        start, stop, count = value.get("fromBlock"), value.get("toBlock"), value.get("count")
        return Filter(
            start=LATEST if start is None else block_number(start),
            stop=LATEST if stop is None else block_number(stop),
            senders=addresses(value.get("fromAddress")),
            recipients=addresses(value.get("toAddress")),
            after=number(value.get("after", 0)),
            count=None if count is None else number(count),
        )

    return parse


async def filtered(api: Api, wanted: Filter) -> Any:
    """Traces of a range of blocks, by sender and recipient."""
    limits = api.limits
    start, stop = await resolve_height(api.heads, wanted.start), await resolve_height(api.heads, wanted.stop)
    stop = min(stop, (await api.heads.latest()).number)
    if stop - start >= limits.trace_filter_blocks:
        raise LimitExceeded(
            f"trace_filter spans {stop - start + 1} blocks, limit {limits.trace_filter_blocks}."
            f" Try with this block range [{hex(start)}, {hex(start + limits.trace_filter_blocks - 1)}]."
        )
    results: list[Any] = []
    skipped = 0
    for number in range(max(start, 1), stop + 1):
        found = await found_block(api, At(number=number))
        for traces in (*map(orjson.loads, await trace_block(api, found, LOCALIZED)), rewards(api, found)):
            for trace in traces:
                if not _matches(trace, wanted):
                    continue
                if skipped < wanted.after:
                    skipped += 1
                    continue
                if wanted.count is not None and len(results) >= wanted.count:
                    return results
                if len(results) >= limits.trace_filter_results:
                    raise LimitExceeded(
                        f"query returned more than {limits.trace_filter_results} results."
                        f" Try with this block range [{hex(start)}, {hex(max(start, number - 1))}]."
                    )
                results.append(trace)
    return results


def _matches(trace: dict[str, Any], wanted: Filter) -> bool:
    action = trace["action"]
    sender = action.get("from", action.get("address"))
    created = (trace.get("result") or {}).get("address")
    recipient = action.get("to", action.get("refundAddress", action.get("author", created)))
    return (not wanted.senders or sender in wanted.senders) and (
        not wanted.recipients or recipient in wanted.recipients
    )


def _joined(arrays: list[bytes]) -> orjson.Fragment:
    """JSON arrays as one."""
    return orjson.Fragment(b"[" + b",".join(array[1:-1] for array in arrays if array != b"[]") + b"]")


def _pair(value: Any) -> tuple[dict[str, Any], Any]:
    if type(value) is not list or len(value) != 2:
        raise Invalid("expected pairs of a call and its trace types")
    return call_object(value[0]), {"parity": trace_types(value[1])}


def _index(value: Any) -> int:
    return value if type(value) is int and value >= 0 else uint64(value)


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    transaction_hash, at, types = (
        Param("transactionHash", hash32),
        Param("block", block_number),
        Param("types", trace_types),
    )
    on = Param("block", block, LATEST)
    calls = Param("calls", list_of(_pair, limits.trace_calls, "calls"), schema={"type": "array"})
    place = Param("indices", list_of(_index, TRACE_DEPTH_MAX, "indices"), schema={"type": "array"})

    def filter_cost(arguments: Any) -> int:
        wanted: Filter = arguments[0]
        if wanted.start.number < 0 or wanted.stop.number < 0:
            return TRACE_COST
        return TRACE_COST * max(1, wanted.stop.number - wanted.start.number + 1)

    return [
        Method("trace_block", of_block, (at,), cost=TRACE_COST),
        Method("trace_transaction", of_transaction, (transaction_hash,), cost=TRACE_COST),
        Method("trace_get", get, (transaction_hash, place), cost=TRACE_COST),
        Method(
            "trace_filter",
            filtered,
            (Param("filter", trace_filter(limits), schema={"type": "object"}),),
            cost=filter_cost,
        ),
        Method("trace_call", call, (Param("transaction", call_object), types, on), cost=TRACE_COST),
        Method("trace_callMany", call_many, (calls, on), cost=TRACE_COST),
        Method("trace_rawTransaction", raw_transaction, (Param("transaction", data), types), cost=TRACE_COST),
        Method("trace_replayTransaction", replay_transaction, (transaction_hash, types), cost=TRACE_COST),
        Method("trace_replayBlockTransactions", replay_block, (at, types), cost=TRACE_COST),
    ]
