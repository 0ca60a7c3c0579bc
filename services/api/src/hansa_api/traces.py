"""What debug_ and trace_ methods share: their parameters, and asking the executor."""

from collections.abc import Callable
from typing import Any

import orjson
from hansa.v1 import executor_pb2, types_pb2

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import ServerError
from hansa_api.limits import Limits
from hansa_api.params import At, Invalid, call_args

TRACE_COST = 50
"""Units of the rate limit: a trace may run a whole block again."""

TYPES = ("trace", "vmTrace", "stateDiff")

_BUILT_IN = (
    "",
    "callTracer",
    "flatCallTracer",
    "prestateTracer",
    "4byteTracer",
    "muxTracer",
    "noopTracer",
)


def trace_config(limits: Limits) -> Callable[[Any], dict[str, Any]]:
    """Parser of geth's TraceConfig; the kernel reads the options."""

    def parse(value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if type(value) is not dict:
            raise Invalid("json: cannot unmarshal into a trace config")
        tracer = value.get("tracer")
        if tracer is not None and tracer not in _BUILT_IN:
            raise Invalid("tracer not found")
        if len(orjson.dumps(value)) > limits.state_override_bytes:
            raise Invalid(f"trace config of more than {limits.state_override_bytes} bytes")
        return value

    return parse


def call_object(value: Any) -> dict[str, Any]:
    """Parser of a transaction object that goes to the kernel as it is, once it is known to be well-formed."""
    call_args(value)
    assert type(value) is dict
    return value


def trace_types(value: Any) -> list[str]:
    """Parser of the trace types of Parity's methods."""
    if type(value) is not list or not all(type(item) is str for item in value):
        raise Invalid(f"expected an array of {', '.join(TYPES)}")
    for item in value:
        if item not in TYPES:
            raise Invalid(f"unknown trace type {item[:50]!r}, expected {', '.join(TYPES)}")
    return value


def parity(types: list[str]) -> bytes:
    """The kernel's config of these trace types."""
    return orjson.dumps({"parity": types})


LOCALIZED = orjson.dumps({"parity": "localized"})


def fragment(trace: bytes) -> orjson.Fragment:
    """A trace as part of an answer."""
    return orjson.Fragment(trace)


async def found_transaction(api: Api, transaction_hash: bytes) -> tuple[CommittedBlock, int]:
    """(block, index) of a committed transaction. Raises `ServerError` in geth's words."""
    found = await api.heads.find(transaction_hash)
    if found is None:
        raise ServerError("transaction not found")
    return found


async def found_block(api: Api, at: At) -> CommittedBlock:
    """A committed block; `pending` is the head. Raises `ServerError` in geth's words."""
    block = await api.heads.block(At(tag="latest") if at.is_pending else at)
    if block is None:
        raise ServerError(f"block #{at.number} not found" if at.number >= 0 else f"{at} not found")
    return block


async def trace_block(
    api: Api, block: CommittedBlock, config: bytes, *, first: int = 0, count: int | None = None
) -> list[bytes]:
    """Traces of transactions of a block, in order."""
    if block.number == 0:
        raise ServerError("genesis is not traceable")
    if first == 0 and count is None and len(block) == 0:
        return []
    request = executor_pb2.TraceRequest(
        block=types_pb2.BlockSelector(hash=block.hash), config=config, first=first, count=count
    )
    return list((await api.backend.trace(request)).traces)


async def selector_of(api: Api, at: At) -> types_pb2.BlockSelector:
    """The block whose state a call runs on. Raises `HeaderNotFound`."""
    if at.is_pending:
        return types_pb2.BlockSelector(tag=types_pb2.BLOCK_TAG_PENDING)
    block_hash, _ = await api.heads.state_at(at)
    return types_pb2.BlockSelector(hash=block_hash)


async def trace_calls(
    api: Api,
    at: At,
    calls: list[tuple[dict[str, Any], Any]],
    *,
    config: bytes = b"",
    state_overrides: Any = None,
    block_overrides: Any = None,
    calls_after: int | None = None,
) -> list[bytes]:
    """Traces of calls, each on the state that the one before left."""
    request = executor_pb2.TraceRequest(
        block=await selector_of(api, at),
        config=config,
        calls=orjson.dumps(calls),
        calls_after=calls_after,
        state_overrides=orjson.dumps(state_overrides) if state_overrides else b"",
        block_overrides=orjson.dumps(block_overrides) if block_overrides else b"",
    )
    return list((await api.backend.trace(request)).traces)
