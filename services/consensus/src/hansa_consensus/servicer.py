"""The gRPC border for api and operators."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc
import structlog
from hansa.packing import chunks, pack, unpack
from hansa.rpc import abort
from hansa.stages import charged, charged_stream
from hansa.v1 import consensus_pb2, consensus_pb2_grpc, types_pb2

from . import limits
from .config import ConsensusConfig
from .core import limits as core_limits
from .errors import BadBatch, ConsensusError, JournalFailed, Overloaded, ServiceAway
from .pool import PoolKeeper, PoolReader
from .shell import Shell

_log = structlog.get_logger()

Shape = tuple[PoolKeeper, Shell]


class ConsensusServicer(consensus_pb2_grpc.ConsensusServicer):
    """`running` gives pool and shell once the service is past its start, else None."""

    def __init__(
        self, config: ConsensusConfig, running: Callable[[], Shape | None], fail: Callable[[BaseException], None]
    ) -> None:
        self._config = config
        self._running = running
        self._fail = fail

    async def _ready(self, context: Any) -> Shape:
        running = self._running()
        if running is None:
            await abort(context, grpc.StatusCode.UNAVAILABLE, "STARTING", "consensus is starting: statedb is awaited")
        return running

    @charged("admit")
    async def Submit(self, request: consensus_pb2.SubmitRequest, context: Any) -> consensus_pb2.SubmitResponse:
        """Admit transactions."""
        pool, _ = await self._ready(context)
        try:
            verdicts = await pool.submit(request.transactions)
        except ConsensusError as error:
            await self._refuse(context, error)
        refusals = [
            consensus_pb2.SubmitRefusal(
                index=index,
                refusal=types_pb2.Refusal(
                    code=refusal.code,
                    message=refusal.message,
                    expected="" if refusal.expected is None else str(refusal.expected),
                    got="" if refusal.got is None else str(refusal.got),
                ),
            )
            for index, refusal in verdicts.refusals
        ]
        return consensus_pb2.SubmitResponse(hashes=verdicts.hashes, refusals=refusals)

    async def _refuse(self, context: Any, error: ConsensusError) -> NoReturn:
        match error:
            case BadBatch():
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "BAD_BATCH", str(error))
            case Overloaded():
                metadata = {"limit": error.limit, "value": str(error.value)}
                await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBMIT_QUEUE_FULL", str(error), metadata)
            case ServiceAway():
                await abort(context, grpc.StatusCode.UNAVAILABLE, "STATEDB_AWAY", str(error))
            case JournalFailed():
                # The disk does not take promises any more: this process may not make further ones.
                self._fail(error)
        await abort(context, grpc.StatusCode.INTERNAL, "FAILED", str(error))

    @charged("query")
    async def GetPendingNonces(
        self, request: consensus_pb2.GetPendingNoncesRequest, context: Any
    ) -> consensus_pb2.GetPendingNoncesResponse:
        """Nonce after the gapless run of each sender."""
        pool, _ = await self._ready(context)
        await self._check_width(context, request.addresses, 20)
        nonces = [pool.pool.next_nonce(address) for address in chunks(request.addresses, 20)]
        return consensus_pb2.GetPendingNoncesResponse(
            nonces=[consensus_pb2.PendingNonce(known=nonce is not None, nonce=nonce or 0) for nonce in nonces]
        )

    async def _check_width(self, context: Any, array: bytes, width: int) -> None:
        if len(array) % width or len(array) > width * limits.ADDRESSES_MAX:
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "BAD_ARRAY",
                f"items of {width} bytes are expected, at most {limits.ADDRESSES_MAX}",
            )

    @charged("query")
    async def GetPool(self, request: consensus_pb2.GetPoolRequest, context: Any) -> consensus_pb2.GetPoolResponse:
        """Counts and contents."""
        pool, _ = await self._ready(context)
        await self._check_width(context, request.hashes, 32)
        if len(request.sender) not in (0, 20):
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "BAD_ADDRESS", "an address has 20 bytes")
        executable, gapped, size, local = pool.pool.counts()
        response = consensus_pb2.GetPoolResponse(executable=executable, gapped=gapped, bytes=size, local=local)
        if request.content:
            response.content_json = await pool.in_thread(
                pool.pool.content_json, request.sender or None, limits.POOL_CONTENT_MAX
            )
        if request.hashes:
            response.transactions_json = await pool.in_thread(pool.pool.transactions_json, request.hashes)
            response.raw = await pool.in_thread(_raw, pool, request.hashes)
        if request.payload:
            batch = await pool.next_payload()
            response.payload_transactions = await pool.in_thread(batch.packed)
            response.payload_senders = batch.senders()
            response.payload_hashes = batch.hashes()
        return response

    @charged_stream("query")
    async def StreamPool(
        self, request: consensus_pb2.StreamPoolRequest, context: Any
    ) -> AsyncIterator[consensus_pb2.StreamPoolResponse]:
        """Newly admitted transactions."""
        pool, _ = await self._ready(context)
        if len(pool.readers) >= limits.STREAM_POOL_READERS_MAX:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_READERS", "too many read the pool")
        reader = PoolReader()
        pool.readers.add(reader)
        try:
            await context.send_initial_metadata(())  # from here on nothing is missed
            while True:
                while reader.waiting:
                    admitted = reader.waiting.popleft()
                    skipped, reader.skipped = reader.skipped, 0
                    yield consensus_pb2.StreamPoolResponse(
                        hashes=admitted.hashes,
                        transactions=admitted.transactions,
                        senders=admitted.senders,
                        skipped=skipped,
                    )
                reader.wake.clear()
                await reader.wake.wait()
        finally:
            pool.readers.discard(reader)

    @charged("query")
    async def GetStatus(self, request: consensus_pb2.GetStatusRequest, context: Any) -> consensus_pb2.GetStatusResponse:
        """Engine, members, and what is waited for."""
        chain, running = self._config.chain, self._running()
        response = consensus_pb2.GetStatusResponse(
            engine=chain.consensus.engine,
            chain_id=chain.chain_id,
            self=self._config.own,
            genesis_hash=chain.genesis_hash,
            limits=_limits(),
        )
        missing: list[str] = []
        heads: dict[int, int] = {}
        if running is None:
            response.waiting_for = "waiting for statedb"
        else:
            shell = running[1]
            status, missing, heads = shell.status, shell.missing, dict(shell.status.peer_heads)
            heads[self._config.own] = status.head
            response.view = status.view
            response.height = status.height
            response.leader = status.leader
            response.quorum = status.quorum
            response.syncing = status.syncing
            response.highest_known = max(status.highest_known, status.head)
            response.head = status.head
            response.waiting_for = shell.waiting_for
            response.mode = status.mode.value
        response.missing.extend(missing)
        response.members.extend(
            consensus_pb2.MemberStatus(
                name=validator.name,
                address=validator.account,
                vote_key=validator.vote_key,
                up=running is not None and validator.name not in missing,
                head=heads.get(index, 0),
                endpoint=validator.endpoint,
            )
            for index, validator in enumerate(chain.validators)
        )
        return response

    async def GetMostRecent(
        self, request: consensus_pb2.GetMostRecentRequest, context: Any
    ) -> consensus_pb2.GetMostRecentResponse:
        """Instant finality: every committed block has every level of confidence."""
        _, shell = await self._ready(context)
        return consensus_pb2.GetMostRecentResponse(number=shell.status.head, hash=shell.status.head_hash)

    async def ReleaseVoting(
        self, request: consensus_pb2.ReleaseVotingRequest, context: Any
    ) -> consensus_pb2.ReleaseVotingResponse:
        """The operator ends observe mode."""
        _, shell = await self._ready(context)
        _log.warning("voting_released_by_operator", mode=shell.status.mode.value)
        shell.release_voting()
        return consensus_pb2.ReleaseVotingResponse()


def _raw(pool: PoolKeeper, hashes: bytes) -> bytes:
    batch, missing = pool.pool.get(hashes)
    if not missing:
        return batch.packed()
    found = dict(zip(chunks(batch.hashes(), 32), unpack(batch.packed()), strict=True))
    return pack(found.get(one, b"") for one in chunks(hashes, 32))


def _limits() -> dict[str, int]:
    """All bounds that are whole numbers, by name."""
    return {
        f"{prefix}{name.lower()}": value
        for prefix, module in (("", limits), ("engine_", core_limits))
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int)
    }
