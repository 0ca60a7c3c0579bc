"""Proof of authority: validator 0 signs every block alone, a certificate of one; all others follow and check.

The signer's vote is a commit vote in view 0. The block is logged, bodies and all, under the sync of this only vote, so
that after a crash the same block is sent again and never another of its height (rules P28, K4).
"""

from .base import ChainEngine
from .chain import CandidateState
from .effects import Broadcast, BuildBlock, ForwardPending, PersistPrepared, PersistVote, ReportPeer, Send, Timer
from .engine import Mode, Refusal
from .events import BlockBuilt, BuildFailed, Event, ProposalReceived
from .limits import RETRY_MS
from .types import (
    Candidate,
    Certificate,
    MessageClass,
    PeerStatus,
    Phase,
    PreparedBlock,
    Proposal,
    Vote,
)

SIGNER = 0
"""Index of the one that signs."""


class PoaEngine(ChainEngine):
    """See the module's text."""

    name = "poa"
    _build_id = 0
    _building: int | None = None  # height
    _retry_build_ms = 0
    _last_proposal_ms: int | None = None
    _newest: Proposal | None = None  # of the height being committed
    _forwarded_ms = 0  # when our transactions were last handed to the signer

    def _is_enough(self, signers: list[int], validators: int) -> bool:
        return signers == [SIGNER]

    def _quorum(self) -> int:
        return 1

    def _leader(self, height: int, view: int) -> int:
        return SIGNER

    def _on_start(self) -> None:
        if self.me != SIGNER:
            self.admission.mode = Mode.FOLLOWING
        for block in self.recovered.prepared:
            # Logged before the crash, perhaps not yet committed: the same block again.
            if block.certificate.to_height == self.chain.height:
                candidate = self._candidate(block.header, block.transaction_hashes)
                if candidate is not None and self._learn(block.certificate, None):
                    self.chain.add(candidate, None)

    def _handle(self, event: Event) -> None:
        match event:
            case ProposalReceived(sender=sender, proposal=proposal):
                self._proposal_received(sender, proposal)
            case BlockBuilt(build_id=build_id, candidate=candidate):
                if build_id == self._build_id and self._building == candidate.number:
                    self._building = None
                    self._decide(candidate)
            case BuildFailed(build_id=build_id, retry_after_ms=retry_after_ms):
                if build_id == self._build_id:
                    self._building = None
                    self._retry_build_ms = self.now_ms + (retry_after_ms or RETRY_MS)

    def _on_head(self) -> None:
        self._newest = None

    def _progress(self) -> None:
        self._forward()
        if not self.admission.may_vote or self._building is not None or self.catchup.is_behind:
            self._arm(Timer.PROPOSE, None)
            return
        due = self._due()
        if due is None or due > self.now_ms:
            self._arm(Timer.PROPOSE, due)
            return
        self._arm(Timer.PROPOSE, None)
        self._build_id += 1
        self._building = self.chain.height
        self._last_proposal_ms = self.now_ms
        head = self.chain.head
        self.out.append(BuildBlock(self._build_id, head.hash, head.header, self.chain.height, 0, SIGNER))

    def _forward(self) -> None:
        """A follower whose transactions wait and sees no block: perhaps the signer never heard of them."""
        if self.me == SIGNER or not self.pending:
            self._arm(Timer.FORWARD, None)
            return
        at = max(self.pending_since_ms, self.committed_ms, self._forwarded_ms) + self.config.request_timeout_ms
        if self.now_ms >= at:
            self._forwarded_ms = self.now_ms
            at = self.now_ms + self.config.request_timeout_ms
            self.out.append(ForwardPending(SIGNER))
        self._arm(Timer.FORWARD, at)

    def _due(self) -> int | None:
        last = self.committed_ms if self._last_proposal_ms is None else self._last_proposal_ms
        if self.pending:
            return max(last + self.config.block_time_ms, self._retry_build_ms)
        if self.config.empty_block_time_ms:
            return max(last + self.config.empty_block_time_ms, self._retry_build_ms)
        return None

    def _decide(self, candidate: Candidate) -> None:
        chain = self.chain
        if chain.add(candidate, self.me) is None:
            return
        vote = Vote(
            phase=Phase.COMMIT,
            from_hash=chain.head.hash,
            from_height=chain.head.number,
            to_hash=candidate.hash,
            to_height=candidate.number,
            view=0,
            signer=SIGNER,
            shard=self.config.shard,
            epoch=self.config.epoch,
        )
        signed = self._sign(vote)
        if isinstance(signed, Refusal):
            # Another block of this height was signed before; it is in the log and will come back from there.
            self._retry_build_ms = self.now_ms + RETRY_MS
            return
        certificate = self._certificate(signed)
        block = PreparedBlock(certificate, candidate.header, candidate.transaction_hashes)
        self.out += [PersistPrepared(block), PersistVote(signed)]
        self._newest = Proposal(
            view=0,
            header=candidate.header,
            transaction_hashes=candidate.transaction_hashes,
            access_list=candidate.access_list,
            prepare=signed,
            parent_certificate=chain.head.certificate,
        )
        self.out.append(Broadcast(self._newest, MessageClass.PROPOSAL))
        chain.candidates[candidate.hash].state = CandidateState.EXECUTED
        self._learn(certificate, None, verified=True)

    def _certificate(self, vote: Vote) -> Certificate:
        return Certificate(
            phase=vote.phase,
            from_hash=vote.from_hash,
            from_height=vote.from_height,
            to_hash=vote.to_hash,
            to_height=vote.to_height,
            view=vote.view,
            signers=self.crypto.bitmap_of([SIGNER], self.members),
            signature=vote.signature,  # the aggregate of one
            shard=vote.shard,
            epoch=vote.epoch,
        )

    def _proposal_received(self, sender: int, proposal: Proposal) -> None:
        """A follower's side: the signer's vote alone is the certificate."""
        vote = proposal.prepare
        if sender != SIGNER or self.me == SIGNER:
            return
        candidate = self._candidate(proposal.header, proposal.transaction_hashes, proposal.access_list)
        statement = (vote.phase, vote.signer, vote.level, vote.next_set_hash)
        if (
            candidate is None
            or statement != (Phase.COMMIT, SIGNER, 0, b"")
            or (vote.to_hash, vote.to_height, vote.from_hash)
            != (candidate.hash, candidate.number, candidate.parent_hash)
            or vote.from_height + 1 != vote.to_height
        ):
            self.out.append(ReportPeer(sender, "malformed_proposal"))
            return
        if proposal.parent_certificate is not None and not self._learn(proposal.parent_certificate, sender):
            return
        if self._learn(self._certificate(vote), sender):
            self.chain.add(candidate, sender)

    def _on_status(self, member: int, status: PeerStatus) -> None:
        if self._newest is not None and status.head_number == self.chain.head.number:
            self.out.append(Send(member, self._newest, MessageClass.PROPOSAL))
