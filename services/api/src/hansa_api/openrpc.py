"""The OpenRPC document (`rpc_discover`), made from the table of methods that is served.

Names, order and necessity of parameters come from the table, their schemas from the parser, the result's from the
handler's return type. So the document cannot name what is not there; where a type says `Any`, it promises nothing.
Methods that always refuse (signing) are left out.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn, get_type_hints

from hansa import __version__
from pydantic import TypeAdapter

from hansa_api import params, traces
from hansa_api.params import Param
from hansa_api.registry import Method, Registry

OPENRPC_VERSION = "1.3.2"

Schema = dict[str, Any]

_QUANTITY: Schema = {"type": "string", "pattern": "^0x(0|[1-9a-fA-F][0-9a-fA-F]*)$"}
_HASH: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
_TAG: Schema = {"enum": ["latest", "safe", "finalized", "pending", "earliest"]}
_COUNT: Schema = {"anyOf": [_QUANTITY, {"type": "integer", "minimum": 0}]}
_BLOCK_NUMBER: Schema = {"anyOf": [_TAG, _QUANTITY, {"type": "null"}]}  # null is latest
_EIP_1898: Schema = {
    "type": "object",
    "properties": {"blockHash": _HASH, "blockNumber": _BLOCK_NUMBER, "requireCanonical": {"type": "boolean"}},
    "additionalProperties": False,
}
_OBJECT: Schema = {"type": "object"}

_SCHEMAS: dict[Callable[[Any], Any], Schema] = {
    params.uint64: _QUANTITY,
    params.data: {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"},
    params.address: {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"},
    params.hash32: _HASH,
    params.slot: {"type": "string", "pattern": "^0x[0-9a-fA-F]{1,64}$"},
    params.boolean: {"type": "boolean"},
    params.text: {"type": "string"},
    params.anything: {},
    params.milliseconds: _COUNT,
    params.count_or_number: _COUNT,
    params.block: {"anyOf": [_TAG, _QUANTITY, _HASH, _EIP_1898]},
    params.block_number: _BLOCK_NUMBER,
    params.call_args: _OBJECT,
    traces.call_object: _OBJECT,
    traces.trace_types: {"type": "array", "items": {"enum": list(traces.TYPES)}},
}
"""What JSON each parser takes; the parser may refuse more than its schema says."""


def document(registry: Registry) -> Schema:
    """The OpenRPC document of the methods in `registry`; kept once made. Shared: do not change it."""
    return _document(registry)


@lru_cache(maxsize=1)
def _document(registry: Registry) -> Schema:
    served = [method for method in registry if _result_type(method) is not NoReturn]
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "Hansa JSON-RPC",
            "version": __version__,
            "description": "Parameters by position. Quantities and data as in Ethereum's JSON-RPC.",
            "license": {"name": "Apache-2.0"},
        },
        "methods": [_method(method) for method in sorted(served, key=lambda method: method.name)],
    }


def _method(method: Method) -> Schema:
    described = (method.handler.__doc__ or "").strip().split("\n\n")[0]
    return {
        "name": method.name,
        "summary": " ".join(described.split()),
        "paramStructure": "by-position",
        "params": [
            {"name": param.name, "required": param.required, "schema": schema_of(param)} for param in method.params
        ],
        "result": {"name": "result", "schema": TypeAdapter(_result_type(method)).json_schema()},
    }


def _result_type(method: Method) -> Any:
    return get_type_hints(method.handler)["return"]


def schema_of(param: Param[Any]) -> Schema:
    """What the parameter's parser takes. Raises `KeyError` for a parser that nobody described."""
    found = param.schema if param.schema is not None else _SCHEMAS[param.parse]
    # A parameter that may be left out may also be null.
    return found if param.required or not found else {"anyOf": [found, {"type": "null"}]}
