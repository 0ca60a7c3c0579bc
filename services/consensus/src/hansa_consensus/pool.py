"""The pool's shell: admits batches of clients and of members, journals what was promised, follows committed blocks.

What is admitted, in which order it leaves and what is bounded is the kernel's `TxPool`; this file moves batches to it.
What members push and what is pushed to them is `gossip.py`.
Heavy calls run in threads; nothing here makes a Python object per transaction but the verdicts of clients' batches.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from hansa.stages import Stage, charged, charged_call, charged_kernel_call
from hansa_kernel import Header, KernelInputError, Spec, TxBatch, TxError, TxPool, decode_transactions

from . import metrics
from .clients import StateDbClient
from .errors import BadBatch, ConsensusError, Overloaded, ServiceAway
from .gossip import ALL_BLOCKS, Gossip
from .journal import Journal
from .limits import (
    ADMISSION_BYTES_MAX,
    BLOCK_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    JOURNAL_RECORD_TRANSACTIONS_MAX,
    JOURNAL_SLICE,
    LATENCY_SAMPLES_MAX,
    REPLAY_BYTES,
    RESEND_AFTER_BLOCKS,
    SENDER_GAS_PERCENT,
    STREAM_POOL_BATCHES_MAX,
    SUBMIT_WAITING_BYTES_MAX,
    SUBMIT_WAITING_MAX,
    TRANSACTION_GAS_MAX,
)
from .network import Network

_log = structlog.get_logger()
_T = TypeVar("_T")

_UPDATE_BYTES = 125  # address and account record
_LOCAL_MAX = 1_000_000  # more than any pool holds


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Answer to one batch: all hashes, and why some transactions were refused, by index."""

    hashes: bytes
    refusals: list[tuple[int, TxError]]


@dataclass(slots=True)
class _Submission:
    packed: bytes
    answer: "asyncio.Future[Verdicts]"
    at: float


@dataclass(frozen=True, slots=True)
class Admitted:
    """Newly admitted transactions, for readers of StreamPool."""

    hashes: bytes
    transactions: bytes
    senders: bytes


@dataclass(slots=True, eq=False)
class PoolReader:
    """One reader of StreamPool; loses the oldest when it is slow."""

    waiting: deque[Admitted] = field(default_factory=deque)
    skipped: int = 0  # transactions lost since the last message
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, admitted: Admitted) -> None:
        """Append; the oldest goes when the queue is full."""
        if len(self.waiting) >= STREAM_POOL_BATCHES_MAX:
            self.skipped += len(self.waiting.popleft().hashes) // 32
        self.waiting.append(admitted)
        self.wake.set()


