"""Reads of accounts, slots and code through one kept stream to statedb.

Reads of one turn of the event loop at the same block travel as one message, so a batch of a hundred eth_getBalance is
one round. Code is kept by its hash.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import grpc
import grpc.aio
import structlog
from hansa.packing import unpack
from hansa.stages import charged
from hansa.v1 import statedb_pb2
from hansa_kernel import EMPTY_CODE_HASH, EMPTY_ROOT

from hansa_api.backend import Backend, translate
from hansa_api.errors import HeaderNotFound, InternalError, Pruned, RpcError, ServerError, Unavailable
from hansa_api.limits import Limits

ACCOUNT_WIDTH = 105
ATTEMPTS_MAX = 3
"""A round whose stream broke is asked again this often at most."""
KEYS_PER_ROUND_MAX = 4_096
"""Keys in one message; more of one turn go in further messages."""
ROUNDS_WAITING_MAX = 1_024
"""Rounds that wait for statedb; past it reads fail at once, since nobody will live to hear their answer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Account:
    """An account's record; the empty account when it does not exist."""

    exists: bool
    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes

    @staticmethod
    def decode(record: bytes) -> "Account":
        """From the kernel's 105-byte layout."""
        if len(record) != ACCOUNT_WIDTH or not record[0]:
            return _EMPTY
        return Account(
            True,
            int.from_bytes(record[1:9], "big"),
            int.from_bytes(record[9:41], "big"),
            record[41:73],
            record[73:105],
        )


_EMPTY = Account(False, 0, 0, EMPTY_ROOT, EMPTY_CODE_HASH)


@dataclass(slots=True)
class _Round:
    block_hash: bytes
    accounts: list[bytes] = field(default_factory=list)
    slots: list[bytes] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)
    answers: list[tuple[str, int, "asyncio.Future[bytes]"]] = field(default_factory=list)
    attempts: int = 0

    @property
    def keys(self) -> int:
        return len(self.accounts) + len(self.slots) + len(self.codes)

    def fail(self, error: Exception) -> None:
        for _, _, answer in self.answers:
            if not answer.done():
                answer.set_exception(error)


