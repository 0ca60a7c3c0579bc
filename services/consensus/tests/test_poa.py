"""Proof of authority: one signer, a certificate of one; traces."""

from __future__ import annotations

from consensus_traces import CRYPTO, GENESIS, Desk, block, only, reasons, sent, timers, vote
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.engine import Mode
from hansa_consensus.core.poa import PoaEngine
from hansa_consensus.core.types import Certificate, Phase, PreparedBlock, Proposal, Recovered
from hansa_sim.oracles import oracle_signature

A = block(GENESIS, proposer=0, nonce=1)
B = block(GENESIS, proposer=0, nonce=2)


def seal(on=A) -> Certificate:  # type: ignore[no-untyped-def]
    signed = vote(0, Phase.COMMIT, on)
    return Certificate(
        Phase.COMMIT, on.parent_hash, on.number - 1, on.hash, on.number, 0, CRYPTO.bitmap_of([0], 4), signed.signature
    )


def proposal(on=A) -> Proposal:  # type: ignore[no-untyped-def]
    return Proposal(0, on.header, on.transaction_hashes, b"", vote(0, Phase.COMMIT, on), None)


def built(desk: Desk) -> list[fx.Effect]:
    desk.pending()
    (build,) = only(desk.fire(fx.Timer.PROPOSE, after_ms=200), fx.BuildBlock)
    return desk.feed(ev.BlockBuilt(0, build.build_id, A))


def test_block_is_logged_under_the_sync_of_its_only_vote_before_it_is_sent() -> None:
    desk = Desk(me=0, engine="poa")
    desk.voting()
    effects = built(desk)
    kinds = [type(effect) for effect in effects][:4]
    assert kinds == [fx.PersistPrepared, fx.PersistVote, fx.Broadcast, fx.CommitBlock]
    assert only(effects, fx.PersistPrepared)[0].prepared.certificate == seal()
    assert sent(effects, Proposal)[0].prepare == vote(0, Phase.COMMIT, A)


def test_single_member_needs_nobody() -> None:
    desk = Desk(me=0, members=1, engine="poa")
    desk.feed(ev.Started(0))
    assert desk.engine.status().mode is Mode.VOTING


def test_follower_executes_and_commits_what_the_signer_signed() -> None:
    desk = Desk(me=2, engine="poa")
    desk.voting()
    assert desk.engine.status().mode is Mode.FOLLOWING
    effects = desk.feed(ev.ProposalReceived(0, 0, proposal(), 0))
    assert [effect.candidate.hash for effect in only(effects, fx.ExecuteBlock)] == [A.hash]
    (commit,) = only(desk.executed(A), fx.CommitBlock)
    assert commit.certificate == seal()
    desk.committed(A)
    assert desk.engine.status().head == 1


def test_follower_refuses_what_others_or_nobody_signed() -> None:
    desk = Desk(me=2, engine="poa")
    desk.voting()
    assert desk.feed(ev.ProposalReceived(0, 1, proposal(), 0)) == []
    forged = Proposal(0, A.header, A.transaction_hashes, b"", vote(0, Phase.COMMIT, A).signed(bytes(48)), None)
    assert reasons(desk.feed(ev.ProposalReceived(0, 0, forged, 0))) == [(0, "invalid_certificate")]
    other = Certificate(
        Phase.COMMIT,
        A.parent_hash,
        0,
        A.hash,
        1,
        0,
        CRYPTO.bitmap_of([1], 4),
        oracle_signature(1, CRYPTO.vote_message(vote(1, Phase.COMMIT, A))),
    )
    assert reasons(desk.feed(ev.CertificateReceived(0, 1, other))) == [(1, "invalid_certificate")]


def test_p28_restart_sends_the_logged_block_again_and_never_another() -> None:
    block_record = PreparedBlock(seal(), A.header, A.transaction_hashes)
    desk = Desk(me=0, engine="poa", recovered=Recovered(votes=(vote(0, Phase.COMMIT, A),), prepared=(block_record,)))
    effects = desk.voting()
    assert [effect.candidate.hash for effect in only(effects, fx.ExecuteBlock)] == [A.hash]
    assert not only(desk.pending() + desk.fire(fx.Timer.STATUS, after_ms=2_000), fx.BuildBlock)
    assert only(desk.executed(A), fx.CommitBlock)


def test_p28_signer_never_signs_a_second_block_of_a_height() -> None:
    desk = Desk(me=0, engine="poa", recovered=Recovered(votes=(vote(0, Phase.COMMIT, B),)))
    desk.voting()
    effects = built(desk)
    assert not only(effects, fx.PersistVote)
    assert not sent(effects, Proposal)


def test_empty_blocks_follow_their_period() -> None:
    desk = Desk(me=0, engine="poa", empty_block_time_ms=3_000)
    desk.voting()
    assert not only(desk.fire(fx.Timer.PROPOSE, after_ms=2_900), fx.BuildBlock)
    assert only(desk.fire(fx.Timer.PROPOSE, after_ms=100), fx.BuildBlock)


def test_failed_build_is_tried_again_after_the_time_it_names() -> None:
    desk = Desk(me=0, engine="poa")
    desk.voting()
    desk.pending()
    (build,) = only(desk.fire(fx.Timer.PROPOSE, after_ms=200), fx.BuildBlock)
    effects = desk.feed(ev.BuildFailed(0, build.build_id, "too_early", 700))
    assert fx.SetTimer(fx.Timer.PROPOSE, 700) in effects
    assert only(desk.fire(fx.Timer.PROPOSE, after_ms=700), fx.BuildBlock)
    assert isinstance(desk.engine, PoaEngine)


def test_follower_hands_waiting_transactions_to_the_signer_again_and_again() -> None:
    """Found by the simulator: pushed once and lost, they waited for ever on a chain without empty blocks."""
    desk = Desk(me=1, engine="poa")
    desk.voting()
    assert timers(desk.pending())[fx.Timer.FORWARD] == 1_000
    assert only(desk.fire(fx.Timer.FORWARD, after_ms=1_000), fx.ForwardPending) == [fx.ForwardPending(0)]
    assert only(desk.fire(fx.Timer.FORWARD, after_ms=1_000), fx.ForwardPending) == [fx.ForwardPending(0)]
    assert not only(desk.pending(0) + desk.fire(fx.Timer.FORWARD, after_ms=1_000), fx.ForwardPending)
