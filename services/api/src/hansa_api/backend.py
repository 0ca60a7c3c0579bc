"""Clients of this member's other services: channels for life, bounded retries, errors in clients' words.

Each of the others may come up, die and return at any time: reads wait for it up to their own timeout, then the client
gets -32002. Calls try the member's executors in turn.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
from hansa.config import AddressSettings
from hansa.rpc import channel, error_info
from hansa.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    executor_pb2,
    executor_pb2_grpc,
    statedb_pb2_grpc,
    types_pb2,
)

from hansa_api.errors import (
    CodedError,
    HeaderNotFound,
    InvalidParams,
    LimitExceeded,
    Pruned,
    ReadOnly,
    RpcError,
    ServerError,
    Unavailable,
)
from hansa_api.limits import Limits

T = TypeVar("T")

RETRY_PAUSE_MS = 50
"""Between two attempts of one read; the channel itself backs off up to a second."""

WITNESS_TIMEOUT_MS = 30_000
"""A witness takes as long as its block took, and the reading of some thousand old trie nodes."""

STATUS_AGE_MS_MAX = 500
"""Consensus' status is asked at most this often, however many clients poll it."""

_NOBODY = consensus_pb2.GetStatusResponse(engine="none")
_EMPTY_POOL = consensus_pb2.GetPoolResponse()


