"""The transaction pool, in geth's and Besu's shapes."""

import asyncio
from typing import Any

import orjson

from hansa_api.api import Api
from hansa_api.limits import Limits
from hansa_api.params import Param, address, anything, count_or_number
from hansa_api.registry import Method


async def status(api: Api) -> dict[str, str]:
    """Counts of executable and gapped transactions."""
    pool = await api.backend.pool()
    return {"pending": hex(pool.executable), "queued": hex(pool.gapped)}


async def content(api: Api) -> Any:
    """All transactions by lane, sender and nonce (as many as the pool shows at once)."""
    pool = await api.backend.pool(content=True)
    return orjson.Fragment(pool.content_json or b'{"pending":{},"queued":{}}')


async def content_from(api: Api, sender: bytes) -> dict[str, Any]:
    """One sender's transactions by lane and nonce."""
    pool = await api.backend.pool(content=True, sender=sender)
    found = orjson.loads(pool.content_json or b"{}")
    return {lane: next(iter(found.get(lane, {}).values()), {}) for lane in ("pending", "queued")}


async def inspect(api: Api) -> dict[str, Any]:
    """As `content`, each transaction in a line of text."""
    found = await _content(api)
    return {
        lane: {
            sender: {nonce: _summary(transaction) for nonce, transaction in by_nonce.items()}
            for sender, by_nonce in senders.items()
        }
        for lane, senders in found.items()
    }


async def besu_statistics(api: Api) -> dict[str, int]:
    """Besu's counts."""
    pool, node = await asyncio.gather(api.backend.pool(), api.backend.status())
    total = pool.executable + pool.gapped
    return {
        "maxSize": node.limits.get("pool_transactions", 0),
        "localCount": pool.local,
        "remoteCount": max(0, total - pool.local),
    }


async def besu_transactions(api: Api) -> list[dict[str, Any]]:
    """Besu's list of hashes; the pool does not tell who sent them or when, so those two keys are left out."""
    return [{"hash": transaction["hash"]} for transaction in _all(await _content(api))]


async def besu_pending(api: Api, limit: int | None, _filters: Any) -> list[Any]:
    """Besu's list of whole transactions, executable ones first."""
    found = _all(await _content(api))
    return found if limit is None else found[:limit]


async def _content(api: Api) -> dict[str, dict[str, dict[str, Any]]]:
    pool = await api.backend.pool(content=True)
    found: dict[str, dict[str, dict[str, Any]]] = orjson.loads(pool.content_json or b'{"pending":{},"queued":{}}')
    return found


def _all(found: dict[str, dict[str, dict[str, Any]]]) -> list[Any]:
    return [
        transaction
        for lane in ("pending", "queued")
        for by_nonce in found.get(lane, {}).values()
        for transaction in by_nonce.values()
    ]


def _summary(transaction: dict[str, Any]) -> str:
    to = transaction["to"] or "contract creation"
    value, gas = int(transaction["value"], 16), int(transaction["gas"], 16)
    price = int(transaction.get("maxFeePerGas") or transaction.get("gasPrice") or "0x0", 16)
    return f"{to}: {value} wei + {gas} gas × {price} wei"


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method("txpool_status", status),
        Method("txpool_content", content, cost=10),
        Method("txpool_contentFrom", content_from, (Param("address", address),), cost=2),
        Method("txpool_inspect", inspect, cost=10),
        Method("txpool_besuStatistics", besu_statistics),
        Method("txpool_besuTransactions", besu_transactions, cost=10),
        Method(
            "txpool_besuPendingTransactions",
            besu_pending,
            (Param("limit", count_or_number, None), Param("filters", anything, None)),
            cost=10,
        ),
    ]
