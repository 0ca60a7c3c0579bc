"""Byzantine members: an honest engine whose messages, blocks and answers a script changes on their way out.

A liar signs with its own key only. Scripts are those of the specification's table (2.2); `mutator` changes one field of a
real message and signs it where it can, since random bytes die in the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from hansa_consensus.core.codec import prepared_certificates_bytes
from hansa_consensus.core.types import (
    UINT64_MAX,
    Certificate,
    Message,
    NewView,
    PeerStatus,
    Phase,
    PreparedBlock,
    Proposal,
    SyncBlock,
    ViewChange,
    Vote,
)

from .oracles import Header, candidate_of, decode_header, digest, state_root, transactions_root

if TYPE_CHECKING:
    from .node import Node
    from .world import World

REMEMBERED_MAX: Final = 64


class Liar:
    """Does everything as it should; scripts override what they do otherwise."""

    def __init__(self, world: World, node: Node, random: Random) -> None:
        self.world = world
        self.node = node
        self.random = random
        self.friends = {member for member in range(world.members) if random.random() < 0.5}
        self.past: list[Message] = []  # of its own, to be sent again

    # --- what the shell asks ------------------------------------------------------------------------------------------

    def outgoing(self, member: int, message: Message) -> Sequence[Message]:
        """What really goes to `member`."""
        sent = self.say(member, message)
        for each in sent:
            self.world.checkers.seen(each)
        return sent

    def builds_nothing(self) -> bool:
        """Never proposes."""
        return False

    def choose(self, names: list[bytes]) -> list[bytes]:
        """Transactions of its own block."""
        return names

    def header(self, header: Header) -> Header:
        """Of its own block."""
        return header

    def hides_bodies(self) -> bool:
        """Whether it keeps the bodies that it is asked for."""
        return False

    def blocks(self, blocks: tuple[SyncBlock, ...]) -> tuple[SyncBlock, ...]:
        """Its answer to a member that catches up."""
        return blocks

    def say(self, member: int, message: Message) -> Sequence[Message]:
        """One message to one member: what is sent instead."""
        return (message,)

    # --- tools --------------------------------------------------------------------------------------------------------

    def sign(self, vote: Vote) -> Vote:
        """With its own key."""
        message = self.world.keys.crypto.vote_message(vote)
        return vote.signed(self.world.keys.sign(self.node.member, message))

    def remember(self, message: Message) -> None:
        """For later."""
        self.past.append(message)
        if len(self.past) > REMEMBERED_MAX:
            del self.past[self.random.randrange(REMEMBERED_MAX)]

    def change_with(self, change: ViewChange, blocks: tuple[PreparedBlock, ...]) -> ViewChange:
        """The view change with other prepared blocks, signed."""
        to_hash = self.world.keys.crypto.keccak(prepared_certificates_bytes(blocks))
        return replace(change, vote=self.sign(replace(change.vote, to_hash=to_hash)), prepared=blocks)

    def sibling(self, proposal: Proposal) -> Proposal:
        """Another valid block in the place of the proposed one, without transactions."""
        header = decode_header(proposal.header)
        root = transactions_root(b"")
        parent_root = (
            self.node.chain.roots[-1] if header.number == len(self.node.chain.blocks) + 1 else header.state_root
        )
        other = replace(
            header, transactions_root=root, state_root=state_root(parent_root, root), nonce=self.world.next_nonce()
        ).encode()
        candidate = candidate_of(other, b"")
        self.node.held[candidate.hash] = b""
        vote = self.sign(replace(proposal.prepare, to_hash=candidate.hash))
        return replace(proposal, header=other, transaction_hashes=b"", prepare=vote)


class Mutator(Liar):
    """Mostly the truth, sometimes with exactly one thing changed."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        self.remember(message)
        if self.random.random() < 0.75:
            return (message,)
        if self.random.random() < 0.2:
            return (message, self.random.choice(self.past))
        return (self.mutate(message),)

    def mutate(self, message: Message) -> Message:
        """One step away from a real message."""
        drift = self.random.choice((-1, 1))
        match message:
            case Vote():
                return self.sign(self._vote(message, drift))
            case Proposal():
                return self._proposal(message, drift)
            case ViewChange(vote=vote):
                return self._view_change(message, vote, drift)
            case NewView(view_changes=changes):
                return self._new_view(message, changes)
            case Certificate():
                return self._certificate(message)
            case PeerStatus():
                return self._status(message)
        return message

    def _vote(self, vote: Vote, drift: int) -> Vote:
        return self.random.choice(
            (
                replace(vote, view=max(0, vote.view + drift)),
                replace(vote, to_height=vote.to_height + drift, from_height=max(0, vote.from_height + drift)),
                replace(vote, to_hash=digest(vote.to_hash)),
                replace(vote, from_hash=digest(vote.from_hash)),
                replace(vote, phase=Phase.COMMIT if vote.phase is Phase.PREPARE else Phase.PREPARE),
                replace(vote, epoch=1),
                replace(vote, shard=1),
                replace(vote, level=1),
                replace(vote, signer=(vote.signer + 1) % self.world.members),
            )
        )

    def _proposal(self, proposal: Proposal, drift: int) -> Proposal:
        match self.random.randrange(4):
            case 0:
                return self.sibling(proposal)
            case 1:
                vote = self.sign(replace(proposal.prepare, view=max(0, proposal.view + drift)))
                return replace(proposal, view=vote.view, prepare=vote)
            case 2 if proposal.parent_certificate is not None:
                return replace(proposal, parent_certificate=self._certificate(proposal.parent_certificate))
        return replace(proposal, transaction_hashes=digest(proposal.header))

    def _view_change(self, change: ViewChange, vote: Vote, drift: int) -> ViewChange:
        match self.random.randrange(4):
            case 0:
                return self.change_with(change, ())
            case 1 if change.prepared:
                first = change.prepared[0]
                forged = replace(first, certificate=self._certificate(first.certificate))
                return self.change_with(change, (forged, *change.prepared[1:]))
            case 2 if change.last_commit is not None:
                return replace(change, last_commit=self._certificate(change.last_commit))
        ahead = self.random.choice((1, 2, 1_000, drift))
        return replace(change, vote=self.sign(replace(vote, view=max(0, vote.view + ahead))))

    def _new_view(self, message: NewView, changes: tuple[ViewChange, ...]) -> NewView:
        match self.random.randrange(3):
            case 0 if len(changes) > 1:
                return replace(message, view_changes=changes[:-1])
            case 1 if len(changes) > 1:
                return replace(message, view_changes=(changes[0], changes[0], *changes[2:]))
        return replace(message, view=message.view + 1)

    def _certificate(self, certificate: Certificate) -> Certificate:
        signers = self.world.keys.crypto.signers_of(certificate.signers, self.world.members) or [0]
        bits = self.world.keys.crypto.bitmap_of
        return self.random.choice(
            (
                replace(certificate, signers=bits(signers[:-1] or [0], self.world.members)),
                replace(certificate, signers=bits(range(self.world.members), self.world.members)),
                replace(certificate, to_hash=digest(certificate.to_hash)),
                replace(certificate, to_height=certificate.to_height + 1, from_height=certificate.to_height),
                replace(certificate, view=certificate.view + 1),
                replace(certificate, epoch=1),
                replace(certificate, phase=Phase.COMMIT if certificate.phase is Phase.PREPARE else Phase.PREPARE),
                replace(certificate, signature=self.world.keys.sign(self.node.member, b"something else")),
            )
        )

    def _status(self, status: PeerStatus) -> PeerStatus:
        certificate = status.head_certificate
        if certificate is not None and self.random.random() < 0.5:
            forged = replace(
                certificate,
                from_hash=certificate.to_hash,
                from_height=certificate.to_height,
                to_hash=digest(certificate.to_hash),
                to_height=certificate.to_height + 1,
            )
            return replace(status, head_number=forged.to_height, head_hash=forged.to_hash, head_certificate=forged)
        return replace(status, your_highest_vote_height=1 << 40, your_highest_vote_view=1 << 40)


