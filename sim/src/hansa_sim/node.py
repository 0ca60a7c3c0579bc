"""One running copy of a member: the real engine, signer and vote log, and a shell in virtual time around them.

The shell does what `hansa_consensus.shell` does: it feeds waiting events, makes the records of all their effects durable
under one sync, performs the effects in order, and only then takes the next events. A crash cuts this anywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.buggify import buggify
from hansa_consensus.core.engine import Engine, EngineConfig, Mode, create_engine
from hansa_consensus.core.limits import TIMESTAMP_AHEAD_MS_MAX
from hansa_consensus.core.records import (
    InstalledViewRecord,
    PreparedRecord,
    Record,
    ReleasedRecord,
    ViewChangeRecord,
    VoteLogDamaged,
    VoteRecord,
)
from hansa_consensus.core.signer import WatermarkSigner
from hansa_consensus.core.types import (
    Candidate,
    Certificate,
    Head,
    Message,
    PreparedBlock,
    Proposal,
    SyncBlock,
    ViewChange,
)
from hansa_consensus.limits import RESEND_AFTER_BLOCKS
from hansa_consensus.votelog import VoteLog, VoteLogFailed

from .disk import Folder
from .network import size_of
from .oracles import Header, candidate_of, decode_header, state_root, transactions_root

if TYPE_CHECKING:
    from .world import World

KEY_ID: Final = b"simulate"
BODIES_SECONDS_MAX_MS: Final = 3_000
"""How long one member may take to hand over bodies, as the service's limit."""
BLOCK_TRANSACTIONS_MAX: Final = 1_000
"""Above what clients can bring together while leaders fail: a backlog is no lost transaction."""
EVENTS_PER_STEP_MAX: Final = 64
"""As the service's limit: waiting events that share one sync."""
RECENT_BLOCKS: Final = 8
PUSHED_MAX: Final = 200


class Chain:
    """statedb of one copy: what was committed, in one atomic write each."""

    def __init__(self, genesis: Head) -> None:
        self.genesis = genesis
        self.blocks: list[tuple[Candidate, Certificate, bytes]] = []  # from height 1, with the bodies
        self.roots: list[bytes] = [decode_header(genesis.header).state_root]
        self.transactions: dict[bytes, int] = {}  # -> height

    @property
    def head(self) -> Head:
        if not self.blocks:
            return self.genesis
        candidate, certificate, _ = self.blocks[-1]
        return Head(candidate.number, candidate.hash, candidate.header, certificate)

    def append(self, candidate: Candidate, certificate: Certificate, bodies: bytes) -> None:
        """The next block."""
        self.blocks.append((candidate, certificate, bodies))
        header = decode_header(candidate.header)
        self.roots.append(state_root(self.roots[-1], header.transactions_root))
        for at in range(0, len(bodies), 32):
            self.transactions[bodies[at : at + 32]] = candidate.number

    def cut_to(self, height: int) -> None:
        """As a restored backup: blocks above are gone."""
        del self.blocks[height:], self.roots[height + 1 :]
        self.transactions = {name: at for name, at in self.transactions.items() if at <= height}