class _Gate:
    """At most `concurrency` requests of a kind are under way, at most `waiting` more wait, none longer than a call."""

    def __init__(self, kind: str, concurrency: int, waiting: int, timeout_ms: int) -> None:
        self._kind = kind
        self._room = asyncio.Semaphore(concurrency)
        self._waiting_max = waiting
        self._timeout_ms = timeout_ms
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for room. Raises `LimitExceeded`."""
        if self._waiting >= self._waiting_max:
            raise LimitExceeded(f"too many {self._kind}: {self._waiting} wait, limit {self._waiting_max}")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                await self._room.acquire()
        except TimeoutError:
            raise LimitExceeded(f"too many {self._kind}: no executor was free within {self._timeout_ms} ms") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._room.release()


class Backend:
    """Stubs and the calls whose failures need translation."""

    def __init__(self, addresses: AddressSettings, limits: Limits) -> None:
        self._limits = limits
        self.read_only = not addresses.consensus
        self._channels = [channel(addresses.statedb)]
        self.statedb: Any = statedb_pb2_grpc.StateDbStub(self._channels[0])
        self._consensus: Any = None
        if not self.read_only:
            self._channels.append(channel(addresses.consensus))
            self._consensus = consensus_pb2_grpc.ConsensusStub(self._channels[-1])
        self.executors: list[Any] = []
        for address in addresses.executors:
            self._channels.append(channel(address))
            self.executors.append(executor_pb2_grpc.ExecutorStub(self._channels[-1]))
        self._call_gate = _Gate("calls", limits.call_concurrency, limits.call_waiting, limits.call_timeout_ms)
        self._trace_gate = _Gate("traces", limits.trace_concurrency, limits.trace_waiting, limits.trace_timeout_ms)
        self._status: consensus_pb2.GetStatusResponse | None = None
        self._status_at = 0.0
        self._status_call: asyncio.Task[consensus_pb2.GetStatusResponse] | None = None

    @property
    def consensus(self) -> Any:
        """The stub of consensus. Raises `ReadOnly` where there is none."""
        if self._consensus is None:
            raise ReadOnly
        return self._consensus

    async def close(self) -> None:
        """Close all channels."""
        await asyncio.gather(*(item.close(None) for item in self._channels))

    async def ask(self, method: Any, request: Any, service: str, timeout_ms: int | None = None) -> Any:
        """A read that may be repeated: until it is answered or the time is over. Raises an `RpcError`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + (timeout_ms or self._limits.read_timeout_backend_ms) / 1000
        while True:
            try:
                return await method(request, timeout=max(0.01, ends - loop.time()), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or loop.time() + RETRY_PAUSE_MS / 1000 >= ends:
                    raise translate(error, service) from error
            await asyncio.sleep(RETRY_PAUSE_MS / 1000)

    async def call(self, request: executor_pb2.CallRequest) -> executor_pb2.CallResponse:
        """Run a call on the first executor that answers. Raises an `RpcError`."""
        async with self._call_gate.turn():
            answer: executor_pb2.CallResponse = await self._executed("Call", request, self._limits.call_timeout_ms)
        if len(answer.output) > self._limits.call_return_bytes:
            raise LimitExceeded(f"return data of {len(answer.output)} bytes, limit {self._limits.call_return_bytes}")
        return answer

    async def trace(self, request: executor_pb2.TraceRequest) -> executor_pb2.TraceResponse:
        """Run a trace on the first executor that answers. Raises an `RpcError`."""
        async with self._trace_gate.turn():
            answer: executor_pb2.TraceResponse = await self._executed("Trace", request, self._limits.trace_timeout_ms)
        return answer

    async def simulate(self, request: executor_pb2.SimulateRequest) -> executor_pb2.SimulateResponse:
        """Run a simulation on the first executor that answers. Raises an `RpcError`."""
        async with self._trace_gate.turn():
            answer: executor_pb2.SimulateResponse = await self._executed(
                "Simulate", request, self._limits.trace_timeout_ms
            )
        return answer

    async def _executed(self, method: str, request: Any, timeout_ms: int) -> Any:
        loop = asyncio.get_running_loop()
        # A little longer than the executor's own bound, whose answer says more.
        ends = loop.time() + timeout_ms / 1000 + 1
        while True:
            failed: grpc.aio.AioRpcError | None = None
            for position, executor in enumerate(self.executors):
                last = position == len(self.executors) - 1
                try:
                    return await getattr(executor, method)(
                        request, timeout=max(0.01, ends - loop.time()), wait_for_ready=last
                    )
                except grpc.aio.AioRpcError as error:
                    failed = error
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                        raise translate(error, "executor", timeout_ms) from error
            if failed is None:
                raise Unavailable("no executor is configured")
            if failed.code() == grpc.StatusCode.RESOURCE_EXHAUSTED or loop.time() + RETRY_PAUSE_MS / 1000 >= ends:
                raise translate(failed, "executor", timeout_ms) from failed
            await asyncio.sleep(RETRY_PAUSE_MS / 1000)

    async def witness(self, block_hash: bytes) -> executor_pb2.GetWitnessResponse:
        """Witness of a committed block, from the first executor that is up. Raises an `RpcError`."""
        request = executor_pb2.GetWitnessRequest(block=types_pb2.BlockSelector(hash=block_hash))
        failed: RpcError = Unavailable("no executor is configured")
        for executor in self.executors:
            try:
                answer: executor_pb2.GetWitnessResponse = await self.ask(
                    executor.GetWitness, request, "executor", WITNESS_TIMEOUT_MS
                )
            except (Unavailable, LimitExceeded) as error:
                failed = error
            else:
                return answer
        raise failed

    async def status(self) -> consensus_pb2.GetStatusResponse:
        """Consensus' status, at most `STATUS_AGE_MS_MAX` old; concurrent askers share one call.

        Without consensus: of a node that has no members and never catches up."""
        if self.read_only:
            return _NOBODY
        loop = asyncio.get_running_loop()
        if self._status is not None and loop.time() - self._status_at < STATUS_AGE_MS_MAX / 1000:
            return self._status
        if self._status_call is None:
            self._status_call = loop.create_task(self._ask_status())
            self._status_call.add_done_callback(self._status_done)
        return await asyncio.shield(self._status_call)

    @property
    def last_status(self) -> consensus_pb2.GetStatusResponse | None:
        """The status heard last, of any age; None before the first."""
        return self._status

    async def _ask_status(self) -> consensus_pb2.GetStatusResponse:
        found: consensus_pb2.GetStatusResponse = await self.ask(
            self.consensus.GetStatus, consensus_pb2.GetStatusRequest(), "consensus"
        )
        self._status, self._status_at = found, asyncio.get_running_loop().time()
        return found

    def _status_done(self, task: "asyncio.Task[consensus_pb2.GetStatusResponse]") -> None:
        self._status_call = None
        if not task.cancelled():
            task.exception()  # its askers have it; nobody may be left to look

    async def pool(self, **wanted: Any) -> consensus_pb2.GetPoolResponse:
        """The pool's counts and what `wanted` names (fields of GetPoolRequest); without consensus it is empty."""
        if self.read_only:
            return _EMPTY_POOL
        found: consensus_pb2.GetPoolResponse = await self.ask(
            self.consensus.GetPool, consensus_pb2.GetPoolRequest(**wanted), "consensus"
        )
        return found

    async def pending_nonces(self, addresses: Sequence[bytes]) -> list[int | None]:
        """Nonce after the gapless run in the pool, None where the pool does not know the sender."""
        if self.read_only:
            return [None] * len(addresses)
        found = await self.ask(
            self.consensus.GetPendingNonces,
            consensus_pb2.GetPendingNoncesRequest(addresses=b"".join(addresses)),
            "consensus",
        )
        return [item.nonce if item.known else None for item in found.nonces]


def translate(error: grpc.aio.AioRpcError, service: str, timeout_ms: int = 0) -> RpcError:
    """What a client hears of a failed RPC."""
    info = error_info(error)
    reason = info.reason if info is not None else ""
    detail = error.details() or ""
    code = error.code()
    if reason == "PRUNED":
        return Pruned(detail)
    if reason == "TRACE_REFUSED" and info is not None:
        return CodedError(int(info.metadata.get("code", "-32000")), detail)
    if (
        reason in ("UNKNOWN_BLOCK", "BLOCK_UNKNOWN", "PARENT_UNKNOWN", "BLOCK_NOT_FOUND")
        or code == grpc.StatusCode.NOT_FOUND
    ):
        return HeaderNotFound(detail)
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidParams(detail)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return LimitExceeded(f"{service} is at its limit: {detail}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and timeout_ms:
        return LimitExceeded(f"execution aborted (timeout = {timeout_ms} ms)")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return Unavailable(f"{service} does not answer")
    return ServerError(detail or f"{service} failed: {code.name}")