class Silent(Liar):
    """Says nothing at all (1)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        return ()


class SilentLeader(Liar):
    """Votes, and never proposes (1)."""

    def builds_nothing(self) -> bool:
        return True

    def say(self, member: int, message: Message) -> Sequence[Message]:
        return () if isinstance(message, Proposal | NewView) else (message,)


class SilentToSome(Liar):
    """Does not talk to some members (1)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        return (message,) if member in self.friends else ()


class EquivocatingLeader(Liar):
    """Block A to some, block B to others, and votes for both (2)."""

    def __init__(self, world: World, node: Node, random: Random) -> None:
        super().__init__(world, node, random)
        self.others: dict[bytes, Proposal] = {}

    def say(self, member: int, message: Message) -> Sequence[Message]:
        match message:
            case Proposal(prepare=vote):
                if vote.to_hash not in self.others:
                    self.others[vote.to_hash] = self.sibling(message)
                    if len(self.others) > REMEMBERED_MAX:
                        del self.others[next(iter(self.others))]
                return (message,) if member in self.friends else (self.others[vote.to_hash],)
            case Vote(to_hash=block) if block in self.others and member not in self.friends:
                return (self.sign(replace(message, to_hash=self.others[block].prepare.to_hash)),)
        return (message,)


class BodiesToFew(Liar):
    """Headers to all, bodies to nobody that asks (2)."""

    def hides_bodies(self) -> bool:
        return True

    def choose(self, names: list[bytes]) -> list[bytes]:
        # A transaction that nobody else can know.
        return [digest(b"hidden", self.world.next_nonce().to_bytes(8, "big")), *names[:2]]


