"""Transactions: sending them and finding them."""

import asyncio
from typing import Any

import orjson
from hansa.packing import unpack

from hansa_api.api import Api
from hansa_api.dispatcher import SEND_COST, oversized
from hansa_api.limits import Limits
from hansa_api.params import At, Param, address, block_number, data, hash32, milliseconds, uint64
from hansa_api.registry import Method
from hansa_api.sync_send import send_and_wait, sync_timeout_ms


async def send_raw(api: Api, raw: bytes) -> str:
    """Admit a transaction; its hash."""
    if len(raw) > api.limits.transaction_bytes:
        raise oversized(len(raw), api.limits.transaction_bytes)
    return "0x" + (await api.submitter.submit([raw])).first().hex()


async def send_raw_sync(api: Api, raw: bytes, timeout_ms: int | None) -> Any:
    """Admit a transaction and wait for its committed receipt (EIP-7966)."""
    if len(raw) > api.limits.transaction_bytes:
        raise oversized(len(raw), api.limits.transaction_bytes)
    done = await send_and_wait(api, raw, sync_timeout_ms(api, timeout_ms))
    return orjson.Fragment(done.block.receipts_json(done.index))


async def by_hash(api: Api, transaction_hash: bytes) -> Any:
    """The transaction, committed or waiting in the pool, or null."""
    found = await api.heads.find(transaction_hash)
    if found is not None:
        return orjson.Fragment(found[0].transaction_json(found[1]))
    pool = await api.backend.pool(hashes=transaction_hash)
    waiting = orjson.loads(pool.transactions_json or b"[]")
    if waiting and waiting[0] is not None:
        return waiting[0]
    # Between the two questions it may have been committed.
    place = await api.heads.find(transaction_hash)
    return None if place is None else orjson.Fragment(place[0].transaction_json(place[1]))


async def raw_by_hash(api: Api, transaction_hash: bytes) -> str | None:
    """EIP-2718 bytes, or null."""
    found = await api.heads.find(transaction_hash)
    if found is not None:
        return "0x" + found[0].raw_transaction(found[1]).hex()
    raw = unpack((await api.backend.pool(hashes=transaction_hash)).raw)
    return "0x" + raw[0].hex() if raw and raw[0] else None


async def by_block_hash(api: Api, block_hash: bytes, index: int) -> Any:
    """The transaction at a place, or null."""
    block = await api.heads.block(At(hash=block_hash))
    return None if block is None or index >= len(block) else orjson.Fragment(block.transaction_json(index))


async def by_block_number(api: Api, at: At, index: int) -> Any:
    """The transaction at a place, or null."""
    if at.is_pending:
        return await api.pending.transaction(index)
    block = await api.heads.block(at)
    return None if block is None or index >= len(block) else orjson.Fragment(block.transaction_json(index))


async def by_sender_and_nonce(api: Api, sender: bytes, nonce: int) -> Any:
    """The transaction that used this nonce, committed or waiting, or null."""
    found, pool = await asyncio.gather(
        api.heads.find_by_nonce(sender, nonce), api.backend.pool(content=True, sender=sender)
    )
    if found is not None:
        return orjson.Fragment(found[0].transaction_json(found[1]))
    content = orjson.loads(pool.content_json or b"{}")
    for lane in ("pending", "queued"):
        for by_nonce in content.get(lane, {}).values():
            for waiting in by_nonce.values():
                if int(waiting["nonce"], 16) == nonce:
                    return waiting
    return None


async def receipt(api: Api, transaction_hash: bytes) -> Any:
    """The committed receipt, or null; once seen it never changes."""
    found = await api.heads.find(transaction_hash, receipts=True)
    if found is None:
        return None
    block, index = found
    return orjson.Fragment(block.receipts_json(index))


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    transaction_hash, index = Param("transactionHash", hash32), Param("index", uint64)
    raw = Param("transaction", data)
    return [
        Method("eth_sendRawTransaction", send_raw, (raw,), cost=SEND_COST),
        Method(
            "eth_sendRawTransactionSync", send_raw_sync, (raw, Param("timeout", milliseconds, None)), cost=SEND_COST
        ),
        Method("eth_getTransactionByHash", by_hash, (transaction_hash,)),
        Method("eth_getRawTransactionByHash", raw_by_hash, (transaction_hash,)),
        Method("eth_getTransactionByBlockHashAndIndex", by_block_hash, (Param("blockHash", hash32), index)),
        Method("eth_getTransactionByBlockNumberAndIndex", by_block_number, (Param("block", block_number), index)),
        Method(
            "eth_getTransactionBySenderAndNonce",
            by_sender_and_nonce,
            (Param("sender", address), Param("nonce", uint64)),
        ),
        Method("eth_getTransactionReceipt", receipt, (transaction_hash,)),
    ]
