"""rpc_discover: an OpenRPC document of exactly the methods that are served."""

from collections.abc import Callable
from typing import Any

import pytest
from hansa_api.limits import Limits
from hansa_api.methods import all_methods
from hansa_api.openrpc import document, schema_of
from hansa_api.params import Invalid, Param
from jsonschema import Draft7Validator

Rpc = Callable[..., Any]

DESCRIPTOR = {
    "type": "object",
    "required": ["name", "schema"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "required": {"type": "boolean"},
        "schema": {"type": ["object", "boolean"]},
    },
    "additionalProperties": False,
}
SHAPE = {
    "type": "object",
    "required": ["openrpc", "info", "methods"],
    "properties": {
        "openrpc": {"type": "string", "pattern": r"^1\.\d+\.\d+$"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {
                "title": {"type": "string"},
                "version": {"type": "string"},
                "description": {"type": "string"},
                "license": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "url": {"type": "string"}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "methods": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "params", "result"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "summary": {"type": "string"},
                    "paramStructure": {"enum": ["by-position", "by-name", "either"]},
                    "params": {"type": "array", "items": DESCRIPTOR},
                    "result": DESCRIPTOR,
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
"""What OpenRPC's meta schema 1.3 asks of the parts that our document has."""

ADDRESS, HASH = "0x" + "1A" * 20, "0x" + "2b" * 32
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, 1 << 63, "", "x", "0x", "0x0", "0x1", "0x01", "0xA", "0xzz", ADDRESS, HASH,
    HASH + "0", "latest", "safe", "finalized", "pending", "earliest", "newest", [], [1, 2.5], [HASH], ["0x1"], ["0x00"],
    [None], {}, {"blockHash": HASH}, {"blockNumber": "0x1"}, {"blockNumber": "latest", "requireCanonical": True},
    {"to": ADDRESS, "data": "0x"}, {"fromBlock": "0x1", "topics": [HASH, None]}, {ADDRESS: ["0x1"]},
    {ADDRESS: {"balance": "0x1"}}, {"blockStateCalls": [{}]}, ["trace"],
]  # fmt: skip


def test_the_document_has_the_shape_of_openrpc_and_valid_schemas(rpc: Rpc) -> None:
    found = rpc("rpc_discover")["result"]
    Draft7Validator(SHAPE).validate(found)
    for method in found["methods"]:
        assert method["summary"], method["name"]
        names = [param["name"] for param in method["params"]]
        assert len(set(names)) == len(names), method["name"]
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True), f"{method['name']}: required parameters come first"
        for part in [*method["params"], method["result"]]:
            Draft7Validator.check_schema(part["schema"])


def test_the_document_names_what_is_served_and_nothing_else(rpc: Rpc) -> None:
    named = [method["name"] for method in rpc("rpc_discover")["result"]["methods"]]
    served = {method.name for method in all_methods(Limits())}
    refused = {name for name in served if name.startswith(("eth_sign", "eth_sendTransaction", "debug_setHead"))}
    assert named == sorted(served - refused)
    for name in named:
        answer = rpc(name)
        assert answer.get("error", {}).get("code") != -32601, name
    assert rpc("engine_newPayloadV1", HASH)["error"]["code"] == -32601


def test_results_have_the_types_that_the_document_promises(rpc: Rpc) -> None:
    checked = 0
    for method in rpc("rpc_discover")["result"]["methods"]:
        answer = rpc(method["name"])
        if "result" in answer:
            Draft7Validator(method["result"]["schema"]).validate(answer["result"])
            checked += 1
    assert checked >= 20


PARAMS = [(method.name, param) for method in all_methods(Limits()) for param in method.params]


@pytest.mark.parametrize(("method", "param"), PARAMS, ids=[f"{method}-{param.name}" for method, param in PARAMS])
def test_a_schema_takes_every_value_that_its_parser_takes(method: str, param: Param[Any]) -> None:
    validator = Draft7Validator(schema_of(param))
    taken = [value for value in VALUES if _parses(param, value)]
    assert taken, f"no value of the list suits {method} {param.name}: add one"
    assert [value for value in taken if not validator.is_valid(value)] == []


def _parses(param: Param[Any], value: Any) -> bool:
    if value is None and not param.required:
        return True  # the default
    try:
        param.parse(value)
    except Invalid:
        return False
    return True


def test_the_document_is_made_once() -> None:
    registry = all_methods(Limits())
    assert document(registry) is document(registry)
