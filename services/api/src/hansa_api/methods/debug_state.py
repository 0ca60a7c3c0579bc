"""debug_storageRangeAt and debug_accountRange: the state in the order of its trie, as geth and Besu list it."""

import base64
from typing import Any

import orjson
from hansa.v1 import statedb_pb2, types_pb2
from hansa_kernel import EMPTY_ROOT, keccak

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import InvalidParams, LimitExceeded, ServerError
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Invalid, Param, address, anything, block, count_or_number
from hansa_api.registry import Method
from hansa_api.rest.values import checksummed
from hansa_api.state import Account
from hansa_api.traces import TRACE_COST, found_block, trace_block

ENTRIES_MAX = 1_024
"""Entries of one answer; `nextKey` tells where to go on."""

ACCOUNTS_MAX = 256
"""Accounts of one answer in geth's shape (geth: AccountRangeMaxResults)."""

_DIFFERENCES = orjson.dumps({"tracer": "prestateTracer", "tracerConfig": {"diffMode": True, "disableCode": True}})


async def storage_range_at(api: Api, at: At, index: int, who: bytes, start: bytes, count: int) -> dict[str, Any]:
    """Slots of an account by the hashes of their keys, as they were before a transaction of a block."""
    found = await found_block(api, at)
    if found.number == 0:
        raise ServerError("no transaction in genesis")
    if index > len(found):
        raise ServerError(f"transaction index {index} out of range for block {found.hash.hex()}")
    count = min(count, ENTRIES_MAX)
    whole = index == len(found)
    parent = found.hash if whole else found.header.parent_hash
    gone, changed = (False, {}) if whole else await _changes(api, found, index, who)
    # Entries that a change takes away must not leave the answer short.
    listed = await _range(api, parent, who, start, count + len(changed) + 1)
    slots = {} if gone else {entry.hash: (entry.key, entry.value) for entry in listed.entries}
    beyond = b"" if gone else listed.next
    for slot, value in changed.items():
        slot_hash = keccak(slot)
        if slot_hash < start or (beyond and slot_hash >= beyond):
            continue
        slots.pop(slot_hash, None)
        if any(value):
            slots[slot_hash] = (slot, value)
    ordered = sorted(slots)
    following = ordered[count] if len(ordered) > count else beyond
    return {
        "storage": {
            "0x" + key.hex(): {"key": "0x" + slots[key][0].hex(), "value": "0x" + slots[key][1].hex()}
            for key in ordered[:count]
        },
        "nextKey": "0x" + following.hex() if following else None,
        "complete": not following,
    }


async def _changes(api: Api, found: CommittedBlock, index: int, who: bytes) -> tuple[bool, dict[bytes, bytes]]:
    """What the first `index` transactions of a block made of an account: whether what it held before is gone, and slots."""
    gone, slots = False, dict[bytes, bytes]()
    if not index:
        return gone, slots
    name = "0x" + who.hex()
    for trace in await trace_block(api, found, _DIFFERENCES, first=0, count=index):
        difference = orjson.loads(trace)
        before, after = difference["pre"].get(name), difference["post"].get(name)
        if before is not None and after is None:
            gone, slots = True, {}
            continue
        # What stands only before became zero.
        slots |= dict.fromkeys(map(_word, (before or {}).get("storage", ())), bytes(32))
        slots |= {_word(slot): _word(value) for slot, value in (after or {}).get("storage", {}).items()}
    return gone, slots


def _word(text: str) -> bytes:
    return bytes.fromhex(text[2:].zfill(64))


async def _range(api: Api, block_hash: bytes, who: bytes, start: bytes, count: int) -> statedb_pb2.GetRangeResponse:
    request = statedb_pb2.GetRangeRequest(
        block=types_pb2.BlockSelector(hash=block_hash), address=who, start=start, count=count
    )
    answer: statedb_pb2.GetRangeResponse = await api.backend.ask(api.backend.statedb.GetRange, request, "statedb")
    return answer


async def account_range(
    api: Api, at: At, second: Any, third: Any, fourth: Any, no_storage: Any, _incompletes: Any
) -> dict[str, Any]:
    """Accounts by the hashes of their addresses. Two shapes, by the third parameter: geth's `(block, start, count,
    nocode, nostorage)` with accounts, Besu's `(block, txIndex, start, count)` with addresses."""
    block_hash, _ = await api.heads.state_at(at)
    try:
        if type(third) is str:
            count = min(max(1, count_or_number(fourth)), ENTRIES_MAX)
            listed = await _range(api, block_hash, b"", _start(third), count)
            return {
                "addressMap": {"0x" + entry.hash.hex(): "0x" + entry.key.hex() for entry in listed.entries},
                "nextKey": "0x" + (listed.next or bytes(32)).hex(),
            }
        count = count_or_number(0 if third is None else third)
        start = _start("0x" if second is None else second)
    except Invalid as error:
        raise InvalidParams(f"invalid argument: {error}") from None
    listed = await _range(api, block_hash, b"", start, count if 0 < count <= ACCOUNTS_MAX else ACCOUNTS_MAX)
    accounts = {
        checksummed(entry.key): await _dumped(
            api, block_hash, entry, code=fourth is not True, storage=no_storage is not True
        )
        for entry in listed.entries
    }
    found: dict[str, Any] = {"root": listed.state_root.hex(), "accounts": accounts}
    if listed.next:
        found["next"] = base64.b64encode(listed.next).decode()
    return found


async def _dumped(
    api: Api, block_hash: bytes, entry: statedb_pb2.RangeEntry, *, code: bool, storage: bool
) -> dict[str, Any]:
    account = Account.decode(entry.value)
    found: dict[str, Any] = {
        "balance": str(account.balance),
        "nonce": account.nonce,
        "root": "0x" + account.storage_root.hex(),
        "codeHash": "0x" + account.code_hash.hex(),
        "address": "0x" + entry.key.hex(),
        "key": "0x" + entry.hash.hex(),
    }
    if code and (held := await api.state.code(block_hash, account.code_hash)):
        found["code"] = "0x" + held.hex()
    if storage and account.storage_root != EMPTY_ROOT:
        listed = await _range(api, block_hash, entry.key, b"", ENTRIES_MAX)
        if listed.next:
            raise LimitExceeded(
                f"account 0x{entry.key.hex()} has more than {ENTRIES_MAX} slots; leave storage out (fifth parameter), or use "
                "debug_storageRangeAt"
            )
        found["storage"] = {"0x" + slot.key.hex(): slot.value.lstrip(b"\0").hex() for slot in listed.entries}
    return found


def _start(value: Any) -> bytes:
    """A hash to begin with: hex digits, with 0x or without, from the right as Besu reads them."""
    if type(value) is not str:
        raise Invalid("expected a hash")
    digits = value.removeprefix("0x")
    try:
        found = bytes.fromhex(digits.zfill(64))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Invalid("expected at most 64 hex digits")
    return found


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    free = [Param(name, anything, None) for name in ("start", "maxResults", "nocode", "nostorage", "incompletes")]
    return [
        Method(
            "debug_storageRangeAt",
            storage_range_at,
            (
                Param("block", block, schema={"type": ["string", "object", "null"]}),
                Param("txIndex", count_or_number),
                Param("address", address),
                Param("keyStart", _start, schema={"type": "string"}),
                Param("maxResult", count_or_number),
            ),
            cost=TRACE_COST,
        ),
        Method(
            "debug_accountRange",
            account_range,
            (Param("block", block, LATEST), *free),
            cost=TRACE_COST,
        ),
    ]
