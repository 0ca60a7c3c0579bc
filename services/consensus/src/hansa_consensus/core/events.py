"""What happens to an engine. Every event carries `now_ms`, monotonic milliseconds of any origin that never go back.

Messages of peers arrive decoded but unverified: the engine checks shapes, signatures and certificates itself. `sender`
is the index of the member whose connection (authenticated by p2p) brought the message, never taken from the message.
"""

from dataclasses import dataclass
from enum import Enum

from .effects import Timer
from .types import Candidate, Certificate, NewView, PeerStatus, Proposal, SyncBlock, ViewChange, Vote


class Fault(Enum):
    """Whose fault it is that a block could not be executed."""

    BLOCK = "block"
    """The block breaks a rule or gives another hash than its header: whoever proposed it lied. Final."""
    BODIES = "bodies"
    """The bodies could not be had from `sources`, or are not those of the header's transactions root."""
    OURS = "ours"
    """Executor or statedb away, parent not there yet, queue full: tried again after a pause."""


@dataclass(frozen=True, slots=True)
class Started:
    """First event of an engine's life; everything before it is refused."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A member can be reached (again)."""

    now_ms: int
    member: int


@dataclass(frozen=True, slots=True)
class PeerDown:
    """A member cannot be reached any more."""

    now_ms: int
    member: int


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """`wall_ms`: our wall clock at receipt, Unix milliseconds; used for the timestamp rule P19 alone."""

    now_ms: int
    sender: int
    proposal: Proposal
    wall_ms: int


@dataclass(frozen=True, slots=True)
class VoteReceived:
    """A prepare or commit vote; `vote.signer` must be the sender."""

    now_ms: int
    sender: int
    vote: Vote


@dataclass(frozen=True, slots=True)
class ViewChangeReceived:
    """A view change; its vote's signer must be the sender."""

    now_ms: int
    sender: int
    view_change: ViewChange


@dataclass(frozen=True, slots=True)
class NewViewReceived:
    """A new-view; anybody may pass it on, since it proves itself."""

    now_ms: int
    sender: int
    new_view: NewView


@dataclass(frozen=True, slots=True)
class CertificateReceived:
    """A commit certificate on its own; anybody may pass it on."""

    now_ms: int
    sender: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class StatusReceived:
    """Where a peer says it is."""

    now_ms: int
    sender: int
    status: PeerStatus


@dataclass(frozen=True, slots=True)
class BlocksReceived:
    """The answer to `RequestBlocks(request_id)`, ascending; empty when the peer has none or the request failed."""

    now_ms: int
    sender: int
    request_id: int
    blocks: tuple[SyncBlock, ...]


@dataclass(frozen=True, slots=True)
class PoolChanged:
    """`pending`: transactions of the pool that could go into the next block now. Sent when it turns zero or non-zero,
    after each committed block, and otherwise as seldom as the shell likes."""

    now_ms: int
    pending: int


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """The answer to `BuildBlock(build_id)`: the block is executed and staged by our own executor."""

    now_ms: int
    build_id: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class BuildFailed:
    """The block could not be built; the engine asks again after `retry_after_ms` (0: its own pause). Also the answer
    when a timestamp rule says "not yet"."""

    now_ms: int
    build_id: int
    reason: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class BlockExecuted:
    """The answer to `ExecuteBlock`: our own execution gives this hash; the block is staged and its bodies are held."""

    now_ms: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class BlockRefused:
    """The other answer to `ExecuteBlock`. `reason` is a stable snake_case name."""

    now_ms: int
    block_hash: bytes
    reason: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class BlockCommitted:
    """The answer to `CommitBlock`: block and certificate are durable in statedb."""

    now_ms: int
    number: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set and neither set again nor cancelled since. A late one does no harm."""

    now_ms: int
    timer: Timer


@dataclass(frozen=True, slots=True)
class VotingReleased:
    """The operator vouches that no other log with votes by this key exists: leave observe mode (rule K4)."""

    now_ms: int


Event = (
    Started
    | PeerUp
    | PeerDown
    | ProposalReceived
    | VoteReceived
    | ViewChangeReceived
    | NewViewReceived
    | CertificateReceived
    | StatusReceived
    | BlocksReceived
    | PoolChanged
    | BlockBuilt
    | BuildFailed
    | BlockExecuted
    | BlockRefused
    | BlockCommitted
    | TimerFired
    | VotingReleased
)
