"""Runs traces and simulations behind the kernel's miss protocol, within a time limit and a bound of bytes."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import grpc
from hansa.packing import pack, unpack
from hansa.rpc import error_info
from hansa.v1 import executor_pb2, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_kernel import (
    BlockEnv,
    Cancelled,
    Header,
    KernelInputError,
    Need,
    SimulateJob,
    SimulateResult,
    Spec,
    StateCache,
    TraceJob,
    TraceRefused,
    TraceResult,
    Unsealed,
    attach_senders,
    decode_transactions,
)

from hansa_executor import limits, metrics
from hansa_executor.calls import CallExecutor
from hansa_executor.errors import (
    BlockUnknown,
    CallTimedOut,
    ParentUnknown,
    RequestInvalid,
    StateDbAway,
    TraceCannotRun,
)
from hansa_executor.reads import StateReads

T = TypeVar("T")
_EMPTY = pack(())
_WAIT: dict[str, Any] = {"timeout": limits.HEADER_TIMEOUT_SECONDS, "wait_for_ready": True}
_SERVER_ERROR = -32_000
_PRUNED = 4_444


class TraceExecutor:
    """Traces transactions of committed blocks and calls on them; simulates blocks."""

    def __init__(
        self,
        spec: Spec,
        cache: StateCache,
        stub: statedb_pb2_grpc.StateDbStub,
        reads: StateReads,
        pool: Executor,
        calls: CallExecutor,
    ) -> None:
        self._spec = spec
        self._cache = cache
        self._stub = stub
        self._reads = reads
        self._pool = pool
        self._calls = calls

    async def trace(self, request: executor_pb2.TraceRequest) -> executor_pb2.TraceResponse:
        """Raises the errors of `errors.py`."""
        _check(request)
        if request.raw:
            return await self._trace_raw(request)
        if request.calls and not request.HasField("calls_after"):
            return await self._trace_calls(request)
        return await self._trace_block(request)

    async def _trace_block(self, request: executor_pb2.TraceRequest) -> executor_pb2.TraceResponse:
        """Transactions of a block, or calls among them: on the parent's state."""
        block = await self._whole_block(request.block)
        header = Header.decode(block.header)
        if header.number == 0:
            raise TraceCannotRun(_SERVER_ERROR, "genesis is not traceable")
        held = len(block.hashes) // 32
        if request.calls:
            first = stop = min(request.calls_after, held)
        else:
            first = request.first
            stop = min(held, first + request.count) if request.HasField("count") else held
            if first > held:
                raise RequestInvalid("first", f"at most {held} transactions", str(first))

        def prepare() -> TraceJob:
            raws = unpack(block.transactions)[:stop]
            batch = attach_senders(
                pack(raws),
                block.senders[: 20 * stop],
                spec=self._spec,
                number=header.number,
                timestamp=header.timestamp,
            )
            return TraceJob(
                self._spec,
                BlockEnv.from_header(block.header),
                batch,
                first=first,
                system_calls=True,
                block_hash=block.hash,
                parent_hash=header.parent_hash,
                **self._common(request),
            )

        traces = await self._traces(prepare, header.parent_hash)
        hashes = b"" if request.calls else block.hashes[32 * first : 32 * stop]
        return executor_pb2.TraceResponse(traces=traces, hashes=hashes, block_hash=block.hash)

    async def _trace_calls(self, request: executor_pb2.TraceRequest) -> executor_pb2.TraceResponse:
        """Calls on the state after a block, in its environment (on `pending`: in the next one's)."""
        block_hash, header = await self._calls.block(request.block)
        pending = request.block.WhichOneof("block") == "tag" and request.block.tag == types_pb2.BLOCK_TAG_PENDING

        def prepare() -> TraceJob:
            env = self._calls.next_env(header, block_hash) if pending else BlockEnv.from_header(header)
            return TraceJob(
                self._spec,
                env,
                decode_transactions(_EMPTY, spec=self._spec, number=0, timestamp=0),
                first=0,
                system_calls=False,
                parent_hash=block_hash,
                **self._common(request),
            )

        return executor_pb2.TraceResponse(traces=await self._traces(prepare, block_hash), block_hash=block_hash)

    async def _trace_raw(self, request: executor_pb2.TraceRequest) -> executor_pb2.TraceResponse:
        """A raw transaction as the first of the block after the named one."""
        block_hash, head = await self._calls.block(request.block)

        def prepare() -> TraceJob:
            env = self._calls.next_env(head, block_hash)
            header = Header.decode(head)
            batch = decode_transactions(
                pack([request.raw]), spec=self._spec, number=header.number + 1, timestamp=header.timestamp
            )
            (error,) = batch.errors()
            if error is not None:
                raise TraceCannotRun(_SERVER_ERROR, error.message)
            return TraceJob(
                self._spec,
                env,
                batch,
                first=0,
                system_calls=False,
                parent_hash=block_hash,
                **self._common(request),
            )

        return executor_pb2.TraceResponse(traces=await self._traces(prepare, block_hash), block_hash=block_hash)

    def _common(self, request: executor_pb2.TraceRequest) -> dict[str, Any]:
        return {
            "config": request.config,
            "calls": request.calls,
            "gas_max": self._calls.gas_max,
            "state_overrides": request.state_overrides,
            "block_overrides": request.block_overrides,
            "cache": self._cache,
            "output_bytes_max": limits.TRACE_BYTES_MAX,
        }

    async def _traces(self, prepare: Callable[[], TraceJob], state_hash: bytes) -> list[bytes]:
        async def steps(job: TraceJob) -> list[bytes]:
            step = await self._in_pool(job.step)
            while not isinstance(step, TraceResult):
                step = await self._in_pool(job.step, *await self._answer(step, state_hash))
            return step.traces

        traces: list[bytes] = await self._bounded("trace", prepare, steps, state_hash)
        return traces

    async def simulate(self, request: executor_pb2.SimulateRequest) -> executor_pb2.SimulateResponse:
        """eth_simulateV1. Raises the errors of `errors.py`."""
        _check_size("options", request.options)
        block_hash, header = await self._calls.block(request.block)

        def prepare() -> SimulateJob:
            gas_max = self._calls.gas_max
            return SimulateJob(self._spec, header, options=request.options, gas_max=gas_max, cache=self._cache)

        async def steps(job: SimulateJob) -> bytes:
            step = await self._in_pool(job.step)
            while not isinstance(step, SimulateResult):
                if isinstance(step, Unsealed):
                    root = await self._root(block_hash, step.write_set)
                    await self._in_pool(job.seal, root)
                    step = await self._in_pool(job.step)
                else:
                    step = await self._in_pool(job.step, *await self._answer(step, block_hash))
            return step.json

        blocks = await self._bounded("simulate", prepare, steps, block_hash)
        return executor_pb2.SimulateResponse(blocks_json=blocks)

    async def _bounded(self, kind: str, prepare: Callable[[], Any], steps: Callable[[Any], Any], at: bytes) -> Any:
        """Prepare a job and run it within the time limit; its errors in the executor's words."""
        started = time.perf_counter()
        job = None
        try:
            job = await self._in_pool(prepare)
            return await asyncio.wait_for(steps(job), limits.TRACE_TIMEOUT_MS / 1000)
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        except TraceRefused as error:
            raise TraceCannotRun(error.code, error.message) from error
        except (TimeoutError, Cancelled) as error:
            raise CallTimedOut(limits.TRACE_TIMEOUT_MS) from error
        except ParentUnknown as error:
            raise BlockUnknown(at.hex()) from error
        finally:
            if job is not None:
                job.cancel()  # a step that still runs in its thread ends soon
            metrics.CALL_SECONDS.labels(kind=kind).observe(time.perf_counter() - started)

    async def _answer(self, step: object, state_hash: bytes) -> tuple[Any, ...]:
        """The argument of the next step."""
        if not isinstance(step, Need):
            return ()
        metrics.ROUNDS.inc()
        return (await self._reads.values(step, state_hash),)

    async def _whole_block(self, selector: types_pb2.BlockSelector) -> types_pb2.Block:
        parts = statedb_pb2.BlockParts(transactions=True)
        request = statedb_pb2.GetBlocksRequest(selector=selector, parts=parts)
        try:
            answer: statedb_pb2.GetBlocksResponse = await self._stub.GetBlocks(request, **_WAIT)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise RequestInvalid("block", "a block", error.details() or "") from error
            raise StateDbAway("statedb does not answer") from error
        if not answer.blocks:
            raise BlockUnknown(selector.hash.hex() or str(selector.number))
        return answer.blocks[0]

    async def _root(self, block_hash: bytes, write_set: bytes) -> bytes:
        request = statedb_pb2.GetRootRequest(block_hash=block_hash, write_set=write_set)
        try:
            answer: statedb_pb2.GetRootResponse = await self._stub.GetRoot(request, **_WAIT)
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            if info is not None and info.reason == "PRUNED":
                raise TraceCannotRun(_PRUNED, f"pruned history unavailable: {error.details()}") from error
            raise StateDbAway("statedb does not answer") from error
        return answer.state_root

    async def _in_pool(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


def _check(request: executor_pb2.TraceRequest) -> None:
    """Raises `RequestInvalid` for what is too large."""
    for field in ("config", "calls", "state_overrides", "block_overrides", "raw"):
        _check_size(field, getattr(request, field))
    if request.block.WhichOneof("block") == "hash" and len(request.block.hash) != 32:
        raise RequestInvalid("block.hash", "32 bytes", f"{len(request.block.hash)} bytes")


def _check_size(field: str, value: bytes) -> None:
    if len(value) > limits.TRACE_CALLS_BYTES_MAX:
        raise RequestInvalid(field, f"at most {limits.TRACE_CALLS_BYTES_MAX} bytes", f"{len(value)} bytes")
