"""This member's other services, as consensus uses them: statedb and the executors. Bounded, retried, never fatal."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog
from hansa.rpc import channel, error_info, reason_of
from hansa.stages import charged
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2

from .errors import BlockRejected, ParentUnknown, ServiceAway
from .limits import CALL_SECONDS_MAX, EXECUTE_SECONDS_MAX, READ_SECONDS_MAX, RETRY_SECONDS_MAX, RETRY_SECONDS_MIN

_log = structlog.get_logger()


async def pauses() -> AsyncIterator[int]:
    """Attempts without end: yields their numbers, sleeping between them, doubling up to `RETRY_SECONDS_MAX`."""
    attempt = 0
    while True:
        yield attempt
        await asyncio.sleep(min(RETRY_SECONDS_MIN * (1 << min(attempt, 10)), RETRY_SECONDS_MAX))
        attempt += 1


def _away(service: str, error: grpc.aio.AioRpcError) -> ServiceAway:
    return ServiceAway(service, f"{error.code().name.lower()}: {error.details()}")


class NotStaged(Exception):
    """statedb does not hold the block: it restarted since. Execute it again."""


class NotChildOfHead(Exception):
    """The block does not follow statedb's head."""


class StateDbClient:
    """One channel, one kept Read stream."""

    def __init__(self, address: str) -> None:
        self._channel = channel(address)
        self._stub = statedb_pb2_grpc.StateDbStub(self._channel)
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[statedb_pb2.ReadResponse]] = {}
        self._next_id = 0

    async def accounts(self, addresses: bytes) -> bytes:
        """105-byte records of accounts (20 bytes each) at the committed head. Raises `ServiceAway`."""
        if not addresses:
            return b""
        response = await self.read(statedb_pb2.ReadRequest(accounts=addresses))
        return response.accounts

    async def read(self, request: statedb_pb2.ReadRequest) -> statedb_pb2.ReadResponse:
        """One round on the kept stream. Raises `ServiceAway`."""
        self._next_id += 1
        request.id = self._next_id
        future: asyncio.Future[statedb_pb2.ReadResponse] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                if self._call is None:
                    self._call = self._stub.Read(wait_for_ready=True)
                    self._reader = asyncio.create_task(self._read_answers(self._call), name="statedb reads")
                await self._call.write(request)
                response = await future
        except TimeoutError as error:
            self._drop_stream()
            raise ServiceAway("statedb", "no answer in time") from error
        except grpc.aio.AioRpcError as error:
            self._drop_stream()
            raise _away("statedb", error) from error
        except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:  # the stream ended under our hands
            self._drop_stream()
            raise ServiceAway("statedb", str(error)) from error
        finally:
            self._waiting.pop(request.id, None)
        if response.error:
            raise ServiceAway("statedb", f"{response.error}: {response.error_message}")
        return response

    @charged("admit")
    async def _read_answers(self, call: Any) -> None:
        problem = "the stream ended"
        try:
            while isinstance(response := await call.read(), statedb_pb2.ReadResponse):
                future = self._waiting.get(response.id)
                if future is not None and not future.done():
                    future.set_result(response)
        except grpc.aio.AioRpcError as error:
            problem = f"{error.code().name.lower()}: {error.details()}"
        if self._call is call:
            self._call = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ServiceAway("statedb", problem))

    def _drop_stream(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def head(self) -> types_pb2.Head:
        """The committed head. Raises `ServiceAway`."""
        try:
            response = await self._stub.GetHead(statedb_pb2.GetHeadRequest(), timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            raise _away("statedb", error) from error
        head: types_pb2.Head = response.head
        return head

    async def commit(self, block_hash: bytes, certificate: types_pb2.Certificate | None) -> None:
        """Make a staged block durable. Raises `ServiceAway`, `NotStaged`, `NotChildOfHead`."""
        request = statedb_pb2.CommitRequest(block_hash=block_hash, certificate=certificate)
        try:
            await self._stub.Commit(request, timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            match reason_of(error):
                case "NOT_STAGED":
                    raise NotStaged from error
                case "NOT_CHILD_OF_HEAD":
                    raise NotChildOfHead from error
            raise _away("statedb", error) from error

    async def blocks(self, *, start: int, count: int, bytes_max: int) -> Sequence[types_pb2.Block]:
        """Committed blocks with transactions and certificates. Raises `ServiceAway`."""
        fields: Any = {"from": start}
        parts = statedb_pb2.BlockParts(transactions=True, certificate=True)
        request = statedb_pb2.GetBlocksRequest(count=count, parts=parts, bytes_max=bytes_max, **fields)
        try:
            response = await self._stub.GetBlocks(request, timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            raise _away("statedb", error) from error
        return list(response.blocks)

    async def close(self) -> None:
        """End the stream and the channel."""
        self._drop_stream()
        await self._channel.close(None)


@dataclass(slots=True)
class _Executor:
    address: str
    channel: grpc.aio.Channel
    stub: Any
    failing: bool = False  # told in the log once, until it answers again


class ExecutorClient:
    """The executors of this member, in order of choice; the next one is tried when one does not answer."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._executors = []
        for address in addresses:
            opened = channel(address)
            self._executors.append(_Executor(address, opened, executor_pb2_grpc.ExecutorStub(opened)))
        self._preferred = 0

    async def execute(self, request: executor_pb2.ExecuteRequest) -> executor_pb2.ExecuteResponse:
        """Build or verify a block and stage it. Raises `BlockRejected`, `ParentUnknown`, `ServiceAway`."""
        problem = ServiceAway("executor", "none is configured")
        for turn in range(len(self._executors)):
            index = (self._preferred + turn) % len(self._executors)
            executor = self._executors[index]
            try:
                response: executor_pb2.ExecuteResponse = await executor.stub.Execute(
                    request, timeout=EXECUTE_SECONDS_MAX
                )
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason == "PARENT_UNKNOWN":
                    raise ParentUnknown(error.details()) from error
                if reason == "BLOCK_INVALID":
                    info = error_info(error)
                    code = info.metadata.get("code", "") if info else ""
                    raise BlockRejected(code or "block_invalid", error.details() or "") from error
                if reason == "HASH_MISMATCH":
                    raise BlockRejected("hash_mismatch", error.details() or "") from error
                problem = _away(f"executor {executor.address}", error)
                if not executor.failing:
                    executor.failing = True
                    _log.warning("executor_failed", executor=executor.address, problem=str(problem))
                continue
            if executor.failing:
                executor.failing = False
                _log.info("executor_answers_again", executor=executor.address)
            self._preferred = index
            return response
        raise problem

    async def close(self) -> None:
        """Close the channels."""
        for executor in self._executors:
            await executor.channel.close(None)
