"""Runs eth_call and eth_estimateGas behind the kernel's miss protocol, within a time limit."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from hansa.packing import chunks
from hansa.stages import charge
from hansa.v1 import executor_pb2, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_kernel import (
    BlockEnv,
    CallJob,
    CallResult,
    Cancelled,
    Header,
    KernelInputError,
    Need,
    Spec,
    StateCache,
    next_excess_blob_gas,
)

from hansa_executor import limits, metrics
from hansa_executor.errors import BlockUnknown, CallTimedOut, ParentUnknown, RequestInvalid, StateDbAway
from hansa_executor.reads import StateReads

T = TypeVar("T")

_WAIT: dict[str, Any] = {"timeout": limits.HEADER_TIMEOUT_SECONDS, "wait_for_ready": True}

TRANSFER_GAS = 21_000
"""Gas of a plain transfer: whoever allows an estimate less names no limit."""

_STATUS = {
    "success": executor_pb2.CALL_STATUS_SUCCESS,
    "revert": executor_pb2.CALL_STATUS_REVERT,
    "halt": executor_pb2.CALL_STATUS_HALT,
}


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Settings of calls."""

    timeout_ms: int
    gas_max: int


class CallExecutor:
    """Runs calls on committed blocks and on the next one."""

    def __init__(
        self,
        spec: Spec,
        cache: StateCache,
        stub: statedb_pb2_grpc.StateDbStub,
        reads: StateReads,
        pool: Executor,
        call_limits: CallLimits,
        *,
        follows_clock: bool = True,
    ) -> None:
        self._follows_clock = follows_clock
        self._spec = spec
        self._cache = cache
        self._stub = stub
        self._reads = reads
        self._headers: dict[bytes, bytes] = {}  # of blocks called lately, by hash; oldest first
        self._pool = pool
        self._limits = call_limits

    @property
    def gas_max(self) -> int:
        """Gas cap of one call."""
        return self._limits.gas_max

    async def call(self, request: executor_pb2.CallRequest) -> executor_pb2.CallResponse:
        """Raises the errors of `errors.py`; a revert is an answer."""
        started = time.perf_counter()
        _check(request)
        block_hash, header = await self.block(request.block)
        pending = request.block.WhichOneof("block") == "tag" and request.block.tag == types_pb2.BLOCK_TAG_PENDING
        try:
            env = self.next_env(header, block_hash) if pending else BlockEnv.from_header(header)
            job = self._job(request, env, block_hash, self._gas(request, Header.decode(header).gas_limit))
            result = await self._run(job, block_hash)
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        metrics.CALL_SECONDS.labels(kind="estimate" if request.estimate else "call").observe(
            time.perf_counter() - started
        )
        return executor_pb2.CallResponse(
            status=_STATUS[result.status],
            output=result.output,
            gas_used=result.gas_used,
            error=result.error,
            estimate=result.estimate or 0,
        )

    async def block(self, selector: types_pb2.BlockSelector) -> tuple[bytes, bytes]:
        """(hash, header) of the block whose state is called. Raises `BlockUnknown`, `StateDbAway`."""
        kind = selector.WhichOneof("block")
        if kind == "hash" and (header := self._headers.get(selector.hash)) is not None:
            return selector.hash, header
        try:
            if kind is None or (kind == "tag" and selector.tag != types_pb2.BLOCK_TAG_EARLIEST):
                # Asked anew: a client that has seen a block must not be answered from the one before.
                head = (await self._stub.GetHead(statedb_pb2.GetHeadRequest(), **_WAIT)).head
                return head.hash, head.header
            answer = await self._stub.GetBlocks(statedb_pb2.GetBlocksRequest(selector=selector), **_WAIT)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise RequestInvalid("block", "a block", error.details() or "") from error
            raise StateDbAway("statedb does not answer") from error
        if not answer.blocks:
            raise BlockUnknown(selector.hash.hex() if kind == "hash" else str(selector.number))
        block = answer.blocks[0]
        self._headers[block.hash] = block.header
        while len(self._headers) > limits.HEADERS_MAX:
            del self._headers[next(iter(self._headers))]
        return block.hash, block.header

    def next_env(self, head: bytes, head_hash: bytes) -> BlockEnv:
        """The block after the head, as far as it is known: the next proposer may choose other values."""
        header = Header.decode(head)
        # Nobody makes blocks of an imported chain now, and its later forks must not begin because of our clock.
        at = max(int(time.time()), header.timestamp) if self._follows_clock else header.timestamp + 1
        return BlockEnv(
            parent_hash=head_hash,
            number=header.number + 1,
            timestamp=at,
            gas_limit=header.gas_limit,
            base_fee_per_gas=self._spec.next_base_fee(head),
            beneficiary=header.beneficiary,
            prev_randao=header.mix_hash,
            parent_beacon_block_root=header.parent_beacon_block_root or bytes(32),
            difficulty=header.difficulty,
            excess_blob_gas=next_excess_blob_gas(self._spec, head, at) or 0,
        )

    def _gas(self, request: executor_pb2.CallRequest, block_gas: int) -> int:
        """Gas limit of a call; the most that an estimate may come to, as geth has it."""
        if request.estimate:
            return min(request.gas if request.gas >= TRANSFER_GAS else block_gas, self._limits.gas_max)
        return min(request.gas, self._limits.gas_max) if request.HasField("gas") else self._limits.gas_max

    def _job(self, request: executor_pb2.CallRequest, env: BlockEnv, block_hash: bytes, gas: int) -> CallJob:
        return CallJob(
            self._spec,
            env,
            sender=getattr(request, "from") or bytes(20),
            to=request.to or None,
            gas=gas,
            gas_price=_number(request.gas_price),
            max_fee_per_gas=_number(request.max_fee_per_gas),
            max_priority_fee_per_gas=_number(request.max_priority_fee_per_gas),
            value_wei=_number(request.value) or 0,
            data=request.data,
            nonce=request.nonce if request.HasField("nonce") else None,
            access_list=[(entry.address, chunks(entry.slots, 32)) for entry in request.access_list],
            authorizations=request.authorizations,
            state_overrides=request.state_overrides,
            block_overrides=request.block_overrides,
            cache=self._cache,
            parent_hash=block_hash,
            estimate=request.estimate,
            address_ranges=request.address_ranges,
            signature_scheme=request.signature_scheme,
            blob_hashes=request.blob_hashes if request.HasField("blob_hashes") else None,
            max_fee_per_blob_gas=_number(request.max_fee_per_blob_gas),
        )

    async def _run(self, job: CallJob, block_hash: bytes) -> CallResult:
        try:
            return await asyncio.wait_for(self._steps(job, block_hash), self._limits.timeout_ms / 1000)
        except (TimeoutError, Cancelled) as error:
            raise CallTimedOut(self._limits.timeout_ms) from error
        except ParentUnknown as error:
            raise BlockUnknown(block_hash.hex()) from error
        finally:
            job.cancel()  # a step that still runs in its thread ends soon

    async def _steps(self, job: CallJob, block_hash: bytes) -> CallResult:
        step = await self._in_pool(job.step)
        while not isinstance(step, CallResult):
            if isinstance(step, Need):
                metrics.ROUNDS.inc()
                step = await self._in_pool(job.step, await self._reads.values(step, block_hash))
            else:
                step = await self._in_pool(job.step)
        return step

    async def _in_pool(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _charged, work, *arguments)


