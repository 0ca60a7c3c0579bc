"""Rules of view changes and clocks (P4-P12, P14) as traces: events in, effects out. Names carry the rule's number."""

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
    block,
    certificate,
    leave,
    locked,
    new_view,
    only,
    prepared,
    reasons,
    sent,
    timers,
    view_change,
    vote,
    votes_sent,
)
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.limits import (
    REQUEST_TIMEOUT_MS_MAX,
    SYNC_PAUSE_MS,
    VIEW_AHEAD_MAX,
    VIEW_CHANGE_RESEND_MS,
)
from hansa_consensus.core.pbft import PbftEngine
from hansa_consensus.core.pbft.timing import request_timeout_ms
from hansa_consensus.core.pbft.view_changes import choose
from hansa_consensus.core.types import (
    InstalledView,
    NewView,
    PeerStatus,
    Phase,
    Proposal,
    Recovered,
    SyncBlock,
    ViewChange,
    Vote,
)

# --- P4-P9: view changes


def test_p04_locked_member_accepts_another_block_when_the_new_view_chooses_it() -> None:
    desk = Desk()
    desk.voting()
    locked(desk, A)
    leave(desk)
    later = prepared(B, view=1, signers=(0, 2, 3))
    changes = [view_change(0, 2, blocks=(later,)), view_change(2, 2), view_change(3, 2)]
    assert only(desk.enter(new_view(2, *changes), sender=2), fx.EnterView)
    desk.propose(B, leader=2, view=2)
    assert votes_sent(desk.executed(B), Phase.PREPARE)


def test_p04_locked_member_accepts_a_free_block_when_its_lock_is_not_among_the_view_changes() -> None:
    desk = Desk()
    desk.voting()
    locked(desk, A)
    leave(desk)
    desk.enter(new_view(2, view_change(0, 2), view_change(2, 2), view_change(3, 2)), sender=2)
    fresh = block(GENESIS, proposer=2, nonce=9)
    desk.propose(fresh, leader=2, view=2)
    assert votes_sent(desk.executed(fresh), Phase.PREPARE)


def test_p04_new_view_binds_members_without_a_lock() -> None:
    desk = Desk()
    desk.voting()
    leave(desk)
    changes = [view_change(0, 2, blocks=(prepared(A),)), view_change(2, 2), view_change(3, 2)]
    desk.enter(new_view(2, *changes), sender=2)
    other = block(GENESIS, proposer=2, nonce=9)
    effects = desk.propose(other, leader=2, view=2)
    assert reasons(effects) == [(2, "proposal_against_new_view")]
    assert not only(effects, fx.ExecuteBlock)


def test_p04_what_a_new_view_binds_survives_a_restart() -> None:
    changes = [view_change(0, 2, blocks=(prepared(A),)), view_change(2, 2), view_change(3, 2)]
    installed = InstalledView(2, new_view=new_view(2, *changes))
    desk = Desk(recovered=Recovered(votes=(vote(1, Phase.PREPARE, B),), installed=installed))
    desk.voting()
    other = block(GENESIS, proposer=2, nonce=9)
    assert reasons(desk.propose(other, leader=2, view=2)) == [(2, "proposal_against_new_view")]


def test_p05_the_prepared_certificate_of_the_highest_view_wins() -> None:
    changes = [
        view_change(0, 5, blocks=(prepared(A, view=1),)),
        view_change(2, 5, blocks=(prepared(B, view=3),)),
        view_change(3, 5),
    ]
    assert choose(changes, GENESIS.hash).hash_at(1) == B.hash
    assert choose(reversed(changes), GENESIS.hash).hash_at(1) == B.hash


def test_p05_certificates_at_or_below_the_highest_commit_do_not_bind() -> None:
    commit = certificate(Phase.COMMIT, A)
    changes = [
        view_change(0, 5, blocks=(prepared(B, view=3),)),
        view_change(2, 5, last=A, last_commit=commit),
        view_change(3, 5, last=A, last_commit=commit),
    ]
    choice = choose(changes, GENESIS.hash)
    assert (choice.base_height, choice.base_hash, choice.bound) == (1, A.hash, ())


