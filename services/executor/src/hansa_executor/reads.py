"""Answers the kernel's needs over one kept stream to statedb.

Requests go out in any number, answers come in the order of requests; a broken stream fails the waiting ones, which are
sent again on the next.
"""

import asyncio
import itertools
from collections import deque
from typing import Protocol

import grpc
import structlog
from hansa.stages import charged
from hansa.v1 import statedb_pb2, statedb_pb2_grpc
from hansa_kernel import Need, Values

from hansa_executor import limits, metrics
from hansa_executor.errors import ParentUnknown, RequestInvalid, StateDbAway

_Stream = grpc.aio.StreamStreamCall[statedb_pb2.ReadRequest, statedb_pb2.ReadResponse]
_Waiting = tuple[int, "asyncio.Future[statedb_pb2.ReadResponse]"]


class Keys(Protocol):
    """What a `Need` holds."""

    @property
    def accounts(self) -> bytes:
        """20 bytes each."""

    @property
    def slots(self) -> bytes:
        """52 bytes each."""

    @property
    def codes(self) -> bytes:
        """32 bytes each."""

    @property
    def blocks(self) -> bytes:
        """8 bytes each."""


def split_need(need: Keys, block_hash: bytes) -> list[statedb_pb2.ReadRequest]:
    """Requests whose answers, joined, are the values of `need`; one unless it is very large."""
    accounts, slots = 20 * limits.READ_KEYS_MAX, 52 * limits.READ_KEYS_MAX  # bytes of one message
    codes = 32 * limits.READ_CODES_MAX
    count = max(1, -(-len(need.accounts) // accounts), -(-len(need.slots) // slots), -(-len(need.codes) // codes))
    requests = [
        statedb_pb2.ReadRequest(
            block_hash=block_hash,
            accounts=need.accounts[part * accounts : (part + 1) * accounts],
            slots=need.slots[part * slots : (part + 1) * slots],
            codes=need.codes[part * codes : (part + 1) * codes],
        )
        for part in range(count)
    ]
    requests[0].blocks = need.blocks
    for request in requests:
        request.with_code = bool(request.accounts)
    return requests


class _StreamBroken(Exception):
    """The stream ended while an answer was waited for."""


class StateReads:
    """One stream of reads. `name` is the worker kind that uses it."""

    def __init__(self, stub: statedb_pb2_grpc.StateDbStub, name: str) -> None:
        self._stub = stub
        self._name = name
        self._ids = itertools.count(1)
        self._call: _Stream | None = None
        self._answers: asyncio.Task[None] | None = None
        self._waiting: deque[_Waiting] = deque()  # in the order sent; at most READS_PENDING_MAX
        self._sending = asyncio.Lock()
        self._room = asyncio.Semaphore(limits.READS_PENDING_MAX)

    async def values(self, need: Need, block_hash: bytes) -> Values:
        """The values of `need` at a staged or committed block. Raises `ParentUnknown`, `StateDbAway`.

        One message, unless the need is so large that the answer would not fit into one.
        """
        answers = [await self._answer(request) for request in split_need(need, block_hash)]
        return Values(
            accounts=b"".join(answer.accounts for answer in answers),
            slots=b"".join(answer.slots for answer in answers),
            codes=b"".join(answer.codes for answer in answers),
            blocks=b"".join(answer.blocks for answer in answers),
            account_codes=b"".join(answer.account_codes for answer in answers),
        )

    async def _answer(self, request: statedb_pb2.ReadRequest) -> statedb_pb2.ReadResponse:
        request.id = next(self._ids)
        async with self._room:
            answer = await self._ask(request)
        if answer.error == "unknown_block":
            raise ParentUnknown(request.block_hash)
        if answer.error:
            raise RequestInvalid("read", "values", f"{answer.error}: {answer.error_message}")
        return answer

    async def close(self) -> None:
        """End the stream."""
        self._drop()
        if self._answers is not None:
            await asyncio.gather(self._answers, return_exceptions=True)

    async def _ask(self, request: statedb_pb2.ReadRequest) -> statedb_pb2.ReadResponse:
        pause = limits.BACKOFF_SECONDS_MIN
        for _ in range(limits.READ_ATTEMPTS_MAX):
            try:
                answer = await self._send(request)
                return await asyncio.wait_for(answer, limits.READ_TIMEOUT_SECONDS)
            except TimeoutError:
                self._drop()  # answers come in order: what waits behind is as late
            except _StreamBroken:
                pass
            metrics.RECONNECTS.inc()
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.BACKOFF_SECONDS_MAX)
        raise StateDbAway(f"statedb did not answer a read in {limits.READ_ATTEMPTS_MAX} attempts")

    async def _send(self, request: statedb_pb2.ReadRequest) -> "asyncio.Future[statedb_pb2.ReadResponse]":
        async with self._sending:
            if self._call is None:
                self._call = self._stub.Read(wait_for_ready=True)
                self._answers = asyncio.get_running_loop().create_task(
                    self._receive(self._call), name=f"reads of {self._name}"
                )
            answer: asyncio.Future[statedb_pb2.ReadResponse] = asyncio.get_running_loop().create_future()
            self._waiting.append((request.id, answer))
            call = self._call
            try:
                await asyncio.wait_for(call.write(request), limits.READ_TIMEOUT_SECONDS)
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
                self._drop(call)
                raise _StreamBroken from error
            except asyncio.CancelledError as error:
                if call.done():  # grpc's way to say that the stream has ended meanwhile
                    self._drop(call)
                    raise _StreamBroken from error
                raise
            return answer

    @charged("read")
    async def _receive(self, call: _Stream) -> None:
        try:
            async for answer in call:
                number, waiting = self._waiting.popleft()
                if number != answer.id:
                    structlog.get_logger().error("read_answers_out_of_order", expected=number, got=answer.id)
                    break
                if not waiting.done():
                    waiting.set_result(answer)
        except grpc.aio.AioRpcError as error:
            structlog.get_logger().info("read_stream_ended", worker=self._name, code=error.code().name)
        except IndexError:
            structlog.get_logger().error("read_answer_unasked", worker=self._name)
        except asyncio.CancelledError:
            pass
        finally:
            self._drop(call)

    def _drop(self, call: _Stream | None = None) -> None:
        """Give up the stream (only `call`, when named) and fail what waits on it."""
        if self._call is None or (call is not None and call is not self._call):
            return
        self._call.cancel()
        self._call = None
        while self._waiting:
            _, waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(_StreamBroken())
                waiting.exception()  # taken, so that an asker that went away leaves no warning
