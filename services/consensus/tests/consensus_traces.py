"""One engine on a desk: events in, effects out, the other members' messages made by hand with oracle signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.codec import prepared_certificates_bytes
from hansa_consensus.core.engine import Engine, EngineConfig, create_engine
from hansa_consensus.core.signer import WatermarkSigner
from hansa_consensus.core.types import (
    Candidate,
    Certificate,
    Head,
    NewView,
    PeerStatus,
    Phase,
    PreparedBlock,
    Proposal,
    Recovered,
    ViewChange,
    Vote,
)
from hansa_sim.oracles import (
    Header,
    OracleCrypto,
    OracleRules,
    OracleValidators,
    block_hash,
    candidate_of,
    genesis_head,
    oracle_aggregate,
    oracle_signature,
    transactions_root,
)

T = TypeVar("T")
GENESIS = genesis_head()
CRYPTO = OracleCrypto(GENESIS.hash)


def block(parent: Candidate | Head, *, proposer: int, nonce: int = 0) -> Candidate:
    """A block on `parent`."""
    header = Header(
        parent.number + 1, parent.hash, 0, proposer, True, transactions_root(b""), bytes(32), nonce
    ).encode()
    return replace(candidate_of(header, block_hash(header)), access_list=b"access")


def vote(signer: int, phase: Phase, on: Candidate, view: int = 0) -> Vote:
    """A signed vote of another member."""
    unsigned = Vote(phase, on.parent_hash, on.number - 1, on.hash, on.number, view, signer)
    return unsigned.signed(oracle_signature(signer, CRYPTO.vote_message(unsigned)))


def certificate(
    phase: Phase, on: Candidate, view: int = 0, signers: Sequence[int] = (0, 1, 2), n: int = 4
) -> Certificate:
    """A valid certificate, as far as the number of signers goes."""
    votes = [vote(signer, phase, on, view) for signer in signers]
    first = votes[0]
    return Certificate(
        phase,
        first.from_hash,
        first.from_height,
        first.to_hash,
        first.to_height,
        view,
        CRYPTO.bitmap_of(signers, n),
        oracle_aggregate([each.signature for each in votes]),
    )


def prepared(on: Candidate, view: int = 0, signers: Sequence[int] = (0, 1, 2)) -> PreparedBlock:
    return PreparedBlock(certificate(Phase.PREPARE, on, view, signers), on.header, on.transaction_hashes)


def proposal(on: Candidate, leader: int, view: int = 0, parent: Certificate | None = None) -> Proposal:
    return Proposal(view, on.header, on.transaction_hashes, b"", vote(leader, Phase.PREPARE, on, view), parent)


def view_change(
    signer: int,
    view: int,
    *,
    last: Candidate | Head = GENESIS,
    last_commit: Certificate | None = None,
    blocks: tuple[PreparedBlock, ...] = (),
) -> ViewChange:
    to_hash = CRYPTO.keccak(prepared_certificates_bytes(blocks))
    unsigned = Vote(Phase.VIEW_CHANGE, last.hash, last.number, to_hash, last.number + 1, view, signer)
    return ViewChange(unsigned.signed(oracle_signature(signer, CRYPTO.vote_message(unsigned))), last_commit, blocks)


def new_view(view: int, *changes: ViewChange) -> NewView:
    return NewView(view, tuple(sorted(changes, key=lambda change: change.vote.signer)))


class Desk:
    """Member `me` of `members`; leader of (height, view) is (height // 64 + view) mod members, so member 0 at first."""

    def __init__(
        self,
        me: int | None = 1,
        members: int = 4,
        *,
        engine: str = "pbft",
        head: Head = GENESIS,
        recovered: Recovered | None = None,
        **settings: Any,
    ) -> None:
        self.me = me
        self.members = members
        self.now = 1_000
        self.asked_heights: list[int] = []
        self.validators = OracleValidators(members)
        self.recovered = recovered or Recovered()

        def validator_set(height: int) -> OracleValidators:
            self.asked_heights.append(height)
            return self.validators

        values = {"block_time_ms": 100, "empty_block_time_ms": 0, "request_timeout_ms": 1_000, **settings}
        config = EngineConfig(
            engine=engine, genesis_hash=GENESIS.hash, self_index=me, validator_set=validator_set, **values
        )
        signer = None
        if me is not None:
            signer = WatermarkSigner(
                sign=lambda message: oracle_signature(me, message),
                message=CRYPTO.vote_message,
                recovered=self.recovered,
            )
        self.engine: Engine = create_engine(
            config, head=head, recovered=self.recovered, signer=signer, crypto=CRYPTO, rules=OracleRules()
        )

    def feed(self, event: ev.Event, after_ms: int = 0) -> list[fx.Effect]:
        """Give one event, `after_ms` after the last one."""
        self.now += after_ms
        return self.engine.handle(replace(event, now_ms=self.now))

    def voting(self, head: Head = GENESIS, view: int = 0) -> list[fx.Effect]:
        """Started, and everybody has told where they are: this member votes from now on."""
        effects = self.feed(ev.Started(0))
        for member in range(self.members):
            if member != self.me:
                effects += self.feed(self.status_of(member, head, view))
        return effects

    def status_of(
        self, member: int, head: Head = GENESIS, view: int = 0, *, seen: tuple[int, int] = (0, 0), answer: bool = False
    ) -> ev.StatusReceived:
        """`seen`: (view, height) of our highest vote that the member claims to know."""
        return ev.StatusReceived(
            0, member, PeerStatus(head.number, head.hash, head.certificate, view, None, answer, seen[1], seen[0])
        )

    def pending(self, count: int = 1) -> list[fx.Effect]:
        return self.feed(ev.PoolChanged(0, count))

    def propose(
        self, on: Candidate, leader: int = 0, view: int = 0, parent: Certificate | None = None
    ) -> list[fx.Effect]:
        return self.feed(ev.ProposalReceived(0, leader, proposal(on, leader, view, parent), self.now))

    def vote(self, signer: int, phase: Phase, on: Candidate, view: int = 0) -> list[fx.Effect]:
        return self.feed(ev.VoteReceived(0, signer, vote(signer, phase, on, view)))

    def executed(self, on: Candidate) -> list[fx.Effect]:
        return self.feed(ev.BlockExecuted(0, on.hash))

    def committed(self, on: Candidate) -> list[fx.Effect]:
        return self.feed(ev.BlockCommitted(0, on.number, on.hash))

    def change(self, change: ViewChange) -> list[fx.Effect]:
        return self.feed(ev.ViewChangeReceived(0, change.vote.signer, change))

    def enter(self, message: NewView, sender: int) -> list[fx.Effect]:
        return self.feed(ev.NewViewReceived(0, sender, message))

    def fire(self, timer: fx.Timer, after_ms: int = 0) -> list[fx.Effect]:
        return self.feed(ev.TimerFired(0, timer), after_ms)

    def decide(self, on: Candidate, view: int = 0) -> list[fx.Effect]:
        """A whole height, decided by others: certificate, execution, commit."""
        effects = self.propose(on, leader=(on.number // 64 + view) % self.members, view=view)
        effects += self.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, on, view, (0, 2, 3))))
        effects += self.executed(on)
        return effects + self.committed(on)