class StateReader:
    """One bidirectional stream, rounds matched by id."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits
        self._gathering: dict[bytes, _Round] = {}
        self._queue: asyncio.Queue[_Round] = asyncio.Queue(2 * ROUNDS_WAITING_MAX)
        self._sent: dict[int, _Round] = {}
        self._next_id = 1
        self._codes: OrderedDict[bytes, bytes] = OrderedDict()
        self._code_bytes = 0

    async def account(self, block_hash: bytes, address: bytes) -> Account:
        """The account at a block. Raises `HeaderNotFound`, `Pruned` or `Unavailable`."""
        return Account.decode(await self._ask(block_hash, "accounts", address))

    async def slot(self, block_hash: bytes, address: bytes, slot: bytes) -> bytes:
        """32 bytes, zero when absent."""
        return await self._ask(block_hash, "slots", address + slot)

    async def code(self, block_hash: bytes, code_hash: bytes) -> bytes:
        """Bytecode by its hash; empty for an account without code."""
        if code_hash == EMPTY_CODE_HASH:
            return b""
        found = self._codes.get(code_hash)
        if found is not None:
            self._codes.move_to_end(code_hash)
            return found
        found = await self._ask(block_hash, "codes", code_hash)
        if code_hash not in self._codes:
            self._codes[code_hash] = found
            self._code_bytes += len(found)
            while self._code_bytes > self._limits.cached_code_bytes:
                _, dropped = self._codes.popitem(last=False)
                self._code_bytes -= len(dropped)
        return found

    async def _ask(self, block_hash: bytes, kind: str, key: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        if self._queue.qsize() >= ROUNDS_WAITING_MAX:
            raise Unavailable("statedb does not answer")
        round_ = self._gathering.get(block_hash)
        if round_ is None or round_.keys >= KEYS_PER_ROUND_MAX:
            round_ = self._gathering[block_hash] = _Round(block_hash)
            loop.call_soon(self._send_gathered, round_)
        keys: list[bytes] = getattr(round_, kind)
        answer: asyncio.Future[bytes] = loop.create_future()
        round_.answers.append((kind, len(keys), answer))
        keys.append(key)
        try:
            return await asyncio.wait_for(answer, self._limits.read_timeout_backend_ms / 1000)
        except TimeoutError:
            raise Unavailable("statedb does not answer") from None

    def _send_gathered(self, round_: _Round) -> None:
        if self._gathering.get(round_.block_hash) is round_:
            del self._gathering[round_.block_hash]
        self._enqueue(round_)

    def _enqueue(self, round_: _Round) -> None:
        if self._queue.full():
            round_.fail(Unavailable("statedb does not answer"))
        else:
            self._queue.put_nowait(round_)

    @charged("rpc")
    async def run(self) -> None:
        """Keep the stream; for the service's life."""
        while True:
            call = self._backend.statedb.Read(wait_for_ready=True)
            writer = asyncio.create_task(self._write(call))
            try:
                async for response in call:
                    self._resolve(response)
                error: Exception = Unavailable("statedb closed the stream")
            except grpc.aio.AioRpcError as failed:
                error = translate(failed, "statedb")
                log.info("state_stream_lost", detail=failed.details())
            finally:
                writer.cancel()
                call.cancel()
            sent, self._sent = self._sent, {}
            for round_ in sent.values():
                self._again(round_, error)
            await asyncio.sleep(0.1)

    def _again(self, round_: _Round, error: Exception) -> None:
        round_.attempts += 1
        if round_.attempts >= ATTEMPTS_MAX:
            round_.fail(error)
        elif any(not answer.done() for _, _, answer in round_.answers):
            self._enqueue(round_)

    @charged("rpc")
    async def _write(
        self, call: "grpc.aio.StreamStreamCall[statedb_pb2.ReadRequest, statedb_pb2.ReadResponse]"
    ) -> None:
        while True:
            round_ = await self._queue.get()
            if all(answer.done() for _, _, answer in round_.answers):
                continue  # everybody gave up while statedb was away
            number = self._next_id
            self._next_id += 1
            self._sent[number] = round_
            request = statedb_pb2.ReadRequest(
                id=number,
                block_hash=round_.block_hash,
                accounts=b"".join(round_.accounts),
                slots=b"".join(round_.slots),
                codes=b"".join(round_.codes),
            )
            try:
                await call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader sees the same end, and asks again what was sent

    def _resolve(self, response: statedb_pb2.ReadResponse) -> None:
        round_ = self._sent.pop(response.id, None)
        if round_ is None:
            return
        if response.error:
            round_.fail(_read_error(response))
            return
        accounts, slots = response.accounts, response.slots
        codes = unpack(response.codes)
        if (len(accounts), len(slots), len(codes)) != (
            ACCOUNT_WIDTH * len(round_.accounts),
            32 * len(round_.slots),
            len(round_.codes),
        ):
            log.error("state_answer_malformed", accounts=len(accounts), slots=len(slots), codes=len(codes))
            round_.fail(InternalError())
            return
        for kind, index, answer in round_.answers:
            if answer.done():
                continue
            if kind == "accounts":
                answer.set_result(accounts[ACCOUNT_WIDTH * index : ACCOUNT_WIDTH * (index + 1)])
            elif kind == "slots":
                answer.set_result(slots[32 * index : 32 * (index + 1)])
            else:
                answer.set_result(codes[index])


def _read_error(response: statedb_pb2.ReadResponse) -> RpcError:
    if response.error == "unknown_block":
        return HeaderNotFound(response.error_message)
    if response.error == "pruned":
        return Pruned(response.error_message)
    return ServerError(response.error_message or response.error)
