"""eth_simulateV1 and eth_createAccessList: calls that show more than their result."""

from collections.abc import Callable
from typing import Any

import orjson
from hansa.v1 import executor_pb2

from hansa_api.api import Api
from hansa_api.errors import CodedError, HeaderNotFound, InvalidParams, ServerError
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Invalid, Param, Unplaced, block, call_args, overrides
from hansa_api.registry import Method
from hansa_api.traces import TRACE_COST, call_object, fragment, selector_of, trace_calls

_EMPTY_INPUT = "empty input"


async def simulate(api: Api, options: bytes, at: At) -> Any:
    """Blocks of calls on top of a block. Raises `CodedError` where a call cannot be in its block."""
    try:
        selector = await selector_of(api, at)
    except HeaderNotFound:
        raise ServerError("header not found") from None  # as execution-apis' cases have it
    request = executor_pb2.SimulateRequest(block=selector, options=options)
    return orjson.Fragment((await api.backend.simulate(request)).blocks_json)


async def create_access_list(api: Api, call: dict[str, Any], at: At, state_overrides: bytes) -> Any:
    """The addresses and slots that a call touches, and its gas with them announced."""
    args = call_args(call)
    if args.chain_id is not None and args.chain_id != api.chain.chain_id:
        raise InvalidParams(f"chainId does not match node's (have={args.chain_id}, want={api.chain.chain_id})")
    overridden = orjson.loads(state_overrides) if state_overrides else None
    try:
        (found,) = await trace_calls(
            api, at, [(call, None)], config=b'{"tracer":"accessList"}', state_overrides=overridden
        )
    except CodedError as error:
        text = error.message.removeprefix("tracing failed: ")
        raise CodedError(error.code, f"failed to apply transaction: {text}") from None
    return fragment(found)


def simulation(limits: Limits) -> Callable[[Any], bytes]:
    """Parser of the parameter of eth_simulateV1; the kernel reads what is in it."""

    def parse(value: Any) -> bytes:
        if type(value) is not dict:
            raise Invalid("json: cannot unmarshal into simulation options")
        blocks = value.get("blockStateCalls")
        if type(blocks) is not list or not blocks:
            raise Unplaced(_EMPTY_INPUT)
        for item in blocks:
            if type(item) is not dict:
                raise Invalid("blockStateCalls: expected objects")
            for call in item.get("calls") or ():
                call_args(call)
        found = orjson.dumps(value)
        if len(found) > limits.simulate_bytes:
            raise Invalid(f"simulation of {len(found)} bytes, limit {limits.simulate_bytes}")
        return found

    return parse


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    on = Param("block", block, LATEST)
    return [
        Method(
            "eth_simulateV1",
            simulate,
            (Param("options", simulation(limits), schema={"type": "object"}), on),
            cost=TRACE_COST,
        ),
        Method(
            "eth_createAccessList",
            create_access_list,
            (
                Param("transaction", call_object),
                on,
                Param("stateOverrides", overrides(limits), b"", {"type": "object"}),
            ),
            cost=TRACE_COST,
        ),
    ]
