"""JSON-RPC requests in, answers out: one dispatcher for HTTP and WebSocket.

The hot path is a batch of eth_sendRawTransaction: runs of them become one `submit` and one string join; no task and
no await per transaction. Everything else is looked up in the registry, and a batch's reads run side by side, a few at
once; answers keep the order of the requests.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from hansa_api import metrics
from hansa_api.connection import Connection
from hansa_api.errors import (
    InternalError,
    InvalidParams,
    InvalidRequest,
    LimitExceeded,
    ParseError,
    RateLimited,
    RpcError,
)
from hansa_api.submit import Verdicts

if TYPE_CHECKING:
    from hansa_api.api import Api

SEND = "eth_sendRawTransaction"
SEND_COST = 2
_EMPTY_HASH = bytes(32)

log = structlog.get_logger()


class Dispatcher:
    """Answers request bodies; holds no state between them."""

    def __init__(self, api: "Api") -> None:
        self._api = api
        self._limits = api.limits
        self._registry = api.registry

    async def answer(self, body: bytes | str, connection: Connection) -> bytes | None:
        """The response body, or None when there is nothing to answer (only notifications)."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return error_bytes(None, ParseError(f"parse error: {error}"))
        if type(request) is list:
            return await self._batch(request, connection)
        return await self._single(request, connection)

    async def _batch(self, requests: list[Any], connection: Connection) -> bytes | None:
        limits = self._limits
        if not requests:
            return error_bytes(None, InvalidRequest("empty batch"))
        if len(requests) > limits.batch_items:
            error = LimitExceeded(f"batch too large: {len(requests)} requests, limit {limits.batch_items}")
            first = next((r["id"] for r in requests if type(r) is dict and "id" in r), None)
            return b"[" + error_bytes(first, error) + b"]"
        answers: list[bytes | None] = [None] * len(requests)
        deadline = time.monotonic() + limits.batch_time_ms / 1000
        room = limits.batch_response_bytes
        start = 0
        while start < len(requests):
            sends = is_send(requests[start])
            stop = start + 1
            while stop < len(requests) and is_send(requests[stop]) == sends:
                stop += 1
            if sends:
                room -= await self._sends(requests, start, stop, answers, connection)
            else:
                room = await self._others(requests, start, stop, answers, connection, deadline, room)
            start = stop
        found = [answer for answer in answers if answer is not None]
        return b"[" + b",".join(found) + b"]" if found else None

    async def _others(
        self,
        requests: list[Any],
        start: int,
        stop: int,
        answers: list[bytes | None],
        connection: Connection,
        deadline: float,
        room: int,
    ) -> int:
        limits = self._limits
        positions = iter(range(start, stop))

        async def work() -> None:
            nonlocal room
            for position in positions:
                request = requests[position]
                if room <= 0:
                    answers[position] = _refusal(
                        request, LimitExceeded(f"batch response limit of {limits.batch_response_bytes} bytes exceeded")
                    )
                else:
                    answer = await self._single(request, connection)
                    answers[position] = answer
                    room -= len(answer) if answer is not None else 0

        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await asyncio.gather(*(work() for _ in range(min(limits.batch_concurrency, stop - start))))
        except TimeoutError:
            for position in range(start, stop):
                if answers[position] is None:
                    answers[position] = _refusal(
                        requests[position], LimitExceeded(f"batch time limit of {limits.batch_time_ms} ms exceeded")
                    )
        return room

    async def _sends(
        self, requests: list[Any], start: int, stop: int, answers: list[bytes | None], connection: Connection
    ) -> int:
        """Submit a run of well-formed sends as one; returns the bytes of the answers."""
        began = time.perf_counter()
        raw_max = self._limits.transaction_bytes
        rate = self._api.rates
        positions: list[int] = []
        raws: list[bytes] = []
        connection.items += stop - start
        for position in range(start, stop):
            request = requests[position]
            digits = request["params"][0]
            try:
                raw = bytes.fromhex(digits[2:])
                if digits[:2] != "0x" or 2 * len(raw) + 2 != len(digits):
                    raise ValueError(digits[:2])
            except ValueError:
                answers[position] = await self._single(request, connection)  # for geth's words about what is wrong
                continue
            if len(raw) > raw_max:
                answers[position] = error_bytes(request["id"], oversized(len(raw), raw_max))
                continue
            if rate is not None and (wait := await rate.take(connection.address, SEND_COST)):
                answers[position] = self._limited(request["id"], wait, connection)
                continue
            positions.append(position)
            raws.append(raw)
        size = 0
        if raws:
            try:
                verdicts = await self._api.submitter.submit(raws)
            except RpcError as error:
                for position in positions:
                    answers[position] = error_bytes(requests[position]["id"], error)
                metrics.RPC_REQUESTS.labels(SEND, str(error.code)).inc(len(raws))
            else:
                size = self._fill(requests, positions, verdicts, answers)
                refused = len(verdicts.refusals)
                if refused:
                    metrics.RPC_REQUESTS.labels(SEND, "-32003").inc(refused)
                metrics.RPC_REQUESTS.labels(SEND, "0").inc(len(raws) - refused)
            metrics.RPC_SECONDS.labels(SEND).observe(time.perf_counter() - began)
        return size

    @staticmethod
    def _fill(requests: list[Any], positions: Sequence[int], verdicts: Verdicts, answers: list[bytes | None]) -> int:
        digits = verdicts.hashes.hex()
        refusals = verdicts.refusals
        size = 0
        for index, position in enumerate(positions):
            id_ = requests[position]["id"]
            if refusals and (error := refusals.get(index)) is not None:
                answer = error_bytes(id_, error)
            else:
                head = str(id_) if type(id_) is int else orjson.dumps(id_).decode()
                offset = 64 * index
                answer = f'{{"jsonrpc":"2.0","id":{head},"result":"0x{digits[offset : offset + 64]}"}}'.encode()
            answers[position] = answer
            size += len(answer)
        return size

    async def _single(self, request: Any, connection: Connection) -> bytes | None:
        connection.items += 1
        if type(request) is not dict:
            return error_bytes(None, InvalidRequest("invalid request"))
        id_ = request.get("id")
        name = request.get("method")
        if type(id_) not in _ID_TYPES:
            return error_bytes(None, InvalidRequest("invalid request: id must be a string, a number or null"))
        if request.get("jsonrpc") != "2.0" or type(name) is not str:
            return error_bytes(id_, InvalidRequest("invalid request"))
        began = time.perf_counter()
        label, code = "unknown", 0
        try:
            method, is_async = self._registry.find(name)
            label = name
            params = request.get("params")
            if params and type(params) in (list, dict) and too_deep(params, self._limits.json_depth - 2):
                raise InvalidParams(f"params are nested deeper than {self._limits.json_depth}")
            arguments = method.parse(params)
            rate = self._api.rates
            if rate is not None and (wait := await rate.take(connection.address, method.cost_of(arguments))):
                code = LimitExceeded.code
                return self._limited(id_, wait, connection)
            result = (
                method.handler(self._api, connection, *arguments)
                if method.connection
                else method.handler(self._api, *arguments)
            )
            if is_async:
                result = await result
            answer = orjson.dumps({"jsonrpc": "2.0", "id": id_, "result": result})
            if len(answer) > self._limits.response_bytes:
                raise LimitExceeded(
                    f"response of {len(answer)} bytes exceeds the limit of {self._limits.response_bytes}"
                )
        except RpcError as error:
            code = error.code
            answer = error_bytes(id_, error)
        except Exception:  # the outermost loop of a request: a bug here must not end the connection
            log.exception("rpc_method_failed", method=label)
            code = InternalError.code
            answer = error_bytes(id_, InternalError())
        finally:
            metrics.RPC_REQUESTS.labels(label, str(code)).inc()
            metrics.RPC_SECONDS.labels(label).observe(time.perf_counter() - began)
        return answer if "id" in request else None

    def _limited(self, id_: Any, wait: int, connection: Connection) -> bytes:
        metrics.RATE_LIMITED.inc()
        connection.rate_limited = max(connection.rate_limited, wait)
        connection.items_limited += 1
        return error_bytes(id_, RateLimited(self._limits.rate_per_second, wait))


