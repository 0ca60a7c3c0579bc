"""Executes blocks: kernel job, reads, header, Stage. One at a time, beside the calls."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from hansa.packing import chunks
from hansa.rpc import error_info, reason_of
from hansa.stages import Stage, charged_kernel_call
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
    StateCache,
    TxBatch,
    TxError,
    attach_senders,
    build_header,
    seal_header,
)

from hansa_executor import limits, metrics
from hansa_executor.errors import BlockRefused, ParentUnknown, RequestInvalid, ResultDiffers, StateDbAway
from hansa_executor.reads import StateReads

T = TypeVar("T")

_NO_ROOT = bytes(32)
_HEADER_FIELDS = (
    "parent_hash", "ommers_hash", "beneficiary", "state_root", "transactions_root", "receipts_root", "logs_bloom",
    "difficulty", "number", "gas_limit", "gas_used", "timestamp", "extra_data", "mix_hash", "nonce",
    "base_fee_per_gas", "withdrawals_root", "blob_gas_used", "excess_blob_gas", "parent_beacon_block_root",
    "requests_hash",
)  # fmt: skip


@dataclass(slots=True)
class _Clock:
    """Microseconds by stage of one block."""

    stage_us: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("decode", "execute", "read", "stage", "root"), 0)
    )

    def add(self, stage: str, started_ns: int) -> None:
        self.stage_us[stage] += (time.perf_counter_ns() - started_ns) // 1_000


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request, decoded."""

    batch: TxBatch  # without the slots that have errors
    places: list[int] | None  # index in the request of each item of `batch`; None: the same
    dropped: list[tuple[int, TxError]]
    env: BlockEnv


