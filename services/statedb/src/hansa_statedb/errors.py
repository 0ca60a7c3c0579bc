"""Errors of statedb.

StateDbError
├── RequestInvalid      the caller's fault: INVALID_ARGUMENT
├── BlockUnknown        named block is neither committed nor staged: NOT_FOUND
├── ParentUnknown       cannot stage on it: FAILED_PRECONDITION
├── HashMismatch        staged block has another hash than it must have: FAILED_PRECONDITION
├── NotStaged           commit of a block that is not there: NOT_FOUND
├── NotChildOfHead      commit out of order: FAILED_PRECONDITION
├── StagedFull          too many blocks are staged: RESOURCE_EXHAUSTED
├── QueueFull           so many requests wait already: RESOURCE_EXHAUSTED
├── RangeTooLarge       a listing would look through too much: RESOURCE_EXHAUSTED
├── Pruned              a proof outside the kept window: NOT_FOUND
├── HeadMoved           a reader has to begin anew; never leaves this service
├── StoreRefused        start is refused; says what to do
└── StoreFailed         RocksDB failed while running; the service ends
"""


class StateDbError(Exception):
    """Base of all errors of this package."""


class RequestInvalid(StateDbError):
    """A request breaks its contract."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {got[:200]}")
        self.field = field


class BlockUnknown(StateDbError):
    """Neither committed nor staged."""

    def __init__(self, what: str) -> None:
        super().__init__(f"block {what} is neither committed nor staged here")


class ParentUnknown(StateDbError):
    """Blocks are staged on the head or on staged blocks only."""

    def __init__(self, parent_hash: bytes) -> None:
        super().__init__(f"parent {parent_hash.hex()} is neither the committed head nor staged here")
        self.parent_hash = parent_hash


class HashMismatch(StateDbError):
    """The executed block has another hash than expected."""

    def __init__(self, expected: bytes, got: bytes, state_root: bytes) -> None:
        super().__init__(f"the block's hash is {got.hex()}, not {expected.hex()}; its state root is {state_root.hex()}")
        self.got = got
        self.state_root = state_root


class NotStaged(StateDbError):
    """Committed blocks have to be staged first."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"block {block_hash.hex()} is not staged here: execute it again")


class NotChildOfHead(StateDbError):
    """Blocks are committed in order."""

    def __init__(self, number: int, head: int) -> None:
        super().__init__(f"block {number} is not a child of the head, which has height {head}")


class StagedFull(StateDbError):
    """A chain of staged blocks has reached its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} blocks are staged on one another: commit first")


class QueueFull(StateDbError):
    """So many requests of one kind wait already, or streams are open."""

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"there are {limit} {queue} already")
        self.queue = queue
        self.limit = limit


class RangeTooLarge(StateDbError):
    """Listing this part of the state would take too long."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are more than {limit} keys to look through; ask for single ones instead")


class Pruned(StateDbError):
    """No trie nodes are kept for this height any more."""

    def __init__(self, number: int, earliest: int) -> None:
        super().__init__(f"proofs are kept from block {earliest} on, block {number} is older")
        self.earliest = earliest


class HeadMoved(StateDbError):
    """A block was committed while keys were being listed."""


class StoreRefused(StateDbError):
    """The data folder cannot be used; the text says why and what to do."""


class StoreForeign(StoreRefused):
    """The folder holds something else."""


class StoreOtherChain(StoreRefused):
    """The folder holds another chain."""


class StoreSchemaNewer(StoreRefused):
    """The folder was written by a newer version."""


class StoreLocked(StoreRefused):
    """Another process has the folder open."""


class StoreDamaged(StoreRefused):
    """A file is damaged; `file` names it as far as it is known."""

    def __init__(self, file: str, detail: str) -> None:
        super().__init__(
            f"{file} is damaged ({detail}). Nothing was changed. Restore a backup of this folder, or empty it: "
            "this member then fetches the chain from the others and checks every certificate."
        )
        self.file = file


class StoreFailed(StateDbError):
    """RocksDB answered with an error; nothing may be assumed about the last write."""
