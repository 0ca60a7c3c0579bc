"""What members say to each other, as the core sees it: frozen mirrors of `hansa/v1/wire.proto`.

The servicer turns messages into these and back; lengths (32-byte hashes, 48-byte signatures) are checked there and by
`check_shape` of the core, so nothing in here trusts a peer's lengths. Integers are unsigned and below 2^64.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 48
UINT64_MAX: Final = (1 << 64) - 1
NO_HASH: Final = b"\x00" * HASH_BYTES


class Phase(StrEnum):
    """What a vote is about; part of the signed bytes (rule P2)."""

    PREPARE = "prepare"
    COMMIT = "commit"
    VIEW_CHANGE = "view-change"


class MessageClass(IntEnum):
    """Queue of p2p that a message travels in; numbers of `hansa.v1.MessageClass`."""

    VOTE = 1
    PROPOSAL = 2
    CERTIFICATE = 3
    TRANSACTION = 4
    SYNC = 5


@dataclass(frozen=True, slots=True)
class Vote:
    """One member's signature over a link from one block to another (design, "Certificates").

    For prepare and commit: `from` is the parent, `to` the block. For a view change: `from` is the signer's last
    committed block, `to_height` = `from_height` + 1 and `to_hash` = Keccak of the RLP of the prepared certificates.
    """

    phase: Phase
    from_hash: bytes
    from_height: int
    to_hash: bytes
    to_height: int
    view: int
    signer: int  # index in the validator set of to_height
    signature: bytes = b""  # 48 bytes; empty while unsigned
    shard: int = 0
    epoch: int = 0
    level: int = 0
    next_set_hash: bytes = b""

    def signed(self, signature: bytes) -> "Vote":
        """The same vote with its signature."""
        return Vote(  # `replace` takes four times as long, and every vote passes here
            self.phase,
            self.from_hash,
            self.from_height,
            self.to_hash,
            self.to_height,
            self.view,
            self.signer,
            signature,
            self.shard,
            self.epoch,
            self.level,
            self.next_set_hash,
        )

    def same_statement(self, other: "Vote") -> bool:
        """Whether both sign the same bytes (signer and signature apart)."""
        return (  # what differs most often comes first
            self.to_hash == other.to_hash
            and self.view == other.view
            and self.phase is other.phase
            and self.to_height == other.to_height
            and self.from_hash == other.from_hash
            and self.from_height == other.from_height
            and self.shard == other.shard
            and self.epoch == other.epoch
            and self.level == other.level
            and self.next_set_hash == other.next_set_hash
        )


@dataclass(frozen=True, slots=True)
class Certificate:
    """Aggregate of a quorum's votes of one phase. `signers` and `signature` are part of no hash (rule P20)."""

    phase: Phase
    from_hash: bytes
    from_height: int
    to_hash: bytes
    to_height: int
    view: int
    signers: bytes  # little-endian bits, ceil(n / 8) bytes
    signature: bytes  # 48 bytes
    shard: int = 0
    epoch: int = 0
    level: int = 0
    next_set_hash: bytes = b""

    def statement(self) -> Vote:
        """The vote that the signers signed, with signer 0 and without signature."""
        return Vote(
            phase=self.phase,
            from_hash=self.from_hash,
            from_height=self.from_height,
            to_hash=self.to_hash,
            to_height=self.to_height,
            view=self.view,
            signer=0,
            shard=self.shard,
            epoch=self.epoch,
            level=self.level,
            next_set_hash=self.next_set_hash,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A block that may be decided. Its bodies are the shell's affair; it finds them by `hash` or by the hashes."""

    hash: bytes
    number: int
    parent_hash: bytes
    header: bytes  # RLP; Keccak of it is `hash`
    transaction_hashes: bytes  # 32 bytes each, in order
    access_list: bytes = b""  # advice, unverified; b"" when unknown


@dataclass(frozen=True, slots=True)
class Proposal:
    """A leader's block and its prepare vote, which is the proposal's signature."""

    view: int
    header: bytes
    transaction_hashes: bytes
    access_list: bytes
    prepare: Vote
    parent_certificate: Certificate | None  # None when the parent is genesis


@dataclass(frozen=True, slots=True)
class PreparedBlock:
    """A prepared certificate (phase prepare) with its block, without bodies."""

    certificate: Certificate
    header: bytes
    transaction_hashes: bytes


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A member leaves all views below `vote.view`."""

    vote: Vote
    last_commit: Certificate | None  # None at height 0
    prepared: tuple[PreparedBlock, ...]  # above last_commit, ascending by height


@dataclass(frozen=True, slots=True)
class NewView:
    """q view changes for one view: the right to propose in it."""

    view: int
    view_changes: tuple[ViewChange, ...]  # ascending by signer


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """Where a member is. Sent on connect, when asked, and every `limits.STATUS_INTERVAL_MS`."""

    head_number: int
    head_hash: bytes
    head_certificate: Certificate | None  # None at height 0
    view: int
    new_view: NewView | None  # only when the receiver seems to be in a lower view
    answer: bool  # the sender wants the same back
    your_highest_vote_height: int = 0  # of the highest (view, height) vote by the receiver that the sender holds
    your_highest_vote_view: int = 0


@dataclass(frozen=True, slots=True)
class SyncBlock:
    """A committed block as a peer hands it over; nothing in it is trusted before it is checked."""

    header: bytes
    transactions: bytes  # packed list of raw transactions; opaque to the core
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Head:
    """The committed head."""

    number: int
    hash: bytes
    header: bytes
    certificate: Certificate | None  # None at height 0


@dataclass(frozen=True, slots=True)
class InstalledView:
    """A view this member entered, and what gave it the right to: a new-view, or a commit certificate of that view.

    Both absent: view 0.
    """

    view: int
    new_view: NewView | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the vote log says about the life before this start (`hansa_consensus.votelog` makes it)."""

    votes: tuple[Vote, ...] = ()  # own votes in order of signing: at least the last of each phase
    prepared: tuple[PreparedBlock, ...] = ()  # blocks locked and not known to be committed; bodies are in the log
    installed: InstalledView | None = None  # highest view entered
    view_change: ViewChange | None = None  # last one sent
    released_height: int | None = None  # observe mode ended there (rule K4); certificates up to it prove nothing

    @property
    def is_empty(self) -> bool:
        """No vote by this key is known: the log is new, wiped or lost (rule K4: observe first)."""
        return not self.votes


Message = Proposal | Vote | ViewChange | NewView | Certificate | PeerStatus
"""What engines send. Requests for blocks and bodies are the shell's messages (`effects.RequestBlocks`)."""
