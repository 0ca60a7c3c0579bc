"""The gRPC border of statedb: contracts to calls in worker threads, errors to status codes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import grpc
import structlog
from hansa.packing import chunks, pack
from hansa.rpc import abort
from hansa.stages import Stage, charge, charged, charged_stream
from hansa.v1 import statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_kernel import EMPTY_CODE_HASH, KernelBug

from hansa_statedb import errors, limits, metrics
from hansa_statedb.chain import Chain, Parts, check_hash
from hansa_statedb.core.layout import ACCOUNT_BYTES, ADDRESS_BYTES, HASH_BYTES, SLOT_KEY_BYTES
from hansa_statedb.core.overlays import StoredBlock
from hansa_statedb.queries import LogFilter, find_logs, list_range, nodes_at, prove, root_with
from hansa_statedb.staging import ExecutedBlock

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

_STATUS: dict[type[errors.StateDbError], tuple[grpc.StatusCode, str]] = {
    errors.RequestInvalid: (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
    errors.BlockUnknown: (grpc.StatusCode.NOT_FOUND, "BLOCK_UNKNOWN"),
    errors.ParentUnknown: (grpc.StatusCode.FAILED_PRECONDITION, "PARENT_UNKNOWN"),
    errors.HashMismatch: (grpc.StatusCode.FAILED_PRECONDITION, "HASH_MISMATCH"),
    errors.NotStaged: (grpc.StatusCode.NOT_FOUND, "NOT_STAGED"),
    errors.NotChildOfHead: (grpc.StatusCode.FAILED_PRECONDITION, "NOT_CHILD_OF_HEAD"),
    errors.StagedFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "STAGED_FULL"),
    errors.QueueFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    errors.RangeTooLarge: (grpc.StatusCode.RESOURCE_EXHAUSTED, "RANGE_TOO_LARGE"),
    errors.Pruned: (grpc.StatusCode.NOT_FOUND, "PRUNED"),
}


class Workers:
    """A few threads and a bounded number of requests that wait for them."""

    def __init__(self, name: str, stage: Stage, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, f"statedb-{name}")
        self._stage = stage
        self._name = name
        self._taken_max = threads + limits.REQUESTS_WAITING_MAX
        self._taken = 0

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run `work` in a thread. Raises `QueueFull`."""
        if self._taken >= self._taken_max:
            raise errors.QueueFull(f"{self._name} waiting", limits.REQUESTS_WAITING_MAX)
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, self._charged, work, *arguments)
        finally:
            self._taken -= 1

    def _charged(self, work: Callable[..., T], *arguments: Any) -> T:
        with charge(self._stage):
            return work(*arguments)


