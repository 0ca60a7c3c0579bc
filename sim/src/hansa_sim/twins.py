"""Twins (Bano et al.): members that run twice with one key, all partitions and all leaders, view by view.

A scenario fixes for each view who leads and which copies hear each other. Messages of a view cross its partition only;
others are dropped or, in the other mode, delivered at the end of the next view. That alone gives equivocation, double
votes and amnesia: every copy is an honest engine, and twins share no disk. A leader makes one new block per view and is
silent then, so every view ends by a view change, and the certificate of one height meets view changes at the next. Where
a partition leaves nobody with a quorum, the next one takes its place and view changes are sent again.

Smallest case, enumerated: 4 members, one of them twice, 3 views, the 5 copies in two sets (15 ways), 4 leaders: 60 per
view, 216,000 in all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Final

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.engine import Engine, EngineConfig, create_engine
from hansa_consensus.core.signer import WatermarkSigner
from hansa_consensus.core.types import (
    Certificate,
    Message,
    NewView,
    PeerStatus,
    Phase,
    Proposal,
    Recovered,
    SyncBlock,
    ViewChange,
    Vote,
)

from .node import Chain
from .oracles import (
    Header,
    Keys,
    OracleRules,
    candidate_of,
    decode_header,
    genesis_head,
    oracle_keys,
    state_root,
    transactions_root,
)

VIEWS: Final = 3
TIMEOUT_MS: Final = 1_000
END_MS: Final = 60_000
"""Four views fail within 15 s; after this long nothing happens any more."""
STEPS_MAX: Final = 5_000
PER_VIEW: Final = 60
SCENARIOS: Final = PER_VIEW**VIEWS
SHARD: Final = PER_VIEW**2
_TIMERS: Final = frozenset({fx.Timer.REQUEST, fx.Timer.PROPOSE, fx.Timer.SYNC, fx.Timer.RETRY})
"""Those that matter between views; that for repeating view changes runs when nothing else does."""

_GENESIS: Final = genesis_head()
_NOTHING: Final = transactions_root(b"")


class TwinsViolation(Exception):
    """Agreement is broken."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Per view: its leader, and the set that each copy is in."""

    members: int
    copies: tuple[int, ...]  # the member that each copy is
    leaders: tuple[int, ...]
    partitions: tuple[tuple[int, ...], ...]
    late: bool  # messages over a partition come at the end of the next view; else never


