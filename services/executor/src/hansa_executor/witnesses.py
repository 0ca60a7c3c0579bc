"""Makes witnesses: runs a committed block again on its parent, and gathers what that used."""

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
    BlockInvalid,
    BlockJob,
    BlockResult,
    Header,
    KernelInputError,
    Need,
    Spec,
    TxBatch,
    WitnessDiffers,
    WitnessIncomplete,
    WitnessJob,
    attach_senders,
)

from hansa_executor import limits, metrics
from hansa_executor.errors import BlockUnknown, ParentUnknown, Pruned, RequestInvalid, ResultDiffers, StateDbAway
from hansa_executor.reads import StateReads

T = TypeVar("T")

_WAIT: dict[str, Any] = {"timeout": limits.WITNESS_READ_TIMEOUT_SECONDS, "wait_for_ready": True}


class WitnessMaker:
    """One witness at a time, beside blocks and calls."""

    def __init__(
        self,
        spec: Spec,
        genesis_hash: bytes,
        stub: statedb_pb2_grpc.StateDbStub,
        reads: StateReads,
        pool: Executor,
    ) -> None:
        self._spec = spec
        self._genesis_hash = genesis_hash
        self._stub = stub
        self._reads = reads
        self._pool = pool

    async def witness(self, request: executor_pb2.GetWitnessRequest) -> executor_pb2.GetWitnessResponse:
        """The witness of a committed block. Raises the errors of `errors.py`."""
        started = time.perf_counter()
        block = await self._block(request.block)
        header = Header.decode(block.header)
        if header.number == 0:
            raise RequestInvalid("block", "a block after genesis", "genesis, which nothing is executed for")
        head = (await self._ask(self._stub.GetHead, statedb_pb2.GetHeadRequest())).head
        if header.number - 1 < head.earliest_proof:
            raise Pruned(f"witnesses can be made from block {head.earliest_proof + 1} on, {header.number} is older")
        try:
            batch = await self._in_pool(self._batch, block, header)
            result = await self._run(block, header, batch)
            witness = await self._gather(block, header, batch, result)
        except ParentUnknown as error:
            raise BlockUnknown(header.parent_hash.hex()) from error
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        except (BlockInvalid, WitnessDiffers, WitnessIncomplete) as error:
            # The block is committed, so this is about what statedb holds.
            raise ResultDiffers(str(error)) from error
        metrics.WITNESS_SECONDS.observe(time.perf_counter() - started)
        metrics.WITNESS_BYTES.inc(len(witness))
        return executor_pb2.GetWitnessResponse(block_hash=block.hash, witness=witness)

    async def _block(self, selector: types_pb2.BlockSelector) -> types_pb2.Block:
        if selector.WhichOneof("block") is None:
            selector = types_pb2.BlockSelector(tag=types_pb2.BLOCK_TAG_LATEST)
        answer = await self._ask(
            self._stub.GetBlocks,
            statedb_pb2.GetBlocksRequest(selector=selector, parts=statedb_pb2.BlockParts(transactions=True)),
        )
        if not answer.blocks:
            raise BlockUnknown(selector.hash.hex() if selector.WhichOneof("block") == "hash" else str(selector.number))
        block: types_pb2.Block = answer.blocks[0]
        return block

    def _batch(self, block: types_pb2.Block, header: Header) -> TxBatch:
        return attach_senders(
            block.transactions, block.senders, spec=self._spec, number=header.number, timestamp=header.timestamp
        )

    async def _run(self, block: types_pb2.Block, header: Header, batch: TxBatch) -> BlockResult:
        def begin() -> BlockJob:
            return BlockJob(
                self._spec,
                BlockEnv.from_header(block.header),
                batch,
                ommers=block.ommers,
                withdrawals=block.withdrawals or None,
                rounds_max=limits.ROUNDS_UNHINTED_MAX,
            )

        job = await self._in_pool(begin)
        step = await self._in_pool(job.step)
        while not isinstance(step, BlockResult):
            values = await self._reads.values(step, header.parent_hash) if isinstance(step, Need) else None
            step = await self._in_pool(job.step, values)
        if step.states:
            expected = "a block since Byzantium, or one without transactions (receipts hold state roots before)"
            raise RequestInvalid("block", expected, str(header.number))
        return step

    async def _gather(self, block: types_pb2.Block, header: Header, batch: TxBatch, result: BlockResult) -> bytes:
        def begin() -> WitnessJob:
            return WitnessJob(
                self._spec,
                block.header,
                batch,
                result,
                genesis_hash=self._genesis_hash,
                ommers=block.ommers,
                withdrawals=block.withdrawals or None,
            )

        job = await self._in_pool(begin)
        values = await self._reads.values(job.need, header.parent_hash)
        headers = await self._headers(job.headers_from, header.number - 1)
        step = await self._in_pool(job.begin, values, headers)
        while not isinstance(step, bytes):
            step = await self._in_pool(job.step, await self._nodes(unpack(step.paths), header.parent_hash))
        return step

    async def _headers(self, first: int, last: int) -> list[bytes]:
        request = statedb_pb2.GetBlocksRequest(count=last - first + 1)
        setattr(request, "from", first)  # a keyword of Python
        return [block.header for block in (await self._ask(self._stub.GetBlocks, request)).blocks]

    async def _nodes(self, paths: list[bytes], block_hash: bytes) -> list[bytes | None]:
        nodes: list[bytes | None] = []
        while len(nodes) < len(paths):
            wanted = paths[len(nodes) : len(nodes) + limits.READ_NODES_MAX]
            request = statedb_pb2.GetNodesRequest(block_hash=block_hash, paths=pack(wanted))
            answer = unpack((await self._ask(self._stub.GetNodes, request)).nodes)
            if not answer:
                raise StateDbAway("statedb answers no trie nodes")
            nodes += (node or None for node in answer)
        return nodes

    async def _ask(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, **_WAIT)
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            if info is not None and info.reason == "PRUNED":
                raise Pruned(error.details() or "") from error
            if info is not None and info.reason == "BLOCK_UNKNOWN":
                raise BlockUnknown(error.details() or "") from error
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise RequestInvalid("block", "a block", error.details() or "") from error
            raise StateDbAway(f"statedb does not answer: {error.code().name}") from error

    async def _in_pool(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
