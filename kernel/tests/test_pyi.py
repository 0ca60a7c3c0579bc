"""The typed contract `_kernel.pyi` and the binary say the same."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import hansa_kernel._kernel as binary
import pytest

STUB = ast.parse((Path(binary.__file__).parent / "_kernel.pyi").read_text())


def parameters_of(node: ast.FunctionDef) -> list[tuple[str, str, bool]]:
    """(name, kind, has a default) of each parameter, without self and cls."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    found = [(argument.arg, "positional", index >= first_default) for index, argument in enumerate(positional)]
    found += [
        (argument.arg, "keyword", default is not None)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return [parameter for parameter in found if parameter[0] not in {"self", "cls"}]


def parameters_in(function: object) -> list[tuple[str, str, bool]]:
    """The same of a function of the binary."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        (
            parameter.name,
            "keyword" if parameter.kind is keyword else "positional",
            parameter.default is not inspect.Parameter.empty,
        )
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.name not in {"self", "cls"}
    ]


def decorators(node: ast.FunctionDef) -> set[str]:
    return {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}


FUNCTIONS = [node for node in STUB.body if isinstance(node, ast.FunctionDef)]
CLASSES = [node for node in STUB.body if isinstance(node, ast.ClassDef)]
CONSTANTS = [
    node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
]
METHODS = [(owner.name, node) for owner in CLASSES for node in owner.body if isinstance(node, ast.FunctionDef)]


def test_the_binary_has_exactly_the_names_of_the_stub() -> None:
    promised = {node.name for node in FUNCTIONS} | {node.name for node in CLASSES} | set(CONSTANTS)
    present = {name for name in vars(binary) if not name.startswith("_")}
    assert present - promised == set()
    assert promised - present == set()


@pytest.mark.parametrize("node", FUNCTIONS, ids=lambda node: node.name)
def test_a_function_takes_the_parameters_of_the_stub(node: ast.FunctionDef) -> None:
    assert parameters_in(getattr(binary, node.name)) == parameters_of(node)


@pytest.mark.parametrize(("owner", "node"), METHODS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_method_takes_the_parameters_of_the_stub(owner: str, node: ast.FunctionDef) -> None:
    if node.name == "__new__":
        # A class that only the kernel makes has no constructor in the stub.
        assert parameters_in(getattr(binary, owner)) == parameters_of(node)
        return
    method = getattr(getattr(binary, owner), node.name)
    if node.name.startswith("__"):
        return
    assert parameters_in(method) == parameters_of(node)
    is_static = "staticmethod" in decorators(node)
    assert inspect.isbuiltin(method) == is_static


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_a_class_has_the_attributes_of_the_stub(node: ast.ClassDef) -> None:
    found = getattr(binary, node.name)
    promised = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    if issubclass(found, BaseException):
        return
    methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    present = {name for name in vars(found) if not name.startswith("__")}
    assert present - {name for name in methods if not name.startswith("__")} == promised
