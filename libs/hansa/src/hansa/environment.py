"""Settings from the environment.

`HANSA_MEMBER=alpha` sets `member`, `HANSA_API__PORT=8545` sets `api.port`; lists and tables are JSON, and entries of a
table may be set singly (`HANSA_P2P__ENDPOINTS__ALPHA=host:port`). `<NAME>_FILE` reads the value from a file, so that
secrets need not stand in the environment. Written by hand, since the usual library costs every process of a node a
quarter of a second and reads no such files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_origin

import orjson
from pydantic import BaseModel

PREFIX: Final = "HANSA_"
FILE_SUFFIX: Final = "_FILE"

VALUE_BYTES_MAX: Final = 64 << 10
"""Largest file behind a `_FILE` variable."""


class VariableInvalid(ValueError):
    """A variable names no setting of its section, or cannot be read: `variable` and `problem`."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"environment {variable}: {problem}")
        self.variable = variable
        self.problem = problem


def read_environment(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of `model` in the environment, nested as in its file.

    Variables with the prefix that name neither a setting nor a section are left alone: tools use the prefix, too.
    Raises `VariableInvalid` for an unknown setting of a known section.
    """
    values: dict[str, Any] = {}
    for variable in sorted(environment):
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        text = environment[variable]
        if not _known(model, name) and name.endswith(FILE_SUFFIX.lower()):
            name = name.removesuffix(FILE_SUFFIX.lower())
            if not _known(model, name):
                continue
            text = _from_file(variable, text)
        parts = name.split("__")
        field = model.model_fields.get(parts[0])
        if field is None:
            continue
        section = field.annotation
        if len(parts) == 1:
            values[name] = _value(variable, text, section)
        elif isinstance(section, type) and issubclass(section, BaseModel):
            if parts[1] not in section.model_fields:
                raise VariableInvalid(variable, f"{parts[0]} has no setting {parts[1]!r}")
            target = values.setdefault(parts[0], {})
            if len(parts) == 2:
                target[parts[1]] = _value(variable, text, section.model_fields[parts[1]].annotation)
            else:
                target.setdefault(parts[1], {})["__".join(parts[2:])] = text
    return values


def merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """`lower` with everything of `upper` over it; tables are merged, anything else replaced."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _known(model: type[BaseModel], name: str) -> bool:
    """Whether the name is that of a setting or of an entry of a table."""
    parts = name.split("__")
    field = model.model_fields.get(parts[0])
    if field is None:
        return False
    section = field.annotation
    if len(parts) == 1:
        return True
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        return False
    inner = section.model_fields.get(parts[1])
    return inner is not None and (len(parts) == 2 or get_origin(inner.annotation) is dict)


def _value(variable: str, text: str, annotation: Any) -> Any:
    structured = get_origin(annotation) in (tuple, list, dict) or (
        isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )
    if not structured:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise VariableInvalid(variable, f"JSON was expected ({error})") from error


def _from_file(variable: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(VALUE_BYTES_MAX + 1)
        if len(data) > VALUE_BYTES_MAX:
            raise VariableInvalid(variable, f"{path} has more than {VALUE_BYTES_MAX} bytes")
        return data.decode().rstrip("\r\n")
    except OSError as error:
        raise VariableInvalid(variable, f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise VariableInvalid(variable, f"{path} is no text") from error
