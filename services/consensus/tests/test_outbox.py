"""What waits for p2p, and what is kept of executed blocks."""

import asyncio

from hansa.packing import pack
from hansa.v1 import p2p_pb2
from hansa_consensus.blocks import BlockStore, Body
from hansa_consensus.core.types import MessageClass
from hansa_consensus.limits import CANDIDATES_MAX, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, RECENT_BLOCKS_MAX
from hansa_consensus.network import Outbox
from hansa_kernel import keccak


def request(payload: bytes) -> p2p_pb2.AttachRequest:
    """A message on its way."""
    return p2p_pb2.AttachRequest(send=p2p_pb2.SendMessage(payload=payload))


async def test_votes_leave_first_and_order_holds_within_a_class() -> None:
    outbox = Outbox()
    outbox.push(MessageClass.SYNC, request(b"s"))
    outbox.push(MessageClass.VOTE, request(b"v1"))
    outbox.push(MessageClass.VOTE, request(b"v2"))
    assert [(await outbox.pop()).send.payload for _ in range(3)] == [b"v1", b"v2", b"s"]


async def test_full_class_loses_its_oldest() -> None:
    outbox = Outbox()
    for number in range(OUTBOX_MESSAGES_MAX + 1):
        outbox.push(MessageClass.TRANSACTION, request(b"%d" % number))
    assert (await outbox.pop()).send.payload == b"1"
    outbox.clear()
    half = bytes(OUTBOX_BYTES_MAX // 2 + 1)
    outbox.push(MessageClass.SYNC, request(half))
    outbox.push(MessageClass.SYNC, request(half + b"new"))
    assert (await outbox.pop()).send.payload == half + b"new"


async def test_pop_waits_for_the_next_message() -> None:
    outbox = Outbox()
    waiting = asyncio.ensure_future(outbox.pop())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.push(MessageClass.VOTE, request(b"v"))
    assert (await asyncio.wait_for(waiting, 5)).send.payload == b"v"


def body(*transactions: bytes) -> Body:
    """A block's body."""
    return Body(pack(transactions), bytes(20 * len(transactions)), b"".join(map(keccak, transactions)), b"", 0)


def test_bodies_are_found_in_candidates_and_in_newly_committed_blocks() -> None:
    store = BlockStore()
    store.put(b"1", body(b"a", b"b"))
    store.put(b"2", body(b"c"))
    store.committed(b"1")
    wanted = keccak(b"b") + keccak(b"c") + keccak(b"d")
    assert store.find(wanted) == {keccak(b"b"): b"b", keccak(b"c"): b"c"}


def test_both_parts_of_the_store_are_bounded() -> None:
    store = BlockStore()
    for number in range(CANDIDATES_MAX + 1):
        store.put(b"%d" % number, body(b"%d" % number))
    assert store.get(b"0") is None
    for number in range(1, RECENT_BLOCKS_MAX + 2):
        store.committed(b"%d" % number)
    assert store.get(b"1") is None
    assert store.get(b"2") is not None


def test_abandoned_block_is_forgotten() -> None:
    store = BlockStore()
    store.put(b"1", body(b"a"))
    store.abandon(b"1")
    assert store.get(b"1") is None
    assert store.find(keccak(b"a")) == {}
