"""Rules of what others hand over, evidence (P24, P26) and restarts as traces: events in, effects out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consensus_traces import (
    A2,
    GENESIS,
    A,
    B,
    Desk,
    accepted,
    certificate,
    locked,
    new_view,
    only,
    prepared,
    reasons,
    sent,
    view_change,
    vote,
    votes_sent,
)
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.limits import (
    SYNC_DEADLINE_MS,
    SYNC_PAUSE_MS,
)
from hansa_consensus.core.types import (
    PeerStatus,
    Phase,
    Proposal,
    Recovered,
    SyncBlock,
    Vote,
)
from hansa_sim.oracles import oracle_signature

# --- P24, P26


def behind(desk: Desk) -> fx.RequestBlocks:
    """Two blocks are certified that we know nothing of; the first request for them."""
    desk.voting()
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A2)))
    (request,) = only(desk.fire(fx.Timer.SYNC, after_ms=SYNC_PAUSE_MS), fx.RequestBlocks)
    return request


def test_p24_blocks_are_committed_one_after_the_other() -> None:
    desk = Desk()
    request = behind(desk)
    assert (request.member, request.from_height, request.count) == (2, 1, 2)
    blocks = tuple(SyncBlock(on.header, b"bodies", certificate(Phase.COMMIT, on)) for on in (A, A2))
    effects = desk.feed(ev.BlocksReceived(0, 2, request.request_id, blocks))
    (execute,) = only(effects, fx.ExecuteBlock)
    assert (execute.candidate.hash, execute.transactions) == (A.hash, b"bodies")
    assert only(desk.executed(A), fx.CommitBlock)
    assert [effect.candidate.hash for effect in only(desk.committed(A), fx.ExecuteBlock)] == [A2.hash]
    assert only(desk.executed(A2), fx.CommitBlock)
    desk.committed(A2)
    assert not desk.engine.status().syncing


def test_p24_silent_peer_is_replaced_by_another() -> None:
    desk = Desk()
    request = behind(desk)
    desk.feed(ev.CertificateReceived(0, 3, certificate(Phase.COMMIT, A2)))
    effects = desk.fire(fx.Timer.SYNC, after_ms=SYNC_DEADLINE_MS)
    assert reasons(effects) == [(request.member, "blocks_not_sent")]
    assert only(effects, fx.RequestBlocks)[0].member == 3


@pytest.mark.parametrize(
    "bad",
    [
        SyncBlock(B.header, b"", certificate(Phase.COMMIT, A)),
        SyncBlock(A2.header, b"", certificate(Phase.COMMIT, A2)),
        SyncBlock(A.header, b"", certificate(Phase.COMMIT, A, signers=(0, 2))),
        SyncBlock(A.header, b"", certificate(Phase.PREPARE, A)),
        SyncBlock(A.header, b"", replace(certificate(Phase.COMMIT, A), signature=bytes(48))),
        SyncBlock(b"junk", b"", certificate(Phase.COMMIT, A)),
    ],
)
def test_p24_what_a_peer_hands_over_is_checked(bad: SyncBlock) -> None:
    desk = Desk()
    request = behind(desk)
    effects = desk.feed(ev.BlocksReceived(0, request.member, request.request_id, (bad,)))
    assert reasons(effects) == [(request.member, "invalid_sync_block")]
    assert not only(effects, fx.ExecuteBlock)


def test_p24_wrong_bodies_are_blamed_on_the_peer_and_fetched_from_another() -> None:
    desk = Desk()
    request = behind(desk)
    desk.feed(ev.CertificateReceived(0, 3, certificate(Phase.COMMIT, A2)))
    bad = SyncBlock(A.header, b"other", certificate(Phase.COMMIT, A))
    desk.feed(ev.BlocksReceived(0, 2, request.request_id, (bad,)))
    effects = desk.feed(ev.BlockRefused(0, A.hash, "transactions_root_differs", ev.Fault.BODIES))
    assert reasons(effects) == [(2, "invalid_sync_bodies")]
    assert only(desk.fire(fx.Timer.SYNC, after_ms=1_000), fx.RequestBlocks)[0].member == 3


def test_p24_answer_to_another_request_is_ignored() -> None:
    desk = Desk()
    request = behind(desk)
    good = SyncBlock(A.header, b"bodies", certificate(Phase.COMMIT, A))
    assert not only(desk.feed(ev.BlocksReceived(0, 3, request.request_id, (good,))), fx.ExecuteBlock)
    assert not only(desk.feed(ev.BlocksReceived(0, 2, request.request_id + 1, (good,))), fx.ExecuteBlock)


def test_p24_claimed_heights_count_only_with_a_valid_certificate_and_never_sink() -> None:
    desk = Desk()
    desk.voting()
    empty = PeerStatus(1 << 63, bytes(32), certificate(Phase.COMMIT, A), 0, None, False)
    assert reasons(desk.feed(ev.StatusReceived(0, 2, empty))) == [(2, "status_contradicts_certificate")]
    assert desk.engine.status().highest_known == 0
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A2)))
    desk.feed(desk.status_of(2, GENESIS))
    assert desk.engine.status().peer_heads[2] == 2


def test_p26_two_signed_votes_are_evidence_once() -> None:
    desk = Desk()
    desk.voting()
    desk.vote(3, Phase.PREPARE, A)
    effects = desk.vote(3, Phase.PREPARE, B)
    assert only(effects, fx.ReportEvidence) == [fx.ReportEvidence(vote(3, Phase.PREPARE, A), vote(3, Phase.PREPARE, B))]
    assert not only(desk.vote(3, Phase.PREPARE, B), fx.ReportEvidence)


def test_p26_votes_of_different_views_or_phases_are_no_evidence() -> None:
    desk = Desk()
    desk.voting()
    effects = desk.vote(3, Phase.PREPARE, A, 0) + desk.vote(3, Phase.PREPARE, B, 1) + desk.vote(3, Phase.COMMIT, A, 0)
    assert not only(effects, fx.ReportEvidence)


def test_p26_unsigned_data_accuses_nobody() -> None:
    desk = Desk()
    desk.voting()
    desk.vote(3, Phase.PREPARE, A)
    forged = vote(3, Phase.PREPARE, B).signed(bytes(48))
    effects = desk.feed(ev.VoteReceived(0, 3, forged))
    assert reasons(effects) == [(3, "invalid_signature")]
    assert not only(effects, fx.ReportEvidence)


def test_bad_signature_in_a_quorum_is_found_and_the_others_still_count() -> None:
    desk = Desk(me=1, members=7)
    desk.voting()
    accepted(desk)
    bad = vote(2, Phase.PREPARE, A).signed(oracle_signature(2, b"other"))
    desk.feed(ev.VoteReceived(0, 2, bad))
    desk.vote(3, Phase.PREPARE, A)
    effects = desk.vote(4, Phase.PREPARE, A)
    assert reasons(effects) == [(2, "invalid_signature")]
    assert not votes_sent(effects, Phase.COMMIT)
    assert votes_sent(desk.vote(5, Phase.PREPARE, A), Phase.COMMIT)


# --- restart


def test_restart_resends_identical_votes_and_executes_the_locked_block_again() -> None:
    before = Desk()
    before.voting()
    effects = locked(before)
    votes = tuple(effect.vote for effect in only(effects, fx.PersistVote))
    lock = only(effects, fx.PersistPrepared)[0].prepared
    desk = Desk(recovered=Recovered(votes=votes, prepared=(lock,)))
    effects = desk.voting()
    assert [effect.candidate.hash for effect in only(effects, fx.ExecuteBlock)] == [A.hash]
    assert sent(effects, Vote) == list(votes)
    assert not only(effects, fx.PersistVote), "they are in the log"
    desk.executed(A)
    desk.vote(2, Phase.COMMIT, A)
    assert only(desk.vote(3, Phase.COMMIT, A), fx.CommitBlock)


def test_restarted_leader_that_lost_its_proposal_leaves_the_view() -> None:
    desk = Desk(me=0, recovered=Recovered(votes=(vote(0, Phase.PREPARE, A),)))
    desk.voting()
    desk.pending()
    effects = desk.fire(fx.Timer.PROPOSE, after_ms=200)
    assert only(effects, fx.LeaveView) == [fx.LeaveView(1, "own_proposal_lost")]
    assert not only(effects, fx.BuildBlock)


def test_restarted_leader_sends_its_locked_proposal_again() -> None:
    recovered = Recovered(votes=(vote(0, Phase.PREPARE, A), vote(0, Phase.COMMIT, A)), prepared=(prepared(A),))
    desk = Desk(me=0, recovered=recovered)
    effects = desk.voting()
    again = sent(effects, Proposal)
    assert [(each.header, each.prepare) for each in again] == [(A.header, vote(0, Phase.PREPARE, A))]


def test_member_whose_statedb_is_behind_its_own_votes_does_not_act() -> None:
    recovered = Recovered(votes=(vote(1, Phase.COMMIT, A2),), prepared=(prepared(A2),))
    desk = Desk(recovered=recovered)
    desk.voting()
    desk.pending()
    effects = desk.fire(fx.Timer.REQUEST, after_ms=1_500)
    assert not only(effects, fx.LeaveView), "its view change would hide the lock at height 2"
    assert not sent(accepted(desk, A), Vote)


def test_events_before_started_are_refused() -> None:
    desk = Desk()
    assert desk.propose(A) == []
    assert desk.pending() == []


def test_observer_follows_without_voting() -> None:
    desk = Desk(me=None)
    desk.voting()
    desk.pending()
    effects = desk.propose(A) + desk.fire(fx.Timer.REQUEST, after_ms=5_000)
    for signer in (0, 2, 3):
        effects += desk.vote(signer, Phase.COMMIT, A)
    effects += desk.executed(A)
    assert not sent(effects, Vote)
    assert [effect.candidate.hash for effect in only(effects, fx.CommitBlock)] == [A.hash]
    assert not [effect for effect in effects if isinstance(effect, fx.PersistVote | fx.PersistViewChange)]


def test_leader_insists_on_its_own_new_view_before_anybody_voted() -> None:
    desk = Desk(me=3)
    desk.voting()
    lied = new_view(1, view_change(0, 1), view_change(2, 1), view_change(3, 1))
    desk.enter(lied, sender=2)
    true = new_view(1, view_change(0, 1, blocks=(prepared(A),)), view_change(1, 1), view_change(2, 1))
    assert only(desk.enter(true, sender=0), fx.EnterView) == [], "only the leader's own word"
    assert only(desk.enter(true, sender=1), fx.EnterView) == [fx.EnterView(1, 1)]
    desk.propose(A, leader=1, view=1)
    assert votes_sent(desk.executed(A), Phase.PREPARE)
    assert only(desk.enter(lied, sender=1), fx.EnterView) == [], "too late: we have voted in this view"
