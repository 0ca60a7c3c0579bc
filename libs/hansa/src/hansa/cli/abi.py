"""Function signatures as people write them, and their arguments as texts."""

import re
from collections.abc import Sequence
from typing import Any

import hansa_kernel
from eth_abi.abi import decode, encode
from eth_abi.exceptions import EncodingError, ParseError
from eth_abi.grammar import ABIType, TupleType, normalize, parse

from hansa.cli.output import CommandFailed, usage
from hansa.cli.target import address, amount_wei


def encode_call(signature: str, arguments: Sequence[str]) -> bytes:
    """Call data of `name(type,...)` with arguments as texts. Ends the command when they do not fit."""
    name, inputs, _ = _split(signature)
    if not name:
        raise usage(f"{signature!r} names no function")
    selector = hansa_kernel.keccak(f"{name}({','.join(inputs)})".encode())[:4]
    return selector + encode_arguments(inputs, arguments)


def encode_arguments(types: Sequence[str], arguments: Sequence[str]) -> bytes:
    """ABI encoding of arguments given as texts; arrays and tuples as `[a,b]` and `(a,b)`."""
    if len(types) != len(arguments):
        raise usage(f"{len(types)} arguments were expected ({', '.join(types) or 'none'}), there are {len(arguments)}")
    try:
        return encode(types, [_value(parse(_normal(kind)), text) for kind, text in zip(types, arguments, strict=True)])
    except (EncodingError, ParseError, ValueError, OverflowError) as error:
        raise usage(f"arguments do not fit {', '.join(types)}: {error}") from error


def decode_result(signature: str, data: bytes) -> list[Any] | None:
    """Values of the result types in `name(...)(type,...)`; None when it states none."""
    _, _, outputs = _split(signature)
    if outputs is None:
        return None
    try:
        return [_shown(value) for value in decode(outputs, data)]
    except Exception as error:  # eth-abi has a dozen kinds
        raise CommandFailed(f"the answer 0x{data.hex()[:80]} is not {', '.join(outputs)}: {error}") from error


def _split(signature: str) -> tuple[str, list[str], list[str] | None]:
    """(name, input types, output types or None)."""
    depth = 0
    groups: list[str] = []
    begin = 0
    name = signature.split("(", 1)[0].strip()
    for index, char in enumerate(signature):
        if char == "(":
            if depth == 0:
                begin = index
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                groups.append(signature[begin : index + 1])
            if depth < 0:
                break
    if depth != 0 or not groups or len(groups) > 2 or not re.fullmatch(r"[A-Za-z_$]?[\w$]*", name):
        raise usage(f'{signature!r} is no function: "name(type,...)(result,...)" was expected')
    return name, _types(groups[0]), _types(groups[1]) if len(groups) == 2 else None


def _normal(kind: str) -> str:
    """`uint` is `uint256`, and so on."""
    return str(normalize(kind))  # type: ignore[no-untyped-call]


def _types(group: str) -> list[str]:
    try:
        parsed = parse(_normal(group.replace(" ", "")))
        if not isinstance(parsed, TupleType):
            raise ValueError(group)
        for component in parsed.components:
            component.validate()
        return [str(component.to_type_str()) for component in parsed.components]
    except (ParseError, ValueError) as error:
        if group.replace(" ", "") == "()":
            return []
        raise usage(f"{group!r} is no list of types: {error}") from error


def _value(kind: ABIType, text: str) -> Any:
    stripped = text.strip()
    if kind.is_array:
        return [_value(kind.item_type, item) for item in _items(stripped, "[]")]
    if isinstance(kind, TupleType):
        parts = _items(stripped, "()")
        if len(parts) != len(kind.components):
            raise ValueError(f"{len(kind.components)} parts were expected in {text!r}")
        return tuple(_value(component, part) for component, part in zip(kind.components, parts, strict=True))
    base = getattr(kind, "base", "")
    if base == "address":
        return address(stripped)
    if base == "bool":
        if stripped not in ("true", "false"):
            raise ValueError(f"true or false was expected, not {text!r}")
        return stripped == "true"
    if base == "uint":
        return amount_wei(stripped)
    if base == "int":
        return int(stripped, 0)
    if base == "bytes":
        return bytes.fromhex(stripped.removeprefix("0x"))
    if base == "string":
        return text
    raise ValueError(f"arguments of type {kind} cannot be given here")


def _items(text: str, brackets: str) -> list[str]:
    """Parts between brackets, split at commas that are in no inner brackets."""
    if not (text.startswith(brackets[0]) and text.endswith(brackets[1])):
        raise ValueError(f"{brackets[0]}a,b{brackets[1]} was expected, not {text!r}")
    inner = text[1:-1]
    items: list[str] = []
    depth = begin = 0
    for index, char in enumerate(inner):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            items.append(inner[begin:index])
            begin = index + 1
    return [*items, inner[begin:]] if inner.strip() else []


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    # Numbers beyond 64 bits are no JSON numbers everywhere.
    return value if not isinstance(value, int) or isinstance(value, bool) or abs(value) < 2**53 else str(value)
