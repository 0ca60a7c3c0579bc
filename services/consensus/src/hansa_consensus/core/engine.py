"""The one interface of all engines, and what they are made of.

An engine is a synchronous, total, deterministic state machine: `handle(event)` returns the effects, in order. It is
constructed from the configuration, the committed head (statedb) and what the vote log recovered, and does nothing
before `Started`.

    engine = create_engine(config, head=head, recovered=recovered, signer=signer, crypto=KernelCrypto(genesis_hash),
    rules=rules) for effect in engine.handle(Started(now_ms)): ...

Computation without I/O is injected (`Crypto`, `ValidatorSet`, `Signer`, `BlockRules`), so that a simulator can put
cheap oracles in its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .effects import Effect
from .events import Event
from .types import Candidate, Head, Recovered, Vote


class ValidatorSet(Protocol):
    """The keys of one height's validators; `hansa_kernel.ValidatorKeys` is one."""

    def __len__(self) -> int: ...
    def verify_votes(self, signers: Sequence[int], message: bytes, signatures: Sequence[bytes]) -> list[bool]:
        """One message: the aggregate first, one by one only when it fails."""

    def verify_certificate(self, bitmap: bytes, message: bytes, signature: bytes) -> bool:
        """The aggregate of the bitmap's signers; says nothing about a quorum."""


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """What the engine reads of a header."""

    hash: bytes
    parent_hash: bytes
    number: int


class Crypto(Protocol):
    """Pure functions of the kernel; `kernel_crypto.KernelCrypto` is the real one."""

    def quorum(self, validators: int) -> int:
        """q = n - f (rule P1)."""

    def keccak(self, data: bytes) -> bytes: ...
    def vote_message(self, vote: Vote) -> bytes:
        """The bytes that `vote` signs (rule P2); the genesis hash is bound in."""

    def aggregate(self, signatures: Sequence[bytes]) -> bytes: ...
    def bitmap_of(self, signers: Sequence[int], validators: int) -> bytes: ...
    def signers_of(self, bitmap: bytes, validators: int) -> list[int] | None:
        """Ascending; None for a malformed bitmap."""

    def header(self, rlp: bytes) -> HeaderFields | None:
        """None for malformed bytes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the signer does not sign: it would go back behind its watermark (rule K4)."""

    reason: str


class Signer(Protocol):
    """The vote key with its own watermark (rules K3, K4); `signer.WatermarkSigner` is the in-process one."""

    def may_sign(self, vote: Vote) -> bytes | Refusal:
        """The 48-byte signature, the identical one when asked for the identical vote again; or why not."""


class BlockRules(Protocol):
    """What a header must say beyond what execution checks; `rules.ConsortiumRules` is the real one."""

    def refusal(
        self, candidate: Candidate, parent_header: bytes, *, proposer: int | None, wall_ms: int | None
    ) -> str | None:
        """A stable snake_case reason, or None when the header is fine.

        `proposer` and `wall_ms` are None for blocks that are re-proposed or certified: what depends on proposer,
        view or clock is checked of freely chosen blocks only (rules P8, P19).
        """


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What does not change while an engine lives. Times in milliseconds."""

    engine: str  # "poa" or "pbft"
    genesis_hash: bytes
    self_index: int | None  # our place in the validator set; None: an observer that never votes
    validator_set: Callable[[int], ValidatorSet]
    """The validators of a height, from the committed state of the epoch before last (rule P16). Constant for now,
    but asked by height everywhere, so that epochs change this function alone."""
    block_time_ms: int = 200
    empty_block_time_ms: int = 5_000  # 0: never an empty block
    request_timeout_ms: int = 2_000
    leader_term: int = 64  # blocks
    leaders: Callable[[int, int], int] | None = None  # of (height, view); None: the design's rotation
    shard: int = 0
    epoch: int = 0


class Mode(StrEnum):
    """Whether this member votes."""

    STARTING = "starting"  # until a quorum, ourselves counted, has told its last certificate
    OBSERVING = "observing"  # empty or old vote log: watches some heights first (rule K4)
    VOTING = "voting"
    FOLLOWING = "following"  # no validator, or not poa's signer
    HALTED = "halted"  # see effects.HaltVoting


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """A picture for status RPCs and metrics; cheap, taken at any time between events."""

    engine: str
    mode: Mode
    view: int  # entered
    target_view: int  # > view while a view change is under way
    height: int  # being agreed on
    leader: int  # of (height, view)
    quorum: int
    head: int
    head_hash: bytes
    highest_known: int  # highest height for which a valid certificate was seen
    syncing: bool
    waiting_for: str  # stable snake_case phrase, "" when all is well or nothing is to do
    peer_heads: dict[int, int]  # member -> last certified height heard of
    view_changes: int  # since start, sent by this member


class Engine(Protocol):
    """The interface of all engines (Enterprise Ethereum's sketch, turned inside out)."""

    def handle(self, event: Event) -> list[Effect]:
        """What to do about `event`, in order; nothing when it is late, repeated or unknown. Never raises for a
        peer's or the world's fault; an `AssertionError` is our bug and must stop the service."""

    def status(self) -> EngineStatus: ...


def create_engine(
    config: EngineConfig, *, head: Head, recovered: Recovered, signer: Signer | None, crypto: Crypto, rules: BlockRules
) -> Engine:
    """The engine that `config.engine` names. `signer` is None for observers. `ValueError` for an unknown name."""
    from .pbft import PbftEngine
    from .poa import PoaEngine

    match config.engine:
        case "pbft":
            return PbftEngine(config, head=head, recovered=recovered, signer=signer, crypto=crypto, rules=rules)
        case "poa":
            return PoaEngine(config, head=head, recovered=recovered, signer=signer, crypto=crypto, rules=rules)
    raise ValueError(f"unknown engine {config.engine!r}")
