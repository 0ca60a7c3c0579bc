"""Blocks and their receipts."""

from typing import Any

import orjson

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Param, block, block_number, boolean, hash32, uint64
from hansa_api.registry import Method


async def get_block_by_hash(api: Api, block_hash: bytes, full: bool) -> Any:
    """The block, or null."""
    found = await api.heads.block(At(hash=block_hash))
    return None if found is None else orjson.Fragment(found.block_json(full=full))


async def get_block_by_number(api: Api, at: At, full: bool) -> Any:
    """The block, or null; `pending` is the pool's next payload."""
    if at.is_pending:
        return await api.pending.json(full=full)
    found = await api.heads.block(at)
    return None if found is None else orjson.Fragment(found.block_json(full=full))


async def get_block_receipts(api: Api, at: At) -> Any:
    """All receipts of a block, or null; `pending` has none yet."""
    if at.is_pending:
        return None
    found = await api.heads.block(at, receipts=True)
    return None if found is None else orjson.Fragment(found.receipts_json(None))


async def count_by_hash(api: Api, block_hash: bytes) -> str | None:
    """Transactions of a block, or null."""
    found = await api.heads.block(At(hash=block_hash))
    return None if found is None else hex(len(found))


async def count_by_number(api: Api, at: At) -> str | None:
    """Transactions of a block, or null."""
    if at.is_pending:
        return hex(await api.pending.count())
    found = await api.heads.block(at)
    return None if found is None else hex(len(found))


async def uncle_count_by_hash(api: Api, block_hash: bytes) -> str | None:
    """Uncles of a block, or null; only blocks of imported chains have any."""
    found = await api.heads.block(At(hash=block_hash))
    return None if found is None else hex(len(found.ommer_headers))


async def uncle_count_by_number(api: Api, at: At) -> str | None:
    """Uncles of a block, or null; only blocks of imported chains have any."""
    found = await api.heads.block(at)
    return None if found is None else hex(len(found.ommer_headers))


async def uncle_by_hash(api: Api, block_hash: bytes, index: int) -> Any:
    """The header of an uncle, or null."""
    return _ommer(await api.heads.block(At(hash=block_hash)), index)


async def uncle_by_number(api: Api, at: At, index: int) -> Any:
    """The header of an uncle, or null."""
    return _ommer(await api.heads.block(at), index)


def _ommer(block: CommittedBlock | None, index: int) -> Any:
    found = None if block is None else block.ommer_json(index)
    return None if found is None else orjson.Fragment(found)


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    by_hash = Param("blockHash", hash32)
    by_number = Param("block", block_number)
    index = Param("index", uint64)
    full = Param("hydrated", boolean, False)
    return [
        Method("eth_getBlockByHash", get_block_by_hash, (by_hash, full)),
        Method("eth_getBlockByNumber", get_block_by_number, (by_number, full)),
        Method("eth_getBlockReceipts", get_block_receipts, (Param("block", block, LATEST),), cost=2),
        Method("eth_getBlockTransactionCountByHash", count_by_hash, (by_hash,)),
        Method("eth_getBlockTransactionCountByNumber", count_by_number, (by_number,)),
        Method("eth_getUncleCountByBlockHash", uncle_count_by_hash, (by_hash,)),
        Method("eth_getUncleCountByBlockNumber", uncle_count_by_number, (by_number,)),
        Method("eth_getUncleByBlockHashAndIndex", uncle_by_hash, (by_hash, index)),
        Method("eth_getUncleByBlockNumberAndIndex", uncle_by_number, (by_number, index)),
    ]
