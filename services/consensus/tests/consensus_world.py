"""A small deterministic world for engines: virtual time, a lossy network, disks that forget what was not synced.

The engines, the signer and the bytes of the vote log are the real ones; signatures, headers and execution are oracles
(a hash of what is signed, a hash of what is executed). One seed gives one history.

Each member's shell performs the effects of one event in order and takes the next event only then, as the real one does.
A crash cuts this anywhere: between two effects, or in the middle of a sync, which then keeps none, all or a torn
part of the bytes.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.engine import (
    Crypto,
    Engine,
    EngineConfig,
    EngineStatus,
    HeaderFields,
    Mode,
    ValidatorSet,
    create_engine,
)
from hansa_consensus.core.logstate import LogState
from hansa_consensus.core.records import (
    InstalledViewRecord,
    PreparedRecord,
    Record,
    ReleasedRecord,
    ViewChangeRecord,
    VoteRecord,
    decode_log,
    encode_file_head,
    encode_frame,
)
from hansa_consensus.core.signer import WatermarkSigner
from hansa_consensus.core.types import (
    Candidate,
    Certificate,
    Head,
    Message,
    MessageClass,
    NewView,
    PeerStatus,
    Phase,
    PreparedBlock,
    Proposal,
    SyncBlock,
    ViewChange,
    Vote,
)

KEY_ID = b"oracle!!"


def digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


# --- oracles
# ------------------------------------------------------------------------------------------------------------


def oracle_signature(member: int, message: bytes) -> bytes:
    return (digest(b"signature", bytes([member]), message) * 2)[:48]


def oracle_aggregate(signatures: Sequence[bytes]) -> bytes:
    return (digest(b"aggregate", *sorted(signatures)) * 2)[:48] if len(signatures) != 1 else signatures[0]


class OracleValidators:
    """Knows everybody's signatures; forging one means guessing a hash."""

    def __init__(self, members: int) -> None:
        self.members = members

    def __len__(self) -> int:
        return self.members

    def verify_votes(self, signers: Sequence[int], message: bytes, signatures: Sequence[bytes]) -> list[bool]:
        return [
            signature == oracle_signature(signer, message)
            for signer, signature in zip(signers, signatures, strict=True)
        ]

    def verify_certificate(self, bitmap: bytes, message: bytes, signature: bytes) -> bool:
        signers = OracleCrypto(b"").signers_of(bitmap, self.members)
        return signers is not None and signature == oracle_aggregate(
            [oracle_signature(signer, message) for signer in signers]
        )


