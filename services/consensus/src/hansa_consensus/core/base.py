"""What all engines with instant finality share: head, certificates, catching up, peers' statuses, start-up.

An engine is this class with what it adds to `_progress` (what can be done now?) and to the messages of its own. The
skeleton of `handle`: take note of the event, then do everything that has become possible.
"""

from dataclasses import dataclass

from .admission import Admission
from .buggify import buggify
from .catchup import CatchUp
from .chain import Chain
from .effects import (
    CancelTimer,
    Effect,
    LeaveView,
    PersistVote,
    PruneLog,
    ReportPeer,
    Send,
    SetTimer,
    Timer,
)
from .engine import BlockRules, Crypto, EngineConfig, EngineStatus, Mode, Refusal, Signer
from .events import (
    BlockCommitted,
    BlockExecuted,
    BlockRefused,
    BlocksReceived,
    CertificateReceived,
    Event,
    Fault,
    PeerDown,
    PeerUp,
    PoolChanged,
    Started,
    StatusReceived,
    TimerFired,
    VotingReleased,
)
from .limits import REPLY_INTERVAL_MS, STATUS_INTERVAL_MS
from .types import Candidate, Certificate, Head, MessageClass, NewView, PeerStatus, Recovered, Vote

__all__ = ["ChainEngine"]


@dataclass(slots=True)
class _Peer:
    """What we know of another member."""

    up: bool = False
    view: int = 0  # last it told
    head: int = 0
    replied_ms: int = -REPLY_INTERVAL_MS
    seen_vote: tuple[int, int] = (0, 0)  # highest (view, height) of its votes