class StateDbServicer(statedb_pb2_grpc.StateDbServicer):
    """Serves one chain in the running loop. `failed` is told when the store fails: then the process ends."""

    def __init__(self, chain: Chain, failed: Callable[[BaseException], None]) -> None:
        self._chain = chain
        self._failed = failed
        self._readers = Workers("reads", "read", limits.READ_THREADS)
        self._block_readers = Workers("blocks", "query", limits.BLOCK_THREADS)
        self._queriers = Workers("queries", "query", limits.QUERY_THREADS)
        self._stagers = Workers("stages", "stage", limits.STAGE_THREADS)
        self._writer = Workers("commits", "commit", 1)  # one: commits are serial
        self._read_streams = 0
        self._head_streams = 0
        self._streams: set[asyncio.Task[Any]] = set()  # handlers of streams, which never end by themselves
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._head_moved = asyncio.Event()  # replaced at every commit, so that each waiter wakes once

    def end_streams(self) -> None:
        """Let every stream tell its client that statedb stops, and refuse new ones, so that the server can stop."""
        self._stopping = True
        for handler in self._streams:
            handler.cancel()

    def close(self) -> None:
        """Wait for running work, at most a block's; no calls come any more."""
        for workers in (self._writer, self._stagers, self._readers, self._block_readers, self._queriers):
            workers.pool.shutdown(wait=True, cancel_futures=True)

    # --- reads ---

    @charged_stream("read")
    async def Read(
        self, request_iterator: AsyncIterator[statedb_pb2.ReadRequest], context: Context
    ) -> AsyncIterator[statedb_pb2.ReadResponse]:
        if self._read_streams >= limits.READ_STREAMS_MAX:
            await _refuse(context, errors.QueueFull("read streams", limits.READ_STREAMS_MAX))
        self._read_streams += 1
        try:
            async with self._until_stop(context):
                async for request in request_iterator:
                    yield await self._run(self._readers, self._read, request)
        finally:
            self._read_streams -= 1

    def _read(self, request: statedb_pb2.ReadRequest) -> statedb_pb2.ReadResponse:
        started = time.perf_counter()
        try:
            return self._values(request)
        except errors.BlockUnknown as error:
            metrics.REFUSED.labels(reason="unknown_block").inc()
            return statedb_pb2.ReadResponse(id=request.id, error="unknown_block", error_message=str(error))
        except errors.RequestInvalid as error:
            metrics.REFUSED.labels(reason="bad_request").inc()
            return statedb_pb2.ReadResponse(id=request.id, error="bad_request", error_message=str(error))
        finally:
            metrics.READ_BATCH_SECONDS.observe(time.perf_counter() - started)

    def _values(self, request: statedb_pb2.ReadRequest) -> statedb_pb2.ReadResponse:
        addresses = _split("accounts", request.accounts, ADDRESS_BYTES)
        slots = _split("slots", request.slots, SLOT_KEY_BYTES)
        codes = _split("codes", request.codes, HASH_BYTES)
        numbers = [int.from_bytes(number, "big") for number in _split("blocks", request.blocks, 8)]
        keys = len(addresses) + len(slots) + len(codes) + len(numbers)
        if keys > limits.READ_KEYS_MAX:
            raise errors.RequestInvalid("read", f"at most {limits.READ_KEYS_MAX} keys", str(keys))
        metrics.READ_KEYS.inc(keys)
        if request.block_hash:
            check_hash("block_hash", request.block_hash)
        reader = self._chain.reader
        view = self._chain.view(request.block_hash)
        answer = statedb_pb2.ReadResponse(id=request.id)
        if addresses:
            records = reader.accounts(view, addresses)
            answer.accounts = b"".join(records)
            if request.with_code:
                wanted = dict.fromkeys(
                    record[73:ACCOUNT_BYTES] for record in records if record[0] and record[73:] != EMPTY_CODE_HASH
                )
                answer.account_codes = pack(_within(reader.codes(view, list(wanted)), limits.ACCOUNT_CODES_BYTES_MAX))
        if slots:
            answer.slots = b"".join(reader.slots(view, slots))
        if codes:
            answer.codes = pack(reader.codes(view, codes))
            if len(answer.codes) > limits.CODES_BYTES_MAX:
                raise errors.RequestInvalid("codes", f"{limits.CODES_BYTES_MAX} bytes of code", str(len(answer.codes)))
        if numbers:
            answer.blocks = b"".join(reader.block_hashes(view, numbers))
        return answer

    # --- stage and commit ---

    @charged("stage")
    async def Stage(self, request: statedb_pb2.StageRequest, context: Context) -> statedb_pb2.StageResponse:
        block = ExecutedBlock(
            request.parent_hash,
            request.header_template,
            request.transactions,
            request.senders,
            request.hashes,
            request.write_set,
            request.receipts,
            request.expected_hash,
            request.ommers,
            request.withdrawals,
        )
        started = time.perf_counter()
        staged, root_us = await self._checked(context, self._stagers, self._chain.stage, block)
        metrics.STAGE_SECONDS.observe(time.perf_counter() - started)
        if root_us:
            metrics.ROOT_SECONDS.observe(root_us / 1e6)
        return statedb_pb2.StageResponse(hash=staged.hash, header=staged.header, root_us=root_us)

    @charged("stage")
    async def GetRoots(self, request: statedb_pb2.GetRootsRequest, context: Context) -> statedb_pb2.GetRootsResponse:
        roots = await self._checked(
            context, self._stagers, self._chain.roots, request.parent_hash, list(request.write_sets)
        )
        return statedb_pb2.GetRootsResponse(roots=b"".join(roots))

    @charged("commit")
    async def Commit(self, request: statedb_pb2.CommitRequest, context: Context) -> statedb_pb2.CommitResponse:
        head = await self._checked(context, self._writer, self._commit, request)
        return statedb_pb2.CommitResponse(head=self._head(head))

    def _commit(self, request: statedb_pb2.CommitRequest) -> StoredBlock:
        check_hash("block_hash", request.block_hash)
        certificate = b""
        if request.HasField("certificate"):
            if request.certificate.to_hash != request.block_hash:
                raise errors.RequestInvalid(
                    "certificate.to_hash", request.block_hash.hex(), request.certificate.to_hash.hex()
                )
            certificate = request.certificate.SerializeToString()
        before = self._chain.head.number
        started = time.perf_counter()
        head = self._chain.commit(request.block_hash, certificate, with_ancestors=request.with_ancestors)
        if head.number != before:
            metrics.COMMIT_SECONDS.observe(time.perf_counter() - started)
            self._loop.call_soon_threadsafe(self._announce)
        return head

    # --- blocks ---

    @charged("query")
    async def GetHead(self, request: statedb_pb2.GetHeadRequest, context: Context) -> statedb_pb2.GetHeadResponse:
        return statedb_pb2.GetHeadResponse(head=self._head(self._chain.head))

    @charged_stream("query")
    async def StreamHeads(
        self, request: statedb_pb2.StreamHeadsRequest, context: Context
    ) -> AsyncIterator[statedb_pb2.StreamHeadsResponse]:
        # Nothing is queued per subscriber: each reads the next height when gRPC's flow control lets it send again.
        if self._head_streams >= limits.HEAD_STREAMS_MAX:
            await _refuse(context, errors.QueueFull("head streams", limits.HEAD_STREAMS_MAX))
        self._head_streams += 1
        metrics.HEAD_STREAMS.set(self._head_streams)
        parts = _parts(request.parts)
        following = getattr(request, "from") or self._chain.head.number + 1
        try:
            async with self._until_stop(context):
                while True:
                    moved = self._head_moved
                    while following <= self._chain.head.number:
                        for block in await self._run(self._block_readers, self._chain.blocks, [following], parts):
                            yield statedb_pb2.StreamHeadsResponse(block=_block(block))
                        following += 1
                    await moved.wait()
        finally:
            self._head_streams -= 1
            metrics.HEAD_STREAMS.set(self._head_streams)

    @charged("query")
    async def GetBlocks(self, request: statedb_pb2.GetBlocksRequest, context: Context) -> statedb_pb2.GetBlocksResponse:
        return await self._checked(context, self._block_readers, self._get_blocks, request)

    def _get_blocks(self, request: statedb_pb2.GetBlocksRequest) -> statedb_pb2.GetBlocksResponse:
        parts = _parts(request.parts)
        bytes_max = min(request.bytes_max or limits.BLOCKS_BYTES_MAX, limits.BLOCKS_BYTES_MAX)
        answer = statedb_pb2.GetBlocksResponse()
        size = 0
        for block in self._wanted_blocks(request, parts):
            message = _block(block)
            size += message.ByteSize()
            if answer.blocks and size > bytes_max:
                break
            answer.blocks.append(message)
        return answer

    def _wanted_blocks(self, request: statedb_pb2.GetBlocksRequest, parts: Parts) -> Iterable[StoredBlock]:
        if request.hashes:
            hashes = _split("hashes", request.hashes, HASH_BYTES)
            if len(hashes) > limits.HASHES_MAX:
                raise errors.RequestInvalid("hashes", f"at most {limits.HASHES_MAX}", str(len(hashes)))
            return (block for found in hashes if (block := self._chain.block_by_hash(found, parts)) is not None)
        if request.HasField("selector"):
            if request.selector.WhichOneof("block") == "hash":
                block = self._chain.block_by_hash(check_hash("hash", request.selector.hash), parts)
                return [] if block is None else [block]
            return self._chain.blocks([self._number(request.selector)], parts)
        first = getattr(request, "from")
        last = min(first + min(request.count, limits.BLOCKS_MAX) - 1, self._chain.head.number)
        return (block for number in range(first, last + 1) for block in self._chain.blocks([number], parts))

    @charged("query")
    async def FindTransactions(
        self, request: statedb_pb2.FindTransactionsRequest, context: Context
    ) -> statedb_pb2.FindTransactionsResponse:
        return await self._checked(context, self._block_readers, self._find, request)

    def _find(self, request: statedb_pb2.FindTransactionsRequest) -> statedb_pb2.FindTransactionsResponse:
        answer = statedb_pb2.FindTransactionsResponse()
        if request.sender:
            if len(request.sender) != ADDRESS_BYTES:
                raise errors.RequestInvalid("sender", "20 bytes", f"{len(request.sender)} bytes")
            found = self._chain.find_by_nonce(request.sender, request.nonce)
            if found is None:
                answer.places.add()
            else:
                answer.places.add(found=True, block_number=found[0], index=found[1], hash=found[2])
            return answer
        hashes = _split("hashes", request.hashes, HASH_BYTES)
        if len(hashes) > limits.HASHES_MAX:
            raise errors.RequestInvalid("hashes", f"at most {limits.HASHES_MAX}", str(len(hashes)))
        for wanted, place in zip(hashes, self._chain.find(hashes), strict=True):
            if place is None:
                answer.places.add(hash=wanted)
            else:
                answer.places.add(found=True, block_number=place[0], index=place[1], hash=wanted)
        return answer

    # --- logs and proofs ---

    @charged("query")
    async def GetLogs(self, request: statedb_pb2.GetLogsRequest, context: Context) -> statedb_pb2.GetLogsResponse:
        wanted = LogFilter(
            getattr(request, "from"), request.to, request.addresses, tuple(request.topics), request.results_max
        )
        found = await self._checked(context, self._queriers, find_logs, self._chain, wanted)
        if found.fits_to is not None:
            return statedb_pb2.GetLogsResponse(truncated=True, fits_to=max(found.fits_to, 0))
        return statedb_pb2.GetLogsResponse(logs_json=found.json, count=found.count)

    @charged("query")
    async def GetProof(self, request: statedb_pb2.GetProofRequest, context: Context) -> statedb_pb2.GetProofResponse:
        return await self._checked(context, self._queriers, self._prove, request)

    def _prove(self, request: statedb_pb2.GetProofRequest) -> statedb_pb2.GetProofResponse:
        number = self._number(request.block)
        if number > self._chain.head.number:
            raise errors.BlockUnknown(str(number))
        proof = prove(self._chain, number, request.address, request.slots)
        return statedb_pb2.GetProofResponse(
            block_hash=proof.block_hash,
            state_root=proof.state_root,
            account=proof.account,
            account_proof=proof.account_proof,
            slots=[statedb_pb2.SlotProof(slot=slot, value=value, proof=nodes) for slot, value, nodes in proof.slots],
        )

    async def GetNodes(self, request: statedb_pb2.GetNodesRequest, context: Context) -> statedb_pb2.GetNodesResponse:
        nodes = await self._checked(context, self._queriers, nodes_at, self._chain, request.block_hash, request.paths)
        return statedb_pb2.GetNodesResponse(nodes=nodes)

    async def GetRoot(self, request: statedb_pb2.GetRootRequest, context: Context) -> statedb_pb2.GetRootResponse:
        return await self._checked(context, self._queriers, self._root, request)

    async def GetRange(self, request: statedb_pb2.GetRangeRequest, context: Context) -> statedb_pb2.GetRangeResponse:
        return await self._checked(context, self._queriers, self._range, request)

    def _range(self, request: statedb_pb2.GetRangeRequest) -> statedb_pb2.GetRangeResponse:
        number = self._number(request.block)
        if number > self._chain.head.number:
            raise errors.BlockUnknown(str(number))
        found = list_range(self._chain, number, request.address, request.start, request.count)
        return statedb_pb2.GetRangeResponse(
            block_hash=found.block_hash,
            state_root=found.state_root,
            entries=[
                statedb_pb2.RangeEntry(hash=key_hash, key=key, value=value) for key_hash, key, value in found.entries
            ],
            next=found.next,
        )

    def _root(self, request: statedb_pb2.GetRootRequest) -> statedb_pb2.GetRootResponse:
        block_hash = check_hash("block_hash", request.block_hash)
        return statedb_pb2.GetRootResponse(state_root=root_with(self._chain, block_hash, request.write_set))

    # --- inside ---

    def _number(self, selector: types_pb2.BlockSelector) -> int:
        """Height of a committed block; may lie above the head."""
        match selector.WhichOneof("block"):
            case "number":
                return int(selector.number)
            case "hash":
                found = self._chain.block_by_hash(check_hash("hash", selector.hash), Parts())
                if found is None:
                    raise errors.BlockUnknown(selector.hash.hex())
                return found.number
            case "tag" if selector.tag == types_pb2.BLOCK_TAG_EARLIEST:
                return 0
        return self._chain.head.number

    def _head(self, head: StoredBlock) -> types_pb2.Head:
        return types_pb2.Head(
            number=head.number,
            hash=head.hash,
            header=head.header,
            certificate=_certificate(head.certificate),
            genesis_hash=self._chain.rules.genesis_hash,
            earliest=0,
            earliest_proof=self._chain.earliest_proof(),
        )

    def _announce(self) -> None:
        moved, self._head_moved = self._head_moved, asyncio.Event()
        moved.set()

    @asynccontextmanager
    async def _until_stop(self, context: Context) -> AsyncIterator[None]:
        """Run a stream's handler until it ends, its client goes or `end_streams` is called."""
        handler = asyncio.current_task()
        if self._stopping or handler is None:
            await abort(context, grpc.StatusCode.UNAVAILABLE, "STOPPING", "statedb stops")
        self._streams.add(handler)
        try:
            yield
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            handler.uncancel()
            await abort(context, grpc.StatusCode.UNAVAILABLE, "STOPPING", "statedb stops")
        finally:
            self._streams.discard(handler)

    async def _run(self, workers: Workers, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await workers.run(work, *arguments)
        except errors.StoreFailed as error:
            structlog.get_logger().error("store_failed", error=str(error))
            self._failed(error)
            raise

    async def _checked(self, context: Context, workers: Workers, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._run(workers, work, *arguments)
        except errors.StoreFailed as error:
            await abort(context, grpc.StatusCode.INTERNAL, "STORE_FAILED", str(error))
        except errors.StateDbError as error:
            await _refuse(context, error)
        except KernelBug as error:
            structlog.get_logger().error("kernel_bug", error=str(error))
            await abort(context, grpc.StatusCode.INTERNAL, "KERNEL_BUG", str(error))


async def _refuse(context: Context, error: errors.StateDbError) -> NoReturn:
    code, reason = _STATUS[type(error)]
    metrics.REFUSED.labels(reason=reason.lower()).inc()
    details: dict[str, str] = {}
    if isinstance(error, errors.HashMismatch):
        details = {"hash": error.got.hex(), "state_root": error.state_root.hex()}
    elif isinstance(error, errors.Pruned):
        details = {"earliest": str(error.earliest)}
    elif isinstance(error, errors.RequestInvalid):
        details = {"field": error.field}
    elif isinstance(error, errors.QueueFull):
        details = {"queue": error.queue, "limit": str(error.limit)}
    await abort(context, code, reason, str(error), details)


def _split(field: str, array: bytes, width: int) -> list[bytes]:
    try:
        return chunks(array, width)
    except ValueError as error:
        raise errors.RequestInvalid(field, f"{width} bytes each", f"{len(array)} bytes") from error


def _within(codes: Sequence[bytes], bytes_max: int) -> Iterator[bytes]:
    """The first of `codes` that fit."""
    left = bytes_max
    for code in codes:
        left -= len(code)
        if left < 0:
            return
        yield code


def _parts(parts: statedb_pb2.BlockParts) -> Parts:
    return Parts(parts.transactions, parts.hashes, parts.receipts, parts.certificate)


def _certificate(serialised: bytes) -> types_pb2.Certificate | None:
    return types_pb2.Certificate.FromString(serialised) if serialised else None


def _block(block: StoredBlock) -> types_pb2.Block:
    return types_pb2.Block(
        hash=block.hash,
        header=block.header,
        transactions=block.transactions,
        senders=block.senders,
        hashes=block.hashes,
        receipts=block.receipts,
        certificate=_certificate(block.certificate),
        ommers=block.ommers,
        withdrawals=block.withdrawals,
    )
