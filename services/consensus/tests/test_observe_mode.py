"""Rule K4: who may vote after a start, with which log; and the signer's own watermark."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consensus_traces import CRYPTO, GENESIS, Desk, block, certificate, only, sent, view_change, vote, votes_sent
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.engine import Mode, Refusal
from hansa_consensus.core.limits import OBSERVE_HEIGHTS
from hansa_consensus.core.signer import WatermarkSigner
from hansa_consensus.core.types import Candidate, Head, Phase, Recovered, Vote
from hansa_sim.oracles import oracle_signature

A = block(GENESIS, proposer=0, nonce=1)
B = block(GENESIS, proposer=0, nonce=2)


def chain(length: int) -> list[Candidate]:
    blocks = [A]
    while len(blocks) < length:
        blocks.append(block(blocks[-1], proposer=0))
    return blocks


def head_of(on: Candidate) -> Head:
    return Head(on.number, on.hash, on.header, certificate(Phase.COMMIT, on, signers=(0, 2, 3)))


def mode(desk: Desk) -> Mode:
    return desk.engine.status().mode


def test_nothing_is_voted_before_a_quorum_has_answered() -> None:
    desk = Desk(recovered=Recovered(votes=(vote(1, Phase.PREPARE, B),), released_height=0))
    desk.feed(ev.Started(0))
    desk.feed(desk.status_of(0))
    assert mode(desk) is Mode.STARTING
    assert not sent(desk.propose(A) + desk.executed(A), Vote)
    desk.feed(desk.status_of(2))
    assert mode(desk) is Mode.VOTING, "two others and ourselves are a quorum of four"


def test_k4_empty_log_on_a_new_chain_is_exempt_when_all_asked_say_so() -> None:
    desk = Desk()
    desk.feed(ev.Started(0))
    desk.feed(desk.status_of(0))
    desk.feed(desk.status_of(2))
    assert mode(desk) is Mode.STARTING, "min(q, n - 1) = 3 others are asked"
    effects = desk.feed(desk.status_of(3))
    assert mode(desk) is Mode.VOTING
    assert only(effects, fx.PersistReleased) == [fx.PersistReleased(0)]


def test_k4_empty_log_observes_when_one_has_seen_a_vote_by_this_key() -> None:
    desk = Desk()
    desk.feed(ev.Started(0))
    desk.feed(desk.status_of(0))
    desk.feed(desk.status_of(2, seen=(0, 1)))
    desk.feed(desk.status_of(3))
    assert mode(desk) is Mode.OBSERVING


def test_k4_wiped_member_watches_some_heights_and_then_votes() -> None:
    blocks = chain(12)
    desk = Desk()
    desk.feed(ev.Started(0))
    for member in (0, 2, 3):
        desk.feed(desk.status_of(member, head_of(blocks[3])))
    assert mode(desk) is Mode.OBSERVING
    effects: list[fx.Effect] = []
    for on in blocks[: 4 + OBSERVE_HEIGHTS - 1]:
        effects += desk.decide(on)
        assert mode(desk) is Mode.OBSERVING
    assert not sent(effects, Vote)
    effects = desk.decide(blocks[4 + OBSERVE_HEIGHTS - 1])
    assert mode(desk) is Mode.VOTING
    assert only(effects, fx.PersistReleased) == [fx.PersistReleased(4 + OBSERVE_HEIGHTS)]
    following = blocks[4 + OBSERVE_HEIGHTS]
    assert votes_sent(desk.propose(following) + desk.executed(following), Phase.PREPARE)


def test_k4_operator_may_release_a_member() -> None:
    desk = Desk()
    desk.feed(ev.Started(0))
    effects = desk.feed(ev.VotingReleased(0))
    assert mode(desk) is Mode.VOTING
    assert only(effects, fx.PersistReleased) == [fx.PersistReleased(OBSERVE_HEIGHTS)]


def test_k4_certificate_with_our_bit_above_our_watermark_proves_an_old_log() -> None:
    blocks = chain(3)
    desk = Desk(recovered=Recovered(votes=(vote(1, Phase.COMMIT, blocks[0]),), released_height=0))
    desk.voting()
    assert mode(desk) is Mode.VOTING
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, blocks[1], signers=(0, 1, 2))))
    assert mode(desk) is Mode.OBSERVING


def test_k4_certificate_with_our_own_last_vote_proves_nothing() -> None:
    blocks = chain(3)
    desk = Desk(recovered=Recovered(votes=(vote(1, Phase.COMMIT, blocks[1]),), released_height=0))
    desk.voting()
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, blocks[1], signers=(0, 1, 2))))
    assert mode(desk) is Mode.VOTING


def test_k4_one_liar_silences_nobody_but_f_plus_1_members_do() -> None:
    recovered = Recovered(votes=(vote(1, Phase.PREPARE, A),), released_height=0)
    desk = Desk(recovered=recovered)
    desk.feed(ev.Started(0))
    desk.feed(desk.status_of(0, seen=(1 << 40, 1 << 40)))
    desk.feed(desk.status_of(2))
    desk.feed(desk.status_of(3))
    assert mode(desk) is Mode.VOTING
    desk.feed(desk.status_of(2, seen=(0, 9)))
    assert mode(desk) is Mode.OBSERVING


def test_k4_no_vote_below_the_view_that_others_have_seen_us_in() -> None:
    blocks = chain(20)
    desk = Desk()
    desk.feed(ev.Started(0))
    for member in (0, 2, 3):
        desk.feed(desk.status_of(member, head_of(blocks[0]), seen=(4, 2)))
    for on in blocks[: 1 + OBSERVE_HEIGHTS]:
        desk.decide(on)
    assert mode(desk) is Mode.VOTING
    following = blocks[1 + OBSERVE_HEIGHTS]
    assert not sent(desk.propose(following) + desk.executed(following), Vote)


# --- the signer ---------------------------------------------------------------------------------------------------------


def signer(recovered: Recovered | None = None) -> WatermarkSigner:
    return WatermarkSigner(
        sign=lambda message: oracle_signature(1, message),
        message=CRYPTO.vote_message,
        recovered=recovered or Recovered(),
    )


def unsigned(phase: Phase, on: Candidate, view: int) -> Vote:
    return replace(vote(1, phase, on, view), signature=b"")


def test_k3_signer_gives_the_identical_bytes_again() -> None:
    keys = signer()
    first = keys.may_sign(unsigned(Phase.PREPARE, A, 0))
    assert first == vote(1, Phase.PREPARE, A).signature
    assert keys.may_sign(unsigned(Phase.PREPARE, A, 0)) == first


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.COMMIT])
def test_k3_signer_refuses_another_block_in_the_same_view(phase: Phase) -> None:
    keys = signer()
    keys.may_sign(unsigned(phase, A, 3))
    assert keys.may_sign(unsigned(phase, B, 3)) == Refusal("behind_watermark")
    assert keys.may_sign(unsigned(phase, B, 2)) == Refusal("behind_watermark")
    assert isinstance(keys.may_sign(unsigned(phase, B, 4)), bytes)


def test_k3_phases_have_watermarks_of_their_own() -> None:
    keys = signer()
    keys.may_sign(unsigned(Phase.PREPARE, A, 3))
    assert isinstance(keys.may_sign(unsigned(Phase.COMMIT, A, 3)), bytes)


def test_k4_signer_refuses_views_below_its_last_view_change_also_after_a_restart() -> None:
    keys = signer()
    change = view_change(1, 5)
    assert keys.may_sign(replace(change.vote, signature=b"")) == change.vote.signature
    for again in (keys, signer(Recovered(view_change=change)), signer(Recovered(votes=(change.vote,)))):
        assert again.may_sign(unsigned(Phase.PREPARE, A, 4)) == Refusal("view_left")
        assert isinstance(again.may_sign(unsigned(Phase.PREPARE, A, 5)), bytes)


def test_k4_signer_signs_a_view_change_anew_only_for_a_higher_last_block() -> None:
    keys = signer()
    keys.may_sign(replace(view_change(1, 5).vote, signature=b""))
    other = replace(view_change(1, 5).vote, signature=b"", to_hash=bytes(32))
    assert keys.may_sign(other) == Refusal("behind_watermark")
    risen = replace(view_change(1, 5, last=A).vote, signature=b"")
    assert isinstance(keys.may_sign(risen), bytes)


def test_k4_recovered_votes_are_the_watermark() -> None:
    keys = signer(Recovered(votes=(vote(1, Phase.PREPARE, A, 2), vote(1, Phase.COMMIT, A, 2))))
    assert keys.may_sign(unsigned(Phase.PREPARE, B, 2)) == Refusal("behind_watermark")
    assert keys.may_sign(unsigned(Phase.COMMIT, A, 2)) == vote(1, Phase.COMMIT, A, 2).signature


def test_k3_signer_knows_no_other_levels() -> None:
    assert signer().may_sign(replace(unsigned(Phase.COMMIT, A, 0), level=1)) == Refusal("level_unknown")