class ChainEngine:
    """The shared part; see the module's text. Not an engine by itself."""

    name = ""

    def __init__(
        self,
        config: EngineConfig,
        *,
        head: Head,
        recovered: Recovered,
        signer: Signer | None,
        crypto: Crypto,
        rules: BlockRules,
    ) -> None:
        self.config = config
        self.crypto = crypto
        self.rules = rules
        self.signer = signer
        self.recovered = recovered
        self.me = config.self_index if signer is not None else None
        self.members = len(config.validator_set(head.number + 1))
        self.quorum = crypto.quorum(self.members)
        self.out: list[Effect] = []
        self.chain = Chain(config, crypto, head, self.out, self._is_enough)
        self.catchup = CatchUp(self.chain, crypto, self.members, self.out)
        self.admission = Admission(crypto, self.me, self.members, recovered, self.out, self._quorum() - 1)
        self.peers = {member: _Peer() for member in range(self.members) if member != config.self_index}
        self.pending = 0
        self.pending_since_ms = 0
        self.committed_ms = 0  # when the head became the head, or the engine started
        self.now_ms = 0
        self._started = False
        self._armed: dict[Timer, int] = {}  # name -> when it fires

    # --- what an engine adds ----------------------------------------------------------------------------------------

    def _is_enough(self, signers: list[int], validators: int) -> bool:
        """Do these distinct signers make a certificate?"""
        raise NotImplementedError

    def _handle(self, event: Event) -> None:
        """Messages and answers of the engine's own."""
        raise NotImplementedError

    def _progress(self) -> None:
        """Do all that is possible now; idempotent."""
        raise NotImplementedError

    def _on_start(self) -> None:
        """The first event."""

    def _on_voting(self) -> None:
        """This member may vote from now on."""

    def _on_head(self) -> None:
        """A block has been committed."""

    def _on_certificate(self, certificate: Certificate) -> None:
        """A valid commit certificate, new or known."""

    def _on_block_refused(self, block_hash: bytes, reason: str) -> None:
        """Our execution says that the block breaks a rule."""

    def _on_status(self, member: int, status: PeerStatus) -> None:
        """A peer's status, after its certificate has been looked at."""

    def _view(self) -> int:
        return 0

    def _new_view_for(self, view: int) -> NewView | None:
        """Our new-view, if a member in `view` could use it."""
        return None

    # --- the skeleton -----------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Effect]:
        self.out.clear()
        self.now_ms = max(self.now_ms, event.now_ms)
        if isinstance(event, Started):
            self._start()
        elif not self._started:
            return []
        elif not self._handle_shared(event):
            self._handle(event)
        self._after()
        return list(self.out)

    def _after(self) -> None:
        if self.chain.halted:
            self.admission.mode = Mode.HALTED
        if self.admission.step(self.chain.head.number, self.chain.highest_known):
            self._on_voting()
        self._progress()
        self._arm(Timer.SYNC, self.catchup.step(self.now_ms))
        retry = [known.retry_at_ms for known in self.chain.candidates.values() if known.retry_at_ms > self.now_ms]
        self._arm(Timer.RETRY, min(retry) if retry else None)

    def _handle_shared(self, event: Event) -> bool:
        match event:
            case TimerFired(timer=timer):
                self._armed.pop(timer, None)
                if timer is Timer.STATUS:
                    self._send_statuses()
                    return True
                return timer in (Timer.SYNC, Timer.RETRY)
            case CertificateReceived(sender=sender, certificate=certificate) if sender in self.peers:
                self._learn(certificate, sender)
            case StatusReceived(sender=sender, status=status) if sender in self.peers:
                self._status_received(sender, status)
            case BlocksReceived(sender=sender, request_id=request_id, blocks=blocks):
                self.catchup.received(sender, request_id, blocks, self.now_ms)
            case PoolChanged(pending=pending):
                if pending and not self.pending:
                    self.pending_since_ms = self.now_ms
                self.pending = pending
            case BlockExecuted(block_hash=block_hash):
                self.chain.executed(block_hash)
            case BlockRefused():
                self._block_refused(event)
            case BlockCommitted(number=number, block_hash=block_hash):
                if self.chain.committed(number, block_hash):
                    self.committed_ms = self.now_ms
                    self.out.append(PruneLog(number))
                    self._on_head()
            case PeerUp(member=member) if member in self.peers:
                self.peers[member].up = True
                self.catchup.up[member] = True
                self._send_status(member, answer=True)
            case PeerDown(member=member) if member in self.peers:
                self.peers[member].up = False
                self.catchup.up[member] = False
            case VotingReleased():
                if self.admission.release(self.chain.highest_known):
                    self._on_voting()
            case CertificateReceived() | StatusReceived() | PeerUp() | PeerDown():
                pass  # of nobody in the set
            case _:
                return False
        return True

    def _start(self) -> None:
        assert not self._started, "an engine starts once"
        self._started = True
        self.committed_ms = self.now_ms
        certificate = self.chain.head.certificate
        if certificate is not None:
            self.admission.saw_certificate(certificate)
        self._on_start()
        self._send_statuses()

    def _block_refused(self, event: BlockRefused) -> None:
        failed = self.chain.refused(event.block_hash, event.fault, self.now_ms)
        if failed is None:
            return
        if event.fault is Fault.BODIES:
            if failed.transactions is not None:
                self.catchup.bodies_refused(failed.sources[0] if failed.sources else None, self.now_ms)
            else:
                for member in failed.asked:
                    self.out.append(ReportPeer(member, "bodies_not_sent"))
        elif event.fault is Fault.BLOCK:
            self._on_block_refused(event.block_hash, event.reason)

    # --- certificates and statuses ----------------------------------------------------------------------------------

    def _learn(self, certificate: Certificate, sender: int | None, *, verified: bool = False) -> bool:
        """The one way for commit certificates (rule P18)."""
        if not self.chain.learn(certificate, sender=sender, verified=verified):
            return False
        if sender is not None:
            self.catchup.claim(sender, certificate.to_height)
        known = self.chain.certificates.get(certificate.to_height)
        if known is certificate:  # valid and news
            self.admission.saw_certificate(certificate)
            self._on_certificate(certificate)
        return True

    def _status_received(self, member: int, status: PeerStatus) -> None:
        head = 0
        certificate = status.head_certificate
        if certificate is not None:
            if certificate.to_height != status.head_number or certificate.to_hash != status.head_hash:
                self.out.append(ReportPeer(member, "status_contradicts_certificate"))
                return
            if not self._learn(certificate, member):
                return
            head = status.head_number
        peer = self.peers[member]
        peer.up, peer.view, peer.head = True, status.view, max(head, peer.head)
        self.admission.answered(member, head, (status.your_highest_vote_view, status.your_highest_vote_height))
        self._on_status(member, status)
        if status.answer or head < self.chain.head.number or status.view < self._view():
            self._reply(member, always=status.answer)

    def _reply(self, member: int, *, always: bool = False) -> None:
        """Tell a member that is behind where we are, not too often."""
        peer = self.peers[member]
        if buggify("answer_dropped"):
            return
        if always or self.now_ms >= peer.replied_ms + REPLY_INTERVAL_MS:
            peer.replied_ms = self.now_ms
            self._send_status(member, answer=False)

    def _send_statuses(self) -> None:
        for member in self.peers:
            self._send_status(member, answer=self.admission.mode is Mode.STARTING)
        self._arm(Timer.STATUS, self.now_ms + STATUS_INTERVAL_MS)

    def _send_status(self, member: int, *, answer: bool) -> None:
        head, peer = self.chain.head, self.peers[member]
        seen_view, seen_height = peer.seen_vote
        status = PeerStatus(
            head_number=head.number,
            head_hash=head.hash,
            head_certificate=head.certificate,
            view=self._view(),
            new_view=self._new_view_for(peer.view),
            answer=answer,
            your_highest_vote_height=seen_height,
            your_highest_vote_view=seen_view,
        )
        self.out.append(Send(member, status, MessageClass.CERTIFICATE))

    def _saw_vote(self, vote: Vote) -> None:
        """Remember how far a member has voted: it asks after a loss of its log (rule K4)."""
        peer = self.peers.get(vote.signer)
        if peer is not None:
            peer.seen_vote = max(peer.seen_vote, (vote.view, vote.to_height))

    # --- tools ------------------------------------------------------------------------------------------------------

    def _sign(self, vote: Vote) -> Vote | Refusal:
        """Our signature under `vote`, or the signer's refusal."""
        if self.signer is None or not self.admission.may_vote or vote.view < self.admission.floor_view:
            return Refusal("not_voting")
        signature = self.signer.may_sign(vote)
        if isinstance(signature, Refusal):
            return signature
        signed = vote.signed(signature)
        self.admission.signed(signed)
        return signed

    def _persist(self, vote: Vote) -> None:
        if vote not in self.recovered.votes:  # what the log holds is durable already
            self.out.append(PersistVote(vote))

    def _candidate(self, header: bytes, hashes: bytes, access_list: bytes = b"") -> Candidate | None:
        """A candidate of a peer's bytes; None when they are no header, or no hashes."""
        fields = self.crypto.header(header)
        if fields is None or len(hashes) % 32:
            return None
        return Candidate(fields.hash, fields.number, fields.parent_hash, header, hashes, access_list)

    def _arm(self, timer: Timer, at_ms: int | None) -> None:
        """Have `timer` fire at `at_ms` (None: not at all); says nothing when that is so already."""
        if at_ms is None:
            if self._armed.pop(timer, None) is not None:
                self.out.append(CancelTimer(timer))
        elif self._armed.get(timer) != at_ms:
            self._armed[timer] = at_ms
            self.out.append(SetTimer(timer, max(0, at_ms - self.now_ms)))

    def _leave(self, view: int, reason: str) -> None:
        self.out.append(LeaveView(view, reason))

    def status(self) -> EngineStatus:
        chain = self.chain
        return EngineStatus(
            engine=self.name,
            mode=self.admission.mode,
            view=self._view(),
            target_view=self._target_view(),
            height=chain.height,
            leader=self._leader(chain.height, self._view()),
            quorum=self._quorum(),
            head=chain.head.number,
            head_hash=chain.head.hash,
            highest_known=chain.highest_known,
            syncing=self.catchup.is_behind,
            waiting_for=self._waiting_for(),
            peer_heads=dict(self.catchup.peer_heads),
            view_changes=self._view_changes(),
        )

    def _quorum(self) -> int:
        return self.quorum

    def _target_view(self) -> int:
        return self._view()

    def _view_changes(self) -> int:
        return 0

    def _leader(self, height: int, view: int) -> int:
        raise NotImplementedError

    def _waiting_for(self) -> str:
        if self.chain.halted:
            return self.chain.halted
        match self.admission.mode:
            case Mode.STARTING:
                return "quorum_of_members"
            case Mode.OBSERVING:
                return "heights_to_observe"
        if self.catchup.is_behind:
            return "missing_blocks"
        return ""