class InvalidBlocks(Liar):
    """Wrong state root, too much gas, a time in the future, a wrong parent (3)."""

    def header(self, header: Header) -> Header:
        match self.random.randrange(6):
            case 0:
                return replace(header, state_root=digest(header.state_root))
            case 1:
                return replace(header, gas_fits=False)
            case 2:
                return replace(header, timestamp=header.timestamp + 3_600)
            case 3:
                return replace(header, proposer=(header.proposer + 1) % self.world.members)
            case 4:
                return replace(header, timestamp=0)
        return header


class EagerVoter(Liar):
    """Prepares and commits whatever it is shown, at once and unseen (4)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        match message:
            case Vote(phase=Phase.PREPARE):
                return (message, self.sign(replace(message, phase=Phase.COMMIT)))
            case Proposal(prepare=vote):
                return (message, self.sign(replace(vote, phase=Phase.COMMIT)))
        return (message,)


class DoubleVoter(Liar):
    """Two votes in one view, both to everybody or each to some (4)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        if isinstance(message, Vote) and self.random.random() < 0.5:
            other = self.sign(replace(message, to_hash=digest(message.to_hash)))
            return (message, other) if self.random.random() < 0.5 else (other,)
        return (message,)


class LockHider(Liar):
    """Leaves its prepared certificate out of view changes, for all or for some (5)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        if isinstance(message, ViewChange) and message.prepared and member not in self.friends:
            return (self.change_with(message, ()),)
        return (message,)


class StaleViewChanges(Liar):
    """View changes with old, foreign or forged certificates (5)."""

    def __init__(self, world: World, node: Node, random: Random) -> None:
        super().__init__(world, node, random)
        self.blocks_seen: list[PreparedBlock] = []

    def say(self, member: int, message: Message) -> Sequence[Message]:
        if not isinstance(message, ViewChange):
            return (message,)
        self.blocks_seen += message.prepared
        del self.blocks_seen[:-REMEMBERED_MAX]
        if not self.blocks_seen:
            return (message,)
        old = self.random.choice(self.blocks_seen)
        match self.random.randrange(4):
            case 0:
                return (self.change_with(message, (old,)),)
            case 1:
                higher = replace(old, certificate=replace(old.certificate, view=message.vote.view - 1))
                return (self.change_with(message, (higher,)),)
            case 2:
                higher = replace(old, certificate=replace(old.certificate, view=message.vote.view + 1))
                return (self.change_with(message, (higher,)),)
        return (message,)


class DisobedientLeader(Liar):
    """As new leader: another block than the view changes imply, or a new-view that leaves one out (6)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        match message:
            case Proposal() if message.view > 0 and self.random.random() < 0.7:
                return (self.sibling(message),)
            case NewView(view_changes=changes) if len(changes) > 1 and self.random.random() < 0.3:
                return (replace(message, view_changes=changes[1:]),)
        return (message,)


class Spammer(Liar):
    """View changes for views far ahead, and signed votes for heights far ahead (7)."""

    def say(self, member: int, message: Message) -> Sequence[Message]:
        match message:
            case Vote() if self.random.random() < 0.3:
                ahead = self.random.choice((1, 3, 4, 5, 100, 1 << 40))
                far = replace(
                    message,
                    to_height=message.to_height + ahead,
                    from_height=message.from_height + ahead,
                    view=message.view + self.random.randrange(3),
                )
                return (message, self.sign(far))
            case ViewChange(vote=vote):
                ahead = self.random.choice((1, 2, 10, 1_000, 1_000_000, 1 << 60))
                return (message, replace(message, vote=self.sign(replace(vote, view=vote.view + ahead))))
            case PeerStatus():
                head = len(self.node.chain.blocks)
                vote = Vote(
                    phase=Phase.VIEW_CHANGE,
                    from_hash=self.node.chain.head.hash,
                    from_height=head,
                    to_hash=self.world.keys.crypto.keccak(prepared_certificates_bytes(())),
                    to_height=head + 1,
                    view=message.view + self.random.choice((1, 5, 1_000_000)),
                    signer=self.node.member,
                )
                return (message, ViewChange(self.sign(vote), self.node.chain.head.certificate, ()))
        return (message,)