class PoolKeeper:
    """One member's pool."""

    def __init__(
        self,
        spec: Spec,
        *,
        transactions_max: int,
        bytes_max: int,
        journal: Journal,
        statedb: StateDbClient,
        network: Network,
        pending_changed: Callable[[int], None],
    ) -> None:
        self.spec = spec
        self.pool = TxPool(spec, transactions_max=transactions_max, bytes_max=bytes_max)
        self._journal = journal
        self._statedb = statedb
        self._pending_changed = pending_changed
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="pool")
        self._loop = asyncio.get_running_loop()
        self._submissions: deque[_Submission] = deque()
        self._submission_bytes = 0
        self._submitted = asyncio.Event()
        # Reading accounts and adding with them must not interleave with a block that changes them.
        self._accounts = asyncio.Lock()
        self.gossip = Gossip(self, network)
        self.readers: set[PoolReader] = set()
        self._number = 0  # of the next block
        self.gas_limit = 0  # of the next block
        self.base_fee = 0  # of the next block, in wei per gas
        self._payable = True  # the last payload was not empty, or something was admitted since
        self._rotation: asyncio.Task[None] | None = None
        self._samples: dict[bytes, float] = {}  # hash -> submitted at

    async def in_thread(self, call: Callable[..., _T], *arguments: Any, stage: Stage = "admit", **named: Any) -> _T:
        """Run a kernel call beside the event loop; its processor time counts for `stage`."""
        return await self._loop.run_in_executor(self._threads, lambda: charged_call(stage, call, *arguments, **named))

    async def in_kernel(self, stage: Stage, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """As `in_thread`, for calls that use the kernel's own threads."""
        return await self._loop.run_in_executor(
            self._threads, lambda: charged_kernel_call(stage, call, *arguments, **named)
        )

    # --- head --------------------------------------------------------------------------------------------------------

    def set_head(self, header: bytes) -> None:
        """The committed head: what the next block's transactions are checked against."""
        decoded = Header.decode(header)
        self._number = decoded.number + 1
        self.gas_limit = decoded.gas_limit
        self.base_fee = self.spec.next_base_fee(header)

    async def replay(self, records: Sequence[bytes]) -> int:
        """Take back what the journal holds and no block does; returns how many transactions wait again."""
        count = 0
        for packed in _gathered(records):
            try:
                batch = await self.decode(packed)
            except BadBatch as error:
                _log.error("journal_record_unreadable", problem=str(error))
                continue
            _, verdicts = await self.admit(batch, local=True)
            count += sum(verdict is None for verdict in verdicts)
        return count

    @charged("admit")
    async def on_block(self, *, header: bytes, hashes: bytes, account_updates: bytes) -> None:
        """A block is committed: forget its transactions, follow its accounts, push again what waits too long."""
        began = time.perf_counter()
        addresses = b"".join(account_updates[at : at + 20] for at in range(0, len(account_updates), _UPDATE_BYTES))
        accounts = b"".join(
            account_updates[at + 20 : at + _UPDATE_BYTES] for at in range(0, len(account_updates), _UPDATE_BYTES)
        )
        async with self._accounts:
            self.set_head(header)
            stale = await self.in_thread(
                self.pool.on_block,
                number=self._number - 1,
                hashes=hashes,
                addresses=addresses,
                accounts=accounts,
                now_ms=_now_ms(),
            )
        if stale:
            metrics.POOL_REJECTED.labels(reason="stale").inc(len(stale) // 32)
        self._measure_latency(hashes)
        if (self._number - 1) % RESEND_AFTER_BLOCKS == 0:
            await self.gossip.push_local(before=self._number - RESEND_AFTER_BLOCKS)
        if self._journal.should_rotate() and (self._rotation is None or self._rotation.done()):
            self._rotation = asyncio.create_task(self._journal.rotate(self._unfinished), name="journal rotation")
        self.count()
        metrics.STAGE.labels(stage="pool_block").inc(time.perf_counter() - began)

    def _unfinished(self) -> list[bytes]:
        """What the journal must still hold; called on the journal's thread."""
        batch = self.pool.local_older_than(ALL_BLOCKS, _LOCAL_MAX)
        return [
            batch.slice(start, min(start + JOURNAL_SLICE, len(batch))).packed()
            for start in range(0, len(batch), JOURNAL_SLICE)
        ]

    async def drop(self, hashes: bytes) -> None:
        """Forget transactions that a build found invalid; their senders' accounts are read anew."""
        async with self._accounts:
            await self.in_thread(self.pool.drop, hashes)
        metrics.POOL_REJECTED.labels(reason="invalid_in_block").inc(len(hashes) // 32)

    async def expire(self) -> None:
        """Drop transactions past their life."""
        expired = await self.in_thread(self.pool.expire, _now_ms())
        if expired:
            metrics.POOL_REJECTED.labels(reason="expired").inc(len(expired) // 32)
        self.count()

    def count(self) -> None:
        """Publish counts."""
        executable, gapped, size, local = self.pool.counts()
        metrics.POOL.labels(state="executable").set(executable)
        metrics.POOL.labels(state="gapped").set(gapped)
        metrics.POOL_LOCAL.set(local)
        metrics.POOL_BYTES.set(size)

    @property
    def pending(self) -> int:
        """Transactions that could go into the next block, as far as is known."""
        return int(self.pool.counts()[0]) if self._payable else 0

    # --- clients -----------------------------------------------------------------------------------------------------

    async def submit(self, packed: bytes) -> Verdicts:
        """Admit a client's batch (packed list); returns when the accepted ones are durable.

        Raises `BadBatch`, `Overloaded`, `ServiceAway`, `JournalFailed`.
        """
        if len(self._submissions) >= SUBMIT_WAITING_MAX:
            raise Overloaded("SUBMIT_WAITING_MAX", SUBMIT_WAITING_MAX)
        if self._submission_bytes + len(packed) > SUBMIT_WAITING_BYTES_MAX:
            raise Overloaded("SUBMIT_WAITING_BYTES_MAX", SUBMIT_WAITING_BYTES_MAX)
        submission = _Submission(packed, self._loop.create_future(), self._loop.time())
        self._submissions.append(submission)
        self._submission_bytes += len(packed)
        self._submitted.set()
        return await submission.answer

    @charged("admit")
    async def run_submissions(self) -> None:
        """Admit clients' batches in rounds; the next round is decoded while this one is admitted."""
        decoded: asyncio.Queue[list[tuple[_Submission, TxBatch]]] = asyncio.Queue(1)
        admitting = asyncio.create_task(self._admit_rounds(decoded), name="admission")
        try:
            while True:
                gathered = self._gather()
                if not gathered:
                    self._submitted.clear()
                    waits = asyncio.create_task(self._submitted.wait())
                    await asyncio.wait([waits, admitting], return_when=asyncio.FIRST_COMPLETED)
                    if admitting.done():
                        waits.cancel()
                        admitting.result()
                    continue
                ready: list[tuple[_Submission, TxBatch]] = []
                for submission in gathered:
                    try:
                        ready.append((submission, await self.decode(submission.packed)))
                    except BadBatch as error:
                        _fail(submission, error)
                await decoded.put(ready)
        finally:
            admitting.cancel()
            await asyncio.gather(admitting, return_exceptions=True)

    def _gather(self) -> list[_Submission]:
        gathered: list[_Submission] = []
        size = 0
        while self._submissions and size < ADMISSION_BYTES_MAX:
            submission = self._submissions.popleft()
            self._submission_bytes -= len(submission.packed)
            size += len(submission.packed)
            gathered.append(submission)
        return gathered

    @charged("admit")
    async def _admit_rounds(self, decoded: "asyncio.Queue[list[tuple[_Submission, TxBatch]]]") -> None:
        while True:
            ready = await decoded.get()
            if not ready:
                continue
            batch = ready[0][1] if len(ready) == 1 else TxBatch.concat([batch for _, batch in ready])
            try:
                accepted, verdicts = await self.admit(batch, local=True)
            except ServiceAway as error:
                for submission, _ in ready:
                    _fail(submission, error)
                continue
            packed = await self.in_thread(accepted.packed)
            if len(accepted):
                self._sample(accepted, ready[0][0].at)
                self.gossip.push(accepted, packed)
            durable = asyncio.create_task(self._remember(accepted, packed)) if len(accepted) else None
            answer = asyncio.create_task(self._answer(ready, verdicts, durable), name="answer submissions")
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())
            self.announce(accepted, packed)

    @charged("journal")
    async def _remember(self, accepted: TxBatch, packed: bytes) -> None:
        """Return when all are in the journal, in records that a replay can decode."""
        if len(accepted) <= JOURNAL_RECORD_TRANSACTIONS_MAX:
            await self._journal.append(packed)
            return
        parts = [
            accepted.slice(start, min(start + JOURNAL_RECORD_TRANSACTIONS_MAX, len(accepted)))
            for start in range(0, len(accepted), JOURNAL_RECORD_TRANSACTIONS_MAX)
        ]
        records = [await self.in_thread(part.packed) for part in parts]
        await asyncio.gather(*(self._journal.append(record) for record in records))

    @charged("admit")
    async def _answer(
        self,
        ready: list[tuple[_Submission, TxBatch]],
        verdicts: Sequence[TxError | None],
        durable: "asyncio.Task[None] | None",
    ) -> None:
        try:
            if durable is not None:
                await durable
        except ConsensusError as error:
            for submission, _ in ready:
                _fail(submission, error)
            return
        start = 0
        for submission, batch in ready:
            part = verdicts[start : start + len(batch)]
            start += len(batch)
            refusals = [(index, verdict) for index, verdict in enumerate(part) if verdict is not None]
            for _, refusal in refusals:
                metrics.POOL_REJECTED.labels(reason=refusal.code).inc()
            if not submission.answer.done():
                submission.answer.set_result(Verdicts(batch.hashes(), refusals))

    # --- clients and members ---------------------------------------------------------------------------------------

    async def decode(self, packed: bytes) -> TxBatch:
        """Decode and recover senders for the next block's rules. Raises `BadBatch`."""
        began = time.perf_counter()
        try:
            return await self.in_kernel(
                "recover",
                decode_transactions,
                packed,
                spec=self.spec,
                number=self._number,
                timestamp=int(time.time()),
            )
        except KernelInputError as error:
            raise BadBatch(str(error)) from error
        finally:
            metrics.STAGE.labels(stage="decode").inc(time.perf_counter() - began)

    async def admit(self, batch: TxBatch, *, local: bool) -> tuple[TxBatch, list[TxError | None]]:
        """The accepted ones, and all verdicts. Raises `ServiceAway`."""
        began = time.perf_counter()
        async with self._accounts:
            unknown = await self.in_thread(self.pool.unknown_senders, batch)
            accounts = await self._statedb.accounts(unknown)
            verdicts = await self.in_thread(
                self.pool.add,
                batch,
                addresses=unknown,
                accounts=accounts,
                number=self._number,
                gas_limit=self.gas_limit,
                base_fee=self.base_fee,
                now_ms=_now_ms(),
                local=local,
            )
        if dropped := self.pool.take_dropped():
            metrics.POOL_REJECTED.labels(reason="evicted").inc(len(dropped) // 32)
        metrics.STAGE.labels(stage="admit").inc(time.perf_counter() - began)
        indices = [index for index, verdict in enumerate(verdicts) if verdict is None]
        if not indices:
            return batch.slice(0, 0), verdicts
        metrics.POOL_ADMITTED.labels(source="client" if local else "member").inc(len(indices))
        self._payable = True
        self._pending_changed(self.pending)
        return batch if len(indices) == len(batch) else batch.select(indices), verdicts

    def announce(self, accepted: TxBatch, packed: bytes) -> None:
        """Show newly admitted ones to the readers of StreamPool."""
        if self.readers and len(accepted):
            admitted = Admitted(accepted.hashes(), packed, accepted.senders())
            for reader in self.readers:
                reader.push(admitted)

    def _sample(self, accepted: TxBatch, at: float) -> None:
        if len(self._samples) < LATENCY_SAMPLES_MAX:
            self._samples[accepted.slice(0, 1).hashes()] = at

    def _measure_latency(self, hashes: bytes) -> None:
        now = self._loop.time()
        for sample, at in list(self._samples.items()):
            found = hashes.find(sample)
            if found >= 0 and found % 32 == 0:
                metrics.COMMIT_LATENCY.labels(shard="0").observe(now - at)
                del self._samples[sample]
            elif now - at > 60:
                del self._samples[sample]  # dropped, or the chain stands still: not a latency of commits

    # --- proposals ---------------------------------------------------------------------------------------------------

    async def payload(self, *, gas_limit: int, base_fee: int, bytes_max: int, count_max: int) -> TxBatch:
        """Candidates of the next block, in order."""
        batch = await self.in_thread(
            self.pool.payload,
            gas_limit=gas_limit,
            base_fee=base_fee,
            bytes_max=bytes_max,
            count_max=count_max,
            sender_gas_max=self._sender_gas_max(gas_limit),
        )
        if not len(batch) and self._payable:
            # Nothing can go now (for example all fee caps are below the base fee): no block is due for them.
            self._payable = False
            self._pending_changed(0)
        return batch

    async def next_payload(self) -> TxBatch:
        """What the next block would hold, for readers of `pending`; changes nothing."""
        batch: TxBatch = await self.in_thread(
            self.pool.payload,
            gas_limit=self.gas_limit,
            base_fee=self.base_fee,
            bytes_max=BLOCK_BYTES_MAX,
            count_max=BLOCK_TRANSACTIONS_MAX,
            sender_gas_max=self._sender_gas_max(self.gas_limit),
        )
        return batch

    def _sender_gas_max(self, gas_limit: int) -> int | None:
        """Where gas costs nothing, a sender's share of a block is the brake (spec reliability 6.3)."""
        share = gas_limit * SENDER_GAS_PERCENT // 100
        # In a small block the share would shut out a single large transaction for ever.
        return share if self.spec.zero_base_fee and share >= TRANSACTION_GAS_MAX else None

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _gathered(records: Sequence[bytes]) -> list[bytes]:
    """Packed lists joined up to `REPLAY_BYTES`: the journal's records are as small as the batches that made them."""
    joined: list[bytes] = []
    group: list[bytes] = []
    size = 0
    for record in records:
        if group and size + len(record) > REPLAY_BYTES:
            joined.append(b"".join(group))
            group, size = [], 0
        group.append(record)
        size += len(record)
    return [*joined, b"".join(group)] if group else joined


def _fail(submission: _Submission, error: Exception) -> None:
    if not submission.answer.done():
        submission.answer.set_exception(error)


def _now_ms() -> int:
    return int(time.time() * 1_000)