def test_p05_a_chain_of_prepared_blocks_binds_up_to_its_first_gap() -> None:
    orphan = block(B, proposer=0)
    changes = [
        view_change(0, 5, blocks=(prepared(A, view=2), prepared(A2, view=2))),
        view_change(2, 5, blocks=(prepared(B, view=1), prepared(orphan, view=4))),
    ]
    choice = choose(changes, GENESIS.hash)
    assert [choice.hash_at(height) for height in (1, 2, 3)] == [A.hash, A2.hash, None], (
        "the child of a loser is dropped"
    )


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((prepared(A, signers=(0, 2)),), "invalid_certificate"),
        ((prepared(A, view=1),), "stale_or_foreign_prepared_certificate"),
        ((prepared(A, view=7),), "stale_or_foreign_prepared_certificate"),
        ((prepared(A2),), "stale_or_foreign_prepared_certificate"),
        ((replace(prepared(A), header=B.header),), "stale_or_foreign_prepared_certificate"),
        ((replace(prepared(A), certificate=certificate(Phase.COMMIT, A)),), "invalid_certificate"),
        ((prepared(A), prepared(A)), "stale_or_foreign_prepared_certificate"),
    ],
)
def test_p06_view_change_with_a_bad_certificate_is_refused(blocks, reason: str) -> None:  # type: ignore[no-untyped-def]
    desk = Desk()
    desk.voting()
    assert reasons(desk.change(view_change(3, 1, blocks=blocks))) == [(3, reason)]


def test_p06_certificate_not_above_the_senders_last_block_is_refused() -> None:
    desk = Desk()
    desk.voting()
    stale = view_change(3, 1, last=A, last_commit=certificate(Phase.COMMIT, A), blocks=(prepared(B),))
    assert reasons(desk.change(stale)) == [(3, "stale_or_foreign_prepared_certificate")]


def test_p06_view_change_that_signs_other_certificates_than_it_carries_is_refused() -> None:
    desk = Desk()
    desk.voting()
    bad = replace(view_change(3, 1), prepared=(prepared(A),))
    assert reasons(desk.change(bad)) == [(3, "view_change_signs_other_certificates")]


def test_p06_view_change_with_a_forged_last_block_is_refused() -> None:
    desk = Desk()
    desk.voting()
    forged = replace(certificate(Phase.COMMIT, A), signature=bytes(48))
    assert reasons(desk.change(view_change(3, 1, last=A, last_commit=forged))) == [(3, "invalid_certificate")]
    no_certificate = view_change(3, 1, last=A)
    assert reasons(desk.change(no_certificate)) == [(3, "view_change_contradicts_its_last_block")]


def test_p06_new_view_needs_a_quorum_of_different_members_for_that_view() -> None:
    desk = Desk()
    desk.voting()
    for message in (
        NewView(1, (view_change(2, 1), view_change(3, 1))),
        NewView(1, (view_change(2, 1), view_change(3, 1), view_change(3, 1))),
        NewView(1, (view_change(0, 1), view_change(2, 1), view_change(3, 2))),
        NewView(1, (view_change(0, 1), view_change(2, 1), replace(view_change(3, 1), vote=view_change(3, 2).vote))),
    ):
        effects = desk.enter(message, sender=2)
        assert reasons(effects)
        assert not only(effects, fx.EnterView)


def test_p07_view_change_message_ends_voting_in_lower_views() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    leave(desk)
    effects = desk.executed(A) + desk.vote(2, Phase.PREPARE, A) + desk.vote(3, Phase.PREPARE, A)
    assert not sent(effects, Vote)


def test_p07_holds_after_a_restart() -> None:
    change = view_change(1, 1)
    desk = Desk(recovered=Recovered(votes=(change.vote,), view_change=change))
    effects = desk.voting()
    assert sent(effects, ViewChange) == [change], "the identical bytes"
    assert not sent(accepted(desk), Vote)


def test_p07_finished_commit_certificate_of_a_lower_view_is_accepted() -> None:
    desk = Desk()
    desk.voting()
    accepted(desk)
    leave(desk)
    for signer in (0, 2, 3):
        effects = desk.vote(signer, Phase.COMMIT, A)
    assert [effect.candidate.hash for effect in only(effects, fx.CommitBlock)] == [A.hash]


def test_p08_reproposed_block_keeps_its_bytes_and_passes_by_its_certificate() -> None:
    desk = Desk(me=1)
    desk.voting()
    leave(desk)
    desk.change(view_change(0, 1, blocks=(prepared(A),)))
    effects = desk.change(view_change(2, 1))
    assert [effect.candidate.hash for effect in only(effects, fx.ExecuteBlock)] == [A.hash]
    assert only(effects, fx.ExecuteBlock)[0].sources == (0,)
    effects = desk.executed(A)
    assert only(effects, fx.EnterView) == [fx.EnterView(1, 1)]
    (again,) = sent(effects, Proposal)
    assert (again.header, again.view) == (A.header, 1)
    follower = Desk(me=3)
    follower.voting()
    (message,) = sent(effects, NewView)
    follower.enter(message, sender=1)
    # A names member 0 as proposer, and member 1 proposes it.
    assert only(follower.feed(ev.ProposalReceived(0, 1, again, 0)), fx.ExecuteBlock)
    assert votes_sent(follower.executed(A), Phase.PREPARE)


