"""One engine against arbitrary events: it never raises, signs nothing twice, and keeps its maps within their bounds."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from consensus_traces import GENESIS, Desk, block, certificate, new_view, prepared, view_change, vote
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.limits import (
    CANDIDATES_PER_HEIGHT_MAX,
    CERTIFICATES_AHEAD_MAX,
    HEIGHTS_AHEAD_MAX,
    PROPOSALS_STASHED_MAX,
    SYNC_BLOCKS_MAX,
)
from hansa_consensus.core.pbft import PbftEngine
from hansa_consensus.core.types import (
    Candidate,
    Certificate,
    Head,
    PeerStatus,
    Phase,
    Proposal,
    SyncBlock,
    ViewChange,
    Vote,
)

VIEWS = (0, 0, 0, 1, 1, 2, 3, 7, (1 << 64) - 1)


class Fuzz:
    """Draws events from a small tree of blocks, so that many of them fit together."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.blocks: list[Candidate] = [block(GENESIS, proposer=nonce % 4, nonce=nonce) for nonce in range(4)]
        for _ in range(12):
            parent = self.random.choice(self.blocks)
            self.blocks.append(block(parent, proposer=self.random.randrange(4), nonce=self.random.randrange(99)))
        # Agreement may not be broken by more than f members: only blocks of one line ever get commit certificates.
        self.line = [self.blocks[0]]
        for each in self.blocks:
            if each.parent_hash == self.line[-1].hash:
                self.line.append(each)

    def built(self, effect: fx.BuildBlock) -> Candidate:
        parent = next((each for each in self.blocks if each.hash == effect.parent_hash), GENESIS)
        made = block(parent, proposer=effect.proposer, nonce=self.random.randrange(1 << 20))
        self.blocks.append(made)
        return made

    def member(self) -> int:
        return self.random.choice((0, 1, 2, 3, 3, 2, 0, 9))

    def signers(self) -> tuple[int, ...]:
        # Without us (1): a certificate with our bit that we did not sign proves another log.
        return self.random.choice(((0, 2, 3), (0, 2, 3), (0, 2), (3,)))

    def certificate(self) -> Certificate:
        made = certificate(
            Phase.COMMIT, self.random.choice(self.line), self.random.choice((0, 0, 0, 1)), self.signers()
        )
        return self.spoil(made)

    def spoil(self, made: Certificate) -> Certificate:
        if self.random.random() < 0.85:
            return made
        change = self.random.choice(
            (
                {"signers": b""},
                {"signers": b"\xff"},
                {"signature": b""},
                {"to_hash": b"short"},
                {"to_height": (1 << 64) - 1, "from_height": (1 << 64) - 2},
                {"to_height": -1},
                {"phase": Phase.PREPARE},
                {"level": 3},
            )
        )
        return replace(made, **change)

    def vote(self, signer: int) -> Vote:
        phase = self.random.choice((Phase.PREPARE, Phase.PREPARE, Phase.COMMIT, Phase.VIEW_CHANGE))
        on = self.random.choice(self.line if phase is Phase.COMMIT else self.blocks)
        made = vote(signer % 4, phase, on, self.random.choice(VIEWS))
        roll = self.random.random()
        if roll < 0.05:
            return replace(made, signer=signer)
        if roll < 0.1:
            return replace(made, signature=self.random.choice((b"", bytes(48))))
        if roll < 0.13:
            return replace(made, from_hash=b"", to_height=0)
        return made

    def change(self, signer: int) -> ViewChange:
        lasts: list[Candidate | Head] = [GENESIS, *self.line]
        last = self.random.choice(lasts)
        blocks = tuple(
            prepared(each, self.random.choice((0, 0, 1, 2)), (0, 2, 3))
            for each in self.random.choices(self.blocks, k=self.random.choice((0, 0, 1, 1, 2)))
        )
        commit = None if last is GENESIS else certificate(Phase.COMMIT, self.line[last.number - 1], 0, (0, 2, 3))
        made = view_change(
            signer % 4, self.random.choice((1, 1, 1, 2, 2, 3, 4, 5)), last=last, last_commit=commit, blocks=blocks
        )
        if self.random.random() < 0.1:
            made = replace(made, last_commit=self.spoil(certificate(Phase.COMMIT, self.blocks[0], 0, (0, 2, 3))))
        return made

    def event(self) -> ev.Event:
        sender = self.member()
        wall = 0
        match self.random.randrange(15):
            case 0 | 1:
                on, view = self.random.choice(self.blocks), self.random.choice(VIEWS)
                leader = (on.number // 64 + view) % 4 if self.random.random() < 0.9 else sender % 4
                made = Proposal(
                    view, on.header, on.transaction_hashes, b"", vote(leader, Phase.PREPARE, on, view), None
                )
                if self.random.random() < 0.1:
                    made = replace(made, header=b"junk", parent_certificate=self.certificate())
                return ev.ProposalReceived(0, leader, made, wall)
            case 2 | 3 | 4:
                return ev.VoteReceived(0, sender, self.vote(sender))
            case 5:
                return ev.ViewChangeReceived(0, sender, self.change(sender))
            case 6:
                changes = [self.change(signer) for signer in self.random.choice(((0, 2, 3), (0, 2), (0, 0, 2)))]
                made_view = changes[0].vote.view
                if self.random.random() < 0.8:
                    changes = [view_change(change.vote.signer, made_view) for change in changes]
                return ev.NewViewReceived(0, sender, new_view(made_view, *changes))
            case 7:
                return ev.CertificateReceived(0, sender, self.certificate())
            case 8:
                made_certificate = self.certificate()
                status = PeerStatus(
                    made_certificate.to_height, made_certificate.to_hash, made_certificate, 0, None, True
                )
                return ev.StatusReceived(0, sender, status)
            case 9:
                blocks = tuple(
                    SyncBlock(each.header, b"bodies", self.spoil(certificate(Phase.COMMIT, each, 0, (0, 2, 3))))
                    for each in self.line
                )
                return ev.BlocksReceived(0, sender % 4, self.random.randrange(6), blocks)
            case 10:
                return ev.PoolChanged(0, self.random.randrange(3))
            case 11:
                return ev.BlockBuilt(0, self.random.randrange(5), self.random.choice(self.blocks))
            case 12:
                return ev.BlockExecuted(0, self.random.choice(self.blocks).hash)
            case 13:
                fault = self.random.choice((ev.Fault.BODIES, ev.Fault.OURS))
                return ev.BlockRefused(0, self.random.choice(self.blocks).hash, "reason", fault)
        return ev.TimerFired(0, self.random.choice(list(fx.Timer)))


@pytest.mark.parametrize("seed", range(25))
def test_arbitrary_events_do_no_harm(seed: int) -> None:
    fuzz = Fuzz(seed)
    desk = Desk()
    desk.voting()
    engine = desk.engine
    assert isinstance(engine, PbftEngine)
    signed: dict[tuple[Phase, int, int], bytes] = {}
    left = 0
    for _ in range(500):
        waiting = [fuzz.event()]
        while waiting:
            for effect in desk.feed(waiting.pop(), after_ms=fuzz.random.choice((0, 0, 1, 50, 400))):
                match effect:
                    case fx.PersistVote(made):
                        assert made.view >= left, "P7"
                        _once(signed, made)
                    case fx.PersistViewChange(change):
                        left = change.vote.view
                    case fx.CommitBlock(candidate) if fuzz.random.random() < 0.9:
                        waiting.append(ev.BlockCommitted(0, candidate.number, candidate.hash))
                    case fx.ExecuteBlock(candidate) if fuzz.random.random() < 0.8:
                        waiting.append(ev.BlockExecuted(0, candidate.hash))
                    case fx.BuildBlock(build_id=build_id) if fuzz.random.random() < 0.8:
                        waiting.append(ev.BlockBuilt(0, build_id, fuzz.built(effect)))
        assert len(engine.chain.candidates) <= CANDIDATES_PER_HEIGHT_MAX
        assert len(engine.chain.certificates) <= CERTIFICATES_AHEAD_MAX
        assert len(engine.votes.slots) <= 2 * HEIGHTS_AHEAD_MAX
        assert len(engine._stash) <= PROPOSALS_STASHED_MAX
        assert len(engine.changes.latest) <= 4
        assert len(engine.catchup.queue) <= SYNC_BLOCKS_MAX
        assert engine.target >= engine.view


def _once(signed: dict[tuple[Phase, int, int], bytes], made: Vote) -> None:
    key = (made.phase, made.to_height, made.view)
    assert signed.setdefault(key, made.to_hash) == made.to_hash, f"signed twice: {key}"
