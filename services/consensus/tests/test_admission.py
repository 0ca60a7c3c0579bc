"""Submit against a real statedb: verdicts, the journal's promise, and what is refused."""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import hansa_kernel
import pytest
from hansa.packing import pack, unpack
from hansa.v1 import consensus_pb2
from members import Member, consortium, transfers


@pytest.fixture
async def member(tmp_path: Path):  # type: ignore[no-untyped-def]
    """One member of a chain that makes no block by itself: statedb and consensus run, no executor."""
    one = consortium(tmp_path, 1, engine="poa", empty_block_time=0)[0]
    await one.start("statedb", "consensus")
    yield one
    await one.stop()


async def pending(member: Member, address: bytes) -> int | None:
    """The pool's next nonce of a sender."""
    request = consensus_pb2.GetPendingNoncesRequest(addresses=address)
    nonce = (await member.consensus.GetPendingNonces(request)).nonces[0]
    return int(nonce.nonce) if nonce.known else None


async def test_good_ones_are_accepted_and_bad_ones_told_apart_by_index(member: Member) -> None:
    good = unpack(transfers(member.chain, sender=0, first_nonce=0, count=3))
    packed = pack([good[0], b"\x02nonsense", good[1], good[0], good[2]])
    response = await member.submit(packed)
    assert [refusal.index for refusal in response.refusals] == [1, 3]
    assert response.refusals[1].refusal.message == "already known"
    hashes = hansa_kernel.keccak_batch(pack([good[0], good[1], good[2]]))
    assert response.hashes[:32] + response.hashes[64:96] + response.hashes[128:] == hashes
    address = hansa_kernel.address_of_secret_keys(_key(0))
    assert await pending(member, address) == 3


def _key(index: int) -> bytes:
    from hansa.chainspec import TEST_KEYS

    return TEST_KEYS[index]


async def test_accepted_transactions_are_there_after_a_restart(member: Member) -> None:
    response = await member.submit(transfers(member.chain, sender=1, first_nonce=0, count=50))
    assert not response.refusals
    await member.stop("consensus")
    await member.start("consensus")
    again = await member.submit(transfers(member.chain, sender=1, first_nonce=50, count=1))
    assert not again.refusals
    assert await pending(member, hansa_kernel.address_of_secret_keys(_key(1))) == 51


async def test_many_clients_at_once_get_their_own_verdicts(member: Member) -> None:
    batches = [transfers(member.chain, sender=sender, first_nonce=0, count=20) for sender in range(5)]
    responses = await asyncio.gather(*(member.submit(batch) for batch in batches * 2))
    refused = [len(response.refusals) for response in responses]
    assert sum(refused) == 100
    for batch, response in zip(batches * 2, responses, strict=True):
        assert response.hashes == hansa_kernel.keccak_batch(batch)


async def test_malformed_batch_is_the_callers_fault_and_others_go_on(member: Member) -> None:
    good = transfers(member.chain, sender=2, first_nonce=0, count=2)
    results = await asyncio.gather(member.submit(b"\xff\xff\xff\xffx"), member.submit(good), return_exceptions=True)
    assert isinstance(results[0], grpc.aio.AioRpcError)
    assert results[0].code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(results[1], consensus_pb2.SubmitResponse)
    assert not results[1].refusals


async def test_readers_of_the_pool_see_what_is_admitted_from_then_on(member: Member) -> None:
    await member.submit(transfers(member.chain, sender=3, first_nonce=0, count=1))
    stream = member.consensus.StreamPool(consensus_pb2.StreamPoolRequest())
    await stream.initial_metadata()
    packed = transfers(member.chain, sender=3, first_nonce=1, count=4)
    await member.submit(packed)
    seen = await asyncio.wait_for(stream.read(), 10)
    assert seen.transactions == packed
    assert seen.hashes == hansa_kernel.keccak_batch(packed)
    assert seen.senders == hansa_kernel.address_of_secret_keys(_key(3)) * 4
    stream.cancel()


async def test_pool_shows_counts_contents_and_the_next_payload(member: Member) -> None:
    packed = transfers(member.chain, sender=4, first_nonce=0, count=3)
    response = await member.submit(packed)
    unknown = b"\x07" * 32
    shown = await member.consensus.GetPool(
        consensus_pb2.GetPoolRequest(content=True, hashes=response.hashes + unknown, payload=True)
    )
    assert (shown.executable, shown.gapped, shown.local) == (3, 0, 3)
    assert shown.payload_hashes == response.hashes
    assert unpack(shown.raw) == [*unpack(packed), b""]
    assert b'"pending"' in shown.content_json


async def test_status_of_a_lone_signer_says_that_all_is_well(member: Member) -> None:
    await member.submit(transfers(member.chain, sender=0, first_nonce=0, count=1))
    status = await member.status()
    assert (status.engine, status.self, status.quorum, list(status.missing)) == ("poa", 0, 1, [])
    assert status.limits["submit_transactions_max"] == 10_000


async def test_two_largest_batches_at_once_are_accepted_and_survive_a_restart(member: Member) -> None:
    # More than the kernel decodes at once, in one round: 4,000 of each sender stay below its lane's bound.
    batches = [
        b"".join(transfers(member.chain, sender=sender, first_nonce=0, count=3_300) for sender in senders)
        for senders in ((0, 1, 2), (3, 4, 5))
    ]
    await member.submit(transfers(member.chain, sender=6, first_nonce=0, count=1))
    responses = await asyncio.gather(*(member.submit(batch) for batch in batches))
    assert [len(response.refusals) for response in responses] == [0, 0]
    await member.stop("consensus")
    await member.start("consensus")
    await member.submit(transfers(member.chain, sender=6, first_nonce=1, count=1))
    for sender in range(6):
        assert await pending(member, hansa_kernel.address_of_secret_keys(_key(sender))) == 3_300
