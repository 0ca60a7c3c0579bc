"""The table of JSON-RPC methods: what exists, with which parameters and at which cost.

A method is a small function `handler(api, *arguments)`, async unless it answers from memory; with `connection` it also
gets the caller's connection. Each file of `methods/` returns its part of the table from `methods(limits)`.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hansa_api.errors import InvalidParams, MethodNotFound
from hansa_api.params import Invalid, Param, Unplaced

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `cost` in units of the rate limit, or a function of the parsed arguments."""

    name: str
    handler: Handler
    params: tuple[Param[Any], ...] = ()
    cost: int | Callable[[Sequence[Any]], int] = 1
    connection: bool = False

    @property
    def is_async(self) -> bool:
        """Whether the handler must be awaited."""
        return inspect.iscoroutinefunction(self.handler)

    def parse(self, params: Any) -> list[Any]:
        """Arguments of the handler, defaults filled in. Raises `InvalidParams` naming the parameter."""
        if params is None:
            params = ()
        elif type(params) is not list:
            raise InvalidParams("non-array args")
        if len(params) > len(self.params):
            raise InvalidParams(f"too many arguments, want at most {len(self.params)}")
        found: list[Any] = []
        for position, param in enumerate(self.params):
            if position >= len(params) or (params[position] is None and not param.required):
                if param.required:
                    raise InvalidParams(f"missing value for required argument {position} ({param.name})")
                found.append(param.default)
                continue
            try:
                found.append(param.parse(params[position]))
            except Unplaced as error:
                raise InvalidParams(str(error)) from None
            except Invalid as error:
                raise InvalidParams(f"invalid argument {position}: {error}") from None
        return found

    def cost_of(self, arguments: Sequence[Any]) -> int:
        """Units that a call with these arguments takes from the caller's bucket."""
        return self.cost if isinstance(self.cost, int) else self.cost(arguments)


class Registry:
    """Methods by name; frozen once built."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, tuple[Method, bool]] = {}
        for method in methods:
            assert method.name not in self._methods, f"{method.name} is registered twice"
            self._methods[method.name] = (method, method.is_async)

    def find(self, name: str) -> tuple[Method, bool]:
        """(method, is async). Raises `MethodNotFound`."""
        try:
            return self._methods[name]
        except KeyError:
            raise MethodNotFound(name) from None

    def __contains__(self, name: str) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[Method]:
        return (method for method, _ in self._methods.values())

    def modules(self) -> dict[str, str]:
        """`rpc_modules`: the namespaces that have methods."""
        return dict.fromkeys(sorted({name.split("_", 1)[0] for name in self._methods}), "1.0")