class Node:
    """See the module's text. Twins are two of these with one key and disks of their own."""

    def __init__(self, world: World, index: int, member: int, name: str) -> None:
        self.world = world
        self.index = index
        self.member = member
        self.name = name
        self.folder = Folder(world.disk_random)
        self.chain = Chain(world.genesis)
        self.journal: dict[bytes, int] = {}  # accepted from clients, not committed -> height when pushed; survives
        self.engine: Engine | None = None
        self.log: VoteLog | None = None
        self.life = 0  # changes with every crash: callbacks of a former life are void
        self.inbox: deque[ev.Event] = deque()
        self.busy = False
        self.held: dict[bytes, bytes] = {}  # block -> bodies, in memory
        self.pool: dict[bytes, None] = {}  # transactions known and not committed, in order of arrival
        self.executing: set[bytes] = set()
        self.timers: dict[fx.Timer, int] = {}  # name -> generation
        self.stopped_until = 0
        self.pending_fed = -1
        self.effects_to_crash = -1
        self.unsynced: list[tuple[str, int, int, bytes]] = []  # records whose sync is not over
        self.reachable: dict[int, bool] = {}  # member -> as p2p has told
        self.mode: Mode | None = None
        # Clock: the wall is `offset_ms` ahead; the monotonic one runs faster by `drift_ppm`.
        self.offset_ms = 0
        self.drift_ppm = 0
        self.restored = b""  # a block that the vote log knew at the start and statedb did not
        self.accepted_before_life: dict[bytes, None] = {}
        self._perform = self._performers()

    # --- clocks -------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Monotonic."""
        now = self.world.now
        return now + now * self.drift_ppm // 1_000_000 if self.drift_ppm else now

    def wall_ms(self) -> int:
        """What the clock on the wall says."""
        return self.world.epoch_ms + self.now_ms() + self.offset_ms

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start from what the disk holds, by the vote log's own recovery."""
        world = self.world
        if self.engine is not None:
            return
        try:
            self.log = VoteLog.open_in(
                self.folder, genesis_hash=world.genesis.hash, key_id=KEY_ID, rotate_bytes=world.plan.rotate_bytes
            )
        except VoteLogFailed:
            world.points.sometimes(
                "full disk ended the process" if self.folder.full else "failed sync ended the process"
            )
            self.folder.killed()
            world.later(2_000, self.start)  # the supervisor tries again
            return
        except VoteLogDamaged:
            world.checkers.log_damaged(self)
            self.folder.restore({})  # what the message tells the operator to do
            world.points.sometimes("vote log damaged, moved away")
            world.later(2_000, self.start)
            return
        self.folder.settle()
        recovered = self.log.recovered
        if self.folder.is_durable:
            kept = [(vote.phase.value, vote.view, vote.to_height, vote.to_hash) for vote in recovered.votes]
            locked = [block.certificate for block in recovered.prepared]
            kept += [("prepared", on.view, on.to_height, on.to_hash) for on in locked]
            world.checkers.durable(self, kept)
        head = self.chain.head
        self.restored = b""
        if recovered.prepared and recovered.prepared[-1].certificate.to_height > head.number:
            self.restored = recovered.prepared[-1].certificate.to_hash
            world.points.sometimes("statedb behind the vote log at a start")
        config = EngineConfig(
            genesis_hash=world.genesis.hash,
            self_index=self.member,
            validator_set=world.validator_set(self),
            **world.plan.engine_settings,
        )
        signer = WatermarkSigner(
            sign=lambda message: world.keys.sign(self.member, message),
            message=world.keys.crypto.vote_message,
            recovered=recovered,
        )
        self.engine = create_engine(
            config, head=head, recovered=recovered, signer=signer, crypto=world.keys.crypto, rules=world.rules
        )
        self.accepted_before_life = dict.fromkeys(self.journal)
        self.pool = dict.fromkeys(self.journal)
        self.pending_fed = -1
        self.mode = None
        world.started(self)
        self.feed(ev.Started(self.now_ms()))
        self._tell_pending()

    def stop(self, *, power: bool) -> None:
        """kill -9, or the power fails."""
        if self.engine is None:
            return
        torn = self.folder.torn
        self.world.stopped(self)
        self.life += 1
        self.engine = None
        self.log = None
        self.inbox.clear()
        self.held.clear()
        self.executing.clear()
        self.timers.clear()
        self.reachable.clear()
        self.busy = False
        self.effects_to_crash = -1
        if power:
            self.folder.power_cut()
            if self.folder.torn > torn:
                self.world.points.sometimes("crash with a torn frame in the vote log")
        else:
            self.folder.killed()
        self.unsynced.clear()

    # --- the loop -----------------------------------------------------------------------------------------------------

    def feed(self, event: ev.Event) -> None:
        """Queue an event."""
        if self.engine is not None:
            self.inbox.append(event)
            if not self.busy:
                self.work()

    def work(self) -> None:
        """Feed what waits, as far as syncs allow."""
        world = self.world
        while self.engine is not None and self.inbox and not self.busy and world.now >= self.stopped_until:
            engine, inbox = self.engine, self.inbox
            if len(inbox) == 1 or buggify("one_event_per_step"):
                event = inbox.popleft()
                effects = engine.handle(event)
                world.handled(self, event, effects)
            else:
                effects = []
                for _ in range(min(len(inbox), EVENTS_PER_STEP_MAX)):
                    event = inbox.popleft()
                    some = engine.handle(event)
                    world.handled(self, event, some)
                    effects += some
            if effects:
                self._step(effects)

    def _step(self, effects: list[fx.Effect]) -> None:
        records = [self._record(effect) for effect in effects if type(effect) in _PERSISTED]
        if records and not self._log(records):
            return
        for effect in effects:
            if type(effect) is fx.PruneLog:
                assert self.log is not None
                size = self.log.size_bytes
                try:
                    self.log.prune(effect.height)
                except VoteLogFailed:
                    self._failed()
                    return
                if self.log.size_bytes < size:
                    self.world.points.sometimes("vote log rotated")
        if records:
            self.busy = True
            self.world.later(self._sync_ms("sync_slow"), self._synced, self.life, effects)
        else:
            self._do(effects)

    def _log(self, records: list[Record]) -> bool:
        assert self.log is not None
        for record in records:
            match record:
                case VoteRecord(vote) | ViewChangeRecord(ViewChange(vote=vote)):
                    self.unsynced.append((vote.phase.value, vote.view, vote.to_height, vote.to_hash))
                case PreparedRecord(PreparedBlock(certificate=on)):
                    self.unsynced.append(("prepared", on.view, on.to_height, on.to_hash))
        try:
            self.log.append(records)
        except VoteLogFailed:
            self._failed()
            return False
        return True

    def _sync_ms(self, point: str) -> int:
        """How long the disk takes; sometimes far longer than it should."""
        delay = self.world.disk_random.randrange(self.world.plan.sync_ms + 1)
        if buggify(point):
            self.world.points.sometimes("disk slow for a second")
            delay += 1_000 + self.world.disk_random.randrange(2_000)
        return delay

    def _failed(self) -> None:
        """The log failed: the process ends, and the supervisor starts it again."""
        points = self.world.points
        points.sometimes("full disk ended the process" if self.folder.full else "failed sync ended the process")
        self.stop(power=False)
        self.world.later(1_000, self.start)

    def _synced(self, life: int, effects: list[fx.Effect]) -> None:
        if life != self.life:
            return
        self.folder.settle()
        if self.folder.is_durable:
            self.world.checkers.durable(self, self.unsynced)
            self.unsynced.clear()
        self.busy = False
        self._do(effects)
        if not self.busy:
            self.work()

    def _do(self, effects: list[fx.Effect]) -> None:
        life = self.life
        for effect in effects:
            if self.effects_to_crash >= 0:
                self.effects_to_crash -= 1
                if self.effects_to_crash < 0:
                    self.world.crash(self, power=self.world.disk_random.random() < 0.5)
                    return
            performer = self._perform.get(type(effect))
            if performer is not None:
                performer(effect)
                if self.life != life:
                    return

    def _record(self, effect: fx.Effect) -> Record:
        match effect:
            case fx.PersistVote(vote):
                return VoteRecord(vote)
            case fx.PersistPrepared(prepared):
                block = prepared.certificate.to_hash
                bodies = self.held.get(block)
                if bodies is None:
                    assert self.log is not None
                    bodies = self.log.bodies(block)
                if bodies is None:
                    raise self.world.violation(f"{self.name} locks a block whose bodies it has not")
                return PreparedRecord(prepared, bodies)
            case fx.PersistViewChange(change):
                return ViewChangeRecord(change)
            case fx.PersistInstalledView(installed):
                return InstalledViewRecord(installed)
            case fx.PersistReleased(height):
                return ReleasedRecord(height)
        raise AssertionError(effect)

    # --- effects ------------------------------------------------------------------------------------------------------

    def _performers(self) -> dict[type, Callable[[Any], None]]:
        world = self.world
        return {
            fx.Broadcast: lambda effect: self.send(world.others[self.member], effect.message),
            fx.Send: lambda effect: self.send((effect.member,), effect.message),
            fx.SetTimer: self._set_timer,
            fx.CancelTimer: lambda effect: self._cancel_timer(effect.timer),
            fx.BuildBlock: self._build,
            fx.ExecuteBlock: self._execute,
            fx.AbandonBlock: self._abandon,
            fx.CommitBlock: self._commit,
            fx.RequestBlocks: self._request,
            fx.ForwardPending: lambda effect: self._push(
                world.others[self.member] if effect.member is None else (effect.member,)
            ),
            fx.ReportPeer: lambda effect: world.checkers.peer_reported(self, effect),
            fx.ReportEvidence: lambda effect: world.checkers.evidence(self, effect),
            fx.LeaveView: lambda effect: world.checkers.view_left(self, effect),
            fx.PersistInstalledView: lambda effect: world.checkers.view_installed(self, effect.installed),
            fx.PersistReleased: lambda effect: world.checkers.released(self, effect.height),
            fx.HaltVoting: lambda effect: world.checkers.halted(self, effect),
        }

    def send(self, members: tuple[int, ...], message: Message) -> None:
        """To every copy of these members."""
        world, now = self.world, self.world.now
        liar = world.liars.get(self.index)
        if liar is None:
            world.checkers.sent(self, message)
        size = size_of(message) if world.network.quality.bytes_per_ms else 0
        links = world.network.links[self.index]
        for member in members:
            messages = (message,) if liar is None else liar.outgoing(member, message)
            for receiver in world.copies_of[member]:
                link = links[receiver.index]
                for each in messages:
                    for delay in world.network.delays(link, now, size):
                        world.later(delay, receiver.arrive, self.member, each, link, link.resets, receiver.life)

    def arrive(self, sender: int, message: Message, link: Any, resets: int, life: int) -> None:
        """A message comes in, unless its connection was reset."""
        if self.engine is None or link.resets != resets:
            return
        if life != self.life:
            self.world.points.sometimes("message delivered after a restart")
        now = self.now_ms()
        if type(message) is Proposal:
            self.feed(ev.ProposalReceived(now, sender, message, self.wall_ms()))
        else:
            self.feed(self.world.profile.received[type(message)](now, sender, message))

    def _set_timer(self, effect: fx.SetTimer) -> None:
        generation = self.timers.get(effect.timer, 0) + 1
        self.timers[effect.timer] = generation
        delay = effect.delay_ms
        if self.drift_ppm:
            delay = delay * 1_000_000 // (1_000_000 + self.drift_ppm) + 1
        self.world.later(delay, self._fire, effect.timer, generation, self.life)

    def _abandon(self, effect: fx.AbandonBlock) -> None:
        self.held.pop(effect.block_hash, None)

    def _cancel_timer(self, timer: fx.Timer) -> None:
        self.timers[timer] = self.timers.get(timer, 0) + 1

    def _fire(self, timer: fx.Timer, generation: int, life: int) -> None:
        if life == self.life and self.timers.get(timer) == generation:
            self.feed(ev.TimerFired(self.now_ms(), timer))

    def _answer(self, delay_ms: int, event: ev.Event) -> None:
        self.world.later(delay_ms, self._answered, event, self.life)

    def _answered(self, event: ev.Event, life: int) -> None:
        if life == self.life:
            self.feed(event)

    # --- building and executing ---------------------------------------------------------------------------------------

    def _build(self, effect: fx.BuildBlock) -> None:
        world = self.world
        delay = world.work_ms()
        if world.executor_fails() or buggify("build_fails"):
            world.points.sometimes("execution failed through our own fault")
            self._answer(delay, ev.BuildFailed(self.now_ms(), effect.build_id, "executor_away"))
            return
        liar = world.liars.get(self.index)
        if liar is not None and liar.builds_nothing():
            return
        parent = decode_header(effect.parent_header)
        timestamp = max(self.wall_ms() // 1000, parent.timestamp)
        ahead = timestamp * 1000 - self.wall_ms()
        if ahead > TIMESTAMP_AHEAD_MS_MAX:
            self._answer(delay, ev.BuildFailed(self.now_ms(), effect.build_id, "too_early", ahead))
            return
        limit = 1 if buggify("one_transaction_per_block") else BLOCK_TRANSACTIONS_MAX
        chosen = [name for _, name in zip(range(limit), self.pool, strict=False)]
        if liar is not None:
            chosen = liar.choose(chosen)
        hashes = b"".join(chosen)
        root = transactions_root(hashes)
        # A parent that is not our head cannot be executed on; the engine never asks for it.
        header = Header(
            number=effect.height,
            parent=effect.parent_hash,
            timestamp=timestamp,
            proposer=effect.proposer,
            gas_fits=True,
            transactions_root=root,
            state_root=state_root(self.chain.roots[-1], root),
            nonce=world.next_nonce(),
        )
        if liar is not None:
            header = liar.header(header)
        candidate = candidate_of(header.encode(), hashes)
        self.held[candidate.hash] = hashes
        self._answer(delay, ev.BlockBuilt(self.now_ms() + delay, effect.build_id, candidate))

    def _execute(self, effect: fx.ExecuteBlock) -> None:
        world, candidate = self.world, effect.candidate
        if candidate.parent_hash != self.chain.head.hash:
            raise world.violation(f"{self.name} executes on a parent that is not its head")
        delay = world.work_ms()
        if world.executor_fails() or buggify("execution_fails"):
            world.points.sometimes("execution failed through our own fault")
            self._answer(delay, ev.BlockRefused(self.now_ms(), candidate.hash, "executor_away", ev.Fault.OURS))
            return
        if buggify("execution_slow"):
            delay += 3_000
        bodies = effect.transactions
        if bodies is None:
            bodies = self.bodies_of(candidate)
        if bodies is None:
            waited, bodies = self._fetch(effect)
            delay += waited
        header = decode_header(candidate.header)
        if bodies is None or transactions_root(bodies) != header.transactions_root:
            self._answer(delay, ev.BlockRefused(self.now_ms(), candidate.hash, "bodies_missing", ev.Fault.BODIES))
            return
        names = [bodies[at : at + 32] for at in range(0, len(bodies), 32)]
        expected = state_root(self.chain.roots[-1], header.transactions_root)
        again = any(name in self.chain.transactions for name in names) or len(set(names)) < len(names)
        if header.state_root != expected or not header.gas_fits or again:
            self._answer(delay, ev.BlockRefused(self.now_ms(), candidate.hash, "hash_mismatch", ev.Fault.BLOCK))
            return
        self.held[candidate.hash] = bodies
        self._answer(delay, ev.BlockExecuted(self.now_ms(), candidate.hash))

    def bodies_of(self, candidate: Candidate) -> bytes | None:
        """Bodies that we hold ourselves."""
        held = self.held.get(candidate.hash)
        if held is None and self.log is not None:
            held = self.log.bodies(candidate.hash)
        if held is not None and not buggify("held_bodies_dropped"):
            return held
        hashes = candidate.transaction_hashes
        names = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        if all(name in self.pool for name in names):
            return hashes
        return held

    def _fetch(self, effect: fx.ExecuteBlock) -> tuple[int, bytes | None]:
        """Ask the sources one after the other; (time taken, bodies)."""
        world, waited = self.world, 0
        for member in effect.sources:
            for other in world.copies_of[member]:
                there, back = world.network.links[self.index][other.index], world.network.links[other.index][self.index]
                bodies = other.serve_bodies(effect.candidate)
                taken = world.network.round_trip(there, back, world.now, 2_000)
                if bodies is not None and taken is not None and taken < BODIES_SECONDS_MAX_MS:
                    world.points.sometimes("bodies fetched from another member")
                    return waited + taken, bodies
            waited += BODIES_SECONDS_MAX_MS
        return min(waited, 2 * BODIES_SECONDS_MAX_MS), None

    def serve_bodies(self, candidate: Candidate) -> bytes | None:
        """Another member asks."""
        liar = self.world.liars.get(self.index)
        if self.engine is None or self.world.now < self.stopped_until or (liar is not None and liar.hides_bodies()):
            return None
        found = self.held.get(candidate.hash)
        if found is None and self.log is not None:
            found = self.log.bodies(candidate.hash)
        if found is None:
            for block, _, bodies in self.chain.blocks[-RECENT_BLOCKS:]:
                if block.hash == candidate.hash:
                    return bodies
        return found

    def _commit(self, effect: fx.CommitBlock) -> None:
        self.world.later(self._sync_ms("commit_slow"), self._committed, effect, self.life)

    def _committed(self, effect: fx.CommitBlock, life: int) -> None:
        if life != self.life:
            return  # one atomic write: it did not happen
        candidate, certificate = effect.candidate, effect.certificate
        bodies = self.held.get(candidate.hash)
        if bodies is None and self.log is not None:
            bodies = self.log.bodies(candidate.hash)
        if bodies is None:
            raise self.world.violation(f"{self.name} commits a block whose bodies it has not")
        self.world.checkers.committing(self, candidate, certificate, bodies)
        self.chain.append(candidate, certificate, bodies)
        for at in range(0, len(bodies), 32):
            name = bodies[at : at + 32]
            self.pool.pop(name, None)
            if name in self.journal:
                del self.journal[name]
                if name in self.accepted_before_life:
                    self.world.points.sometimes("transaction accepted before a crash committed after it")
        if candidate.hash == self.restored:
            self.world.points.sometimes("block of the vote log committed after a restart")
        self._push_again()
        self.held.pop(candidate.hash, None)
        self.world.committed(self, candidate)
        self.pending_fed = len(self.pool)
        self.feed(ev.PoolChanged(self.now_ms(), self.pending_fed))
        self.feed(ev.BlockCommitted(self.now_ms(), candidate.number, candidate.hash))

    def _request(self, effect: fx.RequestBlocks) -> None:
        world = self.world
        for peer in world.copies_of[effect.member][:1]:
            there, back = world.network.links[self.index][peer.index], world.network.links[peer.index][self.index]
            taken = world.network.round_trip(there, back, world.now, 2_000 * effect.count)
            if taken is not None:
                world.later(taken // 2, self._serve, peer, effect, taken - taken // 2, self.life)

    def _serve(self, peer: Node, effect: fx.RequestBlocks, delay_ms: int, life: int) -> None:
        if peer.engine is None or life != self.life or self.world.now < peer.stopped_until:
            return  # the deadline will tell
        blocks = peer.chain.blocks[effect.from_height - 1 : effect.from_height - 1 + effect.count]
        answer = tuple(SyncBlock(candidate.header, bodies, certificate) for candidate, certificate, bodies in blocks)
        liar = self.world.liars.get(peer.index)
        if liar is not None:
            answer = liar.blocks(answer)
        if len(answer) >= 16:
            self.world.points.sometimes("catch-up of 16 blocks or more")
        self._answer(delay_ms, ev.BlocksReceived(self.now_ms(), effect.member, effect.request_id, answer))

    # --- the pool -----------------------------------------------------------------------------------------------------

    def submit(self, name: bytes) -> bool:
        """A client's transaction; False when it is refused (it may try again)."""
        if self.engine is None or buggify("pool_full"):
            return False
        if name in self.chain.transactions:
            return False
        self.journal[name] = len(self.chain.blocks)
        self.pool[name] = None
        self._gossip(self.world.others[self.member], (name,))
        self._tell_pending()
        return True

    def _gossip(self, members: tuple[int, ...], names: tuple[bytes, ...]) -> None:
        world = self.world
        for member in members:
            for receiver in world.copies_of[member]:
                link = world.network.links[self.index][receiver.index]
                for delay in world.network.delays(link, world.now, 200 * len(names)):
                    world.later(delay, receiver.pushed, names)

    def pushed(self, names: tuple[bytes, ...]) -> None:
        """Transactions of another member."""
        if self.engine is None:
            return
        for name in names:
            if name not in self.chain.transactions:
                self.pool[name] = None
        self._tell_pending()

    def _push(self, members: tuple[int, ...]) -> None:
        names = tuple(name for _, name in zip(range(PUSHED_MAX), self.pool, strict=False))
        if names:
            self._gossip(members, names)

    def push_own(self, member: int) -> None:
        """A member came back: what our own clients wait for."""
        names = tuple(name for _, name in zip(range(PUSHED_MAX), self.journal, strict=False))
        if names:
            self._gossip((member,), names)

    def _push_again(self) -> None:
        """What has waited for some blocks may have been lost on its way to the leader."""
        height = len(self.chain.blocks)
        late = [name for name, at in self.journal.items() if height >= at + RESEND_AFTER_BLOCKS][:PUSHED_MAX]
        if late:
            self.journal.update(dict.fromkeys(late, height))
            self._gossip(self.world.others[self.member], tuple(late))

    def _tell_pending(self) -> None:
        pending = len(self.pool)
        if (pending > 0) != (self.pending_fed > 0) or self.pending_fed < 0:
            self.pending_fed = pending
            self.feed(ev.PoolChanged(self.now_ms(), pending))


_PERSISTED: Final = frozenset(
    {fx.PersistVote, fx.PersistPrepared, fx.PersistViewChange, fx.PersistInstalledView, fx.PersistReleased}
)