def scenario(index: int, *, late: bool) -> Scenario:
    """Number `index` of the 216,000."""
    assert 0 <= index < SCENARIOS
    choices = []
    for _ in range(VIEWS):
        index, choice = divmod(index, PER_VIEW)
        choices.append(choice)
    choices.reverse()
    return Scenario(
        members=4,
        copies=(0, 1, 2, 3, 0),
        leaders=tuple(choice % 4 for choice in choices),
        partitions=tuple(_two_sets(choice // 4 + 1) for choice in choices),
        late=late,
    )


def _two_sets(bits: int) -> tuple[int, ...]:
    """Partitions of five into two sets, of which none is empty: 1 to 15, the first copy always in set 0."""
    return (0, *(bits >> at & 1 for at in range(4)))


def sampled(seed: int) -> Scenario:
    """Seven members, two of them twice, four views, up to three sets."""
    draw = Random(f"twins {seed}")
    return Scenario(
        members=7,
        copies=(0, 1, 2, 3, 4, 5, 6, 0, 1),
        leaders=tuple(draw.randrange(7) for _ in range(4)),
        partitions=tuple(tuple(draw.randrange(3) for _ in range(9)) for _ in range(4)),
        late=draw.random() < 0.5,
    )


@lru_cache(maxsize=4)
def _keys(members: int) -> Keys:
    return oracle_keys(members, _GENESIS.hash)


class _Copy:
    """An engine, what it has committed, and its timers."""

    def __init__(self, index: int, member: int, engine: Engine) -> None:
        self.index = index
        self.member = member
        self.engine = engine
        self.chain = Chain(_GENESIS)
        self.timers: dict[fx.Timer, int] = {}
        self.view = 0  # the highest it has voted for or entered
        self.built_in = -1  # view of its last new block
        self.resends = False


class Run:
    """One scenario, from beginning to end."""

    def __init__(self, what: Scenario) -> None:
        self.what = what
        self.keys = _keys(what.members)
        self.quorum = self.keys.crypto.quorum(what.members)
        self.twins = {member for member in what.copies if what.copies.count(member) > 1}
        self.now = 0
        self.nonce = 0
        self.queue: deque[tuple[_Copy, ev.Event]] = deque()
        self.held: list[tuple[int, _Copy, int, Message]] = []  # (view, receiver, sender, message)
        self.certified: dict[int, bytes] = {}
        self.tally: dict[tuple[int, int, bytes], int] = {}
        self.signed: dict[tuple[int, Phase, int, int], bytes] = {}
        self.shift = 0  # partitions that were of no use to anybody and have been passed over
        self.events = 0
        self.hash = blake2b(digest_size=16)
        self.copies = [_Copy(index, member, self._engine(member)) for index, member in enumerate(what.copies)]

    def _engine(self, member: int) -> Engine:
        keys, leaders = self.keys, self.what.leaders
        config = EngineConfig(
            engine="pbft",
            genesis_hash=_GENESIS.hash,
            self_index=member,
            validator_set=lambda height: keys.validators,
            block_time_ms=0,
            empty_block_time_ms=0,
            request_timeout_ms=TIMEOUT_MS,
            leaders=lambda height, view: leaders[view] if view < len(leaders) else view % self.what.members,
        )
        recovered = Recovered()
        signer = WatermarkSigner(
            sign=lambda message: keys.sign(member, message), message=keys.crypto.vote_message, recovered=recovered
        )
        return create_engine(
            config, head=_GENESIS, recovered=recovered, signer=signer, crypto=keys.crypto, rules=OracleRules()
        )

    def run(self) -> None:
        """Raises `TwinsViolation`."""
        for copy in self.copies:
            copy.engine.handle(ev.Started(0))  # what it tells the others at a start is dropped
            copy.engine.handle(ev.VotingReleased(0))
            self.queue.append((copy, ev.PoolChanged(0, 1)))
        views = len(self.what.leaders)
        while True:
            self._drain()
            if all(copy.view >= views for copy in self.copies):
                break
            due = min(
                ((at, copy.index, timer) for copy in self.copies for timer, at in copy.timers.items()), default=None
            )
            if self.events > STEPS_MAX or (due is not None and due[0] > END_MS):
                break
            if due is None:
                if max(copy.view for copy in self.copies) + self.shift >= views:
                    break
                self._next_partition()
                continue
            self.now, index, timer = due[0], due[1], due[2]
            del self.copies[index].timers[timer]
            self._handle(self.copies[index], ev.TimerFired(self.now, timer))
        self._release(views)
        self._drain()

    def _next_partition(self) -> None:
        self.shift += 1
        self._release(max(copy.view for copy in self.copies) + self.shift)
        for copy in self.copies:
            if copy.resends:
                copy.resends = False
                self._handle(copy, ev.TimerFired(self.now, fx.Timer.RESEND))

    def _drain(self) -> None:
        while self.queue:
            copy, event = self.queue.popleft()
            self._handle(copy, event)

    def _handle(self, copy: _Copy, event: ev.Event) -> None:
        self.events += 1
        for effect in copy.engine.handle(event):
            perform = _PERFORM.get(type(effect))
            if perform is not None:
                perform(self, copy, effect)

    # --- effects ------------------------------------------------------------------------------------------------------

    def broadcast(self, copy: _Copy, effect: fx.Broadcast) -> None:
        """To every copy of every other member."""
        self._sent(copy, effect.message)
        for other in self.copies:
            if other.member != copy.member:
                self._route(copy, other, effect.message)

    def send(self, copy: _Copy, effect: fx.Send) -> None:
        """To every copy of one."""
        for other in self.copies:
            if other.member == effect.member:
                self._route(copy, other, effect.message)

    def _route(self, sender: _Copy, receiver: _Copy, message: Message) -> None:
        view = _view_of(message, sender.view) + self.shift
        partitions = self.what.partitions
        if view >= len(partitions) or partitions[view][sender.index] == partitions[view][receiver.index]:
            self.queue.append((receiver, self._event(sender.member, message)))
        elif self.what.late:
            self.held.append((view, receiver, sender.member, message))

    def _event(self, sender: int, message: Message) -> ev.Event:
        match message:
            case Vote():
                return ev.VoteReceived(self.now, sender, message)
            case Proposal():
                return ev.ProposalReceived(self.now, sender, message, self.now)
            case ViewChange():
                return ev.ViewChangeReceived(self.now, sender, message)
            case NewView():
                return ev.NewViewReceived(self.now, sender, message)
            case Certificate():
                return ev.CertificateReceived(self.now, sender, message)
        return ev.StatusReceived(self.now, sender, message)

    def _release(self, view: int) -> None:
        """Somebody leaves view - 1, or is past it: what the views before it held back comes now."""
        ready = [item for item in self.held if item[0] + 2 <= view]
        if ready:
            self.held = [item for item in self.held if item[0] + 2 > view]
            for _, receiver, sender, message in ready:
                self.queue.append((receiver, self._event(sender, message)))

    def left(self, copy: _Copy, effect: fx.LeaveView) -> None:
        """A view change."""
        copy.view = max(copy.view, effect.view)
        self._release(effect.view)

    def entered(self, copy: _Copy, effect: fx.EnterView) -> None:
        """A new view."""
        copy.view = max(copy.view, effect.view)

    def set_timer(self, copy: _Copy, effect: fx.SetTimer) -> None:
        """Only those that matter between views."""
        if effect.timer is fx.Timer.RESEND:
            copy.resends = True
        elif effect.timer in _TIMERS:
            copy.timers[effect.timer] = self.now + effect.delay_ms

    def cancel_timer(self, copy: _Copy, effect: fx.CancelTimer) -> None:
        """Disarm."""
        if effect.timer is fx.Timer.RESEND:
            copy.resends = False
        copy.timers.pop(effect.timer, None)

    def build(self, copy: _Copy, effect: fx.BuildBlock) -> None:
        """At once, once per view."""
        if copy.built_in >= effect.view:
            return
        copy.built_in = effect.view
        self.nonce += 1
        header = Header(
            effect.height, effect.parent_hash, 0, effect.proposer, True, _NOTHING,
            state_root(copy.chain.roots[-1], _NOTHING), self.nonce,
        )  # fmt: skip
        self.queue.append((copy, ev.BlockBuilt(self.now, effect.build_id, candidate_of(header.encode(), b""))))

    def execute(self, copy: _Copy, effect: fx.ExecuteBlock) -> None:
        """At once; blocks are empty, so bodies are never missing."""
        root = state_root(copy.chain.roots[-1], _NOTHING)
        assert decode_header(effect.candidate.header).state_root == root, "all copies are honest"
        self.queue.append((copy, ev.BlockExecuted(self.now, effect.candidate.hash)))

    def commit(self, copy: _Copy, effect: fx.CommitBlock) -> None:
        """At once."""
        candidate = effect.candidate
        self._decided(candidate.number, candidate.hash)
        copy.chain.append(candidate, effect.certificate, b"")
        self.hash.update(b"%d %d" % (copy.index, candidate.number) + candidate.hash)
        self.queue.append((copy, ev.BlockCommitted(self.now, candidate.number, candidate.hash)))

    def request(self, copy: _Copy, effect: fx.RequestBlocks) -> None:
        """Answered by copies on the same side."""
        for other in self.copies:
            view = max(copy.view, other.view) + self.shift
            sides = self.what.partitions[view] if view < len(self.what.partitions) else None
            if other.member == effect.member and (sides is None or sides[copy.index] == sides[other.index]):
                blocks = other.chain.blocks[effect.from_height - 1 : effect.from_height - 1 + effect.count]
                answer = tuple(SyncBlock(block.header, b"", certificate) for block, certificate, _ in blocks)
                self.queue.append((copy, ev.BlocksReceived(self.now, effect.member, effect.request_id, answer)))
                return

    def halted(self, copy: _Copy, effect: fx.HaltVoting) -> None:
        """Two certificates, or a certified block that is wrong."""
        raise TwinsViolation(f"copy {copy.index} halts: {effect.reason}")

    # --- checks -------------------------------------------------------------------------------------------------------

    def _sent(self, copy: _Copy, message: Message) -> None:
        vote = message if type(message) is Vote else message.prepare if type(message) is Proposal else None
        if vote is None:
            return
        self.hash.update(b"%d %d" % (copy.index, vote.view) + vote.to_hash)
        if copy.member not in self.twins:
            key = (vote.signer, vote.phase, vote.to_height, vote.view)
            if self.signed.setdefault(key, vote.to_hash) != vote.to_hash:
                raise TwinsViolation(f"copy {copy.index} signs twice: {key}")
        if vote.phase is Phase.COMMIT:
            at = (vote.to_height, vote.view, vote.to_hash)
            bits = self.tally[at] = self.tally.get(at, 0) | 1 << vote.signer
            if bits.bit_count() >= self.quorum:
                self._decided(vote.to_height, vote.to_hash)

    def _decided(self, height: int, block: bytes) -> None:
        if self.certified.setdefault(height, block) != block:
            raise TwinsViolation(f"S1: two blocks can be certified at height {height}")


def _view_of(message: Message, sender_view: int) -> int:
    match message:
        case Vote(view=view) | Proposal(view=view) | NewView(view=view) | ViewChange(vote=Vote(view=view)):
            return view
        case Certificate() | PeerStatus():
            return sender_view
    return sender_view


_PERFORM: Final[dict[type, Callable[..., None]]] = {
    fx.Broadcast: Run.broadcast,
    fx.Send: Run.send,
    fx.SetTimer: Run.set_timer,
    fx.CancelTimer: Run.cancel_timer,
    fx.BuildBlock: Run.build,
    fx.ExecuteBlock: Run.execute,
    fx.CommitBlock: Run.commit,
    fx.RequestBlocks: Run.request,
    fx.LeaveView: Run.left,
    fx.EnterView: Run.entered,
    fx.HaltVoting: Run.halted,
}


@dataclass
class Part:
    """What some scenarios gave."""

    scenarios: int = 0
    events: int = 0
    decided: int = 0  # scenarios in which at least one block was committed
    violations: list[tuple[str, str]] | None = None
    trace_hash: str = ""


def run_part(job: tuple[str, int, int]) -> Part:
    """(mode, first, last + 1): "drop" and "late" enumerate, "sample" draws."""
    mode, first, end = job
    part = Part(violations=[])
    trace = blake2b(digest_size=16)
    for index in range(first, end):
        run = Run(sampled(index) if mode == "sample" else scenario(index, late=mode == "late"))
        try:
            run.run()
        except TwinsViolation as violation:
            assert part.violations is not None
            part.violations.append((f"{mode} {index}", str(violation)))
        part.scenarios += 1
        part.events += run.events
        part.decided += bool(run.certified)
        trace.update(run.hash.digest())
    part.trace_hash = trace.hexdigest()
    return part