def _charged(work: Callable[..., T], *arguments: Any) -> T:
    with charge("call"):  # calls run on this thread, not on the kernel's
        return work(*arguments)


def _check(request: executor_pb2.CallRequest) -> None:
    """Raises `RequestInvalid` for wrong lengths."""
    for field, value in (("from", getattr(request, "from")), ("to", request.to)):
        if len(value) not in (0, 20):
            raise RequestInvalid(field, "20 bytes", f"{len(value)} bytes")
    for field in ("gas_price", "max_fee_per_gas", "max_priority_fee_per_gas", "max_fee_per_blob_gas", "value"):
        if len(getattr(request, field)) not in (0, 32):
            raise RequestInvalid(field, "32 bytes", f"{len(getattr(request, field))} bytes")
    for entry in request.access_list:
        if len(entry.address) != 20 or len(entry.slots) % 32:
            raise RequestInvalid(
                "access_list", "20-byte addresses, 32-byte slots", f"{len(entry.address)}, {len(entry.slots)}"
            )
    if request.block.WhichOneof("block") == "hash" and len(request.block.hash) != 32:
        raise RequestInvalid("block.hash", "32 bytes", f"{len(request.block.hash)} bytes")
    if len(request.data) > limits.CALL_DATA_BYTES_MAX:
        raise RequestInvalid("data", f"at most {limits.CALL_DATA_BYTES_MAX} bytes", f"{len(request.data)} bytes")


def _number(word: bytes) -> int | None:
    return int.from_bytes(word, "big") if word else None
