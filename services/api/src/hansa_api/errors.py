"""Errors that clients see, with the codes and words of JSON-RPC (spec apis 2.3).

    RpcError
    ├── ParseError, InvalidRequest, MethodNotFound, InvalidParams, InternalError    -32700 .. -32603
    ├── ServerError            -32000   geth's words for a call that halts and the like
    ├── HeaderNotFound         -32001   ├── Pruned            4444
    ├── Unavailable            -32002   ├── TransactionRefused -32003
    ├── NotSupported           -32004   ├── LimitExceeded     -32005 (RateLimited carries `retry_after`)
    │   └── ReadOnly           an imported chain is served
    ├── ExecutionReverted      3
    ├── CodedError             as the kernel says (eth_simulateV1: -38010 .. -38026)
    └── SyncTimeout 4, SyncNotReady 5, SyncNonceGap 6      (EIP-7966)

Client libraries match on messages: they start as geth's do, lower case.
"""

from typing import Any

from hansa.v1 import types_pb2


class RpcError(Exception):
    """What a JSON-RPC error object says: `code`, `message`, and `data` unless None."""

    code = -32000

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    def as_dict(self) -> dict[str, Any]:
        """The `error` object."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            found["data"] = self.data
        return found


class ServerError(RpcError):
    """Anything that geth answers with -32000."""


class CodedError(RpcError):
    """An error whose code was chosen where it happened: by a simulation, or a trace that cannot run."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ParseError(RpcError):
    """The request is not JSON."""

    code = -32700


class InvalidRequest(RpcError):
    """JSON, but no JSON-RPC request."""

    code = -32600


class MethodNotFound(RpcError):
    """The method does not exist or is disabled."""

    code = -32601

    def __init__(self, name: str) -> None:
        super().__init__(f"the method {name[:100]} does not exist/is not available")


class InvalidParams(RpcError):
    """A parameter is missing, of a wrong type or out of its range."""

    code = -32602


class InternalError(RpcError):
    """A fault of ours; the log says which."""

    code = -32603

    def __init__(self) -> None:
        super().__init__("internal error")


class HeaderNotFound(RpcError):
    """State was asked of a block that is not there."""

    code = -32001

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"header not found{': ' if detail else ''}{detail}")


class Pruned(RpcError):
    """The block was there once; what was asked of it is no longer kept."""

    code = 4444

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"pruned history unavailable{': ' if detail else ''}{detail}")


class Unavailable(RpcError):
    """A service of this member does not answer now."""

    code = -32002

    def __init__(self, detail: str) -> None:
        super().__init__(f"resource unavailable: {detail}")


class NotSupported(RpcError):
    """Known, but not done here; the message says what to use instead."""

    code = -32004


class ReadOnly(NotSupported):
    """Transactions and certificates need consensus; here is a chain that was imported."""

    def __init__(self) -> None:
        super().__init__("this node serves an imported chain read-only: it takes no transactions and has no members")


class LimitExceeded(RpcError):
    """More than a limit allows; the message names limit and value."""

    code = -32005


class RateLimited(LimitExceeded):
    """Too many requests of one address; `retry_after` in whole seconds."""

    def __init__(self, per_second: int, retry_after: int) -> None:
        super().__init__(f"rate limit of {per_second} cost units per second exceeded, retry after {retry_after} s")
        self.retry_after = retry_after


class ExecutionReverted(RpcError):
    """A call or estimate reverted; `data` is the revert data."""

    code = 3

    def __init__(self, output: bytes) -> None:
        reason = revert_reason(output)
        super().__init__(f"execution reverted: {reason}" if reason else "execution reverted", "0x" + output.hex())


class TransactionRefused(RpcError):
    """The pool refused a transaction."""

    code = -32003

    def __init__(self, refusal: types_pb2.Refusal) -> None:
        data: dict[str, Any] = {"reason": refusal.code}
        if (number := CATALOGUE.get(refusal.code)) is not None:
            data["code"] = number
        if refusal.expected:
            data["expected"] = refusal.expected
        if refusal.got:
            data["got"] = refusal.got
        super().__init__(refusal.message or refusal.code.replace("_", " "), data)
        self.reason = refusal.code


class SyncTimeout(RpcError):
    """Accepted, but not committed in time; `data` is the hash."""

    code = 4

    def __init__(self, transaction_hash: bytes, timeout_ms: int) -> None:
        super().__init__(
            f"the transaction was added to the pool but not committed within {timeout_ms} ms",
            "0x" + transaction_hash.hex(),
        )


class SyncNotReady(RpcError):
    """Accepted, but it cannot be executed now; `data` is the hash."""

    code = 5

    def __init__(self, transaction_hash: bytes) -> None:
        super().__init__("the transaction was accepted but is not ready for execution", "0x" + transaction_hash.hex())


class SyncNonceGap(RpcError):
    """Accepted, but earlier nonces of its sender are missing; `data` is the nonce expected next."""

    code = 6

    def __init__(self, nonce: int, expected: int) -> None:
        super().__init__(f"nonce gap: transaction nonce {nonce}, expected {expected}", hex(expected))


CATALOGUE: dict[str, int] = {
    "nonce_too_low": 1,
    "nonce_too_high": 2,
    "intrinsic_gas_too_low": 800,
    "replacement_underpriced": 802,
    "exceeds_block_gas_limit": 803,
    "tip_above_fee_cap": 804,
    "fee_cap_too_low": 806,
    "insufficient_funds": 809,
    "already_known": 1000,
    "invalid_sender": 1001,
    "invalid_signature": 1001,
}
"""Numbers of execution-apis' error catalogue by our refusal codes."""

_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)

PANICS: dict[int, str] = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""Solidity's panic codes, in geth's words."""


def revert_reason(output: bytes) -> str:
    """Text of a Solidity `Error(string)` or `Panic(uint256)`; empty for custom errors and anything malformed."""
    if output[:4] == _PANIC_SELECTOR and len(output) >= 36:
        code = int.from_bytes(output[4:36], "big")
        return PANICS.get(code, f"unknown panic code: {code:#x}")
    if output[:4] != _ERROR_SELECTOR or len(output) < 68:
        return ""
    offset = 4 + int.from_bytes(output[4:36], "big")
    if offset + 32 > len(output):
        return ""
    length = int.from_bytes(output[offset : offset + 32], "big")
    text = output[offset + 32 : offset + 32 + length]
    return text.decode("utf-8", "replace") if len(text) == length else ""