@dataclass(frozen=True)
class OracleCrypto:
    genesis_hash: bytes

    def quorum(self, validators: int) -> int:
        return validators - (validators - 1) // 3

    def keccak(self, data: bytes) -> bytes:
        return digest(b"keccak", data)

    def vote_message(self, vote: Vote) -> bytes:
        return repr((self.genesis_hash, replace(vote, signer=0, signature=b""))).encode()

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        return oracle_aggregate(signatures)

    def bitmap_of(self, signers: Sequence[int], validators: int) -> bytes:
        return sum(1 << signer for signer in signers).to_bytes((validators + 7) // 8, "little")

    def signers_of(self, bitmap: bytes, validators: int) -> list[int] | None:
        bits = int.from_bytes(bitmap, "little")
        if len(bitmap) != (validators + 7) // 8 or bits >> validators:
            return None
        return [member for member in range(validators) if bits >> member & 1]

    def header(self, rlp: bytes) -> HeaderFields | None:
        if len(rlp) < 48:
            return None
        return HeaderFields(hash=digest(b"block", rlp), parent_hash=rlp[8:40], number=int.from_bytes(rlp[:8], "big"))


def make_header(number: int, parent: bytes, proposer: int, nonce: int, valid: bool = True) -> bytes:
    """Number, parent, proposer, whether execution confirms it, and something that makes it differ."""
    tail = bytes([proposer, int(valid)]) + nonce.to_bytes(6, "big")
    return number.to_bytes(8, "big") + parent + tail


@dataclass(frozen=True)
class OracleRules:
    """Free blocks must name their proposer; the rest is execution's."""

    def refusal(
        self, candidate: Candidate, parent_header: bytes, *, proposer: int | None, wall_ms: int | None
    ) -> str | None:
        if proposer is not None and candidate.header[40] != proposer:
            return "wrong_beneficiary"
        return None


def genesis_head() -> Head:
    header = make_header(0, bytes(32), 0, 0)
    return Head(0, digest(b"block", header), header, None)


# --- disk and node
# ------------------------------------------------------------------------------------------------------


@dataclass
class Disk:
    """What survives: the vote log's synced bytes, the committed chain (statedb) and its bodies."""

    log: bytes = b""
    sequence: int = 0
    blocks: list[tuple[Candidate, Certificate]] = field(default_factory=list)  # from height 1

    @staticmethod
    def new(genesis_hash: bytes) -> Disk:
        disk = Disk(log=encode_file_head(genesis_hash, KEY_ID))
        disk.log += encode_frame(0, KEY_ID, LogState().snapshot())
        disk.sequence = 1
        return disk

    def frame(self, records: Sequence[Record]) -> bytes:
        return encode_frame(self.sequence, KEY_ID, records)


@dataclass
class Copy:
    """One running copy of a member. Twins are two copies of one member with disks of their own."""

    member: int
    disk: Disk
    name: str
    life: int = 0  # changes with every crash: callbacks of a former life are void
    engine: Engine | None = None
    state: LogState = field(default_factory=LogState)
    inbox: deque[ev.Event] = field(default_factory=deque)
    busy: bool = False
    held: dict[bytes, bool] = field(default_factory=dict)  # bodies in memory
    timers: dict[fx.Timer, int] = field(default_factory=dict)  # name -> generation
    stopped_until: int = 0
    pending: int = 0
    halted: str = ""


@dataclass
class Faults:
    """How bad the world is; probabilities per message or per thousand virtual milliseconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    slow_ms: int = 20
    slow_tail: float = 0.0  # probability of a message that takes up to 3 s
    execution_ms: int = 10
    execution_failure: float = 0.0
    sync_ms: int = 2


class World:
    """See the module's text. `twins`: members of whom two copies run; `silent_leaders`: members that never propose."""

    def __init__(
        self,
        seed: int,
        members: int,
        *,
        engine: str = "pbft",
        twins: Sequence[int] = (),
        liars: Sequence[int] = (),
        silent_leaders: Sequence[int] = (),
        faults: Faults | None = None,
        block_time_ms: int = 400,
        empty_block_time_ms: int = 2_000,
        leader_term: int = 4,
    ) -> None:
        self.random = random.Random(seed)
        self.members = members
        self.genesis = genesis_head()
        self.crypto: Crypto = OracleCrypto(self.genesis.hash)
        self.validators: ValidatorSet = OracleValidators(members)
        self.sign: Callable[[int, bytes], bytes] = oracle_signature
        self.faults = faults or Faults()
        self.faulty = {*twins, *liars}
        self.liars = set(liars)
        self.silent_leaders = set(silent_leaders)
        self.settings = {
            "engine": engine,
            "block_time_ms": block_time_ms,
            "empty_block_time_ms": empty_block_time_ms,
            "request_timeout_ms": 1_000,
            "leader_term": leader_term,
        }
        self.now = 0
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.order = 0
        self.cut: Callable[[Copy, Copy], bool] = lambda sender, receiver: False
        self.copies: list[Copy] = []
        for member in range(members):
            for twin in range(2 if member in twins else 1):
                self.copies.append(Copy(member, Disk.new(self.genesis.hash), f"{member}{'ab'[twin]}"))
        self.decided: dict[int, bytes] = {}
        self.signed: dict[tuple[int, Phase, int, int], bytes] = {}
        self.left_view: dict[int, int] = {}
        self.evidence: list[tuple[Vote, Vote]] = []
        self.reports: list[tuple[int, int, str]] = []
        self.nonce = 0
        self.events = 0
        self.view_changes = 0
        self.crashes = 0
        self.commits = 0
        self.violations: list[str] = []
        self.trace: deque[str] = deque(maxlen=400)
        self.validate_durable = True

    # --- time -----------------------------------------------------------------------------------------------------

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.queue, (self.now + max(0, delay_ms), self.order, action))

    def run(self, until_ms: int, stop: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True when `stop` became true."""
        while self.queue and self.queue[0][0] <= until_ms:
            self.now, _, action = heapq.heappop(self.queue)
            action()
            if self.violations:
                raise AssertionError("; ".join(self.violations))
            if stop is not None and stop():
                return True
        self.now = max(self.now, until_ms)
        return False

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, copy: Copy) -> None:
        """Start from what the disk holds: decode the log, cut its torn tail, begin where it ends."""
        frames, end = decode_log(copy.disk.log, self.genesis.hash, KEY_ID)
        copy.disk.log = copy.disk.log[:end]
        copy.disk.sequence = frames[-1].sequence + 1
        copy.state = LogState()
        for frame in frames:
            copy.state.apply(frame.records)
        head = self.genesis
        if copy.disk.blocks:
            candidate, certificate = copy.disk.blocks[-1]
            head = Head(candidate.number, candidate.hash, candidate.header, certificate)
        config = EngineConfig(
            genesis_hash=self.genesis.hash,
            self_index=copy.member,
            validator_set=lambda height: self.validators,
            **self.settings,  # type: ignore[arg-type]
        )
        recovered = copy.state.recovered()
        signer = WatermarkSigner(
            sign=lambda message: self.sign(copy.member, message),
            message=self.crypto.vote_message,
            recovered=recovered,
        )
        copy.engine = create_engine(
            config, head=head, recovered=recovered, signer=signer, crypto=self.crypto, rules=OracleRules()
        )
        copy.inbox.clear()
        copy.held = {}
        copy.timers = {}
        copy.busy = False
        self.trace.append(f"{self.now} {copy.name} starts at {head.number}")
        self.feed(copy, ev.Started(self.now))
        for other in self.copies:
            if other.engine is not None and other.member != copy.member:
                self.feed(copy, ev.PeerUp(self.now, other.member))
                self.feed(other, ev.PeerUp(self.now, copy.member))
        if copy.pending:
            self.feed(copy, ev.PoolChanged(self.now, copy.pending))

    def start_all(self) -> None:
        for copy in self.copies:
            self.start(copy)

    def crash(self, copy: Copy) -> None:
        if copy.engine is None:
            return
        self.crashes += 1
        self.trace.append(f"{self.now} {copy.name} crashes")
        copy.life += 1
        copy.engine = None
        copy.inbox.clear()

    def wipe(self, copy: Copy, *, log: bool = True, blocks: bool = True) -> None:
        assert copy.engine is None
        fresh = Disk.new(self.genesis.hash)
        if log:
            copy.disk.log, copy.disk.sequence = fresh.log, fresh.sequence
        if blocks:
            copy.disk.blocks = []

    def status(self, copy: Copy) -> EngineStatus:
        assert copy.engine is not None
        return copy.engine.status()

    def is_voting(self, copy: Copy) -> bool:
        return copy.engine is not None and copy.engine.status().mode is Mode.VOTING

    def submit(self, count: int = 1) -> None:
        """Transactions that reach every running pool."""
        for copy in self.copies:
            copy.pending += count
            if copy.engine is not None:
                self.feed(copy, ev.PoolChanged(self.now, copy.pending))

    # --- the shell of one copy ------------------------------------------------------------------------------------

    def feed(self, copy: Copy, event: ev.Event) -> None:
        if copy.engine is None:
            return
        copy.inbox.append(event)
        self.work(copy)

    def work(self, copy: Copy) -> None:
        while copy.engine is not None and copy.inbox and not copy.busy and self.now >= copy.stopped_until:
            event = copy.inbox.popleft()
            event = replace(event, now_ms=self.now)
            self.events += 1
            effects = copy.engine.handle(event)
            self.trace.append(f"{self.now} {copy.name} {_short(event)} -> {[_short(effect) for effect in effects]}")
            self.perform(copy, deque(effects))

    def perform(self, copy: Copy, effects: deque[fx.Effect]) -> None:
        while effects:
            records: list[Record] = []
            while effects and isinstance(
                effects[0],
                fx.PersistVote
                | fx.PersistPrepared
                | fx.PersistViewChange
                | fx.PersistInstalledView
                | fx.PersistReleased,
            ):
                records.append(self.record(copy, effects.popleft()))
            if records:
                self.sync(copy, records, effects)
                return
            self.effect(copy, effects.popleft())
            if copy.engine is None:
                return

    def record(self, copy: Copy, effect: fx.Effect) -> Record:
        match effect:
            case fx.PersistVote(vote):
                return VoteRecord(vote)
            case fx.PersistPrepared(prepared):
                block_hash = prepared.certificate.to_hash
                if block_hash not in copy.held and copy.state.bodies(block_hash) is None:
                    self.violations.append(f"{copy.name} locks a block whose bodies it has not")
                return PreparedRecord(prepared, b"bodies" + block_hash)
            case fx.PersistViewChange(change):
                return ViewChangeRecord(change)
            case fx.PersistInstalledView(installed):
                return InstalledViewRecord(installed)
            case fx.PersistReleased(height):
                return ReleasedRecord(height)
        raise AssertionError(effect)

    def sync(self, copy: Copy, records: list[Record], rest: deque[fx.Effect]) -> None:
        """One fdatasync. A crash while it runs leaves any prefix of the frame."""
        frame = copy.disk.frame(records)
        life = copy.life
        copy.busy = True

        def done() -> None:
            if copy.life != life:
                copy.disk.log += frame[: self.random.randrange(len(frame) + 1)]  # torn, or just made it
                return
            copy.disk.log += frame
            copy.disk.sequence += 1
            copy.state.apply(records)
            copy.busy = False
            self.perform(copy, rest)
            self.work(copy)

        # A crash during the sync must find the torn bytes on disk before the restart: a restart comes later than this.
        self.later(self.random.randrange(self.faults.sync_ms + 1), done)

    def effect(self, copy: Copy, effect: fx.Effect) -> None:
        match effect:
            case fx.Broadcast(message, message_class):
                for member in range(self.members):
                    if member != copy.member:
                        self.send(copy, member, message, message_class)
            case fx.Send(member, message, message_class):
                self.send(copy, member, message, message_class)
            case fx.SetTimer(timer, delay_ms):
                self.set_timer(copy, timer, delay_ms)
            case fx.CancelTimer(timer):
                copy.timers[timer] = copy.timers.get(timer, 0) + 1
            case fx.BuildBlock():
                self.build(copy, effect)
            case fx.ExecuteBlock():
                self.execute(copy, effect)
            case fx.CommitBlock():
                self.commit(copy, effect)
            case fx.RequestBlocks():
                self.request(copy, effect)
            case fx.ReportPeer(member, reason):
                self.reports.append((copy.member, member, reason))
                if copy.member not in self.faulty and member not in self.faulty and reason not in HARMLESS:
                    self.violations.append(f"{copy.name} blames honest {member}: {reason}")
            case fx.ReportEvidence(first, second):
                self.evidence.append((first, second))
                if first.signer not in self.faulty:
                    self.violations.append(f"evidence against honest {first.signer}")
            case fx.LeaveView():
                self.view_changes += 1
            case fx.HaltVoting(reason):
                self.violations.append(f"{copy.name} halts: {reason}")
            case fx.AbandonBlock(block_hash):
                copy.held.pop(block_hash, None)
            case fx.PruneLog(height):
                copy.state._prune(height)  # the marker reaches the disk with no record of its own here
            case fx.EnterView() | fx.ForwardPending():
                pass
            case _:
                raise AssertionError(effect)

    def set_timer(self, copy: Copy, timer: fx.Timer, delay_ms: int) -> None:
        generation = copy.timers.get(timer, 0) + 1
        copy.timers[timer] = generation
        life = copy.life

        def fire() -> None:
            if copy.life == life and copy.timers.get(timer) == generation:
                self.feed(copy, ev.TimerFired(self.now, timer))

        self.later(delay_ms, fire)

    def answer(self, copy: Copy, delay_ms: int, event: ev.Event) -> None:
        life = copy.life
        self.later(delay_ms, lambda: self.feed(copy, event) if copy.life == life else None)

    def build(self, copy: Copy, effect: fx.BuildBlock) -> None:
        delay = self.random.randrange(self.faults.execution_ms + 1)
        if copy.member in self.silent_leaders:
            return
        if self.random.random() < self.faults.execution_failure:
            self.answer(copy, delay, ev.BuildFailed(0, effect.build_id, "executor_away"))
            return
        self.nonce += 1
        header = make_header(effect.height, effect.parent_hash, effect.proposer, self.nonce)
        candidate = Candidate(
            digest(b"block", header), effect.height, effect.parent_hash, header, digest(header)[:32], b"access"
        )
        copy.held[candidate.hash] = True
        self.answer(copy, delay, ev.BlockBuilt(0, effect.build_id, candidate))

    def execute(self, copy: Copy, effect: fx.ExecuteBlock) -> None:
        candidate = effect.candidate
        head = copy.disk.blocks[-1][0].hash if copy.disk.blocks else self.genesis.hash
        delay = self.random.randrange(self.faults.execution_ms + 1)
        if candidate.parent_hash != head:
            self.violations.append(f"{copy.name} executes on a parent that is not its head")
        if self.random.random() < self.faults.execution_failure:
            self.answer(copy, delay, ev.BlockRefused(0, candidate.hash, "executor_away", ev.Fault.OURS))
            return
        have = (
            effect.transactions is not None
            or candidate.hash in copy.held
            or copy.state.bodies(candidate.hash) is not None
        )
        if not have:
            have = any(self.serves_bodies(copy, member, candidate.hash) for member in effect.sources)
            delay += 2 * self.faults.slow_ms
        if not have:
            self.answer(copy, delay, ev.BlockRefused(0, candidate.hash, "bodies_missing", ev.Fault.BODIES))
            return
        if candidate.header[41] != 1:
            self.answer(copy, delay, ev.BlockRefused(0, candidate.hash, "hash_mismatch", ev.Fault.BLOCK))
            return
        copy.held[candidate.hash] = True
        self.answer(copy, delay, ev.BlockExecuted(0, candidate.hash))

    def serves_bodies(self, copy: Copy, member: int, block_hash: bytes) -> bool:
        return any(
            other.member == member
            and other.engine is not None
            and not self.cut(other, copy)
            and self.now >= other.stopped_until
            and (
                block_hash in other.held
                or other.state.bodies(block_hash) is not None
                or any(candidate.hash == block_hash for candidate, _ in other.disk.blocks[-3:])
            )
            for other in self.copies
        )

    def commit(self, copy: Copy, effect: fx.CommitBlock) -> None:
        candidate, certificate = effect.candidate, effect.certificate
        if candidate.number != len(copy.disk.blocks) + 1:
            self.violations.append(f"{copy.name} commits {candidate.number} on {len(copy.disk.blocks)}")
        if certificate.to_hash != candidate.hash:
            self.violations.append(f"{copy.name} commits a block with another's certificate")
        life = copy.life

        def done() -> None:
            if copy.life != life:
                return  # one atomic write: it did not happen
            copy.disk.blocks.append((candidate, certificate))
            self.commits += 1
            known = self.decided.setdefault(candidate.number, candidate.hash)
            if known != candidate.hash:
                self.violations.append(f"two blocks at height {candidate.number}")
            copy.pending = max(0, copy.pending - 1)
            self.feed(copy, ev.BlockCommitted(0, candidate.number, candidate.hash))
            self.feed(copy, ev.PoolChanged(0, copy.pending))

        self.later(self.random.randrange(self.faults.sync_ms + 1), done)

    def request(self, copy: Copy, effect: fx.RequestBlocks) -> None:
        life = copy.life
        peers = [other for other in self.copies if other.member == effect.member and other.engine is not None]
        if not peers or self.cut(copy, peers[0]) or self.random.random() < self.faults.loss:
            return  # the deadline will tell
        peer = peers[0]

        def serve() -> None:
            blocks = peer.disk.blocks[effect.from_height - 1 : effect.from_height - 1 + effect.count]
            answer = tuple(SyncBlock(candidate.header, b"bodies", certificate) for candidate, certificate in blocks)
            event = ev.BlocksReceived(0, effect.member, effect.request_id, answer)
            self.later(self.latency(), lambda: self.feed(copy, event) if copy.life == life else None)

        self.later(self.latency(), serve)

    # --- network --------------------------------------------------------------------------------------------------

    def latency(self) -> int:
        if self.random.random() < self.faults.slow_tail:
            return self.random.randrange(3_000)
        return 1 + self.random.randrange(self.faults.slow_ms)

    def send(self, copy: Copy, member: int, message: Message, message_class: MessageClass) -> None:
        self.check_sent(copy, message)
        for receiver in self.copies:
            if receiver.member != member or receiver.engine is None or self.cut(copy, receiver):
                continue
            sent = message if copy.member not in self.liars else self.mutate(message)
            if self.random.random() >= self.faults.loss:
                self.deliver(copy, receiver, sent)
            if self.random.random() < self.faults.duplicate:
                self.deliver(copy, receiver, sent)

    def deliver(self, copy: Copy, receiver: Copy, message: Message) -> None:
        def arrive() -> None:  # also after a restart of the receiver
            if receiver.engine is not None and not self.cut(copy, receiver):
                self.feed(receiver, _event(copy.member, message, self.now))

        self.later(self.latency(), arrive)

    def mutate(self, message: Message) -> Message:
        """A liar's small steps on real messages (ByzzFuzz): mostly the truth, sometimes one thing changed."""
        if self.random.random() < 0.7:
            return message
        drift = self.random.choice((-1, 1))
        match message:
            case Vote():
                other = self.random.choice((replace(message, view=max(0, message.view + drift)), message))
                if other is message:
                    other = replace(message, to_hash=digest(message.to_hash))
                return self.resign(other)
            case Proposal(prepare=prepare):
                self.nonce += 1
                header = make_header(
                    prepare.to_height, prepare.from_hash, prepare.signer, self.nonce, self.random.random() < 0.7
                )
                vote = self.resign(replace(prepare, to_hash=digest(b"block", header)))
                return replace(message, header=header, prepare=vote)
            case ViewChange(vote=vote):
                if message.prepared and self.random.random() < 0.5:  # hide the lock, signed
                    empty = self.crypto.keccak(b"\xc0")
                    return ViewChange(self.resign(replace(vote, to_hash=empty)), message.last_commit, ())
                ahead = self.random.choice((1, 2, 1000))
                return replace(message, vote=self.resign(replace(vote, view=vote.view + ahead)))
            case NewView(view_changes=changes) if len(changes) > 1:
                return replace(message, view_changes=changes[:-1])
            case PeerStatus(head_certificate=certificate) if certificate is not None and self.random.random() < 0.5:
                forged = replace(
                    certificate,
                    from_hash=certificate.to_hash,
                    from_height=certificate.to_height,
                    to_hash=digest(certificate.to_hash),
                    to_height=certificate.to_height + 1,
                )
                return replace(message, head_number=forged.to_height, head_hash=forged.to_hash, head_certificate=forged)
            case PeerStatus():
                return replace(message, your_highest_vote_height=1 << 40, your_highest_vote_view=1 << 40)
        return message

    def resign(self, vote: Vote) -> Vote:
        return vote.signed(self.sign(vote.signer, self.crypto.vote_message(vote)))

    # --- checks ---------------------------------------------------------------------------------------------------

    def check_sent(self, copy: Copy, message: Message) -> None:
        """Checkers 2 and 3 of reliability 2.3, on what leaves an honest copy."""
        if copy.member in self.faulty:
            return
        match message:
            case Vote():
                self.check_vote(copy, message)
            case Proposal(prepare=vote):
                self.check_vote(copy, vote)
            case ViewChange(vote=vote):
                if copy.state.view_change is None or copy.state.view_change.vote.view < vote.view:
                    self.violations.append(f"{copy.name} sends a view change that is not durable")
                self.left_view[copy.member] = max(self.left_view.get(copy.member, 0), vote.view)
                self.check_once(copy, vote)

    def check_vote(self, copy: Copy, vote: Vote) -> None:
        durable = copy.state.last_vote.get(vote.phase)
        if self.validate_durable and vote != durable and vote not in copy.state.votes:
            self.violations.append(f"{copy.name} sends a vote that is not durable")
        new = (vote.signer, vote.phase, vote.to_height, vote.view) not in self.signed
        if new and vote.view < self.left_view.get(copy.member, 0):
            self.violations.append(f"{copy.name} votes in view {vote.view}, which it has left")
        self.check_once(copy, vote)

    def check_once(self, copy: Copy, vote: Vote) -> None:
        key = (vote.signer, vote.phase, vote.to_height, vote.view)
        message = self.crypto.vote_message(vote)
        if self.signed.setdefault(key, message) != message:
            self.violations.append(f"{copy.name} signs twice at {key}")

    def honest(self) -> list[Copy]:
        return [copy for copy in self.copies if copy.member not in self.faulty]

    def heads(self) -> dict[str, int]:
        return {copy.name: len(copy.disk.blocks) for copy in self.copies}

    def picture(self) -> str:
        """For a failing seed: where everybody is."""
        lines = []
        for copy in self.copies:
            lines.append(f"{copy.name}: {'down' if copy.engine is None else copy.engine.status()}")
        return "\n".join(lines)


HARMLESS = {"bodies_not_sent", "blocks_not_sent"}
"""Reports that a slow or lossy network makes of honest members; p2p weighs them accordingly."""


def _event(sender: int, message: Message, wall_ms: int) -> ev.Event:
    match message:
        case Proposal():
            return ev.ProposalReceived(0, sender, message, wall_ms)
        case Vote():
            return ev.VoteReceived(0, sender, message)
        case ViewChange():
            return ev.ViewChangeReceived(0, sender, message)
        case NewView():
            return ev.NewViewReceived(0, sender, message)
        case Certificate():
            return ev.CertificateReceived(0, sender, message)
        case PeerStatus():
            return ev.StatusReceived(0, sender, message)
    raise AssertionError(message)


def _short(thing: object) -> str:
    name = type(thing).__name__
    match thing:
        case ev.VoteReceived(_, sender, vote):
            return f"{name}({sender} {vote.phase} h{vote.to_height} v{vote.view} {vote.to_hash.hex()[:4]})"
        case ev.ProposalReceived(_, sender, proposal):
            return (
                f"{name}({sender} h{proposal.prepare.to_height} v{proposal.view} {proposal.prepare.to_hash.hex()[:4]})"
            )
        case ev.ViewChangeReceived(_, sender, change):
            return f"{name}({sender} v{change.vote.view} last{change.vote.from_height} p{len(change.prepared)})"
        case ev.NewViewReceived(_, sender, new_view):
            return f"{name}({sender} v{new_view.view})"
        case ev.StatusReceived(_, sender, status):
            return f"{name}({sender} h{status.head_number} v{status.view})"
        case ev.TimerFired(_, timer) | fx.SetTimer(timer, _) | fx.CancelTimer(timer):
            return f"{name}({timer})"
        case ev.BlockExecuted(_, block_hash) | ev.BlockCommitted(_, _, block_hash):
            return f"{name}({block_hash.hex()[:4]})"
        case ev.BlockRefused(_, block_hash, reason):
            return f"{name}({block_hash.hex()[:4]} {reason})"
        case fx.PersistVote(vote):
            return f"{name}({vote.phase} h{vote.to_height} v{vote.view} {vote.to_hash.hex()[:4]})"
        case fx.Broadcast(message) | fx.Send(_, message):
            return f"{name}({type(message).__name__})"
        case fx.LeaveView(view, reason):
            return f"{name}({view} {reason})"
        case fx.EnterView(view, leader):
            return f"{name}({view} leader {leader})"
        case fx.ReportPeer(member, reason):
            return f"{name}({member} {reason})"
    return name


def running(copy: Copy) -> bool:
    return copy.engine is not None and copy.engine.status().mode is not Mode.HALTED


__all__ = ["Copy", "Disk", "Faults", "OracleCrypto", "OracleRules", "OracleValidators", "PreparedBlock", "World"]