def test_p08_leader_counts_a_view_change_only_when_it_holds_its_block() -> None:
    desk = Desk(me=1)
    desk.voting()
    leave(desk)
    desk.change(view_change(0, 1, blocks=(prepared(A),)))
    assert not sent(desk.change(view_change(2, 1)), NewView)
    effects = desk.feed(ev.BlockRefused(0, A.hash, "bodies_missing", ev.Fault.BODIES))
    assert reasons(effects) == [(0, "bodies_not_sent")]
    assert not sent(effects, NewView)
    (message,) = sent(desk.change(view_change(3, 1)), NewView)
    assert [change.vote.signer for change in message.view_changes] == [1, 2, 3]


def test_p08_view_change_carries_our_lock() -> None:
    desk = Desk()
    desk.voting()
    locked(desk, A)
    (change,) = sent(leave(desk), ViewChange)
    assert [each.certificate.to_hash for each in change.prepared] == [A.hash]
    assert change.vote.to_hash == view_change(1, 1, blocks=change.prepared).vote.to_hash


def test_p09_last_commit_certificate_of_a_view_change_is_processed() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    effects = desk.change(view_change(3, 1, last=A, last_commit=certificate(Phase.COMMIT, A, signers=(0, 2, 3))))
    assert desk.engine.status().highest_known == 1
    effects += desk.executed(A)
    assert [effect.candidate.hash for effect in only(effects, fx.CommitBlock)] == [A.hash]


def test_p09_leader_that_is_behind_catches_up_before_its_new_view() -> None:
    desk = Desk(me=1)
    desk.voting()
    leave(desk)
    commit = certificate(Phase.COMMIT, A, signers=(0, 2, 3))
    for signer in (0, 2, 3):
        effects = desk.change(view_change(signer, 1, last=A, last_commit=commit))
        assert not sent(effects, NewView)
    (request,) = only(desk.fire(fx.Timer.SYNC, after_ms=SYNC_PAUSE_MS), fx.RequestBlocks)
    assert request.from_height == 1
    desk.feed(ev.BlocksReceived(0, request.member, request.request_id, (SyncBlock(A.header, b"bodies", commit),)))
    desk.executed(A)
    effects = desk.committed(A)
    (message,) = sent(effects, NewView)
    assert {change.vote.from_height for change in message.view_changes} == {1}


# --- P10-P14: clocks


def test_p10_f_plus_1_higher_view_changes_move_me_to_the_smallest() -> None:
    desk = Desk(me=1, members=7)
    desk.voting()
    assert not only(desk.change(view_change(2, 9)), fx.LeaveView)
    assert not only(desk.change(view_change(3, 4)), fx.LeaveView)
    effects = desk.change(view_change(4, 6))
    assert only(effects, fx.LeaveView) == [fx.LeaveView(4, "joined")]


def test_p10_one_liar_moves_nobody() -> None:
    desk = Desk()
    desk.voting()
    for view in range(1, 30):
        assert not only(desk.change(view_change(3, view)), fx.LeaveView)
    assert desk.engine.status().target_view == 0


def test_p10_spam_of_far_views_is_refused_and_bounded() -> None:
    desk = Desk()
    desk.voting()
    assert reasons(desk.change(view_change(3, VIEW_AHEAD_MAX + 2))) == [(3, "view_too_far_ahead")]
    engine = desk.engine
    assert isinstance(engine, PbftEngine)
    for view in range(1, 50):
        desk.change(view_change(3, view))
    assert len(engine.changes.latest) == 1


def test_p11_timer_of_a_wanted_view_starts_with_a_quorum_and_doubles() -> None:
    desk = Desk()
    desk.voting()
    assert timers(desk.pending())[fx.Timer.REQUEST] == 1_100
    effects = desk.fire(fx.Timer.REQUEST, after_ms=1_100)
    assert only(effects, fx.LeaveView) == [fx.LeaveView(1, "request_timeout")]
    assert fx.Timer.REQUEST not in timers(effects)
    assert fx.Timer.REQUEST not in timers(desk.change(view_change(2, 1)))
    assert timers(desk.change(view_change(3, 2)))[fx.Timer.REQUEST] == 2_000, "a higher view counts, too"
    assert only(desk.fire(fx.Timer.REQUEST, after_ms=2_000), fx.LeaveView) == [fx.LeaveView(2, "request_timeout")]


