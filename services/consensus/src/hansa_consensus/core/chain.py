"""The committed head, the blocks that may follow it, and the certificates that say which does.

One way to commit for all blocks (rule P18): whether a certificate comes from our own count of votes, from gossip or
from a peer that we catch up from, it is checked by `learn`, its block is executed by our executor, and then committed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from .buggify import buggify
from .codec import certificate_is_well_formed
from .effects import AbandonBlock, CommitBlock, Effect, ExecuteBlock, HaltVoting, ReportPeer
from .engine import Crypto, EngineConfig
from .events import Fault
from .limits import CANDIDATES_PER_HEIGHT_MAX, CERTIFICATES_AHEAD_MAX, RETRY_MS
from .types import Candidate, Certificate, Head, Phase


class CandidateState(Enum):
    """How far our own execution of a block has come."""

    KNOWN = auto()
    EXECUTING = auto()
    EXECUTED = auto()
    REFUSED = auto()  # breaks a rule: never voted for


@dataclass(slots=True)
class Variant:
    """A block as somebody told it. The header fixes the transactions, but not that a peer names them truly."""

    candidate: Candidate
    sources: list[int]  # members that must have the bodies; grows as more say so
    transactions: bytes | None = None
    asked: tuple[int, ...] = ()  # the sources that the running execution was given


@dataclass(slots=True)
class Known:
    """A block on the head that is not committed."""

    variants: list[Variant]  # never empty; the first is the one being executed
    state: CandidateState = CandidateState.KNOWN
    retry_at_ms: int = 0

    @property
    def candidate(self) -> Candidate:
        return self.variants[0].candidate


@dataclass(slots=True)
class Chain:
    """Head, candidates of the height after it, verified commit certificates above it."""

    config: EngineConfig
    crypto: Crypto
    head: Head
    out: list[Effect]  # shared by all machines of one engine
    enough: Callable[[list[int], int], bool]  # do these signers, of n, make a certificate?
    candidates: dict[bytes, Known] = field(default_factory=dict)  # at most CANDIDATES_PER_HEIGHT_MAX
    certificates: dict[int, Certificate] = field(default_factory=dict)  # by height > head; CERTIFICATES_AHEAD_MAX
    protected: tuple[bytes, ...] = ()  # candidates that the engine still needs
    highest_known: int = 0  # >= head.number; of all valid commit certificates seen
    highest_certificate: Certificate | None = None
    committing: bytes | None = None
    halted: str = ""

    def __post_init__(self) -> None:
        self.highest_known = self.head.number

    @property
    def height(self) -> int:
        """The height being agreed on."""
        return self.head.number + 1

    # --- certificates ---------------------------------------------------------------------------------------------

    def is_valid(self, certificate: Certificate, phase: Phase) -> bool:
        """Shape, chain, quorum of distinct signers of the height's set (P1), aggregate signature (P2, P21)."""
        if (
            certificate.phase is not phase
            or not certificate_is_well_formed(certificate)
            or certificate.level != 0
            or certificate.shard != self.config.shard
            or certificate.epoch != self.config.epoch
            or certificate.next_set_hash
            or certificate.to_height != certificate.from_height + 1
        ):
            return False
        validators = self.config.validator_set(certificate.to_height)
        signers = self.crypto.signers_of(certificate.signers, len(validators))
        if signers is None or not self.enough(signers, len(validators)):
            return False
        message = self.crypto.vote_message(certificate.statement())
        return validators.verify_certificate(certificate.signers, message, certificate.signature)

    def learn(self, certificate: Certificate, *, sender: int | None, verified: bool = False) -> bool:
        """Take note of a commit certificate; False when it is not valid. `verified`: we made it of verified votes."""
        height = certificate.to_height
        if height == self.head.number and certificate.to_hash == self.head.hash:
            return certificate.phase is Phase.COMMIT
        known = self.certificates.get(height)
        if known is not None and known.to_hash == certificate.to_hash and certificate.phase is Phase.COMMIT:
            return True
        if height < self.head.number:
            return True  # nothing to learn; not worth a pairing
        if not verified and not self.is_valid(certificate, Phase.COMMIT):
            if sender is not None:
                self.out.append(ReportPeer(sender, "invalid_certificate"))
            return False
        if height == self.head.number or known is not None:
            self.halt("two_certificates_at_one_height", height, certificate.to_hash)
            return True
        if height == self.height and certificate.from_hash != self.head.hash:
            self.halt("certificate_on_another_parent", height, certificate.to_hash)
            return True
        self.certificates[height] = certificate
        if height > self.highest_known:
            self.highest_known = height
            self.highest_certificate = certificate
        if len(self.certificates) > CERTIFICATES_AHEAD_MAX:
            # The next ones to be committed and the highest are worth most.
            del self.certificates[sorted(self.certificates)[-2]]
        return True

    # --- candidates -----------------------------------------------------------------------------------------------

    def add(self, candidate: Candidate, source: int | None, transactions: bytes | None = None) -> Known | None:
        """Note a block on the head; None when it is not one. The caller has checked that `hash` is the header's."""
        if candidate.number != self.height or candidate.parent_hash != self.head.hash:
            return None
        sources = [] if source is None or source == self.config.self_index else [source]
        known = self.candidates.get(candidate.hash)
        if known is None:
            known = Known([Variant(candidate, sources, transactions)])
            self.candidates[candidate.hash] = known
            self._evict(candidate.hash)
            return known
        for variant in known.variants:
            if variant.candidate.transaction_hashes == candidate.transaction_hashes:
                variant.sources += [member for member in sources if member not in variant.sources]
                if transactions is not None:
                    variant.transactions = transactions
                if candidate.access_list and not variant.candidate.access_list:
                    variant.candidate = replace(variant.candidate, access_list=candidate.access_list)
                return known
        if len(known.variants) < len(self.config.validator_set(candidate.number)):
            known.variants.append(Variant(candidate, sources, transactions))
        return known

    def _evict(self, newest: bytes) -> None:
        certified = self.certificates.get(self.height)
        keep = {newest, *self.protected, *([certified.to_hash] if certified is not None else [])}
        most = 1 if buggify("few_candidates") else CANDIDATES_PER_HEIGHT_MAX
        for block_hash in list(self.candidates):
            if len(self.candidates) <= most:
                return
            if block_hash not in keep:
                del self.candidates[block_hash]
                self.out.append(AbandonBlock(block_hash))

    def execute(self, block_hash: bytes, now_ms: int) -> None:
        """Ask for execution of a candidate, once at a time."""
        known = self.candidates.get(block_hash)
        if known is None or known.state is not CandidateState.KNOWN or now_ms < known.retry_at_ms or self.halted:
            return
        known.state = CandidateState.EXECUTING
        variant = known.variants[0]
        variant.asked = tuple(variant.sources)
        self.out.append(ExecuteBlock(variant.candidate, variant.asked, variant.transactions))

    def is_executed(self, block_hash: bytes) -> bool:
        """Whether our own execution has confirmed the candidate."""
        known = self.candidates.get(block_hash)
        return known is not None and known.state is CandidateState.EXECUTED

    def executed(self, block_hash: bytes) -> None:
        """Our executor gave the header's hash."""
        known = self.candidates.get(block_hash)
        if known is not None and known.state is CandidateState.EXECUTING:
            known.state = CandidateState.EXECUTED

    def refused(self, block_hash: bytes, fault: Fault, now_ms: int) -> Variant | None:
        """Execution failed; returns the variant it failed with, None when the block is not waited for."""
        known = self.candidates.get(block_hash)
        if known is None or known.state is not CandidateState.EXECUTING:
            return None
        failed = known.variants[0]
        match fault:
            case Fault.OURS:
                known.state = CandidateState.KNOWN
                known.retry_at_ms = now_ms + RETRY_MS
            case Fault.BODIES:
                known.variants.pop(0)
                known.state = CandidateState.KNOWN
                if not known.variants and (failed.transactions is not None or self._is_certified(block_hash)):
                    del self.candidates[block_hash]  # committed blocks are asked for as a whole: see catchup
                elif not known.variants:
                    known.variants.append(failed)
                    known.retry_at_ms = now_ms + RETRY_MS
            case Fault.BLOCK:
                known.state = CandidateState.REFUSED
                if self._is_certified(block_hash):
                    # A quorum executed it and got this hash: our state or our code is wrong (reliability, section 8).
                    self.halt("certified_block_refused", self.height, block_hash)
        return failed

    def _is_certified(self, block_hash: bytes) -> bool:
        certificate = self.certificates.get(self.height)
        return certificate is not None and certificate.to_hash == block_hash

    # --- commit ---------------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> bool:
        """Bring the certified block of the next height closer to its commit. False: its block is not known here."""
        certificate = self.certificates.get(self.height)
        if self.halted or self.committing is not None or certificate is None:
            return True
        if certificate.from_hash != self.head.hash:
            self.halt("certificate_on_another_parent", self.height, certificate.to_hash)
            return True
        known = self.candidates.get(certificate.to_hash)
        if known is None:
            return False
        match known.state:
            case CandidateState.KNOWN:
                signers = self.crypto.signers_of(certificate.signers, len(self.config.validator_set(self.height)))
                sources = known.variants[0].sources
                for member in signers or []:
                    if member not in sources and member != self.config.self_index:
                        sources.append(member)
                self.execute(certificate.to_hash, now_ms)
            case CandidateState.EXECUTED:
                self.committing = certificate.to_hash
                self.out.append(CommitBlock(known.candidate, certificate))
            case CandidateState.REFUSED:
                self.halt("certified_block_refused", self.height, certificate.to_hash)
            case CandidateState.EXECUTING:
                pass
        return True

    def committed(self, number: int, block_hash: bytes) -> bool:
        """The block is durable: it is the head now. False when it is not the one being committed."""
        if self.committing != block_hash or number != self.height:
            return False
        known = self.candidates[block_hash]
        certificate = self.certificates[number]
        self.head = Head(number, block_hash, known.candidate.header, certificate)
        self.committing = None
        self.highest_known = max(self.highest_known, number)
        for other in self.candidates:
            if other != block_hash:
                self.out.append(AbandonBlock(other))
        self.candidates.clear()
        self.certificates = {height: kept for height, kept in self.certificates.items() if height > number}
        self.protected = ()
        return True

    def halt(self, reason: str, number: int, block_hash: bytes) -> None:
        """Stop for good; see `effects.HaltVoting`."""
        if not self.halted:
            self.halted = reason
            self.out.append(HaltVoting(reason, number, block_hash))