class BlockExecutor:
    """Builds and verifies blocks."""

    def __init__(
        self, spec: Spec, cache: StateCache, stub: statedb_pb2_grpc.StateDbStub, reads: StateReads, pool: Executor
    ) -> None:
        self._spec = spec
        self._cache = cache
        self._stub = stub
        self._reads = reads
        self._pool = pool

    async def execute(self, request: executor_pb2.ExecuteRequest) -> executor_pb2.ExecuteResponse:
        """Run and stage a block. Raises the errors of `errors.py`."""
        clock = _Clock()
        started = time.perf_counter()
        prepared = await self._in_pool(clock, "decode", self._prepare, request)
        building = request.WhichOneof("block") == "context"
        result = await self._run(request, prepared, building, clock)
        if result.states:
            result = await self._with_state_roots(request.parent_hash, result, clock)
        template = build_header(prepared.env, result, self._spec, _NO_ROOT)
        if not building:
            _check_template(template, request.header)
        staged = await self._stage(self._stage_request(request, prepared, result, template, building), clock, request)
        self._cache.stage(request.parent_hash, staged.hash, result)
        _observe(result, len(prepared.batch), clock, time.perf_counter() - started, building)
        dropped = prepared.dropped + [(_place(prepared, index), error) for index, error in result.dropped]
        return executor_pb2.ExecuteResponse(
            hash=staged.hash,
            header=staged.header,
            included=_included(prepared, result),
            dropped=[
                executor_pb2.DroppedTransaction(index=index, refusal=_refusal(error))
                for index, error in sorted(dropped, key=lambda pair: pair[0])
            ],
            access_list=result.access_list,
            account_updates=result.account_updates,
            gas_used=result.gas_used,
            stage_us=clock.stage_us,
        )

    async def _with_state_roots(self, parent_hash: bytes, result: BlockResult, clock: _Clock) -> BlockResult:
        """Before Byzantium receipts hold the state root after their transaction."""
        started = time.perf_counter_ns()
        roots = b""
        for write_sets in batches_within(result.states, limits.WRITE_SETS_BYTES_MAX):
            try:
                answer = await self._stub.GetRoots(
                    statedb_pb2.GetRootsRequest(parent_hash=parent_hash, write_sets=write_sets),
                    timeout=limits.STAGE_TIMEOUT_SECONDS,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError as error:
                if reason_of(error) == "PARENT_UNKNOWN":
                    raise ParentUnknown(parent_hash) from error
                raise
            roots += answer.roots
        clock.add("root", started)
        return await self._in_pool(clock, "root", result.with_state_roots, roots)

    async def _in_pool(self, clock: _Clock, stage: Stage, work: Callable[..., T], *arguments: Any) -> T:
        started = time.perf_counter_ns()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, charged_kernel_call, stage, work, *arguments
            )
        finally:
            clock.add(stage, started)

    def _prepare(self, request: executor_pb2.ExecuteRequest) -> _Prepared:
        if len(request.parent_hash) != 32:
            raise RequestInvalid("parent_hash", "32 bytes", f"{len(request.parent_hash)} bytes")
        env, number, timestamp = self._env(request)
        try:
            batch = attach_senders(
                request.transactions, request.senders, spec=self._spec, number=number, timestamp=timestamp
            )
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        if batch.hashes() != request.hashes:
            raise RequestInvalid("hashes", f"those of {len(batch)} transactions", f"{len(request.hashes)} bytes")
        if batch.all_valid():
            return _Prepared(batch, None, [], env)
        dropped = [(index, error) for index, error in enumerate(batch.errors()) if error is not None]
        if request.WhichOneof("block") == "header":
            index, first = dropped[0]
            raise BlockRefused(first.code, index, first.message)
        bad = {index for index, _ in dropped}
        places = [index for index in range(len(batch)) if index not in bad]
        return _Prepared(batch.select(places), places, dropped, env)

    def _env(self, request: executor_pb2.ExecuteRequest) -> tuple[BlockEnv, int, int]:
        try:
            if request.WhichOneof("block") == "header":
                header = Header.decode(request.header)
                if header.parent_hash != request.parent_hash:
                    raise RequestInvalid("header", f"parent {request.parent_hash.hex()}", header.parent_hash.hex())
                return BlockEnv.from_header(request.header), header.number, header.timestamp
            if request.WhichOneof("block") is None:
                raise RequestInvalid("block", "a context or a header", "neither")
            context = request.context
            env = BlockEnv(
                parent_hash=request.parent_hash,
                number=context.number,
                timestamp=context.timestamp,
                gas_limit=context.gas_limit,
                base_fee_per_gas=int.from_bytes(_word("base_fee_per_gas", context.base_fee_per_gas), "big"),
                beneficiary=context.beneficiary,
                prev_randao=context.prev_randao,
                parent_beacon_block_root=context.parent_beacon_block_root or bytes(32),
                extra_data=context.extra_data,
            )
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        return env, context.number, context.timestamp

    async def _run(
        self, request: executor_pb2.ExecuteRequest, prepared: _Prepared, building: bool, clock: _Clock
    ) -> BlockResult:
        def begin() -> BlockJob:
            return BlockJob(
                self._spec,
                prepared.env,
                prepared.batch,
                cache=self._cache,
                parent_hash=request.parent_hash,
                building=building,
                ommers=request.ommers,
                withdrawals=request.withdrawals or None,
                hints=request.hints,
                rounds_max=limits.ROUNDS_MAX if building or request.hints else limits.ROUNDS_UNHINTED_MAX,
            )

        try:
            job = await self._in_pool(clock, "execute", begin)
            step = await self._in_pool(clock, "execute", job.step)
            while not isinstance(step, BlockResult):
                if isinstance(step, Need):
                    metrics.ROUNDS.inc()
                    started = time.perf_counter_ns()
                    values = await self._reads.values(step, request.parent_hash)
                    clock.add("read", started)
                    step = await self._in_pool(clock, "execute", job.step, values)
                else:
                    step = await self._in_pool(clock, "execute", job.step)
        except BlockInvalid as error:
            raise BlockRefused(error.code, error.index, error.message) from error
        except KernelInputError as error:
            raise RequestInvalid(error.field, error.expected, error.got) from error
        return step

    def _stage_request(
        self,
        request: executor_pb2.ExecuteRequest,
        prepared: _Prepared,
        result: BlockResult,
        template: bytes,
        building: bool,
    ) -> statedb_pb2.StageRequest:
        batch = prepared.batch
        included = chunks(result.included, 4)
        if len(included) != len(batch):
            batch = batch.select([int.from_bytes(index, "big") for index in included])
        same = batch is prepared.batch and prepared.places is None
        return statedb_pb2.StageRequest(
            parent_hash=request.parent_hash,
            header_template=template,
            transactions=request.transactions if same else batch.packed(),
            senders=request.senders if same else batch.senders(),
            hashes=request.hashes if same else batch.hashes(),
            write_set=result.write_set,
            receipts=result.receipts,
            ommers=request.ommers,
            withdrawals=request.withdrawals,
            expected_hash=b"" if building else seal_header(request.header, Header.decode(request.header).state_root)[1],
        )

    async def _stage(
        self, stage: statedb_pb2.StageRequest, clock: _Clock, request: executor_pb2.ExecuteRequest
    ) -> statedb_pb2.StageResponse:
        started = time.perf_counter_ns()
        pause = limits.BACKOFF_SECONDS_MIN
        for _ in range(limits.STAGE_ATTEMPTS_MAX):
            try:
                staged: statedb_pb2.StageResponse = await self._stub.Stage(
                    stage, timeout=limits.STAGE_TIMEOUT_SECONDS, wait_for_ready=True
                )
            except grpc.aio.AioRpcError as error:
                info = error_info(error)
                reason = info.reason if info else ""
                if reason == "PARENT_UNKNOWN":
                    raise ParentUnknown(stage.parent_hash) from error
                if info is not None and reason == "HASH_MISMATCH":
                    got, _ = seal_header(stage.header_template, bytes.fromhex(info.metadata["state_root"]))
                    raise ResultDiffers(describe_difference(request.header, got)) from error
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise
            else:
                clock.add("stage", started)
                clock.stage_us["root"] += staged.root_us
                return staged
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.BACKOFF_SECONDS_MAX)
        raise StateDbAway(f"statedb did not answer Stage in {limits.STAGE_ATTEMPTS_MAX} attempts")


