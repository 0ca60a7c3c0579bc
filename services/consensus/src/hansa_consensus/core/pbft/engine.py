"""Views: entering and leaving them (PBFT 4.4, rules P4-P14), and the engine that puts all together."""

from typing import Any

from hansa_consensus.core.chain import CandidateState
from hansa_consensus.core.codec import prepared_certificates_bytes
from hansa_consensus.core.effects import (
    Broadcast,
    EnterView,
    ForwardPending,
    PersistInstalledView,
    PersistViewChange,
    ReportPeer,
    Timer,
)
from hansa_consensus.core.engine import Refusal
from hansa_consensus.core.events import (
    BlockBuilt,
    BuildFailed,
    Event,
    NewViewReceived,
    ProposalReceived,
    TimerFired,
    ViewChangeReceived,
    VoteReceived,
)
from hansa_consensus.core.limits import VIEW_AHEAD_MAX, VIEW_CHANGE_RESEND_MS
from hansa_consensus.core.types import (
    Certificate,
    InstalledView,
    MessageClass,
    NewView,
    PeerStatus,
    Phase,
    PreparedBlock,
    ViewChange,
    Vote,
)

from .agreement import Agreement
from .timing import Work, request_timeout_ms
from .view_changes import ViewChangeBook, choose


class PbftEngine(Agreement):
    """`engine.Engine` for PBFT."""

    name = "pbft"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.changes = ViewChangeBook(self.config, self.crypto, self.chain, self.members, self.config.genesis_hash)
        self.installed = InstalledView(0)
        self.my_change: ViewChange | None = None  # for `target`, while changing
        self.entered_ms = 0
        self.base_view = 0  # where the doubling of the time-out counts from: the view at the last commit
        self._quorum_seen_ms: int | None = None  # when q members were first seen to want `target` or more (P11)
        self._grace_ms = 0
        self._excused = False
        self._forwarded: tuple[int, int] | None = None
        self._sent_changes = 0

    # --- start --------------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        self.entered_ms = self.last_proposal_ms = self.accepted_ms = self.now_ms
        if self.recovered.installed is not None:
            self.installed = self.recovered.installed
            self.view = self.installed.view
            if self.installed.new_view is not None:
                self.choice = choose(self.installed.new_view.view_changes, self.config.genesis_hash)
                for logged in self.installed.new_view.view_changes:
                    self._learn_base(logged, None)  # P9: what was decided then is not voted on again
            elif self.installed.certificate is not None:
                self._learn(self.installed.certificate, None, verified=True)
        certificate = self.chain.head.certificate
        if certificate is not None and certificate.view > self.view:
            self.view, self.choice = certificate.view, None
            self.installed = InstalledView(certificate.view, certificate=certificate)
        self.target = self.view
        change = self.recovered.view_change
        if change is not None and change.vote.view >= self.target:
            self.target = change.vote.view
            self.my_change = change
            self.changes.add(change)
        self.base_view = self.target
        for vote in self.recovered.votes:
            if vote.signer == self.me and vote.phase is not Phase.VIEW_CHANGE:
                self._restore_vote(vote)
        self._restore_lock()

    def _restore_vote(self, vote: Vote) -> None:
        if self.votes.takes(vote.to_height, self.chain.head.number):
            self._count(vote)

    def _restore_lock(self) -> None:
        """A block of the vote log whose height has come: it is our lock, and its bodies are there."""
        for block in self.recovered.prepared:
            certificate = block.certificate
            if certificate.to_height != self.chain.height or certificate.from_hash != self.chain.head.hash:
                continue
            candidate = self._candidate(block.header, block.transaction_hashes)
            if candidate is None or self.chain.add(candidate, None) is None:
                continue
            self.lock = block
            if certificate.view == self.view:
                self._accept(candidate)
                own = self.votes.of(self.me, self.chain.height, Phase.PREPARE) if self.me is not None else None
                if own is not None and own.view == self.view and self.is_leader:
                    self.my_proposal = self._proposal(candidate, own)
            self._protect()
            self.chain.execute(candidate.hash, self.now_ms)

    def _on_voting(self) -> None:
        """Resume: the identical bytes of what was under way."""
        self.out += [Broadcast(vote, MessageClass.VOTE) for vote in self._own_votes()]
        if self.changing and self.my_change is not None:
            self.out.append(Broadcast(self.my_change, MessageClass.VOTE))
            self._arm(Timer.RESEND, self.now_ms + VIEW_CHANGE_RESEND_MS)
        if self.my_proposal is not None and not self.changing:
            self.out.append(Broadcast(self.my_proposal, MessageClass.PROPOSAL))
        self.entered_ms = max(self.entered_ms, self.now_ms)

    # --- events -------------------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        match event:
            case VoteReceived():
                self._vote_received(event)
            case ProposalReceived():
                self._proposal_received(event)
            case ViewChangeReceived(sender=sender, view_change=change) if sender in self.peers:
                self._view_change_received(sender, change)
            case NewViewReceived(sender=sender, new_view=new_view) if sender in self.peers:
                self._new_view_received(sender, new_view)
            case BlockBuilt():
                self._block_built(event)
            case BuildFailed():
                self._build_failed(event)
            case TimerFired(timer=Timer.RESEND):
                self._resend_change()

    def _on_status(self, member: int, status: PeerStatus) -> None:
        if status.new_view is not None and status.new_view.view > self.view:
            self._new_view_received(member, status.new_view)
        if status.head_number == self.chain.head.number:
            self._repeat_to(member)

    def _on_head(self) -> None:
        head = self.chain.head
        if self.accepted is None or self.accepted.hash != head.hash:
            self.last_proposal_ms = self.now_ms
        elif self.my_proposal is None:
            self.last_proposal_ms = self.accepted_ms  # our own counts from the start of its building
        self.accepted = None
        self.my_proposal = None
        self.lock = None
        self._stop_building()
        self._retry_build_ms = 0
        self.votes.forget(head.number)
        self.base_view = self.target  # P11: back to the base after a commit
        self._excused = False
        self._quorum_seen_ms = None
        self._restore_lock()
        self._protect()

    def _on_certificate(self, certificate: Certificate) -> None:
        if certificate.view > self.view:
            self._install(InstalledView(certificate.view, certificate=certificate))

    def _new_view_for(self, view: int) -> NewView | None:
        return self.installed.new_view if view < self.view else None

    # --- what can be done now -----------------------------------------------------------------------------------------

    def _progress(self) -> None:
        self._look_at_stash()
        if self.may_act:
            self._join()
            if self.changing:
                self._try_new_view()
            if not self.changing:
                self._lead()
                self._agree()
            self._watch_leader()
        else:
            for timer in (Timer.REQUEST, Timer.FORWARD, Timer.PROPOSE):
                self._arm(timer, None)

    # --- leaving a view -----------------------------------------------------------------------------------------------

    def _change_view(self, view: int, reason: str) -> None:
        """Vote to change to `view`; from here on nothing is voted below it (rule P7)."""
        view = max(view, self.admission.floor_view)
        if view <= self.target or not self.may_act:
            return
        change = self._make_change(view)
        if change is None:
            return
        self.target = view
        self._stop_building()
        self._quorum_seen_ms = None
        self._grace_ms = self.now_ms
        self._sent_changes += 1
        self._leave(view, reason)
        self._send_change(change)
        if self.pending and reason == "request_timeout":
            self.out.append(ForwardPending(None))

    def _make_change(self, view: int) -> ViewChange | None:
        """Our view change on the head as it is (rule P9): with our lock above it, if any (rule P8)."""
        assert self.me is not None
        head = self.chain.head
        prepared: tuple[PreparedBlock, ...] = () if self.lock is None else (self.lock,)
        signed = self._sign(
            Vote(
                phase=Phase.VIEW_CHANGE,
                from_hash=head.hash,
                from_height=head.number,
                to_hash=self.crypto.keccak(prepared_certificates_bytes(prepared)),
                to_height=head.number + 1,
                view=view,
                signer=self.me,
                shard=self.config.shard,
                epoch=self.config.epoch,
            )
        )
        return None if isinstance(signed, Refusal) else ViewChange(signed, head.certificate, prepared)

    def _send_change(self, change: ViewChange) -> None:
        self.my_change = change
        if change != self.recovered.view_change:
            self.out.append(PersistViewChange(change))
        self.out.append(Broadcast(change, MessageClass.VOTE))
        self.changes.add(change)
        self._arm(Timer.RESEND, self.now_ms + VIEW_CHANGE_RESEND_MS)

    def _resend_change(self) -> None:
        """Rule P12; signed anew for the same view if our head has risen meanwhile (design, "Certificates")."""
        if not self.changing or not self.may_act:
            if self.changing:
                self._arm(Timer.RESEND, self.now_ms + VIEW_CHANGE_RESEND_MS)
            return
        self._refresh_change()
        if self.my_change is not None and Timer.RESEND not in self._armed:
            self.out.append(Broadcast(self.my_change, MessageClass.VOTE))
            self._arm(Timer.RESEND, self.now_ms + VIEW_CHANGE_RESEND_MS)

    def _refresh_change(self) -> None:
        change = self.my_change
        if change is None or change.vote.from_height < self.chain.head.number:
            fresh = self._make_change(self.target)
            if fresh is not None:
                self._send_change(fresh)

    def _join(self) -> None:
        """Rule P10: f + 1 others above our target hold an honest one that has a reason."""
        faulty = self.members - self.quorum
        for _ in range(self.members):
            above = self.changes.above(self.target, without=self.me)
            if len(above) <= faulty:
                return
            target = self.target
            self._change_view(above[0], "joined")
            if self.target == target:
                return

    def _view_change_received(self, sender: int, change: ViewChange) -> None:
        vote = change.vote
        if vote.signer != sender:
            self.out.append(ReportPeer(sender, "malformed_view_change"))
            return
        if self.changes.is_stale(change):
            if vote.view <= self.view:
                self._reply(sender)
            return
        if vote.view > self.target + VIEW_AHEAD_MAX:
            self.out.append(ReportPeer(sender, "view_too_far_ahead"))
            return
        fault = self.changes.fault(change)
        if fault is not None:
            self.out.append(ReportPeer(sender, fault))
            return
        self._saw_vote(vote)
        self.changes.add(change)
        self._learn_base(change, sender)
        if vote.view <= self.view or vote.from_height < self.chain.head.number:
            self._reply(sender)

    def _learn_base(self, change: ViewChange, sender: int | None) -> None:
        """Rule P9: everybody processes the commit certificate of a view change."""
        if change.last_commit is not None:
            self._learn(change.last_commit, sender, verified=True)

    # --- entering a view ----------------------------------------------------------------------------------------------

    def _try_new_view(self) -> None:
        """As leader of the target view: a new-view from q view changes whose blocks we hold (rules P8, P9)."""
        if self._leader(self.chain.height, self.target) != self.me:
            return
        if self.changes.count_from(self.target) < self.quorum:
            return
        self._refresh_change()
        counted = [change for change in self.changes.of_view(self.target) if self._holds_blocks_of(change)]
        if len(counted) < self.quorum:
            return
        new_view = NewView(self.target, tuple(counted))
        assert choose(counted, self.config.genesis_hash).base_height == self.chain.head.number
        self._install(InstalledView(self.target, new_view=new_view))
        self.out.append(Broadcast(new_view, MessageClass.PROPOSAL))

    def _holds_blocks_of(self, change: ViewChange) -> bool:
        """Whether the prepared block that matters at our height is executed here; asks for it otherwise."""
        for block in change.prepared:
            certificate = block.certificate
            if certificate.to_height != self.chain.height or certificate.from_hash != self.chain.head.hash:
                continue
            candidate = self._candidate(block.header, block.transaction_hashes)
            assert candidate is not None, "checked on receipt"
            known = self.chain.add(candidate, change.vote.signer)
            if known is None or known.state is CandidateState.REFUSED:
                return False
            self.chain.execute(certificate.to_hash, self.now_ms)
            return known.state is CandidateState.EXECUTED
        return True

    def _new_view_received(self, sender: int, new_view: NewView) -> None:
        if new_view.view < self.view:
            self._reply(sender)
            return
        if new_view.view == self.view and not self._leader_insists(sender, new_view):
            return
        fault = self.changes.new_view_fault(new_view)
        if fault is not None:
            self.out.append(ReportPeer(sender, fault))
            return
        for change in new_view.view_changes:
            self.changes.add(change)
            self._learn_base(change, None)
        if new_view.view >= self.view:
            self._install(InstalledView(new_view.view, new_view=new_view))

    def _leader_insists(self, sender: int, new_view: NewView) -> bool:
        """Anybody may pass on a new-view, so a liar could hand us another selection of view changes than the
        leader's. The leader's own word replaces it as long as we have voted for nothing in the view."""
        if new_view == self.installed.new_view or self.choice is None or self.changing:
            return False
        if self.accepted is not None or self._voted(Phase.PREPARE):
            return False
        heights = [change.vote.from_height for change in new_view.view_changes]
        return bool(heights) and sender == self._leader(max(heights) + 1, new_view.view)

    def _install(self, installed: InstalledView) -> None:
        """Enter a view; what it binds is logged before anything is voted in it."""
        self.installed = installed
        self.view = installed.view
        self.target = max(self.target, self.view)
        new_view = installed.new_view
        self.choice = None if new_view is None else choose(new_view.view_changes, self.config.genesis_hash)
        self.accepted = None
        self.my_proposal = None
        self._stop_building()
        self._retry_build_ms = 0
        self.entered_ms = self.now_ms
        self._protect()
        if self.me is not None:
            self.out.append(PersistInstalledView(installed))
        if not self.changing:
            self.my_change = None
            self._quorum_seen_ms = None
            self._arm(Timer.RESEND, None)
        self.out.append(EnterView(self.view, self._leader(self.chain.height, self.view)))

    # --- the clock ----------------------------------------------------------------------------------------------------

    def _watch_leader(self) -> None:
        """Arm the request timer, or leave the view when it has run out (rules P11, P14)."""
        since, timeout = self._waiting_since(), self._timeout_ms()
        if since is None:
            self._arm(Timer.REQUEST, None)
            self._arm(Timer.FORWARD, None)
            return
        deadline = since + timeout
        if self.now_ms > deadline + timeout // 2 and not self._excused:
            # We were stopped, not the leader: what came meanwhile still waits to be read. Once per block.
            self._excused = True
            self._grace_ms = self.now_ms
            deadline = self.now_ms + timeout
        if self.now_ms >= deadline:
            self._arm(Timer.REQUEST, None)
            self._arm(Timer.FORWARD, None)
            self._change_view(self.target + 1, "request_timeout")
            return
        self._arm(Timer.REQUEST, deadline)
        self._forward(since + timeout // 2)

    def _timeout_ms(self) -> int:
        return request_timeout_ms(self.config.request_timeout_ms, self.target - self.base_view)

    def _waiting_since(self) -> int | None:
        if self.changing:
            if self.changes.count_from(self.target) < self.quorum:
                self._quorum_seen_ms = None
                return None  # P12: below a quorum nobody runs ahead
            if self._quorum_seen_ms is None:
                self._quorum_seen_ms = self.now_ms
            return max(self._quorum_seen_ms, self._grace_ms)
        work = Work(
            idle_since_ms=max(self.committed_ms, self.entered_ms),
            accepted_ms=None if self.accepted is None else self.accepted_ms,
            bound=self.lock is not None or self._bound_hash() is not None,
            pending_since_ms=self.pending_since_ms if self.pending else None,
            last_proposal_ms=self.last_proposal_ms,
            block_time_ms=self.config.block_time_ms,
            empty_block_time_ms=self.config.empty_block_time_ms,
        )
        since = work.since_ms()
        return None if since is None else max(since, self._grace_ms)

    def _forward(self, at_ms: int) -> None:
        """Half the time has gone: perhaps the leader does not know what we are waiting for."""
        key = (self.chain.height, self.view)
        if self.changing or self.accepted is not None or not self.pending or self.is_leader or self._forwarded == key:
            self._arm(Timer.FORWARD, None)
        elif self.now_ms >= at_ms:
            self._forwarded = key
            self._arm(Timer.FORWARD, None)
            self.out.append(ForwardPending(self._leader(*key)))
        else:
            self._arm(Timer.FORWARD, at_ms)

    # --- status -------------------------------------------------------------------------------------------------------

    def _target_view(self) -> int:
        return self.target

    def _view_changes(self) -> int:
        return self._sent_changes

    def _waiting_for(self) -> str:
        shared = super()._waiting_for()
        if shared:
            return shared
        if self.changing:
            enough = self.changes.count_from(self.target) >= self.quorum
            return "new_view" if enough else "quorum_for_view_change"
        if self._waiting_since() is not None:
            return "votes" if self.accepted is not None else "proposal"
        return ""
