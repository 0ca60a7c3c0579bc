"""What must never be seen (spec reliability, 2.3), watched while a run goes on. Nothing is asked of the engines' insides,
except the sizes of their maps.

Numbers in comments are those of the list: 1 agreement, 2 one vote, 3 durable before sent, 5 one chain, 6 state roots,
7 validator sets, 9 bounds, 10 evidence; `locks` has 4, `ending` has 11 and 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.engine import Mode
from hansa_consensus.core.limits import HEIGHTS_AHEAD_MAX
from hansa_consensus.core.types import (
    Candidate,
    Certificate,
    InstalledView,
    Message,
    NewView,
    PeerStatus,
    Phase,
    Proposal,
    ViewChange,
    Vote,
)

from .locks import Locks
from .oracles import decode_header

if TYPE_CHECKING:
    from .node import Node
    from .world import World

HARMLESS: Final = frozenset({"bodies_not_sent", "blocks_not_sent"})
"""Reports that a slow or lossy network makes of honest members; p2p weighs them accordingly."""

BOUNDS_EVERY_EVENTS: Final = 64

Key = tuple[str, int, int, bytes]  # phase or "prepared", view, height, hash


class Checkers:
    """All of them, for one run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.quorum = world.profile.quorum(world.members)
        self.locks = Locks(world) if world.profile.checks_locks else None
        self.certified: dict[int, bytes] = {}  # height -> the one block that can be certified
        self.roots: dict[int, bytes] = {0: decode_header(world.genesis.header).state_root}
        self.tally: dict[tuple[Phase, int, int, bytes], int] = {}  # -> bits of the signers
        self.signed: dict[tuple[int, Phase, int, int], tuple[bytes, bytes, int]] = {}
        self.left_view: dict[int, int] = {}  # member -> highest view change sent
        self.durable_votes: dict[int, set[Key]] = {node.index: set() for node in world.nodes}
        self.doubles: dict[tuple[int, Phase, int, int], str] = {}  # that an honest member must have found
        self.found: dict[tuple[int, Phase, int, int], None] = {}
        self._heard: dict[tuple[int, int, int, Phase, int], tuple[int, bytes, bytes]] = {}
        self._failed_views: dict[int, int] = {}
        self._events = 0

    # --- messages -----------------------------------------------------------------------------------------------------

    def sent(self, node: Node, message: Message) -> None:
        """A copy that is no liar sends this."""
        self.seen(message)
        if node.member in self.world.faulty:
            return
        match message:
            case Vote():
                self._vote(node, message)
            case Proposal(prepare=vote):
                self._vote(node, vote)
            case ViewChange(vote=vote):
                self._vote(node, vote, message)

    def seen(self, message: Message) -> None:
        """Certificates and votes that anybody has shown to anybody, lost or not (1)."""
        match message:
            case Vote():
                self._count(message)
            case Proposal(prepare=vote, parent_certificate=parent):
                self._count(vote)
                self._certificate(parent)
            case ViewChange(last_commit=last):
                self._certificate(last)
            case NewView(view_changes=changes):
                for change in changes:
                    self._certificate(change.last_commit)
            case PeerStatus(head_certificate=head, new_view=new_view):
                self._certificate(head)
                if new_view is not None:
                    self.seen(new_view)
            case Certificate():
                self._certificate(message)

    def _count(self, vote: Vote) -> None:
        world = self.world
        if vote.phase is Phase.VIEW_CHANGE or not 0 <= vote.signer < world.members:
            return
        if world.profile.indispensable and vote.signer not in world.profile.indispensable:
            return
        key = (vote.phase, vote.to_height, vote.view, vote.to_hash)
        bits = self.tally.get(key, 0)
        bit = 1 << vote.signer
        if bits & bit:
            return
        if vote.signer in world.faulty:
            message = world.keys.crypto.vote_message(vote)
            if not world.keys.validators.verify_votes([vote.signer], message, [vote.signature])[0]:
                return
        self.tally[key] = bits | bit
        if vote.phase is Phase.COMMIT and (bits | bit).bit_count() >= self.quorum:
            self._certifiable(vote.to_height, vote.to_hash)

    def _certificate(self, certificate: Certificate | None) -> None:
        if (
            certificate is None
            or certificate.phase is not Phase.COMMIT
            or self.certified.get(certificate.to_height) == certificate.to_hash
        ):
            return
        world = self.world
        signers = world.keys.crypto.signers_of(certificate.signers, world.members)
        if signers is None or len(signers) < self.quorum:
            return
        if world.profile.indispensable and signers != list(world.profile.indispensable):
            return
        message = world.keys.crypto.vote_message(certificate.statement())
        if len(certificate.signature) == 48 and world.keys.validators.verify_certificate(
            certificate.signers, message, certificate.signature
        ):
            self._certifiable(certificate.to_height, certificate.to_hash)

    def _certifiable(self, height: int, block: bytes) -> None:
        if self.certified.setdefault(height, block) != block:
            raise self.world.violation(f"S1: two blocks can be certified at height {height}")

    def _vote(self, node: Node, vote: Vote, change: ViewChange | None = None) -> None:
        key = (vote.signer, vote.phase, vote.to_height, vote.view)
        said = (vote.from_hash, vote.to_hash, vote.from_height)
        known = self.signed.setdefault(key, said)
        if known is not said:
            if known != said:
                raise self.world.violation(f"S3: {node.name} signs twice: {_text(vote)}")
            return
        if vote.signer != node.member:
            raise self.world.violation(f"{node.name} sends a vote of {vote.signer}")
        if (vote.phase.value, vote.view, vote.to_height, vote.to_hash) not in self.durable_votes[node.index]:
            raise self.world.violation(f"S3: {node.name} sends a vote that is not durable: {_text(vote)}")
        if vote.phase is not Phase.VIEW_CHANGE:
            if vote.view < self.left_view.get(node.member, 0):
                raise self.world.violation(f"P7: {node.name} votes in a view that it has left: {_text(vote)}")
        else:
            self.left_view[node.member] = max(self.left_view.get(node.member, 0), vote.view)
            if change is not None and change.prepared:
                self.world.points.sometimes("view change carried a prepared certificate")
        if self.locks is not None:
            self.locks.voted(node, vote, change)

    def durable(self, node: Node, keys: list[Key]) -> None:
        """These records would survive a power cut (3)."""
        self.durable_votes[node.index].update(keys)

    # --- events -------------------------------------------------------------------------------------------------------

    def handled(self, node: Node, event: ev.Event) -> None:
        """An engine has taken an event."""
        self._events += 1
        if self._events % BOUNDS_EVERY_EVENTS == 0 and node.engine is not None:
            if node.engine.status().mode is Mode.OBSERVING:
                self.world.points.sometimes("observe mode entered")
            for name, size, bound in self.world.profile.bounds(node.engine, self.world.members):
                if size > bound:
                    raise self.world.violation(f"bound: {node.name} holds {size} {name}, at most {bound} are allowed")
        if type(event) is ev.VoteReceived and event.sender in self.world.faulty and node.engine is not None:
            self._heard_vote(node, event.vote, event.sender)

    def _heard_vote(self, node: Node, vote: Vote, sender: int) -> None:
        """Two different votes of one key reached one honest member: it must tell (10)."""
        world = self.world
        head = len(node.chain.blocks)
        if (
            node.member in world.faulty
            or vote.signer != sender
            or not head < vote.to_height <= head + HEIGHTS_AHEAD_MAX
        ):
            return
        if (
            vote.phase is Phase.VIEW_CHANGE
            or vote.to_height != vote.from_height + 1
            or vote.level
            or vote.shard
            or vote.epoch
        ):
            return
        message = world.keys.crypto.vote_message(vote)
        if not world.keys.validators.verify_votes([vote.signer], message, [vote.signature])[0]:
            return
        slot = (node.index, node.life, vote.to_height, vote.phase, vote.signer)
        known = self._heard.get(slot)
        if known is None or vote.view > known[0]:
            self._heard[slot] = (vote.view, vote.to_hash, vote.from_hash)
        elif vote.view == known[0] and (vote.to_hash, vote.from_hash) != known[1:]:
            self.doubles.setdefault((vote.signer, vote.phase, vote.to_height, vote.view), node.name)

    def evidence(self, node: Node, effect: fx.ReportEvidence) -> None:
        """Somebody is accused (10)."""
        first, second = effect.first, effect.second
        if first.signer not in self.world.faulty:
            raise self.world.violation(f"evidence against the honest {first.signer}: {_text(first)}, {_text(second)}")
        same = (first.phase, first.to_height, first.view) == (second.phase, second.to_height, second.view)
        if first.signer != second.signer or not same or first.same_statement(second):
            raise self.world.violation(f"{node.name} tells evidence of nothing: {_text(first)}, {_text(second)}")
        self.world.points.sometimes("double vote found")
        self.found[first.signer, first.phase, first.to_height, first.view] = None

    def peer_reported(self, node: Node, effect: fx.ReportPeer) -> None:
        """A member is blamed."""
        world = self.world
        if effect.reason == "timestamp_too_far_ahead":
            world.points.sometimes("proposal refused for its time")
        if node.member in world.faulty or effect.member in world.faulty or effect.reason in HARMLESS:
            return
        if effect.reason == "timestamp_too_far_ahead" and {node.member, effect.member} & set(world.skewed):
            return
        raise world.violation(f"{node.name} blames the honest {effect.member}: {effect.reason}")

    def halted(self, node: Node, effect: fx.HaltVoting) -> None:
        """An engine sees the impossible."""
        raise self.world.violation(f"{node.name} halts at {effect.number}: {effect.reason}")

    def log_damaged(self, node: Node) -> None:
        """A start refused the vote log: only a disk that lies may cause that."""
        if self.world.faulty.get(node.member) != "disk":
            raise self.world.violation(f"the vote log of {node.name} is damaged though its disk is honest")

    # --- views --------------------------------------------------------------------------------------------------------

    def view_left(self, node: Node, effect: fx.LeaveView) -> None:
        """A view change is sent."""
        world = self.world
        world.view_changes += 1
        if world.calm:
            world.points.sometimes("view change under way in calm")
        if effect.view > 3:
            world.points.sometimes("view above 3")
        match effect.reason:
            case "joined":
                world.points.sometimes("view change joined")
            case "own_proposal_lost":
                world.points.sometimes("own proposal lost in a crash")
            case "hash_mismatch":
                world.points.sometimes("proposal refused by execution")
        failed = self._failed_views.get(node.index, 0) + 1
        self._failed_views[node.index] = failed
        if failed > 1:
            world.points.sometimes("two views failed in a row")

    def view_installed(self, node: Node, installed: InstalledView) -> None:
        """A view and what gives the right to it."""
        if installed.certificate is not None:
            self.world.points.sometimes("view entered by certificate")
        if self.locks is not None:
            self.locks.installed(node, installed)

    # --- commits ------------------------------------------------------------------------------------------------------

    def committing(self, node: Node, candidate: Candidate, certificate: Certificate, bodies: bytes) -> None:
        """A copy writes a block: on its head, with its certificate, and everybody the same (1, 5, 6, 7)."""
        world, chain = self.world, node.chain
        head = chain.head
        if candidate.number != head.number + 1 or candidate.parent_hash != head.hash:
            raise world.violation(f"{node.name} commits {candidate.number} on {head.number}")
        if certificate.to_hash != candidate.hash or certificate.phase is not Phase.COMMIT:
            raise world.violation(f"{node.name} commits a block with another's certificate")
        message = world.keys.crypto.vote_message(certificate.statement())
        signers = world.keys.crypto.signers_of(certificate.signers, world.members)
        if not signers or len(signers) < self.quorum:
            raise world.violation(f"{node.name} commits {candidate.number} without a quorum")
        if not world.keys.validators.verify_certificate(certificate.signers, message, certificate.signature):
            raise world.violation(f"{node.name} commits {candidate.number} with a certificate that does not hold")
        self._certifiable(candidate.number, candidate.hash)
        header, parent = decode_header(candidate.header), decode_header(head.header)
        if header.timestamp < parent.timestamp:
            raise world.violation(f"the time of the chain falls at {candidate.number}")
        latest = max(each.wall_ms() for each in world.honest()) // 1000 + 3
        if header.timestamp > latest:
            raise world.violation(f"the time of block {candidate.number} is ahead of every honest clock")
        for at in range(0, len(bodies), 32):
            if bodies[at : at + 32] in chain.transactions:
                raise world.violation(f"a transaction is in block {candidate.number} a second time")
        if self.roots.setdefault(candidate.number, header.state_root) != header.state_root:
            raise world.violation(f"S4: two state roots at {candidate.number}")
        self._failed_views[node.index] = 0

    def released(self, node: Node, height: int) -> None:
        """A copy may vote from here on."""
        if height:
            self.world.points.sometimes("observe mode ended")


def _text(vote: Vote) -> str:
    return f"{vote.phase} by {vote.signer} for height {vote.to_height} view {vote.view} {vote.to_hash.hex()[:8]}"