def only(effects: Sequence[fx.Effect], kind: type[T]) -> list[T]:
    """The effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Sequence[fx.Effect], kind: type[T]) -> list[T]:
    """The broadcast messages of one kind, in order."""
    return [effect.message for effect in only(effects, fx.Broadcast) if isinstance(effect.message, kind)]


def votes_sent(effects: Sequence[fx.Effect], phase: Phase) -> list[Vote]:
    return [each for each in sent(effects, Vote) if each.phase is phase]


def timers(effects: Sequence[fx.Effect]) -> dict[fx.Timer, int]:
    """Delay of every timer that is set, by name."""
    return {effect.timer: effect.delay_ms for effect in only(effects, fx.SetTimer)}


def reasons(effects: Sequence[fx.Effect]) -> list[tuple[int, str]]:
    return [(effect.member, effect.reason) for effect in only(effects, fx.ReportPeer)]


A = block(GENESIS, proposer=0, nonce=1)
B = block(GENESIS, proposer=0, nonce=2)
A2 = block(A, proposer=0, nonce=3)


def head_of(on, view: int = 0) -> Head:  # type: ignore[no-untyped-def]
    return Head(on.number, on.hash, on.header, certificate(Phase.COMMIT, on, view))


def accepted(desk: Desk, on=A, leader: int = 0, view: int = 0) -> list[fx.Effect]:  # type: ignore[no-untyped-def]
    """The leader's block, executed: our prepare vote is out."""
    return desk.propose(on, leader, view) + desk.executed(on)


def locked(desk: Desk, on=A, view: int = 0) -> list[fx.Effect]:  # type: ignore[no-untyped-def]
    """As `accepted`, with a quorum of prepare votes: we are locked and have voted to commit."""
    leader = (1 // 64 + view) % 4
    effects = accepted(desk, on, leader, view)
    for signer in [signer for signer in range(4) if signer not in (desk.me, leader)][:1]:
        effects += desk.vote(signer, Phase.PREPARE, on, view)
    return effects


def leave(desk: Desk) -> list[fx.Effect]:
    """Time runs out: the view change for the next view is out."""
    desk.pending()
    effects = desk.fire(fx.Timer.REQUEST, after_ms=1_400)
    assert only(effects, fx.LeaveView)
    return effects