class Poisoner(Liar):
    """Wrong blocks, proofs and heights for members that catch up (8)."""

    def blocks(self, blocks: tuple[SyncBlock, ...]) -> tuple[SyncBlock, ...]:
        if not blocks or self.random.random() < 0.2:
            return blocks
        at = self.random.randrange(len(blocks))
        block = blocks[at]
        match self.random.randrange(6):
            case 0:
                poisoned = replace(block, transactions=digest(block.header))
            case 1:
                poisoned = replace(block, header=block.header[:-1] + b"\xff")
            case 2:
                poisoned = replace(block, certificate=replace(block.certificate, signature=bytes(48)))
            case 3:
                return blocks[:at]
            case 4:
                return tuple(reversed(blocks))
            case _:
                header = replace(decode_header(block.header), nonce=self.world.next_nonce()).encode()
                forged = replace(block.certificate, to_hash=candidate_of(header, b"").hash)
                poisoned = SyncBlock(header, block.transactions, forged)
        return (*blocks[:at], poisoned, *blocks[at + 1 :])

    def say(self, member: int, message: Message) -> Sequence[Message]:
        if not isinstance(message, PeerStatus) or message.head_certificate is None or self.random.random() < 0.5:
            return (message,)
        certificate = message.head_certificate
        height = self.random.choice((1 << 63, UINT64_MAX, message.head_number + 1, max(1, message.head_number - 5)))
        forged = replace(certificate, to_height=height, from_height=height - 1)
        return (replace(message, head_number=height, head_certificate=forged),)


class Censor(Liar):
    """Leaves out half of the senders, reorders, and fills its blocks with its own transactions (12)."""

    def choose(self, names: list[bytes]) -> list[bytes]:
        mine = [digest(b"own", self.world.next_nonce().to_bytes(8, "big")) for _ in range(3)]
        self.node.pool.update(dict.fromkeys(mine))
        return mine + sorted(name for name in names if name[0] % 2)


class EdgeOfTime(Liar):
    """Timestamps at the edge of what is tolerated, always (13)."""

    def header(self, header: Header) -> Header:
        return replace(header, timestamp=max(header.timestamp, self.node.wall_ms() // 1000 + 2))


class OldHistory(Liar):
    """Shows an alternative history that it signed alone (14)."""

    def blocks(self, blocks: tuple[SyncBlock, ...]) -> tuple[SyncBlock, ...]:
        made = []
        parent: bytes | None = None
        for block in blocks:
            header = decode_header(block.header)
            header = replace(header, nonce=self.world.next_nonce(), parent=parent or header.parent)
            encoded = header.encode()
            parent = candidate_of(encoded, b"").hash
            statement = replace(block.certificate, from_hash=header.parent, to_hash=parent)
            alone = self.sign(replace(statement.statement(), signer=self.node.member)).signature
            signers = self.world.keys.crypto.bitmap_of([self.node.member], self.world.members)
            made.append(SyncBlock(encoded, block.transactions, replace(statement, signers=signers, signature=alone)))
        return tuple(made)

    def say(self, member: int, message: Message) -> Sequence[Message]:
        if isinstance(message, PeerStatus) and message.head_certificate is not None and self.random.random() < 0.5:
            forged = replace(message.head_certificate, to_hash=digest(message.head_hash))
            return (replace(message, head_hash=forged.to_hash, head_certificate=forged),)
        return (message,)


LIARS: Final[dict[str, type[Liar]]] = {
    "mutator": Mutator,
    "silent": Silent,
    "silent_leader": SilentLeader,
    "silent_to_some": SilentToSome,
    "equivocating_leader": EquivocatingLeader,
    "bodies_to_few": BodiesToFew,
    "invalid_blocks": InvalidBlocks,
    "eager_voter": EagerVoter,
    "double_voter": DoubleVoter,
    "lock_hider": LockHider,
    "stale_view_changes": StaleViewChanges,
    "disobedient_leader": DisobedientLeader,
    "spammer": Spammer,
    "poisoner": Poisoner,
    "censor": Censor,
    "edge_of_time": EdgeOfTime,
    "old_history": OldHistory,
}
