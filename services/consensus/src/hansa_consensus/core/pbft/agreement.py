"""Normal operation: proposal, prepare, commit (PBFT 4.2), for one height at a time in one view.

Knows the view and what a new-view has bound, but not how views change: that is `engine`.
"""

from typing import Any

from hansa_consensus.core.base import ChainEngine
from hansa_consensus.core.buggify import buggify
from hansa_consensus.core.chain import CandidateState
from hansa_consensus.core.codec import vote_is_well_formed
from hansa_consensus.core.effects import (
    AbandonBlock,
    Broadcast,
    BuildBlock,
    PersistPrepared,
    ReportPeer,
    Send,
    Timer,
)
from hansa_consensus.core.engine import Mode, Refusal
from hansa_consensus.core.events import BlockBuilt, BuildFailed, ProposalReceived, VoteReceived
from hansa_consensus.core.limits import PROPOSALS_STASHED_MAX, RESEND_AFTER_MS, RETRY_MS
from hansa_consensus.core.types import Candidate, MessageClass, Phase, PreparedBlock, Proposal, Vote

from .view_changes import Choice
from .votes import VoteBook


class Agreement(ChainEngine):
    """Agreement on the block after the head in the view we are in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.view = 0  # the highest that we entered, hold a certificate of, or a new-view for; never sinks
        self.target = 0  # >= view; > view: we have voted to leave `view` and vote in no view below `target` (rule P7)
        self.choice: Choice | None = None  # what the new-view of `view` binds; None: entered without one
        self.lock: PreparedBlock | None = None  # of the height after the head, highest view
        self.votes = VoteBook(self.config, self.crypto, self.out)
        self.accepted: Candidate | None = None  # the leader's block of (height, view); only its first one counts
        self.accepted_ms = 0
        self.my_proposal: Proposal | None = None  # to be sent again
        self.last_proposal_ms = 0  # of the head's block
        self._stash: dict[tuple[int, int], tuple[int, Candidate, ProposalReceived]] = {}
        self._build_id = 0
        self._building = False
        self._retry_build_ms = 0
        self._vote_refused: tuple[int, int] | None = None  # (height, view) that our signer will not vote in
        heights = [block.certificate.to_height for block in self.recovered.prepared]
        heights += [vote.to_height for vote in self.recovered.votes if vote.phase is Phase.COMMIT]
        self._voted_height = max(heights, default=0)  # in the life before

    # --- what view changes add --------------------------------------------------------------------------------------

    def _change_view(self, view: int, reason: str) -> None:
        raise NotImplementedError

    # --- who may do what --------------------------------------------------------------------------------------------

    @property
    def changing(self) -> bool:
        return self.target > self.view

    @property
    def may_act(self) -> bool:
        """May vote at the height after the head, and leave views.

        Not while certified blocks are missing (rule P13), nor while our head is below a block that we have voted to
        commit: a view change would hide that lock.
        """
        return self.admission.may_vote and not self.catchup.is_behind and self.chain.height >= self._voted_height

    def _is_enough(self, signers: list[int], validators: int) -> bool:
        return len(signers) >= self.crypto.quorum(validators)

    def _leader(self, height: int, view: int) -> int:
        """Design, "Views and leaders"."""
        if self.config.leaders is not None:
            return self.config.leaders(height, view)
        return (height // self.config.leader_term + view) % self.members

    def _view(self) -> int:
        return self.view

    def _bound_hash(self) -> bytes | None:
        return None if self.choice is None else self.choice.hash_at(self.chain.height)

    # --- proposals --------------------------------------------------------------------------------------------------

    def _proposal_received(self, event: ProposalReceived) -> None:
        proposal, sender = event.proposal, event.sender
        vote = proposal.prepare
        candidate = self._candidate(proposal.header, proposal.transaction_hashes, proposal.access_list)
        if (
            candidate is None
            or not self._is_vote(vote, sender)
            or vote.phase is not Phase.PREPARE
            or (vote.view, vote.to_hash, vote.to_height) != (proposal.view, candidate.hash, candidate.number)
            or vote.from_hash != candidate.parent_hash
        ):
            self.out.append(ReportPeer(sender, "malformed_proposal"))
            return
        if sender != self._leader(candidate.number, proposal.view):
            self.out.append(ReportPeer(sender, "proposal_of_no_leader"))
            return
        if proposal.parent_certificate is not None and not self._learn(proposal.parent_certificate, sender):
            return
        if candidate.number <= self.chain.head.number:
            self._behind(sender, candidate.number)
            return
        self._saw_vote(vote)
        if self.votes.takes(candidate.number, self.chain.head.number):
            self._count(vote)
            self._keep_proposal(event, candidate)

    def _keep_proposal(self, event: ProposalReceived, candidate: Candidate) -> None:
        key = (candidate.number, event.proposal.view)
        if event.proposal.view < self.view or key in self._stash:
            # Of a view that is over: no vote for it any more, but a certificate may still name it.
            self.chain.add(candidate, event.sender)
            return
        self._stash[key] = (event.sender, candidate, event)
        if len(self._stash) > (1 if buggify("short_stash") else PROPOSALS_STASHED_MAX):
            del self._stash[max(self._stash, key=lambda at: (at[1] - self.view, at[0]))]

    def _look_at_stash(self) -> None:
        """Proposals whose height has come become candidates; that of our view is considered."""
        if not self._stash:
            return
        for key in [key for key in self._stash if key[0] <= self.chain.height and key[1] <= self.view]:
            sender, candidate, event = self._stash[key]
            if key == (self.chain.height, self.view) and not self.changing:
                if not self.may_act and self.admission.mode in (Mode.STARTING, Mode.VOTING):
                    continue  # its time comes when we have caught up, or know that we may vote
                del self._stash[key]
                self.chain.add(candidate, sender)
                self._consider(candidate, event)
            else:
                del self._stash[key]
                self.chain.add(candidate, sender)
        for (height, _), (sender, candidate, _) in self._stash.items():
            if height == self.chain.height:
                self.chain.add(candidate, sender)

    def _consider(self, candidate: Candidate, event: ProposalReceived) -> None:
        """The first proposal of (height, view): accept it, or leave the view."""
        if not self.may_act or self.accepted is not None:
            return
        if candidate.parent_hash != self.chain.head.hash:
            self._refuse(event.sender, "wrong_parent")
            return
        bound = self._bound_hash()
        if bound is not None:
            # P8: passes by its certificate; what depends on proposer, view and clock was checked when it was new.
            if candidate.hash != bound:
                self._refuse(event.sender, "proposal_against_new_view")
                return
            refusal = self.rules.refusal(candidate, self.chain.head.header, proposer=None, wall_ms=None)
        elif not self._lock_allows(candidate.hash):
            self._refuse(event.sender, "proposal_against_lock")
            return
        else:
            refusal = self.rules.refusal(
                candidate, self.chain.head.header, proposer=event.sender, wall_ms=event.wall_ms
            )
        if refusal is not None:
            self._refuse(event.sender, refusal)
            return
        if self.chain.candidates[candidate.hash].state is CandidateState.REFUSED:
            self._refuse(event.sender, "block_refused_before")
            return
        self._accept(candidate)

    def _lock_allows(self, block_hash: bytes) -> bool:
        """Rule P4: our lock gives way only to a new-view that speaks about this height."""
        if self.lock is None or self.lock.certificate.to_hash == block_hash:
            return True
        return self.choice is not None and self.choice.base_height == self.chain.head.number

    def _refuse(self, leader: int, reason: str) -> None:
        self.out.append(ReportPeer(leader, reason))
        self._change_view(self.view + 1, reason)

    def _accept(self, candidate: Candidate) -> None:
        self.accepted = candidate
        self.accepted_ms = self.now_ms
        self._protect()

    def _protect(self) -> None:
        needed = [self.accepted.hash if self.accepted is not None else None, self._bound_hash()]
        needed.append(self.lock.certificate.to_hash if self.lock is not None else None)
        self.chain.protected = tuple(block_hash for block_hash in needed if block_hash is not None)

    def _on_block_refused(self, block_hash: bytes, reason: str) -> None:
        if self.accepted is not None and self.accepted.hash == block_hash and not self.changing:
            self._refuse(self._leader(self.chain.height, self.view), reason)

    # --- votes ------------------------------------------------------------------------------------------------------

    def _vote_received(self, event: VoteReceived) -> None:
        vote = event.vote
        if not self._is_vote(vote, event.sender) or vote.phase not in (Phase.PREPARE, Phase.COMMIT):
            self.out.append(ReportPeer(event.sender, "malformed_vote"))
            return
        self._saw_vote(vote)
        if vote.to_height <= self.chain.head.number:
            self._behind(event.sender, vote.to_height)
        elif self.votes.takes(vote.to_height, self.chain.head.number):
            self._count(vote)

    def _is_vote(self, vote: Vote, sender: int) -> bool:
        """Shape, and that its signer sent it: others' votes are only passed on as certificates and view changes."""
        return (
            vote.signer == sender
            and sender in self.peers
            and vote_is_well_formed(vote)
            and vote.to_height == vote.from_height + 1
            and vote.level == 0
            and not vote.next_set_hash
            and (vote.shard, vote.epoch) == (self.config.shard, self.config.epoch)
        )

    def _behind(self, member: int, height: int) -> None:
        """Rule P17: a vote for a decided height is answered with the certificate. A late vote for the head itself is
        normal: the certificate needs only a quorum, and its sender is making the same one."""
        if height < self.chain.head.number:
            self._reply(member)

    def _count(self, vote: Vote) -> None:
        """The one way for votes, ours included (rule P23)."""
        if self.votes.add(vote) and vote.phase is Phase.COMMIT:
            certificate = self.votes.certificate(vote)
            if certificate is not None:
                # Of whatever view: q members are locked on the block (rule P7, second half).
                self._learn(certificate, None, verified=True)

    def _own_vote(self, phase: Phase, candidate: Candidate) -> Vote | None:
        """Our signed vote for the block in this view; None when the signer refuses."""
        assert self.me is not None
        signed = self._sign(
            Vote(
                phase=phase,
                from_hash=candidate.parent_hash,
                from_height=candidate.number - 1,
                to_hash=candidate.hash,
                to_height=candidate.number,
                view=self.view,
                signer=self.me,
                shard=self.config.shard,
                epoch=self.config.epoch,
            )
        )
        return None if isinstance(signed, Refusal) else signed

    def _voted(self, phase: Phase) -> bool:
        """Whether we have voted at this height in this view."""
        vote = self.votes.of(self.me, self.chain.height, phase) if self.me is not None else None
        return vote is not None and vote.view == self.view

    def _agree(self) -> None:
        """Vote for the accepted block as far as execution and the others' votes allow."""
        candidate = self.accepted
        if candidate is None or self._vote_refused == (self.chain.height, self.view):
            return
        if not self.chain.is_executed(candidate.hash):
            for signer in self.votes.signers_for(candidate.number, Phase.PREPARE, candidate.hash):
                self.chain.add(candidate, signer)  # whoever voted has executed it, so it has the bodies, too
            self.chain.execute(candidate.hash, self.now_ms)  # P13: nothing is voted for unexecuted
            return
        if not self._voted(Phase.PREPARE):
            self._prepare(candidate)
        if not self._voted(Phase.COMMIT):
            self._commit(candidate)

    def _prepare(self, candidate: Candidate) -> None:
        vote = self._own_vote(Phase.PREPARE, candidate)
        if vote is None:
            self._vote_refused = (self.chain.height, self.view)
            return
        self._persist(vote)
        self.out.append(Broadcast(vote, MessageClass.VOTE))
        self._count(vote)

    def _commit(self, candidate: Candidate) -> None:
        """With a quorum of prepare votes in this view: lock, then vote to commit (rule P3)."""
        statement = Vote(
            phase=Phase.PREPARE,
            from_hash=candidate.parent_hash,
            from_height=candidate.number - 1,
            to_hash=candidate.hash,
            to_height=candidate.number,
            view=self.view,
            signer=0,
            shard=self.config.shard,
            epoch=self.config.epoch,
        )
        certificate = self.votes.certificate(statement)
        if certificate is None:
            return
        vote = self._own_vote(Phase.COMMIT, candidate)
        if vote is None:
            self._vote_refused = (self.chain.height, self.view)
            return
        named = self.chain.candidates[candidate.hash].candidate  # the variant whose bodies were found
        self.lock = PreparedBlock(certificate, candidate.header, named.transaction_hashes)
        self._protect()
        self.out.append(PersistPrepared(self.lock))
        self._persist(vote)
        self.out.append(Broadcast(vote, MessageClass.VOTE))
        self._count(vote)

    # --- the leader's side ------------------------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        return self._leader(self.chain.height, self.view) == self.me

    def _lead(self) -> None:
        """Propose when we lead this (height, view), have not yet, and a block is due."""
        if not self.is_leader or self.accepted is not None or self._building:
            self._arm(Timer.PROPOSE, None)
            return
        due = self._due()
        if due is None or due > self.now_ms:
            self._arm(Timer.PROPOSE, due)
            return
        self._arm(Timer.PROPOSE, None)
        if self._voted(Phase.PREPARE):
            # Before a restart we proposed a block that never was prepared here; its bytes are gone, and another one
            # would be a second vote in this view.
            self._change_view(self.view + 1, "own_proposal_lost")
            return
        bound = self._bound_hash()
        if bound is not None:
            self._propose_bound(bound)
            return
        self._build_id += 1
        self._building = True
        self.last_proposal_ms = self.now_ms  # block time counts from here: building overlaps with it
        head = self.chain.head
        assert self.me is not None
        self.out.append(
            BuildBlock(self._build_id, head.hash, head.header, self.chain.height, self.view, proposer=self.me)
        )

    def _due(self) -> int | None:
        """When the next block should be proposed; None: not at all."""
        if self._bound_hash() is not None:
            return self._retry_build_ms
        if self.pending:
            return max(self.last_proposal_ms + self.config.block_time_ms, self._retry_build_ms)
        if self.config.empty_block_time_ms:
            return max(self.last_proposal_ms + self.config.empty_block_time_ms, self._retry_build_ms)
        return None

    def _propose_bound(self, bound: bytes) -> None:
        """The new-view says which block: the same bytes again (rule P8). We have executed it, or had no right to the
        new-view; after a restart it comes from the vote log or from its peers."""
        if self.chain.is_executed(bound):
            self._propose(self.chain.candidates[bound].candidate)
        elif bound in self.chain.candidates:
            self.chain.execute(bound, self.now_ms)
        elif self.choice is not None:
            block = self.choice.bound[self.chain.height - self.choice.base_height - 1]
            candidate = self._candidate(block.header, block.transaction_hashes)
            assert candidate is not None, "checked with the view change"
            known = self.chain.add(candidate, None)
            if known is not None:
                signers = self.crypto.signers_of(block.certificate.signers, self.members) or []
                known.variants[0].sources += [member for member in signers if member != self.me]
                self.chain.execute(bound, self.now_ms)

    def _block_built(self, event: BlockBuilt) -> None:
        if event.build_id != self._build_id or not self._building:
            if event.candidate.hash not in self.chain.candidates:
                self.out.append(AbandonBlock(event.candidate.hash))
            return
        self._building = False
        known = self.chain.add(event.candidate, self.me)
        if known is None:
            self.out.append(AbandonBlock(event.candidate.hash))
            return
        known.state = CandidateState.EXECUTED
        if self.may_act and not self.changing and self.is_leader and self.accepted is None:
            self._propose(event.candidate)

    def _build_failed(self, event: BuildFailed) -> None:
        if event.build_id == self._build_id:
            self._building = False
            self._retry_build_ms = self.now_ms + (event.retry_after_ms or RETRY_MS)

    def _propose(self, candidate: Candidate) -> None:
        vote = self._own_vote(Phase.PREPARE, candidate)
        if vote is None:
            self._change_view(self.view + 1, "own_proposal_lost")
            return
        self._accept(candidate)
        self._persist(vote)
        self.my_proposal = self._proposal(candidate, vote)
        self.out.append(Broadcast(self.my_proposal, MessageClass.PROPOSAL))
        self._count(vote)

    def _proposal(self, candidate: Candidate, vote: Vote) -> Proposal:
        return Proposal(
            view=vote.view,
            header=candidate.header,
            transaction_hashes=candidate.transaction_hashes,
            access_list=candidate.access_list,
            prepare=vote,
            parent_certificate=self.chain.head.certificate,
        )

    def _stop_building(self) -> None:
        self._build_id += 1
        self._building = False

    # --- repetition -------------------------------------------------------------------------------------------------

    def _own_votes(self) -> list[Vote]:
        if self.me is None:
            return []
        found = [self.votes.of(self.me, self.chain.height, phase) for phase in (Phase.PREPARE, Phase.COMMIT)]
        return [vote for vote in found if vote is not None]

    def _repeat_to(self, member: int) -> None:
        """Something seems to be lost between us: the identical bytes once more."""
        if not self.admission.may_vote or self.now_ms < self.accepted_ms + RESEND_AFTER_MS:
            return
        if self.my_proposal is not None and not self.changing:
            self.out.append(Send(member, self.my_proposal, MessageClass.PROPOSAL))
        self.out += [Send(member, vote, MessageClass.VOTE) for vote in self._own_votes()]
