"""The gRPC border on real servers: reads, streams, and requests that break the contract."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import hansa_kernel
import pytest
import rlp
from hansa.chainspec import ChainSpec
from hansa.packing import chunks, unpack
from hansa.rpc import reason_of
from hansa.service import StartRefused
from hansa.v1 import statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_statedb import limits
from hansa_statedb.errors import QueueFull
from hansa_statedb.service import StateDbService
from hansa_statedb.servicer import Workers
from support.blocks import Change, executed
from support.execution import addresses_of, chain_of, context_of, running, secret_keys, stub_of, transfers

KEYS = secret_keys(4)
CODE = bytes.fromhex("6001600055")
CONTRACT = b"\xc0" * 20


@pytest.fixture(scope="module")
def chain() -> ChainSpec:
    return chain_of(KEYS, contracts={CONTRACT: CODE})


@pytest.fixture
async def service(tmp_path: Path, chain: ChainSpec) -> AsyncIterator[StateDbService]:
    async with running(StateDbService(context_of(chain, tmp_path))) as started:
        yield started


@pytest.fixture
async def stub(service: StateDbService) -> AsyncIterator[statedb_pb2_grpc.StateDbStub]:
    async with stub_of(statedb_pb2_grpc.StateDbStub, service.port) as made:
        yield made


def _from(height: int) -> Any:
    """`from` is a word of Python's own."""
    return {"from": height}


async def head_of(stub: statedb_pb2_grpc.StateDbStub) -> types_pb2.Head:
    head: types_pb2.Head = (await stub.GetHead(statedb_pb2.GetHeadRequest())).head
    return head


def stage_request(
    head: types_pb2.Head, changes: dict[bytes, Change] | None = None, batch: hansa_kernel.TxBatch | None = None
) -> statedb_pb2.StageRequest:
    block = executed(head.header, changes or {}, batch=batch)
    return statedb_pb2.StageRequest(
        parent_hash=block.parent_hash,
        header_template=block.header_template,
        transactions=block.transactions,
        senders=block.senders,
        hashes=block.hashes,
        write_set=block.write_set,
        receipts=block.receipts,
    )


async def extend(
    stub: statedb_pb2_grpc.StateDbStub,
    changes: dict[bytes, Change] | None = None,
    batch: hansa_kernel.TxBatch | None = None,
) -> types_pb2.Head:
    staged = await stub.Stage(stage_request(await head_of(stub), changes, batch))
    certificate = types_pb2.Certificate(phase="commit", to_hash=staged.hash, signature=b"\x01" * 48)
    answer: statedb_pb2.CommitResponse = await stub.Commit(
        statedb_pb2.CommitRequest(block_hash=staged.hash, certificate=certificate)
    )
    return answer.head


async def ask(stub: statedb_pb2_grpc.StateDbStub, *requests: statedb_pb2.ReadRequest) -> list[statedb_pb2.ReadResponse]:
    stream = stub.Read(iter(requests))
    return [answer async for answer in stream]


async def test_reads_answer_in_order_and_send_code_along(stub: statedb_pb2_grpc.StateDbStub) -> None:
    head = await head_of(stub)
    first, second = await ask(
        stub,
        statedb_pb2.ReadRequest(id=7, accounts=CONTRACT + b"\x99" * 20, slots=CONTRACT + bytes(32), with_code=True),
        statedb_pb2.ReadRequest(id=8, codes=hansa_kernel.keccak(CODE), blocks=bytes(8) + b"\xff" * 8),
    )
    assert (first.id, second.id) == (7, 8)
    exists, absent = chunks(first.accounts, 105)
    assert exists[0] == 1
    assert exists[73:] == hansa_kernel.keccak(CODE)
    assert absent == bytes(105)
    assert first.slots == bytes(32)
    assert unpack(first.account_codes) == [CODE]
    assert unpack(second.codes) == [CODE]
    assert chunks(second.blocks, 32) == [head.hash, bytes(32)]


async def test_a_failed_read_leaves_the_stream_usable(stub: statedb_pb2_grpc.StateDbStub) -> None:
    unknown, short, fine = await ask(
        stub,
        statedb_pb2.ReadRequest(id=1, block_hash=b"\x11" * 32, accounts=CONTRACT),
        statedb_pb2.ReadRequest(id=2, accounts=b"\x11" * 19),
        statedb_pb2.ReadRequest(id=3, accounts=CONTRACT),
    )
    assert unknown.error == "unknown_block"
    assert short.error == "bad_request"
    assert not fine.error
    assert len(fine.accounts) == 105


