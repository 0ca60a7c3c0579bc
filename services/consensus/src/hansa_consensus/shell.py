"""Acts for the engine: feeds events, performs effects in order, arms timers. Decides nothing.

The engine and the vote log are touched by one thread of their own: signatures are checked and votes synced beside the
event loop. Several waiting events are fed at once, and their records share one sync.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from hansa.stages import charge, charge_kernel, charged, charged_call
from hansa.v1 import wire_pb2

from . import metrics
from .blocks import BlockStore
from .core import effects as do
from .core import events as on
from .core.engine import Engine, EngineStatus, Mode
from .core.limits import SYNC_DEADLINE_MS
from .core.records import InstalledViewRecord, PreparedRecord, Record, ReleasedRecord, ViewChangeRecord, VoteRecord
from .core.types import Certificate, NewView, PeerStatus, Proposal, ViewChange, Vote
from .limits import EVENTS_PER_STEP_MAX, EVENTS_WAITING_MAX
from .network import Network
from .pool import PoolKeeper
from .proposals import NotNow, Proposals
from .queries import Queries
from .votelog import VoteLog
from .wire import Malformed, decode, encode

_log = structlog.get_logger()

WAITING_SECONDS_MIN = 3.0
"""What the engine waits for is told once it has lasted this long without a block that is due."""

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]

# Reported by the engine of members that may simply be away, slow, or have committed meanwhile: counted, not scored, since a
# score can cost a member its connection and the chain a vote.
SOFT_FAULTS = frozenset({"bodies_not_sent", "blocks_not_sent"})


class Shell:
    """One engine's shell; also what members' messages arrive at."""

    def __init__(
        self,
        *,
        engine: Engine,
        vote_log: VoteLog,
        network: Network,
        pool: PoolKeeper,
        proposals: Proposals,
        queries: Queries,
        blocks: BlockStore,
        member_names: list[str],
        own: int,
        empty_block_time_ms: int,
        spawn: Spawn,
    ) -> None:
        self._engine = engine
        self._vote_log = vote_log
        self._network = network
        self._pool = pool
        self._proposals = proposals
        self._queries = queries
        self._blocks = blocks
        self._names = member_names
        self._own = own
        self._empty_block_seconds = empty_block_time_ms / 1_000
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._events: deque[on.Event] = deque()
        self._wake = asyncio.Event()
        self._timers: dict[do.Timer, asyncio.TimerHandle] = {}
        self._build: asyncio.Task[None] | None = None
        self._executions: dict[bytes, asyncio.Task[None]] = {}
        self._pending_fed = -1
        self._waiting_for = ""
        self._progress_at = self._loop.time()  # when the head last rose, or nothing was waited for
        self._progress_head = -1
        self.status: EngineStatus = engine.status()

    # --- events ------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The engine's clock: monotonic milliseconds."""
        return int(self._loop.time() * 1_000)

    def feed(self, event: on.Event) -> None:
        """Queue an event for the engine."""
        self._events.append(event)
        self._wake.set()

    def pending_changed(self, pending: int) -> None:
        """The pool's count changed; the engine is told when it turns zero or non-zero."""
        if (pending > 0) != (self._pending_fed > 0) or self._pending_fed < 0:
            self._pending_fed = pending
            self.feed(on.PoolChanged(self.now_ms(), pending))

    def release_voting(self) -> None:
        """The operator vouches for our vote log."""
        self.feed(on.VotingReleased(self.now_ms()))

    def peer_changed(self, member: int, *, up: bool) -> None:
        """A member can be reached (again), or not any more."""
        if up:
            self.feed(on.PeerUp(self.now_ms(), member))
            self._spawn(self._pool.gossip.push_local(to=(member,)), "push to a member that came back")
        else:
            self._queries.gone(member)
            self.feed(on.PeerDown(self.now_ms(), member))

    def message_received(self, sender: int, payload: bytes) -> None:
        """A member's message: answers and bodies go past the engine, the rest becomes its events."""
        try:
            message = wire_pb2.WireMessage.FromString(payload)
        except Exception:  # noqa: BLE001 - protobuf's DecodeError differs between its implementations
            self._network.score(sender, "malformed_message")
            return
        match message.WhichOneof("message"):
            case "transactions":
                self._pool.gossip.receive(sender, message.transactions)
            case "bodies_query" | "blocks_query":
                self._queries.serve(sender, message)
            case "bodies_answer":
                self._queries.answered(sender, message.bodies_answer.request_id, message)
            case "blocks_answer":
                self._queries.answered(sender, message.blocks_answer.request_id, message)
            case None:
                self._network.score(sender, "empty_message")
            case _:
                self._engine_message(sender, message)

    def _engine_message(self, sender: int, message: wire_pb2.WireMessage) -> None:
        with charge("vote"):
            self._feed_message(sender, message)

    def _feed_message(self, sender: int, message: wire_pb2.WireMessage) -> None:
        if len(self._events) >= EVENTS_WAITING_MAX:
            metrics.DROPPED.labels(queue="events").inc()
            return
        try:
            decoded = decode(message)
        except Malformed as error:
            self._network.score(sender, error.reason)
            return
        now_ms = self.now_ms()
        match decoded:
            case Proposal():
                # Validity of a proposal's timestamp is the one thing that the wall clock decides (rule P19).
                self.feed(on.ProposalReceived(now_ms, sender, decoded, int(time.time() * 1_000)))
            case Vote():
                metrics.VOTES.labels(kind=decoded.phase.value, result="received").inc()
                self.feed(on.VoteReceived(now_ms, sender, decoded))
            case ViewChange():
                metrics.VOTES.labels(kind="view-change", result="received").inc()
                self.feed(on.ViewChangeReceived(now_ms, sender, decoded))
            case NewView():
                self.feed(on.NewViewReceived(now_ms, sender, decoded))
            case Certificate():
                self.feed(on.CertificateReceived(now_ms, sender, decoded))
            case PeerStatus():
                self.feed(on.StatusReceived(now_ms, sender, decoded))

    # --- the loop ----------------------------------------------------------------------------------------------------

    @charged("vote")
    async def run(self) -> None:
        """Feed and perform until cancelled. Raises when the engine or the vote log fails: the process must end."""
        self._events.appendleft(on.Started(self.now_ms()))
        while True:
            if not self._events:
                self._wake.clear()
                await self._wake.wait()
            count = min(len(self._events), EVENTS_PER_STEP_MAX)
            events = [self._events.popleft() for _ in range(count)]
            began = time.perf_counter()
            effects = await self._loop.run_in_executor(self._thread, charged_call, "vote", self._step, events)
            metrics.STAGE.labels(stage="vote").inc(time.perf_counter() - began)
            for effect in effects:
                self._perform(effect)
            self._publish()

    def _step(self, events: list[on.Event]) -> list[do.Effect]:
        """On the engine's thread: decide, then make durable what has to be before anything is sent."""
        with charge_kernel("vote"):
            effects = [effect for event in events for effect in self._engine.handle(event)]
        records = [record for effect in effects if (record := self._record(effect)) is not None]
        if records:
            self._vote_log.append(records)
        for effect in effects:
            if isinstance(effect, do.PruneLog):
                self._vote_log.prune(effect.height)
        self.status = self._engine.status()
        return effects

    def _record(self, effect: do.Effect) -> Record | None:
        match effect:
            case do.PersistVote(vote):
                return VoteRecord(vote)
            case do.PersistPrepared(prepared):
                block_hash = prepared.certificate.to_hash
                body = self._blocks.get(block_hash)
                bodies = body.transactions if body is not None else self._vote_log.bodies(block_hash)
                assert bodies is not None, "a prepared block was built or executed here"
                return PreparedRecord(prepared, bodies)
            case do.PersistViewChange(view_change):
                return ViewChangeRecord(view_change)
            case do.PersistInstalledView(installed):
                return InstalledViewRecord(installed)
            case do.PersistReleased(height):
                return ReleasedRecord(height)
        return None

    # --- effects -----------------------------------------------------------------------------------------------------

    def _perform(self, effect: do.Effect) -> None:
        match effect:
            case do.Broadcast(message, message_class):
                self._count_sent(message)
                self._network.send((), message_class, encode(message))
            case do.Send(member, message, message_class):
                self._network.send((member,), message_class, encode(message))
            case do.SetTimer(timer, delay_ms):
                self._set_timer(timer, delay_ms)
            case do.CancelTimer(timer):
                self._cancel_timer(timer)
            case do.BuildBlock():
                if self._build is not None:
                    self._build.cancel()
                self._build = self._spawn(self._build_block(effect), "build block")
            case do.ExecuteBlock():
                self._execute(effect)
            case do.AbandonBlock(block_hash):
                task = self._executions.pop(block_hash, None)
                if task is not None:
                    task.cancel()
                self._blocks.abandon(block_hash)
            case do.CommitBlock():
                self._spawn(self._commit_block(effect), "commit block")
            case do.RequestBlocks():
                self._spawn(self._request_blocks(effect), "request blocks")
            case do.ForwardPending(member):
                self._spawn(self._pool.gossip.forward(() if member is None else (member,)), "forward pending")
            case _:
                self._tell(effect)

    def _tell(self, effect: do.Effect) -> None:
        """Effects for people: logs, metrics, scores."""
        match effect:
            case do.ReportPeer(member, reason):
                if reason in SOFT_FAULTS:
                    metrics.FAULTS.labels(reason=reason).inc()
                else:
                    self._network.score(member, reason)
                _log.warning("peer_reported", peer=self._names[member], reason=reason)
            case do.ReportEvidence(first, second):
                metrics.EQUIVOCATIONS.inc()
                _log.error("equivocation", first=str(first), second=str(second), peer=self._names[first.signer])
            case do.EnterView(view, leader):
                _log.info("view_entered", view=view, leader=self._names[leader])
            case do.LeaveView(view, reason):
                metrics.VIEW_CHANGES.labels(reason=reason).inc()
                metrics.MISSED.labels(validator=self._names[self.status.leader]).inc()
                _log.info("view_change_sent", view=view, reason=reason)
            case do.HaltVoting(reason, number, block_hash):
                metrics.HALTED.set(1)
                _log.critical("voting_halted", reason=reason, number=number, block=block_hash.hex())

    def _set_timer(self, timer: do.Timer, delay_ms: int) -> None:
        self._cancel_timer(timer)
        self._timers[timer] = self._loop.call_later(delay_ms / 1_000, self._fire, timer)

    def _cancel_timer(self, timer: do.Timer) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _fire(self, timer: do.Timer) -> None:
        self._timers.pop(timer, None)
        self.feed(on.TimerFired(self.now_ms(), timer))

    # --- asynchronous work -------------------------------------------------------------------------------------------

    @charged("propose")
    async def _build_block(self, effect: do.BuildBlock) -> None:
        built = await self._proposals.build(effect)
        if isinstance(built, NotNow):
            self.feed(on.BuildFailed(self.now_ms(), effect.build_id, built.reason, built.retry_after_ms))
        else:
            self.feed(on.BlockBuilt(self.now_ms(), effect.build_id, built))

    def _execute(self, effect: do.ExecuteBlock) -> None:
        running = self._executions.get(effect.candidate.hash)
        if running is not None and not running.done():
            if effect.transactions is None:
                return  # its answer will do for both
            running.cancel()
        self._executions[effect.candidate.hash] = self._spawn(self._execute_block(effect), "execute block")

    @charged("propose")
    async def _execute_block(self, effect: do.ExecuteBlock) -> None:
        block_hash = effect.candidate.hash
        refused = await self._proposals.execute(effect)
        self._executions.pop(block_hash, None)
        if refused is None:
            self.feed(on.BlockExecuted(self.now_ms(), block_hash))
        else:
            # Our own trouble is told where it is found (executor_failed); the engine tries again.
            tell = _log.debug if refused.fault is on.Fault.OURS else _log.warning
            tell("block_refused", number=effect.candidate.number, reason=refused.reason, fault=refused.fault.value)
            self.feed(on.BlockRefused(self.now_ms(), block_hash, refused.reason, refused.fault))

    @charged("commit")
    async def _commit_block(self, effect: do.CommitBlock) -> None:
        await self._proposals.commit(effect)
        candidate = effect.candidate
        self._pending_fed = self._pool.pending
        self.feed(on.PoolChanged(self.now_ms(), self._pending_fed))
        self.feed(on.BlockCommitted(self.now_ms(), candidate.number, candidate.hash))

    @charged("gossip")
    async def _request_blocks(self, effect: do.RequestBlocks) -> None:
        blocks = await self._queries.blocks(
            effect.member, effect.request_id, effect.from_height, effect.count, SYNC_DEADLINE_MS / 1_000
        )
        self.feed(on.BlocksReceived(self.now_ms(), effect.member, effect.request_id, tuple(blocks)))

    # --- what people see ---------------------------------------------------------------------------------------------

    def _count_sent(self, message: object) -> None:
        match message:
            case Vote():
                metrics.VOTES.labels(kind=message.phase.value, result="sent").inc()
            case ViewChange():
                metrics.VOTES.labels(kind="view-change", result="sent").inc()
            case Proposal():
                metrics.VOTES.labels(kind="prepare", result="sent").inc()

    @property
    def missing(self) -> list[str]:
        """Names of members that cannot be reached."""
        return [
            name
            for index, name in enumerate(self._names)
            if index != self._own and not self._network.up.get(index, False)
        ]

    @property
    def waiting_for(self) -> str:
        """Why no block is made, for people; empty when all is well."""
        status, missing, members = self.status, self.missing, len(self._names)
        if members - len(missing) < status.quorum or status.mode is Mode.STARTING:
            names = f": no answer from {', '.join(missing)}" if missing else ""
            return f"waiting for {status.quorum} of {members}{names}"
        if status.mode is Mode.HALTED:
            return f"voting halted: {status.waiting_for}"
        # Every block waits for its proposal and votes; only what lasts is news.
        patience = WAITING_SECONDS_MIN + (0 if self._pool.pending else self._empty_block_seconds)
        if not status.waiting_for or self._loop.time() - self._progress_at < patience:
            return ""
        return f"waiting for {status.waiting_for.replace('_', ' ')}"

    def _publish(self) -> None:
        status = self.status
        if not status.waiting_for or status.head != self._progress_head:
            self._progress_at, self._progress_head = self._loop.time(), status.head
        online = len(self._names) - len(self.missing)
        metrics.VIEW.set(status.view)
        metrics.HEIGHT.set(status.height)
        metrics.VALIDATORS.set(len(self._names))
        metrics.ONLINE.set(online)
        metrics.QUORUM_MARGIN.set(online - status.quorum)
        metrics.SYNCING.set(status.syncing)
        metrics.VOTING.set(status.mode is Mode.VOTING)
        metrics.ETHEREUM_BEST.set(max(status.highest_known, status.head))
        waiting_for = self.waiting_for
        if waiting_for != self._waiting_for:
            self._waiting_for = waiting_for
            _log.info("waiting" if waiting_for else "waiting_ended", reason=waiting_for)

    async def close(self) -> None:
        """Stop timers and work; let the engine's thread finish its step."""
        for handle in self._timers.values():
            handle.cancel()
        work: list[Awaitable[Any]] = []
        for task in (self._build, *self._executions.values()):
            if task is not None:
                task.cancel()
                work.append(task)
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)
