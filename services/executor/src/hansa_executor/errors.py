"""Errors of the executor.

ExecutorError
├── RequestInvalid        the caller's fault: INVALID_ARGUMENT
├── BlockRefused          the block breaks a rule: INVALID_ARGUMENT, BLOCK_INVALID
├── ParentUnknown         statedb holds no such parent: FAILED_PRECONDITION
├── BlockUnknown          a call names no known block: NOT_FOUND
├── Pruned                the state before a block is not kept any more: NOT_FOUND
├── ResultDiffers         verifying gave another header: ABORTED, HASH_MISMATCH
├── QueueFull             RESOURCE_EXHAUSTED
├── CallTimedOut          DEADLINE_EXCEEDED
├── TraceCannotRun        what was to be traced cannot be run: FAILED_PRECONDITION, TRACE_REFUSED
└── StateDbAway           statedb does not answer: UNAVAILABLE, retry
"""


class ExecutorError(Exception):
    """Base of all errors of this package."""


class RequestInvalid(ExecutorError):
    """A request breaks its contract."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {got[:200]}")
        self.field = field


class BlockRefused(ExecutorError):
    """The block breaks a rule; `index` is the transaction's, or None."""

    def __init__(self, code: str, index: int | None, message: str) -> None:
        super().__init__(f"block invalid: {message}" if index is None else f"transaction {index} invalid: {message}")
        self.code = code
        self.index = index


class ParentUnknown(ExecutorError):
    """The parent is neither committed nor staged at statedb."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"block {block_hash.hex()} is not known to statedb")


class BlockUnknown(ExecutorError):
    """A call names a block that is not held."""

    def __init__(self, what: str) -> None:
        super().__init__(f"block {what} is not held")


class Pruned(ExecutorError):
    """Trie nodes of the block's parent are not kept any more."""


class ResultDiffers(ExecutorError):
    """Executing the block gave other header fields than it has."""

    def __init__(self, fields: str) -> None:
        super().__init__(f"the block's result differs from its header: {fields}")


class QueueFull(ExecutorError):
    """So many requests wait already."""

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"{limit} {queue} wait already")
        self.queue = queue
        self.limit = limit


class CallTimedOut(ExecutorError):
    """A call ran too long."""

    def __init__(self, limit_ms: int) -> None:
        super().__init__(f"execution aborted (timeout = {limit_ms / 1000:g}s)")


class TraceCannotRun(ExecutorError):
    """A transaction or call that is to be traced cannot be run, or its trace is too large; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StateDbAway(ExecutorError):
    """statedb did not answer in time, however often asked."""
