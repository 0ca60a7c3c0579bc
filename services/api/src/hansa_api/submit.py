"""Raw transactions on their way to consensus: gathered for a few milliseconds, one call for all of them.

One future per request, not per transaction. Order is kept: of a request's transactions, and of requests that go with
one call. A call that failed half-way is repeated once, and then "already known" counts as accepted, since it was us.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
import structlog
from hansa.stages import charged
from hansa.v1 import consensus_pb2

from hansa_api import metrics
from hansa_api.backend import Backend, translate
from hansa_api.errors import LimitExceeded, ReadOnly, RpcError, TransactionRefused
from hansa_api.limits import Limits

_LENGTH = struct.Struct(">I")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`hashes`: 32 bytes per transaction; `refusals`: errors by index, of refused ones only."""

    hashes: bytes
    refusals: dict[int, TransactionRefused]

    def first(self) -> bytes:
        """Hash of the only transaction. Raises its refusal."""
        if self.refusals:
            raise self.refusals[0]
        return self.hashes[:32]


@dataclass(slots=True)
class _Group:
    raws: Sequence[bytes]
    answer: "asyncio.Future[Verdicts]"


class Submitter:
    """Gathers and sends. Bounded: past `submit_waiting` transactions requests are refused."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits
        self._groups: deque[_Group] = deque()
        self._waiting = 0
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, raws: Sequence[bytes]) -> Verdicts:
        """Verdicts in the order of `raws`. Raises `Unavailable` or `LimitExceeded` when nothing was decided, `ReadOnly`
        where nothing ever will be."""
        if self._backend.read_only:
            raise ReadOnly
        limits = self._limits
        if self._waiting + len(raws) > limits.submit_waiting:
            raise LimitExceeded(
                f"submission queue is full: {self._waiting} transactions wait, limit {limits.submit_waiting}"
            )
        loop = asyncio.get_running_loop()
        group = _Group(raws, loop.create_future())
        self._groups.append(group)
        self._waiting += len(raws)
        if self._waiting >= limits.submit_flush_items:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(limits.submit_gather_ms / 1000, self._flush)
        return await group.answer

    def close(self) -> None:
        """Stop; waiting requests are cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for group in self._groups:
            group.answer.cancel()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._groups and self._in_flight < self._limits.submit_concurrency:
            groups: list[_Group] = []
            size = 0
            while self._groups and (not groups or size + len(self._groups[0].raws) <= self._limits.submit_items):
                group = self._groups.popleft()
                size += len(group.raws)
                groups.append(group)
            self._waiting -= size
            self._in_flight += 1
            task = asyncio.get_running_loop().create_task(self._send(groups, size))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @charged("rpc")
    async def _send(self, groups: list[_Group], size: int) -> None:
        began = time.perf_counter()
        try:
            pack = _LENGTH.pack
            parts: list[bytes] = []
            for group in groups:
                for raw in group.raws:
                    parts.append(pack(len(raw)))
                    parts.append(raw)
            request = consensus_pb2.SubmitRequest(transactions=b"".join(parts))
            response, repeated = await self._call(request)
            self._answer(groups, response, repeated)
            refused = len(response.refusals)
            metrics.SUBMIT_TRANSACTIONS.labels("refused").inc(refused)
            metrics.SUBMIT_TRANSACTIONS.labels("accepted").inc(size - refused)
        except RpcError as error:
            metrics.SUBMIT_TRANSACTIONS.labels("undecided").inc(size)
            for group in groups:
                if not group.answer.done():
                    group.answer.set_exception(error)
        except BaseException as error:
            for group in groups:
                if not group.answer.done():
                    group.answer.set_exception(error) if isinstance(error, Exception) else group.answer.cancel()
            raise
        finally:
            metrics.SUBMIT_BATCH.observe(size)
            metrics.SUBMIT_SECONDS.observe(time.perf_counter() - began)
            self._in_flight -= 1
            if self._groups:
                self._flush()

    async def _call(self, request: consensus_pb2.SubmitRequest) -> tuple[consensus_pb2.SubmitResponse, bool]:
        timeout = self._limits.submit_timeout_ms / 1000
        repeated = False
        while True:
            try:
                answer = await self._backend.consensus.Submit(request, timeout=timeout, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if repeated or error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise translate(error, "consensus") from error
                repeated = True
                log.info("submit_repeated", detail=error.details())
            else:
                return answer, repeated

    @staticmethod
    def _answer(groups: list[_Group], response: consensus_pb2.SubmitResponse, repeated: bool) -> None:
        hashes = response.hashes
        by_index = {
            item.index: TransactionRefused(item.refusal)
            for item in response.refusals
            if not (repeated and item.refusal.code == "already_known")
        }
        start = 0
        for group in groups:
            stop = start + len(group.raws)
            refusals = (
                {index - start: error for index, error in by_index.items() if start <= index < stop} if by_index else {}
            )
            if not group.answer.done():
                group.answer.set_result(Verdicts(hashes[32 * start : 32 * stop], refusals))
            start = stop