async def test_state_of_every_height_and_of_staged_blocks_is_read(stub: statedb_pb2_grpc.StateDbStub) -> None:
    who = b"\xaa" * 20
    hashes = []
    for number in range(1, 6):
        hashes.append((await extend(stub, {who: Change(number, 10 * number, slots={bytes(32): number})})).hash)
    staged = await stub.Stage(stage_request(await head_of(stub), {who: Change(6, 60, slots={bytes(32): 0})}))
    hashes.append(staged.hash)
    answers = await ask(
        stub, *(statedb_pb2.ReadRequest(block_hash=found, accounts=who, slots=who + bytes(32)) for found in hashes)
    )
    assert [int.from_bytes(answer.accounts[1:9], "big") for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert [int.from_bytes(answer.slots, "big") for answer in answers] == [1, 2, 3, 4, 5, 0]


async def test_heads_come_gapless_for_those_behind_and_those_that_wait(stub: statedb_pb2_grpc.StateDbStub) -> None:
    for _ in range(3):
        await extend(stub)
    parts = statedb_pb2.BlockParts(certificate=True)
    behind = stub.StreamHeads(statedb_pb2.StreamHeadsRequest(parts=parts, **_from(1)))
    waiting = stub.StreamHeads(statedb_pb2.StreamHeadsRequest())
    first = asyncio.ensure_future(waiting.read())
    seen = [await behind.read() for _ in range(3)]
    committed = []
    while not first.done():  # the stream begins with whatever is committed after it was opened
        committed.append((await extend(stub)).hash)
        await asyncio.wait([first], timeout=0.05)
    seen += [await behind.read() for _ in committed]
    numbers = [hansa_kernel.Header.decode(message.block.header).number for message in seen]
    assert numbers == list(range(1, len(seen) + 1))
    assert [message.block.hash for message in seen[3:]] == committed
    assert all(message.block.certificate.to_hash == message.block.hash for message in seen)
    assert first.result().block.hash in committed
    behind.cancel()
    waiting.cancel()


async def test_blocks_come_by_range_hash_and_tag(stub: statedb_pb2_grpc.StateDbStub, chain: ChainSpec) -> None:
    batch = transfers(chain, KEYS, [0] * 4, [b"\x01" * 20] * 4)
    one = await extend(stub, batch=batch)
    two = await extend(stub)
    everything = statedb_pb2.BlockParts(transactions=True, hashes=True, receipts=True, certificate=True)
    found = await stub.GetBlocks(statedb_pb2.GetBlocksRequest(count=10, parts=everything))
    assert [block.hash for block in found.blocks] == [chain.genesis_hash, one.hash, two.hash]
    assert found.blocks[1].transactions == batch.packed()
    assert found.blocks[1].senders == batch.senders()
    assert found.blocks[1].hashes == batch.hashes()
    assert found.blocks[1].certificate.to_hash == one.hash
    assert not found.blocks[0].HasField("certificate")
    hashes = two.hash + b"\x11" * 32 + chain.genesis_hash
    found = await stub.GetBlocks(statedb_pb2.GetBlocksRequest(hashes=hashes))
    assert [block.hash for block in found.blocks] == [two.hash, chain.genesis_hash]
    latest = types_pb2.BlockSelector(tag=types_pb2.BLOCK_TAG_LATEST)
    found = await stub.GetBlocks(statedb_pb2.GetBlocksRequest(selector=latest))
    assert [block.hash for block in found.blocks] == [two.hash]
    found = await stub.GetBlocks(statedb_pb2.GetBlocksRequest(count=10, parts=everything, bytes_max=1))
    assert len(found.blocks) == 1
    beyond = types_pb2.BlockSelector(number=99)
    assert not (await stub.GetBlocks(statedb_pb2.GetBlocksRequest(selector=beyond))).blocks


async def test_transactions_are_found_by_hash_and_by_sender_and_nonce(
    stub: statedb_pb2_grpc.StateDbStub, chain: ChainSpec
) -> None:
    senders = addresses_of(KEYS)
    hashes = []
    for nonce in range(3):
        batch = transfers(chain, KEYS, [nonce] * 4, [b"\x01" * 20] * 4)
        hashes.append(chunks(batch.hashes(), 32))
        await extend(stub, {sender: Change(nonce + 1, 5) for sender in senders}, batch)
        await extend(stub, {sender: Change(nonce + 1, 6) for sender in senders})
    request = statedb_pb2.FindTransactionsRequest(hashes=hashes[1][2] + b"\x11" * 32)
    known, unknown = (await stub.FindTransactions(request)).places
    assert (known.found, known.block_number, known.index) == (True, 3, 2)
    assert not unknown.found
    for nonce in range(5):
        request = statedb_pb2.FindTransactionsRequest(sender=senders[3], nonce=nonce)
        (place,) = (await stub.FindTransactions(request)).places
        assert place.found == (nonce < 3)
        if place.found:
            assert (place.block_number, place.index, place.hash) == (2 * nonce + 1, 3, hashes[nonce][3])


def _bad_stages(good: statedb_pb2.StageRequest) -> dict[str, statedb_pb2.StageRequest]:
    def changed(**fields: bytes) -> statedb_pb2.StageRequest:
        request = statedb_pb2.StageRequest()
        request.CopyFrom(good)
        for name, value in fields.items():
            setattr(request, name, value)
        return request

    return {
        "parent_hash": changed(parent_hash=b"\x11" * 31),
        "header": changed(header_template=b"\xc0"),
        "other parent": changed(parent_hash=b"\x11" * 32),
        "transactions": changed(transactions=b"\x00\x00\x00\x09x"),
        "senders": changed(senders=b"\x11" * 20),
        "hashes": changed(hashes=b"\x11" * 32),
        "write_set cut": changed(write_set=b"\x00\x00\x00\x05"),
        "write_set longer": changed(write_set=bytes(5)),
        "expected_hash": changed(expected_hash=b"\x11"),
    }


async def test_hostile_requests_are_invalid_arguments_and_change_nothing(stub: statedb_pb2_grpc.StateDbStub) -> None:
    head = await head_of(stub)
    calls = [stub.Stage(request) for request in _bad_stages(stage_request(head)).values()]
    calls += [
        stub.Commit(statedb_pb2.CommitRequest(block_hash=b"\x11" * 31)),
        stub.GetBlocks(statedb_pb2.GetBlocksRequest(hashes=b"\x11" * 33)),
        stub.GetBlocks(statedb_pb2.GetBlocksRequest(selector=types_pb2.BlockSelector(hash=b"\x11"))),
        stub.FindTransactions(statedb_pb2.FindTransactionsRequest(hashes=b"\x11" * 31)),
        stub.FindTransactions(statedb_pb2.FindTransactionsRequest(sender=b"\x11" * 21)),
        stub.GetLogs(statedb_pb2.GetLogsRequest(to=1, **_from(2))),
        stub.GetLogs(statedb_pb2.GetLogsRequest(addresses=b"\x11" * 19)),
        stub.GetLogs(statedb_pb2.GetLogsRequest(topics=[b"\x11" * 31])),
        stub.GetLogs(statedb_pb2.GetLogsRequest(topics=[b""] * 5)),
        stub.GetProof(statedb_pb2.GetProofRequest(address=b"\x11" * 19)),
        stub.GetProof(statedb_pb2.GetProofRequest(address=b"\x11" * 20, slots=b"\x11" * 31)),
    ]
    for index, call in enumerate(calls):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT, index
        assert reason_of(raised.value) == "REQUEST_INVALID", index
    assert (await head_of(stub)).hash == head.hash
    assert (await extend(stub)).number == 1


async def test_wrong_hashes_and_unknown_parents_have_reasons(stub: statedb_pb2_grpc.StateDbStub) -> None:
    head = await head_of(stub)
    request = stage_request(head)
    request.expected_hash = b"\x11" * 32
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Stage(request)
    assert reason_of(raised.value) == "HASH_MISMATCH"
    orphan = types_pb2.Head(header=executed(head.header, {}).header_template)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Stage(stage_request(orphan))
    assert reason_of(raised.value) == "PARENT_UNKNOWN"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Commit(statedb_pb2.CommitRequest(block_hash=b"\x11" * 32))
    assert (raised.value.code(), reason_of(raised.value)) == (grpc.StatusCode.NOT_FOUND, "NOT_STAGED")


async def test_reads_during_commits_see_one_height(stub: statedb_pb2_grpc.StateDbStub) -> None:
    who = [hansa_kernel.keccak(bytes((i,)))[:20] for i in range(50)]
    first = await extend(stub, {address: Change(1, 1) for address in who})
    request = statedb_pb2.ReadRequest(block_hash=first.hash, accounts=b"".join(who))
    done = asyncio.Event()

    async def read() -> int:
        rounds = 0
        while not done.is_set():
            for answer in await ask(stub, request, request):
                assert {record[1:41] for record in chunks(answer.accounts, 105)} == {
                    (1).to_bytes(8, "big") + (1).to_bytes(32, "big")
                }
                rounds += 1
        return rounds

    reading = asyncio.ensure_future(read())
    for number in range(2, 30):
        await extend(stub, {address: Change(number, number) for address in who})
    done.set()
    assert await reading > 0


async def test_restart_resumes_and_stop_does_not_wait_for_streams(tmp_path: Path, chain: ChainSpec) -> None:
    service = StateDbService(context_of(chain, tmp_path))
    async with running(service), stub_of(statedb_pb2_grpc.StateDbStub, service.port) as stub:
        head = await extend(stub, {b"\xaa" * 20: Change(1, 1)})
        heads = stub.StreamHeads(statedb_pb2.StreamHeadsRequest(**_from(1)))
        await heads.read()
        await asyncio.wait_for(service.stop(), 3)
    service = StateDbService(context_of(chain, tmp_path))
    async with running(service), stub_of(statedb_pb2_grpc.StateDbStub, service.port) as stub:
        assert (await head_of(stub)).hash == head.hash
        assert (await extend(stub)).number == 2


async def test_start_on_another_chain_is_refused_with_what_to_do(tmp_path: Path, chain: ChainSpec) -> None:
    async with running(StateDbService(context_of(chain, tmp_path))):
        pass
    service = StateDbService(context_of(chain_of(KEYS[:1]), tmp_path))
    with pytest.raises(StartRefused, match="choose another data_dir"):
        await service.start()
    await service.stop()


async def test_proofs_verify_at_old_heights_and_are_pruned_beyond_the_window(tmp_path: Path) -> None:
    who = b"\xaa" * 20
    service = StateDbService(context_of(chain_of(KEYS, proof_window=4), tmp_path))
    async with running(service), stub_of(statedb_pb2_grpc.StateDbStub, service.port) as stub:
        for number in range(1, 10):
            await extend(stub, {who: Change(number, 7, slots={bytes(32): number})})
        head = await head_of(stub)
        assert head.earliest_proof == 5
        for number in range(5, 10):
            selector = types_pb2.BlockSelector(number=number)
            request = statedb_pb2.GetProofRequest(block=selector, address=who, slots=bytes(32))
            proof = await stub.GetProof(request)
            (slot,) = proof.slots
            root = proof.account[41:73]
            leaf = rlp.encode([number, 7, root, hansa_kernel.EMPTY_CODE_HASH])
            assert hansa_kernel.verify_proof(proof.state_root, hansa_kernel.keccak(who), leaf, proof.account_proof)
            assert hansa_kernel.verify_proof(root, hansa_kernel.keccak(bytes(32)), rlp.encode(number), slot.proof)
            assert int.from_bytes(slot.value, "big") == number
        for number, reason in ((4, "PRUNED"), (99, "BLOCK_UNKNOWN")):
            selector = types_pb2.BlockSelector(number=number)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.GetProof(statedb_pb2.GetProofRequest(block=selector, address=who))
            assert (raised.value.code(), reason_of(raised.value)) == (grpc.StatusCode.NOT_FOUND, reason)


async def test_requests_beyond_those_that_may_wait_are_refused() -> None:
    workers = Workers("queries", "query", 1)
    go = threading.Event()
    waiting = [asyncio.ensure_future(workers.run(go.wait, 30)) for _ in range(limits.REQUESTS_WAITING_MAX + 1)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await workers.run(go.wait, 30)
    go.set()
    assert all(await asyncio.gather(*waiting))
    workers.pool.shutdown()


async def test_codes_sent_along_are_bounded_and_the_rest_is_had_by_hash(tmp_path: Path) -> None:
    codes = {bytes((index,)) * 20: bytes((index,)) + bytes(24_000) for index in range(1, 9)}
    service = StateDbService(context_of(chain_of(KEYS, contracts=codes), tmp_path))
    async with running(service), stub_of(statedb_pb2_grpc.StateDbStub, service.port) as stub:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "ACCOUNT_CODES_BYTES_MAX", 100_000)
            request = statedb_pb2.ReadRequest(accounts=b"".join(codes), with_code=True)
            (answer,) = await ask(stub, request)
        assert unpack(answer.account_codes) == list(codes.values())[:4]
        hashes = [record[73:] for record in chunks(answer.accounts, 105)]
        (answer,) = await ask(stub, statedb_pb2.ReadRequest(codes=b"".join(hashes)))
        assert unpack(answer.codes) == list(codes.values())