def test_p11_timeout_is_capped() -> None:
    assert [request_timeout_ms(2_000, failed) for failed in (0, 1, 4, 5, 10_000)] == [
        2_000,
        4_000,
        32_000,
        REQUEST_TIMEOUT_MS_MAX,
        REQUEST_TIMEOUT_MS_MAX,
    ]


def test_p11_timeout_is_back_to_base_after_a_commit() -> None:
    desk = Desk()
    desk.voting()
    for signer in (0, 2, 3):
        desk.change(view_change(signer, 7))
    assert desk.engine.status().target_view == 7
    changes = [view_change(signer, 7) for signer in (0, 2, 3)]
    desk.enter(new_view(7, *changes), sender=3)
    assert timers(desk.pending())[fx.Timer.REQUEST] > 30_000
    fresh = block(GENESIS, proposer=3)
    desk.decide(fresh, view=7)
    assert desk.engine.status().head == 1
    assert timers(desk.pending() + desk.fire(fx.Timer.STATUS)).get(fx.Timer.REQUEST, 1_100) <= 1_100


def test_p12_view_change_is_repeated_and_nobody_runs_ahead_without_a_quorum() -> None:
    desk = Desk()
    desk.voting()
    (first,) = sent(leave(desk), ViewChange)
    for _ in range(20):
        effects = desk.fire(fx.Timer.RESEND, after_ms=VIEW_CHANGE_RESEND_MS)
        assert sent(effects, ViewChange) == [first]
        assert timers(effects)[fx.Timer.RESEND] == VIEW_CHANGE_RESEND_MS
        assert not only(effects, fx.LeaveView)


def test_p12_view_change_is_signed_anew_when_the_last_block_rises() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    leave(desk)
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A, signers=(0, 2, 3))))
    desk.executed(A)
    desk.committed(A)
    effects = desk.fire(fx.Timer.RESEND, after_ms=VIEW_CHANGE_RESEND_MS)
    (change,) = sent(effects, ViewChange)
    assert (change.vote.view, change.vote.from_height) == (1, 1)
    assert [effect.view_change for effect in only(effects, fx.PersistViewChange)] == [change]


def test_p12_a_peer_in_a_lower_view_is_sent_the_new_view() -> None:
    desk = Desk()
    desk.voting()
    message = new_view(1, view_change(0, 1), view_change(2, 1), view_change(3, 1))
    desk.enter(message, sender=3)
    effects = desk.feed(desk.status_of(2, view=0), after_ms=1_000)
    (answer,) = [effect.message for effect in only(effects, fx.Send) if effect.member == 2]
    assert isinstance(answer, PeerStatus)
    assert answer.new_view == message
    follower = Desk(me=2)
    follower.voting()
    assert only(follower.feed(ev.StatusReceived(0, 1, answer)), fx.EnterView) == [fx.EnterView(1, 1)]


def test_p14_no_work_no_timer() -> None:
    desk = Desk(empty_block_time_ms=0)
    effects = desk.voting()
    assert fx.Timer.REQUEST not in timers(effects)
    assert fx.Timer.REQUEST in timers(desk.pending(3))
    assert fx.CancelTimer(fx.Timer.REQUEST) in desk.pending(0)


def test_p14_a_due_empty_block_is_work_and_uses_the_same_timer() -> None:
    desk = Desk(empty_block_time_ms=5_000)
    assert timers(desk.voting())[fx.Timer.REQUEST] == 6_000
    assert timers(desk.pending())[fx.Timer.REQUEST] == 1_100, "transactions make the next block due sooner"


def test_p14_a_silent_leader_is_told_of_the_work_before_it_is_left() -> None:
    desk = Desk()
    desk.voting()
    assert timers(desk.pending())[fx.Timer.FORWARD] == 600
    assert only(desk.fire(fx.Timer.FORWARD, after_ms=600), fx.ForwardPending) == [fx.ForwardPending(0)]
    effects = desk.fire(fx.Timer.REQUEST, after_ms=500)
    assert only(effects, fx.ForwardPending) == [fx.ForwardPending(None)]


def test_p14_a_member_that_was_stopped_gives_the_leader_its_time_again() -> None:
    desk = Desk()
    desk.voting()
    desk.pending()
    effects = desk.fire(fx.Timer.REQUEST, after_ms=10_000)
    assert not only(effects, fx.LeaveView)
    assert timers(effects)[fx.Timer.REQUEST] == 1_000
    assert only(desk.fire(fx.Timer.REQUEST, after_ms=1_000), fx.LeaveView)