_ID_TYPES = (int, str, type(None), float)


def is_send(request: Any) -> bool:
    """Whether the fast path takes this request: a call (with a plain id) of eth_sendRawTransaction with one string."""
    if type(request) is not dict or request.get("method") != SEND or request.get("jsonrpc") != "2.0":
        return False
    params = request.get("params")
    return (
        type(params) is list and len(params) == 1 and type(params[0]) is str and type(request.get("id")) in (int, str)
    )


def too_deep(value: Any, levels: int) -> bool:
    """Whether containers are nested deeper than `levels`; costs nothing for scalars."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            child
            for item in layer
            for child in (item.values() if type(item) is dict else item)
            if type(child) is list or type(child) is dict
        ]
        if not layer:
            return False
    return True


def oversized(size: int, maximum: int) -> LimitExceeded:
    """The error for a raw transaction over the limit."""
    return LimitExceeded(f"oversized data: transaction size {size}, limit {maximum}")


def error_bytes(id_: Any, error: RpcError) -> bytes:
    """A whole JSON-RPC error response."""
    return orjson.dumps({"jsonrpc": "2.0", "id": id_, "error": error.as_dict()}, default=str)


def _refusal(request: Any, error: RpcError) -> bytes | None:
    if type(request) is dict and "id" not in request and "method" in request:
        return None
    return error_bytes(request.get("id") if type(request) is dict else None, error)
