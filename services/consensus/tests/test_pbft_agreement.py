"""Rules of agreement on a block (P1-P3, P13, P16-P20, P23) as traces: events in, effects out. Names carry the rule's number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consensus_traces import (
    A2,
    CRYPTO,
    GENESIS,
    A,
    B,
    Desk,
    accepted,
    block,
    certificate,
    locked,
    only,
    proposal,
    reasons,
    sent,
    timers,
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
)
from hansa_consensus.core.pbft import PbftEngine
from hansa_consensus.core.types import (
    InstalledView,
    PeerStatus,
    Phase,
    Vote,
)

# --- P1, P2: quorum and what is signed


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


# --- P16-P20: heights, certificates


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
