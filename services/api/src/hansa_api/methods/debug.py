"""debug_: geth's traces, and blocks as bytes. Served only where the settings say so."""

from typing import Any, NoReturn

import orjson
from hansa.packing import unpack
from hansa_kernel import keccak, raw_receipts

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import InvalidParams, NotSupported
from hansa_api.limits import Limits
from hansa_api.methods.eth_transactions import raw_by_hash
from hansa_api.params import LATEST, At, Param, anything, block, block_number, data, hash32, uint64
from hansa_api.registry import Method
from hansa_api.rlp import encode_block, first_item
from hansa_api.traces import (
    TRACE_COST,
    call_object,
    found_block,
    found_transaction,
    fragment,
    trace_block,
    trace_calls,
    trace_config,
)


async def trace_transaction(api: Api, transaction_hash: bytes, config: dict[str, Any]) -> Any:
    """The trace of a committed transaction."""
    found, index = await found_transaction(api, transaction_hash)
    (trace,) = await trace_block(api, found, orjson.dumps(config), first=index, count=1)
    return fragment(trace)


async def trace_whole_block(api: Api, found: CommittedBlock, config: dict[str, Any]) -> list[dict[str, Any]]:
    """A trace per transaction, each with its hash."""
    traces = await trace_block(api, found, orjson.dumps(config))
    hashes = found.transaction_hashes()
    return [
        {"txHash": "0x" + hash_.hex(), "result": fragment(trace)} for hash_, trace in zip(hashes, traces, strict=True)
    ]


async def trace_block_by_number(api: Api, at: At, config: dict[str, Any]) -> Any:
    """The traces of a block."""
    return await trace_whole_block(api, await found_block(api, at), config)


async def trace_block_by_hash(api: Api, block_hash: bytes, config: dict[str, Any]) -> Any:
    """The traces of a block."""
    return await trace_whole_block(api, await found_block(api, At(hash=block_hash)), config)


async def trace_raw_block(api: Api, rlp: bytes, config: dict[str, Any]) -> Any:
    """The traces of a block given as RLP, which must be one that we hold."""
    try:
        header = first_item(rlp)
    except ValueError as error:
        raise InvalidParams(f"could not decode block: {error}") from None
    return await trace_whole_block(api, await found_block(api, At(hash=keccak(header))), config)


async def trace_call(api: Api, call: dict[str, Any], at: At, config: dict[str, Any]) -> Any:
    """The trace of a call on a block's state, or among the block's transactions with `txIndex`."""
    rest = dict(config)
    state_overrides, block_overrides = rest.pop("stateOverrides", None), rest.pop("blockOverrides", None)
    index = rest.pop("txIndex", None)
    if index is not None:
        index = uint64(index)
    (trace,) = await trace_calls(
        api,
        at,
        [(call, None)],
        config=orjson.dumps(rest),
        state_overrides=state_overrides,
        block_overrides=block_overrides,
        calls_after=index,
    )
    return fragment(trace)


async def raw_header(api: Api, at: At) -> str:
    """A header's RLP."""
    return "0x" + (await found_block(api, at)).header_rlp.hex()


async def raw_block(api: Api, at: At) -> str:
    """A block's RLP."""
    found = await found_block(api, at)
    withdrawals = None if found.header.withdrawals_root is None else found.withdrawals or b"\xc0"
    return "0x" + encode_block(found.header_rlp, unpack(found.transactions), found.ommer_headers, withdrawals).hex()


async def raw_block_receipts(api: Api, at: At) -> list[str]:
    """The consensus bytes of a block's receipts."""
    found = await api.heads.block(LATEST if at.is_pending else at, receipts=True)
    if found is None:
        found = await found_block(api, at)
    return ["0x" + raw.hex() for raw in unpack(raw_receipts(found.transactions, found.receipts or b"\xc0"))]


def bad_blocks(_api: Api) -> list[Any]:
    """None: a block that breaks a rule gets no certificate and is not kept."""
    return []


def set_head(_api: Api, _number: Any) -> NoReturn:
    """Final blocks stay."""
    raise NotSupported(
        "debug_setHead is not supported: committed blocks are final; use `hansa restore` on a stopped node"
    )


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    config = Param("config", trace_config(limits), {}, {"type": "object"})
    at = Param("block", block, LATEST)
    transaction_hash = Param("transactionHash", hash32)
    return [
        Method("debug_traceTransaction", trace_transaction, (transaction_hash, config), cost=TRACE_COST),
        Method(
            "debug_traceBlockByNumber", trace_block_by_number, (Param("block", block_number), config), cost=TRACE_COST
        ),
        Method("debug_traceBlockByHash", trace_block_by_hash, (Param("blockHash", hash32), config), cost=TRACE_COST),
        Method("debug_traceBlock", trace_raw_block, (Param("block", data), config), cost=TRACE_COST),
        Method(
            "debug_traceCall",
            trace_call,
            (Param("transaction", call_object), Param("block", block, LATEST), config),
            cost=TRACE_COST,
        ),
        Method("debug_getRawHeader", raw_header, (at,)),
        Method("debug_getRawBlock", raw_block, (at,), cost=2),
        Method("debug_getRawReceipts", raw_block_receipts, (at,), cost=2),
        Method("debug_getRawTransaction", raw_by_hash, (transaction_hash,)),
        Method("debug_getBadBlocks", bad_blocks),
        Method("debug_setHead", set_head, (Param("number", anything),)),
    ]
