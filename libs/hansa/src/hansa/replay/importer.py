"""Runs blocks of files on a ledger, in order: prepared ahead in a thread, executed on staged parents, and made durable as
many at a time as the disk leaves waiting."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import grpc
from hansa_kernel import Header

from hansa.chainfiles import ChainFile, ChainFileError
from hansa.replay import limits
from hansa.replay.blocks import Preparer, Ready, check_first
from hansa.replay.errors import BlockRefused, ReplayError
from hansa.replay.ledger import Ledger
from hansa.replay.reading import ancestors_of, hashes_of, total_difficulty_of
from hansa.rpc import error_info
from hansa.v1 import executor_pb2, statedb_pb2

_REFUSED = ("BLOCK_INVALID", "HASH_MISMATCH", "REQUEST_INVALID")
"""Reasons of the executor that blame the block."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What was done so far."""

    number: int  # newest block that was executed
    last: int  # last block of the files
    blocks: int = 0
    transactions: int = 0
    gas: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    blocks: int  # run and written
    skipped: int  # there already
    transactions: int
    gas: int
    seconds: float
    head_number: int
    head_hash: bytes


@dataclass(frozen=True, slots=True)
class _Batch:
    blocks: list[Ready]
    error: Exception | None = None  # what ended the preparation behind these blocks
    ended: bool = False


class Importer:
    """One import into a ledger."""

    def __init__(self, ledger: Ledger, report: Callable[[Progress], None] = lambda _: None) -> None:
        self._ledger = ledger
        self._report = report
        self._durable = 0  # highest block that is
        self._newest: Ready | None = None  # executed last; None: nothing yet
        self._commit: asyncio.Task[None] | None = None

    async def run(self, files: Sequence[ChainFile]) -> Imported:
        """Import `files`, which are in order. Raises `ChainFileError`, `ReplayError`; what came before an invalid block
        stays, and running again goes on from there."""
        for file in files:
            check_first(file, self._ledger.chain.genesis_hash)
        started = time.monotonic()
        preparer, done = await self._begin(files)
        reported = started
        batches: asyncio.Queue[_Batch] = asyncio.Queue(limits.BATCHES_WAITING_MAX)
        producer = asyncio.create_task(_produce(preparer, files, batches), name="prepare blocks")
        try:
            while True:
                batch = await batches.get()
                for block in batch.blocks:
                    answer = await self._execute(block)
                    self._newest = block
                    done = replace(
                        done,
                        number=block.number,
                        blocks=done.blocks + 1,
                        transactions=done.transactions + block.transactions,
                        gas=done.gas + answer.gas_used,
                        seconds=time.monotonic() - started,
                    )
                    await self._commit_behind(block)
                    if time.monotonic() - reported >= limits.PROGRESS_SECONDS:
                        reported = time.monotonic()
                        self._report(done)
                if batch.error is not None:
                    raise batch.error
                if batch.ended:
                    break
        finally:
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)
            await self._finish()
        head = await self._ledger.head()
        return Imported(
            done.blocks,
            preparer.skipped,
            done.transactions,
            done.gas,
            time.monotonic() - started,
            head.number,
            head.hash,
        )

    async def _begin(self, files: Sequence[ChainFile]) -> tuple[Preparer, Progress]:
        head = await self._ledger.head()
        lasts = [file.first.number + file.count - 1 for file in files]
        known = await hashes_of(self._ledger, sorted({min(last, head.number) for last in lasts}))
        preparer = Preparer(
            self._ledger.chain.kernel,
            Header.decode(head.header),
            await total_difficulty_of(self._ledger, head.number),
            known,
            await ancestors_of(self._ledger, head.number),
        )
        self._durable = head.number
        return preparer, Progress(head.number, max(lasts))

    async def _execute(self, block: Ready) -> executor_pb2.ExecuteResponse:
        try:
            try:
                return await self._run(block)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or self._newest is None:
                    raise
                # Large blocks: all that may be staged is taken by those that wait for the disk.
                await self._finish()
                return await self._run(block)
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            if info is None or info.reason not in _REFUSED:
                raise
            code = info.metadata.get("code") or info.reason.lower()
            raise BlockRefused(block.path, block.number, code, error.details() or "") from error

    async def _run(self, block: Ready) -> executor_pb2.ExecuteResponse:
        answer: executor_pb2.ExecuteResponse = await self._ledger.executor.Execute(
            block.request, timeout=limits.RPC_TIMEOUT_SECONDS
        )
        return answer

    async def _commit_behind(self, block: Ready) -> None:
        """Write in the background what has been executed, all at once; wait when too much is left."""
        if self._commit is None or self._commit.done():
            await self._committed()
            self._commit = asyncio.create_task(self._make_durable(block.number, block.hash), name="commit blocks")
        elif block.number - self._durable >= limits.STAGED_MAX:
            await self._committed()

    async def _make_durable(self, number: int, block_hash: bytes) -> None:
        await self._ledger.statedb.Commit(
            statedb_pb2.CommitRequest(block_hash=block_hash, with_ancestors=True), timeout=limits.RPC_TIMEOUT_SECONDS
        )
        self._durable = number

    async def _finish(self) -> None:
        """Make durable what was executed."""
        await self._committed()
        if self._newest is not None and self._newest.number > self._durable:
            await self._make_durable(self._newest.number, self._newest.hash)

    async def _committed(self) -> None:
        """Wait for the write that is under way, and raise its error."""
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit


async def _produce(preparer: Preparer, files: Sequence[ChainFile], batches: "asyncio.Queue[_Batch]") -> None:
    """Prepare blocks ahead of their execution."""
    blocks = (block for file in files for block in preparer.prepare(file))
    while True:
        batch = await asyncio.to_thread(_take, blocks)
        await batches.put(batch)
        if batch.ended or batch.error is not None:
            return


def _take(blocks: Iterator[Ready]) -> _Batch:
    taken: list[Ready] = []
    size = 0
    try:
        for block in blocks:
            taken.append(block)
            size += len(block.request.transactions)
            if len(taken) == limits.BATCH_BLOCKS or size >= limits.BATCH_BYTES:
                return _Batch(taken)
    except (ChainFileError, ReplayError) as error:
        return _Batch(taken, error)
    return _Batch(taken, ended=True)
