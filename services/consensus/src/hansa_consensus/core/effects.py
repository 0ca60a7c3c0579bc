"""What an engine wants done. The order of the list is the contract.

The shell performs the effects of one event, in order, before it feeds the next event to which they could matter. The
`Persist*` effects are durable (fdatasync) before any later effect is performed. A shell may feed several waiting events
at once, write the records of all their effects under one sync, and then perform the rest in order (group commit):
making something durable earlier than asked is always allowed.

Asynchronous work (`BuildBlock`, `ExecuteBlock`, `CommitBlock`, `RequestBlocks`) is started in order and answered by an
event whenever it is done; the engine does not wait for it. Lost work (the shell restarted, not the engine) cannot
happen: they live and die together.
"""

from dataclasses import dataclass
from enum import StrEnum

from .types import (
    Candidate,
    Certificate,
    InstalledView,
    Message,
    MessageClass,
    PreparedBlock,
    ViewChange,
    Vote,
)


class Timer(StrEnum):
    """Names of timers. Setting one that runs replaces it."""

    REQUEST = "request"  # the leader has taken too long (rules P11, P14)
    PROPOSE = "propose"  # the next block is due
    RESEND = "resend"  # repeat our view change (rule P12)
    STATUS = "status"  # tell peers where we are
    SYNC = "sync"  # a request for blocks has run out, or is due
    RETRY = "retry"  # a step that failed through nobody's fault
    FORWARD = "forward"  # half the request time-out has gone without a proposal


@dataclass(frozen=True, slots=True)
class PersistVote:
    """Log this vote of ours before it is sent (S3)."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class PersistPrepared:
    """Log the prepared certificate with header, hashes *and bodies* (rule P3); the shell adds the packed bodies,
    which it holds since the block was built or executed. Always followed by the `PersistVote` of the commit vote:
    one sync.

    `poa` logs its blocks with it, too; the certificate is then the commit certificate.
    """

    prepared: PreparedBlock


@dataclass(frozen=True, slots=True)
class PersistViewChange:
    """Log our view change, whole: it is sent again byte for byte."""

    view_change: ViewChange


@dataclass(frozen=True, slots=True)
class PersistInstalledView:
    """Log the view entered with what proves it: what a new-view binds us to must survive a restart (rule P4)."""

    installed: InstalledView


@dataclass(frozen=True, slots=True)
class PersistReleased:
    """Log that this key may vote from here on: observe mode is over."""

    height: int


@dataclass(frozen=True, slots=True)
class PruneLog:
    """Everything of heights up to `height` is committed in statedb: the log may forget their blocks. Not urgent."""

    height: int


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all other members."""

    message: Message
    message_class: MessageClass


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one other member."""

    member: int
    message: Message
    message_class: MessageClass


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build and stage a block on the committed head `parent_hash`; answered by `BlockBuilt` or `BuildFailed` with
    the same `build_id`. A newer `BuildBlock` replaces an older one (whose answer is then ignored).

    The fields of the header are `rules.ConsortiumRules.context(...)` of parent header, height, proposer and wall clock.
    """

    build_id: int
    parent_hash: bytes
    parent_header: bytes
    height: int
    view: int
    proposer: int  # this member


@dataclass(frozen=True, slots=True)
class ExecuteBlock:
    """Get the bodies, execute, stage; answered by `BlockExecuted` or `BlockRefused`. Idempotent, may be asked again.

    Its parent is the committed head. Bodies: `transactions` when given (then `candidate.transaction_hashes` is
    empty and follows from them), else own vote log (a block locked before a
    restart), else pool and, for those missing, the members of `sources` one after the other. Bodies are kept until the
    block is committed or abandoned.
    """

    candidate: Candidate
    sources: tuple[int, ...]  # members that must have the bodies; never this member
    transactions: bytes | None = None  # packed list from a peer's sync answer


@dataclass(frozen=True, slots=True)
class AbandonBlock:
    """This candidate will not be committed as things stand: stop executing, let go of its bodies (not of those in the
    vote log). It may come back by a later `ExecuteBlock`."""

    block_hash: bytes


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """Commit the staged block at statedb with its certificate (`candidate.transaction_hashes` may be empty, see
    `ExecuteBlock`). The shell repeats it until it succeeds, executing
    the block again when it is not staged any more; answered by `BlockCommitted`. At most one is under way."""

    candidate: Candidate
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class RequestBlocks:
    """Ask `member` for committed blocks `from_height` .. `from_height + count - 1`; answered by `BlocksReceived`."""

    request_id: int
    member: int
    from_height: int
    count: int


@dataclass(frozen=True, slots=True)
class ForwardPending:
    """Send the oldest pending transactions of our pool to `member` (the leader; None: to all others): it has been
    silent though we have work. If it stays silent, the request timer will end its view (PBFT 4.1: the request is
    relayed, then the timer counts)."""

    member: int | None


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Arm a timer, replacing one of the same name."""

    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Disarm; nothing when it does not run."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class ReportPeer:
    """A member's message breaks the protocol. `reason` is a stable snake_case name."""

    member: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Two validly signed votes of one key for one (level, height, view, phase) with different content (rule P26)."""

    first: Vote
    second: Vote


@dataclass(frozen=True, slots=True)
class EnterView:
    """For logs and metrics: this member is in a new view, as member or as its leader."""

    view: int
    leader: int


@dataclass(frozen=True, slots=True)
class LeaveView:
    """For logs and metrics: this member has voted to change to `view`. `reason` is a stable snake_case name."""

    view: int
    reason: str


@dataclass(frozen=True, slots=True)
class HaltVoting:
    """Something that must not be: a certified block that our own execution refuses, or two certificates for one
    height. The engine votes no more and commits no more; the shell alarms and stays readable (reliability, section
    8)."""

    reason: str
    number: int
    block_hash: bytes


Effect = (
    PersistVote
    | PersistPrepared
    | PersistViewChange
    | PersistInstalledView
    | PersistReleased
    | PruneLog
    | Broadcast
    | Send
    | BuildBlock
    | ExecuteBlock
    | AbandonBlock
    | CommitBlock
    | RequestBlocks
    | ForwardPending
    | SetTimer
    | CancelTimer
    | ReportPeer
    | ReportEvidence
    | EnterView
    | LeaveView
    | HaltVoting
)
