"""The gRPC border of the executor: three queues with workers of their own, errors to status codes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import structlog
from hansa.rpc import abort
from hansa.stages import charged
from hansa.v1 import executor_pb2, executor_pb2_grpc
from hansa_kernel import KernelBug

from hansa_executor import errors, limits, metrics
from hansa_executor.blocks import BlockExecutor
from hansa_executor.calls import CallExecutor
from hansa_executor.traces import TraceExecutor
from hansa_executor.witnesses import WitnessMaker

Context = grpc.aio.ServicerContext[Any, Any]

_STATUS: dict[type[errors.ExecutorError], tuple[grpc.StatusCode, str]] = {
    errors.RequestInvalid: (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
    errors.BlockRefused: (grpc.StatusCode.INVALID_ARGUMENT, "BLOCK_INVALID"),
    errors.ParentUnknown: (grpc.StatusCode.FAILED_PRECONDITION, "PARENT_UNKNOWN"),
    errors.BlockUnknown: (grpc.StatusCode.NOT_FOUND, "BLOCK_UNKNOWN"),
    errors.Pruned: (grpc.StatusCode.NOT_FOUND, "PRUNED"),
    errors.ResultDiffers: (grpc.StatusCode.ABORTED, "HASH_MISMATCH"),
    errors.QueueFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    errors.CallTimedOut: (grpc.StatusCode.DEADLINE_EXCEEDED, "CALL_TIMED_OUT"),
    errors.TraceCannotRun: (grpc.StatusCode.FAILED_PRECONDITION, "TRACE_REFUSED"),
    errors.StateDbAway: (grpc.StatusCode.UNAVAILABLE, "STATEDB_AWAY"),
}


class Queue:
    """At most `workers` run, at most `waiting_max` wait, in order of arrival."""

    def __init__(self, name: str, workers: int, waiting_max: int) -> None:
        self.waiting = 0
        self._name = name
        self._waiting_max = waiting_max
        self._workers = asyncio.Semaphore(workers)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a worker. Raises `QueueFull`."""
        if self.waiting >= self._waiting_max:
            raise errors.QueueFull(self._name, self._waiting_max)
        self.waiting += 1
        metrics.WAITING.labels(queue=self._name).set(self.waiting)
        try:
            await self._workers.acquire()
        finally:
            self.waiting -= 1
            metrics.WAITING.labels(queue=self._name).set(self.waiting)
        try:
            yield
        finally:
            self._workers.release()


class ExecutorServicer(executor_pb2_grpc.ExecutorServicer):
    """Blocks, calls, witnesses and traces."""

    def __init__(
        self,
        blocks: BlockExecutor,
        calls: CallExecutor,
        witnesses: WitnessMaker,
        traces: TraceExecutor,
        *,
        call_workers: int,
    ) -> None:
        self._blocks = blocks
        self._calls = calls
        self._witnesses = witnesses
        self._traces = traces
        self._block_queue = Queue("blocks", 1, limits.BLOCKS_WAITING_MAX)
        self._call_queue = Queue("calls", call_workers, limits.CALLS_WAITING_MAX)
        self._witness_queue = Queue("witnesses", 1, limits.WITNESSES_WAITING_MAX)
        self._trace_queue = Queue("traces", limits.TRACE_WORKERS, limits.TRACES_WAITING_MAX)

    @charged("execute")
    async def Execute(self, request: executor_pb2.ExecuteRequest, context: Context) -> executor_pb2.ExecuteResponse:
        try:
            async with self._block_queue.turn():
                return await self._blocks.execute(request)
        except errors.ExecutorError as error:
            await _refuse(context, error)
        except KernelBug as error:
            await _bug(context, error)
        except grpc.aio.AioRpcError as error:
            await abort(context, error.code(), "STATEDB_FAILED", f"statedb: {error.details()}")

    @charged("call")
    async def Call(self, request: executor_pb2.CallRequest, context: Context) -> executor_pb2.CallResponse:
        try:
            async with self._call_queue.turn():
                return await self._calls.call(request)
        except errors.ExecutorError as error:
            await _refuse(context, error)
        except KernelBug as error:
            await _bug(context, error)

    async def GetWitness(
        self, request: executor_pb2.GetWitnessRequest, context: Context
    ) -> executor_pb2.GetWitnessResponse:
        try:
            async with self._witness_queue.turn():
                return await self._witnesses.witness(request)
        except errors.ExecutorError as error:
            await _refuse(context, error)
        except KernelBug as error:
            await _bug(context, error)

    async def Trace(self, request: executor_pb2.TraceRequest, context: Context) -> executor_pb2.TraceResponse:
        try:
            async with self._trace_queue.turn():
                return await self._traces.trace(request)
        except errors.ExecutorError as error:
            await _refuse(context, error)
        except KernelBug as error:
            await _bug(context, error)

    async def Simulate(self, request: executor_pb2.SimulateRequest, context: Context) -> executor_pb2.SimulateResponse:
        try:
            async with self._trace_queue.turn():
                return await self._traces.simulate(request)
        except errors.ExecutorError as error:
            await _refuse(context, error)
        except KernelBug as error:
            await _bug(context, error)


async def _bug(context: Context, error: KernelBug) -> NoReturn:
    """The kernel undid the call; who sent it must not be able to end the service by sending it again."""
    structlog.get_logger().error("kernel_bug", error=str(error))
    await abort(context, grpc.StatusCode.INTERNAL, "KERNEL_BUG", str(error))


async def _refuse(context: Context, error: errors.ExecutorError) -> NoReturn:
    code, reason = _STATUS[type(error)]
    metrics.REFUSED.labels(reason=reason.lower()).inc()
    details: dict[str, str] = {}
    if isinstance(error, errors.BlockRefused):
        details = {"code": error.code, "index": "" if error.index is None else str(error.index)}
    elif isinstance(error, errors.RequestInvalid):
        details = {"field": error.field}
    elif isinstance(error, errors.QueueFull):
        details = {"limit": str(error.limit)}
    elif isinstance(error, errors.TraceCannotRun):
        details = {"code": str(error.code)}
    await abort(context, code, reason, str(error), details)
