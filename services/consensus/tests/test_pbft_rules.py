"""Rules P1-P26 of the reliability specification as traces: events in, effects out. Names carry the rule's number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consensus_traces import (
    CRYPTO,
    GENESIS,
    Desk,
    block,
    certificate,
    new_view,
    only,
    prepared,
    proposal,
    reasons,
    sent,
    timers,
    view_change,
    vote,
    votes_sent,
)
from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.kernel_crypto import KernelCrypto
from hansa_consensus.core.limits import (
    CANDIDATES_PER_HEIGHT_MAX,
    HEIGHTS_AHEAD_MAX,
    PROPOSALS_STASHED_MAX,
    REQUEST_TIMEOUT_MS_MAX,
    SYNC_DEADLINE_MS,
    SYNC_PAUSE_MS,
    VIEW_AHEAD_MAX,
    VIEW_CHANGE_RESEND_MS,
)
from hansa_consensus.core.pbft import PbftEngine
from hansa_consensus.core.pbft.timing import request_timeout_ms
from hansa_consensus.core.pbft.view_changes import choose
from hansa_consensus.core.types import (
    Head,
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
from hansa_sim.oracles import oracle_signature

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


# --- P1, P2: quorum and what is signed
# ----------------------------------------------------------------------------------


@pytest.mark.parametrize("members", range(1, 32))
def test_p01_quorum_is_n_minus_f_for_every_n(members: int) -> None:
    quorum = KernelCrypto(GENESIS.hash).quorum(members)
    faulty = (members - 1) // 3
    assert quorum == members - faulty
    assert 2 * quorum - members > faulty, "any two quorums share an honest member"


def test_p01_a_certificate_of_less_than_a_quorum_is_refused() -> None:
    desk = Desk()
    desk.voting()
    effects = desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A, signers=(0, 2))))
    assert reasons(effects) == [(2, "invalid_certificate")]
    assert not only(effects, fx.ExecuteBlock)


def test_p01_one_member_counts_once() -> None:
    desk = Desk()
    desk.voting()
    accepted(desk)
    for _ in range(3):
        assert not votes_sent(desk.vote(0, Phase.PREPARE, A), Phase.COMMIT)
    assert votes_sent(desk.vote(3, Phase.PREPARE, A), Phase.COMMIT)


def test_p01_a_vote_whose_signer_is_not_its_sender_is_refused() -> None:
    desk = Desk()
    desk.voting()
    effects = desk.feed(ev.VoteReceived(0, 3, vote(2, Phase.PREPARE, A)))
    assert reasons(effects) == [(3, "malformed_vote")]


def test_p01_signers_that_do_not_exist_are_refused() -> None:
    desk = Desk()
    desk.voting()
    bad = replace(certificate(Phase.COMMIT, A), signers=b"\xff")
    assert reasons(desk.feed(ev.CertificateReceived(0, 2, bad))) == [(2, "invalid_certificate")]


@pytest.mark.parametrize(
    "change",
    [
        {"phase": Phase.PREPARE},
        {"shard": 1},
        {"epoch": 1},
        {"level": 1},
        {"view": 1},
        {"from_height": 1, "to_height": 2},
        {"next_set_hash": bytes(32)},
        {"to_hash": B.hash},
    ],
)
def test_p02_a_certificate_holds_for_exactly_what_was_signed(change: dict[str, object]) -> None:
    desk = Desk()
    desk.voting()
    bad = replace(certificate(Phase.COMMIT, A), **change)  # type: ignore[arg-type]
    effects = desk.feed(ev.CertificateReceived(0, 2, bad))
    assert reasons(effects) == [(2, "invalid_certificate")]


def test_p02_prepare_votes_never_count_as_commit_votes() -> None:
    desk = Desk()
    desk.voting()
    for signer in (0, 2, 3):
        moved = replace(vote(signer, Phase.PREPARE, A), phase=Phase.COMMIT)
        effects = desk.feed(ev.VoteReceived(0, signer, moved))
    assert not only(effects, fx.CommitBlock)
    assert {member for member, reason in reasons(effects) if reason == "invalid_signature"} == {0, 2, 3}


# --- normal case, P3, P13, P23
# ------------------------------------------------------------------------------------------


def test_normal_case_from_proposal_to_commit() -> None:
    desk = Desk()
    desk.voting()
    assert [effect.candidate.hash for effect in only(desk.propose(A), fx.ExecuteBlock)] == [A.hash]
    assert len(votes_sent(desk.executed(A), Phase.PREPARE)) == 1
    assert len(votes_sent(desk.vote(2, Phase.PREPARE, A), Phase.COMMIT)) == 1
    desk.vote(2, Phase.COMMIT, A)
    (commit,) = only(desk.vote(3, Phase.COMMIT, A), fx.CommitBlock)
    assert commit.candidate.hash == A.hash
    assert CRYPTO.signers_of(commit.certificate.signers, 4) == [1, 2, 3]
    desk.committed(A)
    assert desk.engine.status().head == 1


def test_normal_case_of_a_leader() -> None:
    desk = Desk(me=0)
    desk.voting()
    assert only(desk.pending(), fx.BuildBlock) == []
    (build,) = only(desk.fire(fx.Timer.PROPOSE, after_ms=100), fx.BuildBlock)
    assert (build.parent_hash, build.height, build.proposer) == (GENESIS.hash, 1, 0)
    effects = desk.feed(ev.BlockBuilt(0, build.build_id, A))
    assert [type(effect) for effect in effects[:2]] == [fx.PersistVote, fx.Broadcast]
    (message,) = [effect.message for effect in only(effects, fx.Broadcast)]
    assert message == proposal(A, 0, 0) or message == replace(proposal(A, 0, 0), access_list=b"access")


def test_p03_lock_is_durable_before_the_commit_vote_is_sent() -> None:
    desk = Desk()
    desk.voting()
    effects = locked(desk)
    order = [type(effect) for effect in effects]
    commit = next(index for index, effect in enumerate(effects) if votes_sent([effect], Phase.COMMIT))
    assert order[commit - 2 : commit] == [fx.PersistPrepared, fx.PersistVote]
    (lock,) = only(effects, fx.PersistPrepared)
    assert lock.prepared.certificate.to_hash == A.hash
    assert lock.prepared.header == A.header


def test_p13_nothing_is_voted_for_before_own_execution() -> None:
    desk = Desk()
    desk.voting()
    effects = desk.propose(A) + desk.vote(2, Phase.PREPARE, A) + desk.vote(3, Phase.PREPARE, A)
    assert not sent(effects, Vote)
    assert len(sent(desk.executed(A), Vote)) == 2, "prepare and commit at once: the quorum was waiting"


def test_p13_a_block_that_breaks_a_rule_ends_its_view() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    effects = desk.feed(ev.BlockRefused(0, A.hash, "wrong_state_root", ev.Fault.BLOCK))
    assert reasons(effects) == [(0, "wrong_state_root")]
    assert [effect.view for effect in only(effects, fx.LeaveView)] == [1]
    assert not votes_sent(effects, Phase.PREPARE)


def test_p13_own_trouble_is_tried_again_and_blames_nobody() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    effects = desk.feed(ev.BlockRefused(0, A.hash, "executor_away", ev.Fault.OURS))
    assert not reasons(effects)
    assert fx.Timer.RETRY in timers(effects)
    assert only(desk.fire(fx.Timer.RETRY, after_ms=600), fx.ExecuteBlock)


def test_p13_missing_bodies_are_asked_for_again_also_of_those_who_voted() -> None:
    desk = Desk()
    desk.voting()
    assert only(desk.propose(A), fx.ExecuteBlock)[0].sources == (0,)
    desk.vote(3, Phase.PREPARE, A)
    effects = desk.feed(ev.BlockRefused(0, A.hash, "bodies_missing", ev.Fault.BODIES))
    assert reasons(effects) == [(0, "bodies_not_sent")]
    assert not only(effects, fx.ExecuteBlock), "not at once"
    (again,) = only(desk.fire(fx.Timer.RETRY, after_ms=500), fx.ExecuteBlock)
    assert again.sources == (0, 3)
    assert votes_sent(desk.executed(A), Phase.PREPARE)


def test_p13_a_member_that_must_sync_does_not_vote() -> None:
    desk = Desk()
    desk.voting()
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A2)))
    assert not only(desk.propose(A), fx.ExecuteBlock)
    assert not sent(desk.executed(A), Vote)


def test_p23_own_vote_counts_once_and_alone_suffices_for_a_single_member() -> None:
    desk = Desk(me=0, members=1)
    desk.voting()
    desk.pending()
    (build,) = only(desk.fire(fx.Timer.PROPOSE, after_ms=100), fx.BuildBlock)
    effects = desk.feed(ev.BlockBuilt(0, build.build_id, A))
    kinds = [type(effect) for effect in effects]
    wanted = [fx.PersistVote, fx.Broadcast, fx.PersistPrepared, fx.PersistVote, fx.Broadcast, fx.CommitBlock]
    assert [kind for kind in kinds if kind in wanted] == wanted


def test_second_proposal_of_a_view_is_ignored() -> None:
    desk = Desk()
    desk.voting()
    accepted(desk)
    effects = desk.propose(B)
    assert not only(effects, fx.ExecuteBlock)
    assert not votes_sent(desk.executed(B), Phase.PREPARE)
    assert (0, "double_vote") in reasons(effects)


def test_proposal_of_somebody_who_is_not_the_leader_is_refused() -> None:
    desk = Desk()
    desk.voting()
    assert reasons(desk.propose(A, leader=2)) == [(2, "proposal_of_no_leader")]


def test_p19_free_block_that_breaks_a_header_rule_ends_its_view() -> None:
    desk = Desk()
    desk.voting()
    foreign = block(GENESIS, proposer=3)
    effects = desk.propose(foreign)
    assert reasons(effects) == [(0, "wrong_beneficiary")]
    assert [effect.view for effect in only(effects, fx.LeaveView)] == [1]


# --- P4-P9: view changes
# ------------------------------------------------------------------------------------------------


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
# ----------------------------------------------------------------------------------------------------


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


# --- P16-P20: heights, certificates
# -------------------------------------------------------------------------------------


def test_p16_every_check_asks_for_the_validators_of_its_height() -> None:
    desk = Desk()
    desk.voting()
    desk.asked_heights.clear()
    far = block(block(block(A2, proposer=0), proposer=0), proposer=0)
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, far)))
    assert far.number in desk.asked_heights


def test_p17_vote_for_a_decided_height_is_answered_with_the_certificate() -> None:
    desk = Desk()
    desk.voting()
    desk.decide(A)
    desk.decide(A2)
    effects = desk.feed(ev.VoteReceived(0, 3, vote(3, Phase.PREPARE, A)), after_ms=1_000)
    (answer,) = [effect.message for effect in only(effects, fx.Send)]
    assert isinstance(answer, PeerStatus)
    assert answer.head_certificate is not None
    assert answer.head_certificate.to_height == 2
    assert not only(desk.feed(ev.VoteReceived(0, 3, vote(3, Phase.COMMIT, A))), fx.Send), "not more than twice a second"


def test_p17_votes_for_far_heights_are_not_kept() -> None:
    desk = Desk()
    desk.voting()
    engine = desk.engine
    assert isinstance(engine, PbftEngine)
    on = A
    for height in range(1, 12):
        for signer in (0, 2, 3):
            for view in range(3):
                desk.vote(signer, Phase.PREPARE, on, view)
        on = block(on, proposer=0)
        assert len(engine.votes.slots) <= min(height, HEIGHTS_AHEAD_MAX)
        assert all(len(slots) <= 3 for slots in engine.votes.slots.values())


def test_p17_maps_stay_bounded_under_spam_of_proposals() -> None:
    desk = Desk()
    desk.voting()
    engine = desk.engine
    assert isinstance(engine, PbftEngine)
    for view in range(0, 400, 4):
        desk.propose(block(GENESIS, proposer=0, nonce=view), leader=0, view=view)
        desk.propose(block(A, proposer=0, nonce=view), leader=0, view=view)
    assert len(engine._stash) <= PROPOSALS_STASHED_MAX
    assert len(engine.chain.candidates) <= CANDIDATES_PER_HEIGHT_MAX


def test_p18_certificate_learnt_by_gossip_commits_and_stops_the_timers() -> None:
    desk = Desk()
    desk.voting()
    desk.pending()
    desk.propose(A)
    effects = desk.feed(ev.CertificateReceived(0, 3, certificate(Phase.COMMIT, A, signers=(0, 2, 3))))
    assert fx.CancelTimer(fx.Timer.REQUEST) in effects
    (commit,) = only(desk.executed(A), fx.CommitBlock)
    assert commit.certificate.to_hash == A.hash
    desk.pending(0)
    assert desk.engine.status().head == 0
    effects = desk.committed(A)
    assert only(effects, fx.PruneLog) == [fx.PruneLog(1)]
    assert desk.engine.status().head == 1


def test_p18_certificate_of_a_higher_view_enters_that_view() -> None:
    desk = Desk()
    desk.voting()
    commit = certificate(Phase.COMMIT, A, view=6, signers=(0, 2, 3))
    effects = desk.feed(ev.CertificateReceived(0, 2, commit))
    assert only(effects, fx.EnterView) == [fx.EnterView(6, 2)]
    assert only(effects, fx.PersistInstalledView) == [fx.PersistInstalledView(InstalledView(6, certificate=commit))]


def test_p19_certified_block_is_never_checked_against_the_clock_or_its_proposer() -> None:
    desk = Desk()
    desk.voting()
    foreign = block(GENESIS, proposer=3)
    desk.feed(ev.ProposalReceived(0, 0, proposal(foreign, 0), 0))
    effects = desk.feed(ev.CertificateReceived(0, 3, certificate(Phase.COMMIT, foreign, signers=(0, 2, 3))))
    assert only(effects, fx.ExecuteBlock)
    assert only(desk.executed(foreign), fx.CommitBlock)


def test_p20_two_certificates_of_one_block_are_equal_in_meaning() -> None:
    desk = Desk()
    desk.voting()
    desk.decide(A)
    for signers in ((0, 1, 2), (1, 2, 3), (0, 1, 2, 3)):
        again = certificate(Phase.COMMIT, A, signers=signers)
        assert not only(desk.feed(ev.CertificateReceived(0, 2, again)), fx.HaltVoting)


def test_two_certificates_for_different_blocks_of_one_height_halt_the_member() -> None:
    desk = Desk()
    desk.voting()
    desk.decide(A)
    effects = desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, B)))
    assert only(effects, fx.HaltVoting) == [fx.HaltVoting("two_certificates_at_one_height", 1, B.hash)]
    assert not sent(desk.propose(A2) + desk.executed(A2), Vote)


def test_certified_block_that_our_execution_refuses_halts_the_member() -> None:
    desk = Desk()
    desk.voting()
    desk.propose(A)
    desk.feed(ev.CertificateReceived(0, 2, certificate(Phase.COMMIT, A, signers=(0, 2, 3))))
    effects = desk.feed(ev.BlockRefused(0, A.hash, "hash_mismatch", ev.Fault.BLOCK))
    assert only(effects, fx.HaltVoting) == [fx.HaltVoting("certified_block_refused", 1, A.hash)]
    assert not only(effects, fx.LeaveView)


# --- P24, P26
# -----------------------------------------------------------------------------------------------------------


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
# ------------------------------------------------------------------------------------------------------------


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
