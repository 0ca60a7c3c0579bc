"""Builds blocks from the pool, executes those of others, commits what is certified: by way of executor and statedb."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from hansa.packing import chunks, pack
from hansa.v1 import executor_pb2
from hansa_kernel import Header, KernelInputError, Spec, TxBatch, decode_transactions, ordered_root

from . import metrics
from .blocks import BlockStore, Body
from .clients import ExecutorClient, NotChildOfHead, NotStaged, StateDbClient, pauses
from .core.effects import BuildBlock, CommitBlock, ExecuteBlock
from .core.events import Fault
from .core.rules import BlockContext, ConsortiumRules, TooEarly
from .core.types import HASH_BYTES, Candidate
from .errors import BlockRejected, BodiesMissing, ConsensusError, ParentUnknown, ServiceAway
from .limits import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, BODIES_SETTLE_SECONDS
from .pool import PoolKeeper
from .queries import Queries
from .wire import certificate_to_proto

_log = structlog.get_logger()

COMMITS_PER_WARNING = 20
"""A commit is tried about once a second; every so many failures are told."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """A block cannot be built; `retry_after_ms` 0 leaves the pause to the engine."""

    reason: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A block was not executed, and whose fault that is."""

    reason: str
    fault: Fault


class Proposals:
    """The asynchronous work of the engine."""

    def __init__(
        self,
        *,
        spec: Spec,
        rules: ConsortiumRules,
        pool: PoolKeeper,
        blocks: BlockStore,
        executor: ExecutorClient,
        statedb: StateDbClient,
        queries: Queries,
        logged_bodies: Callable[[bytes], bytes | None],
    ) -> None:
        self._spec = spec
        self._rules = rules
        self._pool = pool
        self._blocks = blocks
        self._executor = executor
        self._statedb = statedb
        self._queries = queries
        self._logged_bodies = logged_bodies
        self._last_commit: float | None = None

    # --- building ----------------------------------------------------------------------------------------------------

    async def build(self, effect: BuildBlock) -> Candidate | NotNow:
        """Build and stage a block of the pool's best on the committed head."""
        context = self._rules.context(
            effect.parent_header, height=effect.height, proposer=effect.proposer, wall_ms=int(time.time() * 1_000)
        )
        if isinstance(context, TooEarly):
            return NotNow("too_early", context.retry_after_ms)
        batch = await self._pool.payload(
            gas_limit=context.gas_limit,
            base_fee=context.base_fee_per_gas,
            bytes_max=BLOCK_BYTES_MAX,
            count_max=BLOCK_TRANSACTIONS_MAX,
        )
        request = executor_pb2.ExecuteRequest(parent_hash=effect.parent_hash, context=_context_to_proto(context))
        try:
            response = await self._execute(request, batch, "build")
        except ConsensusError as error:
            _log.debug("block_not_built", height=effect.height, problem=str(error))
            return NotNow("parent_unknown" if isinstance(error, ParentUnknown) else "executor_failed")
        if response.dropped:
            await self._pool.drop(batch.select([one.index for one in response.dropped]).hashes())
        included = [int.from_bytes(index, "big") for index in chunks(response.included, 4)]
        if len(included) != len(batch):
            batch = batch.select(included)
        body = Body(
            await self._pool.in_thread(batch.packed, stage="propose"),
            batch.senders(),
            batch.hashes(),
            response.account_updates,
            response.gas_used,
        )
        self._blocks.put(response.hash, body)
        return Candidate(
            hash=response.hash,
            number=effect.height,
            parent_hash=effect.parent_hash,
            header=response.header,
            transaction_hashes=body.hashes,
            access_list=response.access_list,
        )

    # --- executing ---------------------------------------------------------------------------------------------------

    async def execute(self, effect: ExecuteBlock) -> Refused | None:
        """Get the bodies, execute, stage; None when our own result is the block's hash."""
        candidate = effect.candidate
        if len(candidate.transaction_hashes) > BLOCK_TRANSACTIONS_MAX * HASH_BYTES:
            return Refused("too_many_transactions", Fault.BLOCK)
        try:
            batch = await self._bodies(candidate, effect.sources, effect.transactions)
        except BodiesMissing as error:
            return Refused(error.reason, Fault.BODIES)
        if not batch.all_valid():
            return Refused("invalid_transaction", Fault.BLOCK)
        try:
            await self._verify(candidate, batch)
        except BlockRejected as error:
            return Refused(error.reason, Fault.BLOCK)
        except ConsensusError as error:
            _log.debug("block_not_executed", number=candidate.number, problem=str(error))
            return Refused("parent_unknown" if isinstance(error, ParentUnknown) else "executor_failed", Fault.OURS)
        return None

    async def _verify(self, candidate: Candidate, batch: TxBatch) -> None:
        request = executor_pb2.ExecuteRequest(
            parent_hash=candidate.parent_hash, header=candidate.header, hints=candidate.access_list
        )
        response = await self._execute(request, batch, "execute")
        if response.hash != candidate.hash:
            raise BlockRejected("hash_mismatch", f"executed to {response.hash.hex()}")
        packed = await self._pool.in_thread(batch.packed, stage="propose")
        body = Body(packed, batch.senders(), batch.hashes(), response.account_updates, response.gas_used)
        self._blocks.put(candidate.hash, body)

    async def _execute(
        self, request: executor_pb2.ExecuteRequest, batch: TxBatch, phase: str
    ) -> executor_pb2.ExecuteResponse:
        began = time.perf_counter()
        request.transactions = await self._pool.in_thread(batch.packed, stage="propose")
        request.senders = batch.senders()
        request.hashes = batch.hashes()
        response = await self._executor.execute(request)
        metrics.PHASE.labels(phase=phase).observe(time.perf_counter() - began)
        for stage, microseconds in response.stage_us.items():
            if stage in ("execute", "read", "stage", "root"):
                metrics.STAGE.labels(stage=stage).inc(microseconds / 1e6)
        return response

    async def _bodies(self, candidate: Candidate, sources: tuple[int, ...], given: bytes | None) -> TxBatch:
        """Decoded transactions of a block, proven to be those of its header. Raises `BodiesMissing`."""
        packed = given if given is not None else self._logged_bodies(candidate.hash)
        if packed is not None:
            batch = await self._decode(packed, candidate)
        else:
            batch = await self._from_pool(candidate, sources)
        if candidate.transaction_hashes and batch.hashes() != candidate.transaction_hashes:
            raise BodiesMissing("wrong_bodies")
        root = await self._pool.in_kernel("propose", lambda: ordered_root(batch.packed()))
        if root != Header.decode(candidate.header).transactions_root:
            raise BodiesMissing("wrong_bodies")
        return batch

    async def _decode(self, packed: bytes, candidate: Candidate) -> TxBatch:
        header = Header.decode(candidate.header)
        try:
            batch: TxBatch = await self._pool.in_kernel(
                "recover",
                decode_transactions,
                packed,
                spec=self._spec,
                number=header.number,
                timestamp=header.timestamp,
            )
        except KernelInputError as error:
            raise BodiesMissing("malformed_bodies") from error
        return batch

    async def _from_pool(self, candidate: Candidate, sources: tuple[int, ...]) -> TxBatch:
        hashes = candidate.transaction_hashes
        batch, missing = await self._pool.in_thread(self._pool.pool.get, hashes, stage="propose")
        if missing:
            # Proposals travel before bodies: what we miss has often arrived and is being admitted just now.
            await self._pool.gossip.settle(BODIES_SETTLE_SECONDS)
            batch, missing = await self._pool.in_thread(self._pool.pool.get, hashes, stage="propose")
        if not missing:
            return batch
        found = self._blocks.find(missing)
        for source in sources:
            wanted = [one for one in chunks(missing, HASH_BYTES) if one not in found]
            if not wanted:
                break
            answer = await self._queries.bodies(source, b"".join(wanted))
            found.update({one: raw for one, raw in zip(wanted, answer, strict=True) if raw})
        if any(one not in found for one in chunks(missing, HASH_BYTES)):
            raise BodiesMissing("bodies_missing")
        fetched = await self._decode(pack(found[one] for one in chunks(missing, HASH_BYTES)), candidate)
        both = TxBatch.concat([batch, fetched])
        place = {one: index for index, one in enumerate(chunks(both.hashes(), HASH_BYTES))}
        try:
            return both.select([place[one] for one in chunks(hashes, HASH_BYTES)])
        except (KeyError, KernelInputError) as error:  # an answer with other transactions than asked, or a hash twice
            raise BodiesMissing("wrong_bodies") from error

    # --- committing --------------------------------------------------------------------------------------------------

    async def commit(self, effect: CommitBlock) -> None:
        """Make a certified block durable, however long that takes; executes it again when it is not staged any more."""
        began = time.perf_counter()
        candidate = effect.candidate
        certificate = certificate_to_proto(effect.certificate)
        async for attempt in pauses():
            try:
                if self._blocks.get(candidate.hash) is None:
                    await self._execute_again(candidate)
                await self._statedb.commit(candidate.hash, certificate)
                break
            except NotStaged:
                problem: object = "not staged any more"
                try:
                    await self._execute_again(candidate)
                except ConsensusError as error:
                    problem = error
            except NotChildOfHead:
                problem = "not a child of the head"
                if await self._is_committed(candidate.hash):
                    break
            except ConsensusError as error:
                problem = error
            if attempt % COMMITS_PER_WARNING == 0:
                _log.warning("commit_repeated", number=candidate.number, attempt=attempt, problem=str(problem))
        metrics.PHASE.labels(phase="commit").observe(time.perf_counter() - began)
        body = self._blocks.get(candidate.hash)
        assert body is not None, "a committed block was executed here"
        await self._pool.on_block(header=candidate.header, hashes=body.hashes, account_updates=body.account_updates)
        self._blocks.committed(candidate.hash)
        self._last_commit = _count_block(candidate, body, self._last_commit)

    async def _is_committed(self, block_hash: bytes) -> bool:
        try:
            head = await self._statedb.head()
        except ServiceAway:
            return False
        return bool(head.hash == block_hash)

    async def _execute_again(self, candidate: Candidate) -> None:
        body = self._blocks.get(candidate.hash)
        packed = body.transactions if body is not None else self._logged_bodies(candidate.hash)
        batch = await self._bodies(candidate, (), packed)
        await self._verify(candidate, batch)


def _count_block(candidate: Candidate, body: Body, last_commit: float | None) -> float:
    """Publish a committed block; returns its time, monotonic seconds."""
    header = Header.decode(candidate.header)
    now = time.monotonic()
    metrics.ETHEREUM_HEIGHT.set(header.number)
    metrics.FINALIZED.set(header.number)
    count = len(body.hashes) // HASH_BYTES
    metrics.TRANSACTIONS.labels(shard="0", status="committed").inc(count)
    metrics.BLOCK_TRANSACTIONS.labels(shard="0").observe(count)
    if last_commit is not None:
        metrics.BLOCK_INTERVAL.labels(shard="0").observe(now - last_commit)
    return now


def _context_to_proto(context: BlockContext) -> executor_pb2.BlockContext:
    return executor_pb2.BlockContext(
        number=context.number,
        timestamp=context.timestamp,
        gas_limit=context.gas_limit,
        beneficiary=context.beneficiary,
        prev_randao=context.prev_randao,
        parent_beacon_block_root=context.parent_beacon_block_root,
        extra_data=context.extra_data,
        base_fee_per_gas=context.base_fee_per_gas.to_bytes(32, "big"),
    )
