"""What can go wrong in the consensus shell."""

from pathlib import Path

from hansa.service import StartRefused


class ConsensusError(Exception):
    """Root of this package's errors."""


class ForeignData(ConsensusError, StartRefused):
    """statedb holds another chain than the chain spec says."""

    def __init__(self, expected: bytes, got: bytes) -> None:
        super().__init__(
            f"statedb holds the chain with genesis {got.hex()}, the chain spec says {expected.hex()}:"
            " use the data folder of this chain, or an empty one"
        )
        self.expected = expected
        self.got = got


class JournalDamaged(ConsensusError, StartRefused):
    """The pool journal is damaged elsewhere than at its end; accepted transactions may be missing from it."""

    def __init__(self, path: Path, offset: int) -> None:
        super().__init__(
            f"{path}: damaged at byte {offset}, with whole records behind it; move the file away to start without"
            " the transactions in it"
        )
        self.path = path
        self.offset = offset


class JournalFailed(ConsensusError):
    """The journal cannot be written: nothing may be called accepted any more."""


class ServiceAway(ConsensusError):
    """Another service of this member does not answer: try again."""

    def __init__(self, service: str, problem: str) -> None:
        super().__init__(f"{service} does not answer: {problem}")
        self.service = service


class BlockRejected(ConsensusError):
    """The executor says that a block is wrong. `reason` is a stable snake_case name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class ParentUnknown(ConsensusError):
    """The parent of a block is neither committed nor staged here: try again."""


class BodiesMissing(ConsensusError):
    """Bodies of a block could not be had, or are not those of its header."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Overloaded(ConsensusError):
    """Too many batches wait; `limit` names the bound."""

    def __init__(self, limit: str, value: int) -> None:
        super().__init__(f"too many transactions wait for admission ({limit} = {value}); try again")
        self.limit = limit
        self.value = value


class BadBatch(ConsensusError):
    """A batch that is not a packed list, or too long."""
