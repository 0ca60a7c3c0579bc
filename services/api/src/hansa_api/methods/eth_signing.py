"""Methods that need a key: a node holds none, so they say what to use instead."""

from typing import Any, NoReturn

from hansa_api.api import Api
from hansa_api.errors import NotSupported
from hansa_api.limits import Limits
from hansa_api.params import Param, anything
from hansa_api.registry import Method


def refuse(_api: Api, *_arguments: Any) -> NoReturn:
    """Always -32004."""
    raise NotSupported(
        "not supported: keys never live in a node; sign in your client and use eth_sendRawTransaction"
        " (eth_fillTransaction fills what is missing)"
    )


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    optional = tuple(Param(name, anything, None) for name in ("first", "second", "third"))
    names = ("sendTransaction", "sign", "signTransaction", "signTypedData", "signTypedData_v4")
    return [Method(f"eth_{name}", refuse, optional) for name in names]
