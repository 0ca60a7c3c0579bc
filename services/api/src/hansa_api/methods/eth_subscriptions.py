"""eth_subscribe and eth_unsubscribe, on WebSockets."""

from typing import Any

from hansa_api.api import Api
from hansa_api.connection import Connection
from hansa_api.errors import InvalidParams, NotSupported, ServerError
from hansa_api.limits import Limits
from hansa_api.params import Invalid, Param, anything, hash32, list_of, log_filter, text
from hansa_api.registry import Method
from hansa_api.subscriptions import KINDS, Subscriber, Wanted


def subscribe(api: Api, connection: Connection, kind: str, detail: Any) -> str:
    """The subscription's id; notices follow."""
    subscriber = _subscriber(connection)
    if kind not in KINDS:
        raise InvalidParams(f"no {kind[:50]!r} subscription in eth namespace, there are: {', '.join(KINDS)}")
    try:
        wanted = _wanted(api.limits, kind, detail)
    except Invalid as error:
        raise InvalidParams(f"invalid argument 1: {error}") from None
    return api.subscriptions.add(subscriber, wanted)


def unsubscribe(api: Api, connection: Connection, number: str) -> bool:
    """True, or geth's error when there is no such subscription on this connection."""
    if not api.subscriptions.remove(_subscriber(connection), number):
        raise ServerError("subscription not found")
    return True


def _subscriber(connection: Connection) -> Subscriber:
    if connection.subscriber is None:
        raise NotSupported("notifications not supported over HTTP, connect by WebSocket")
    return connection.subscriber


def _wanted(limits: Limits, kind: str, detail: Any) -> Wanted:
    if kind == "logs":
        criteria = log_filter(limits)(detail)
        return Wanted(kind, criteria.addresses, criteria.topics)
    if kind == "newPendingTransactions":
        if detail not in (None, True, False):
            raise Invalid("expected true for whole transactions, false for hashes")
        return Wanted(kind, full=bool(detail))
    if kind == "transactionReceipts":
        if detail is not None and type(detail) is not dict:
            raise Invalid("expected {transactionHashes}")
        hashes = (detail or {}).get("transactionHashes")
        parse = list_of(hash32, limits.logs_topics, "transaction hashes")
        return Wanted(kind, hashes=frozenset(parse(hashes)) if hashes is not None else frozenset())
    if detail:
        raise Invalid(f"{kind} takes no further argument")
    return Wanted(kind)


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method("eth_subscribe", subscribe, (Param("kind", text), Param("detail", anything, None)), connection=True),
        Method("eth_unsubscribe", unsubscribe, (Param("subscription", text),), connection=True),
    ]