def batches_within(items: Sequence[bytes], bytes_max: int) -> Iterator[list[bytes]]:
    """`items` in order, as many at once as stay within `bytes_max` together; at least one."""
    batch: list[bytes] = []
    size = 0
    for item in items:
        if batch and size + len(item) > bytes_max:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item)
    if batch:
        yield batch


def describe_difference(expected: bytes, got: bytes) -> str:
    """The fields in which two headers (RLP) differ, with both values (bounded)."""
    wanted, found = Header.decode(expected), Header.decode(got)
    fields = (
        f"{name} is {_text(getattr(wanted, name))}, result {_text(getattr(found, name))}"
        for name in _HEADER_FIELDS
        if getattr(wanted, name) != getattr(found, name)
    )
    return "; ".join(fields) or "none"


def _check_template(template: bytes, header: bytes) -> None:
    """Refuse before the root is computed when another field differs."""
    state_root = Header.decode(header).state_root
    got, _ = seal_header(template, state_root)
    if got != header:
        raise ResultDiffers(describe_difference(header, got))


def _text(value: object) -> str:
    return f"{value.hex()[:64]}" if isinstance(value, bytes) else str(value)


def _word(field: str, value: bytes) -> bytes:
    if len(value) not in (0, 32):
        raise RequestInvalid(field, "32 bytes", f"{len(value)} bytes")
    return value


def _place(prepared: _Prepared, index: int) -> int:
    return index if prepared.places is None else prepared.places[index]


def _included(prepared: _Prepared, result: BlockResult) -> bytes:
    if prepared.places is None:
        return result.included
    indices = (int.from_bytes(index, "big") for index in chunks(result.included, 4))
    return b"".join(prepared.places[index].to_bytes(4, "big") for index in indices)


def _refusal(error: TxError) -> types_pb2.Refusal:
    return types_pb2.Refusal(
        code=error.code,
        message=error.message,
        expected="" if error.expected is None else str(error.expected),
        got="" if error.got is None else str(error.got),
    )


def _observe(result: BlockResult, transactions: int, clock: _Clock, seconds: float, building: bool) -> None:
    metrics.BLOCK_SECONDS.labels(kind="build" if building else "verify").observe(seconds)
    for stage in ("decode", "execute", "read", "stage"):
        metrics.STAGE_OF_BLOCK_SECONDS.labels(stage=stage).inc(clock.stage_us[stage] / 1e6)
    metrics.GAS_PER_SECOND.set(result.gas_used / seconds)
    metrics.TRANSACTIONS.inc(transactions - len(result.dropped))
    metrics.DROPPED.inc(len(result.dropped))
    metrics.CONFLICTS.inc(result.stats.get("conflicts", 0))
    metrics.REEXECUTIONS.inc(result.stats.get("reexecutions", 0))
    metrics.ACCESS_LISTS_WRONG.inc(result.stats.get("hints_wrong", 0))
    metrics.MISSES.inc(result.stats.get("misses", 0))
