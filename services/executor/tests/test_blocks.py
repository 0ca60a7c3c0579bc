"""Blocks on real servers: built by one member, verified by another, by any of its executors, across restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import hansa_kernel
import pytest
import rlp
from hansa.chainspec import ChainSpec
from hansa.packing import chunks
from hansa.rpc import error_info, reason_of
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_executor import limits
from hansa_executor.blocks import batches_within
from hansa_executor.errors import QueueFull
from hansa_executor.service import ExecutorService
from hansa_executor.servicer import Queue
from hansa_statedb.service import StateDbService
from support.execution import (
    Clients,
    addresses_of,
    build_and_commit,
    build_request,
    chain_of,
    context_of,
    running,
    secret_keys,
    stub_of,
    transfers,
)

KEYS = secret_keys(20)
TO = [hansa_kernel.keccak(bytes((index,)))[:20] for index in range(20)]


@pytest.fixture(scope="module")
def chain() -> ChainSpec:
    return chain_of(KEYS)


class Member:
    """A statedb and executors on it; any of them can be stopped and started again."""

    def __init__(self, chain: ChainSpec, folder: Path) -> None:
        self.chain = chain
        self.folder = folder
        self.stack = AsyncExitStack()
        self.statedb_port = 0
        self.statedb: StateDbService | None = None

    async def start_statedb(self) -> statedb_pb2_grpc.StateDbStub:
        context = context_of(self.chain, self.folder, statedb={"port": self.statedb_port})
        self.statedb = StateDbService(context)
        await self.statedb.start()
        self.statedb_port = self.statedb.port
        return await self.stack.enter_async_context(stub_of(statedb_pb2_grpc.StateDbStub, self.statedb_port))

    async def stop_statedb(self) -> None:
        assert self.statedb is not None
        await self.statedb.stop()
        self.statedb = None

    async def start_executor(self) -> executor_pb2_grpc.ExecutorStub:
        addresses = {"statedb": f"127.0.0.1:{self.statedb_port}"}
        service = ExecutorService(context_of(self.chain, self.folder, addresses=addresses))
        await self.stack.enter_async_context(running(service))
        return await self.stack.enter_async_context(stub_of(executor_pb2_grpc.ExecutorStub, service.port))

    async def clients(self) -> Clients:
        statedb = await self.start_statedb()
        return Clients(statedb, await self.start_executor())

    async def stop(self) -> None:
        await self.stack.aclose()
        if self.statedb is not None:
            await self.statedb.stop()


@pytest.fixture
async def alpha(chain: ChainSpec, tmp_path: Path) -> AsyncIterator[Member]:
    member = Member(chain, tmp_path / "alpha")
    yield member
    await member.stop()


@pytest.fixture
async def beta(chain: ChainSpec, tmp_path: Path) -> AsyncIterator[Member]:
    member = Member(chain, tmp_path / "beta")
    yield member
    await member.stop()


async def head_of(clients: Clients) -> types_pb2.Head:
    head: types_pb2.Head = (await clients.statedb.GetHead(statedb_pb2.GetHeadRequest(), wait_for_ready=True)).head
    return head


def verify_request(
    build: executor_pb2.ExecuteRequest, built: executor_pb2.ExecuteResponse
) -> executor_pb2.ExecuteRequest:
    return executor_pb2.ExecuteRequest(
        parent_hash=build.parent_hash,
        header=built.header,
        transactions=build.transactions,
        senders=build.senders,
        hashes=build.hashes,
        hints=built.access_list,
    )


def reheadered(request: executor_pb2.ExecuteRequest, field: int, value: bytes) -> executor_pb2.ExecuteRequest:
    fields = list(rlp.decode(request.header))
    fields[field] = value
    changed = executor_pb2.ExecuteRequest()
    changed.CopyFrom(request)
    changed.header = rlp.encode(fields)
    return changed


async def refused(call: "grpc.aio.UnaryUnaryCall[object, object]") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def test_a_chain_grows_block_by_block_and_balances_follow(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    head = await head_of(clients)
    for nonce in range(5):
        batch = transfers(chain, KEYS, [nonce] * 20, TO, value_wei=10)
        head, built = await build_and_commit(clients, head, batch)
        assert head.number == nonce + 1
        assert built.gas_used == 20 * 21_000
        assert built.included == b"".join(index.to_bytes(4, "big") for index in range(20))
        assert set(built.stage_us) == {"decode", "execute", "read", "stage", "root"}
        updated = {item[:20]: item[20:] for item in chunks(built.account_updates, 125)}
        assert {updated[address][1:9] for address in addresses_of(KEYS)} == {(nonce + 1).to_bytes(8, "big")}
    stream = clients.statedb.Read(iter([statedb_pb2.ReadRequest(accounts=b"".join(TO))]))
    (answer,) = [answer async for answer in stream]
    assert {int.from_bytes(record[9:41], "big") for record in chunks(answer.accounts, 105)} == {50}


async def test_another_member_verifies_what_one_has_built(alpha: Member, beta: Member, chain: ChainSpec) -> None:
    builder, verifier = await alpha.clients(), await beta.clients()
    head = await head_of(builder)
    for nonce in range(3):
        request = build_request(head, transfers(chain, KEYS, [nonce] * 20, TO))
        built = await builder.executor.Execute(request)
        verified = await verifier.executor.Execute(verify_request(request, built))
        assert (verified.hash, verified.header) == (built.hash, built.header)
        assert verified.account_updates == built.account_updates
        for clients in (builder, verifier):
            head = (await clients.statedb.Commit(statedb_pb2.CommitRequest(block_hash=built.hash))).head
    assert head.number == 3


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [(3, b"\x11" * 32, "state_root"), (5, b"\x11" * 32, "receipts_root"), (10, b"\x01", "gas_used")],
)
async def test_a_header_that_lies_is_refused_naming_the_field(
    alpha: Member, chain: ChainSpec, field: int, value: bytes, name: str
) -> None:
    clients = await alpha.clients()
    request = build_request(await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
    built = await clients.executor.Execute(request)
    error = await refused(clients.executor.Execute(reheadered(verify_request(request, built), field, value)))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.ABORTED, "HASH_MISMATCH")
    assert name in (error.details() or "")
    assert (await clients.executor.Execute(verify_request(request, built))).hash == built.hash


async def test_invalid_transactions_are_dropped_when_building_and_refused_when_verifying(
    alpha: Member, chain: ChainSpec
) -> None:
    clients = await alpha.clients()
    head = await head_of(clients)
    batch = transfers(chain, KEYS[:3], [0, 5, 0], TO[:3])
    request = build_request(head, batch)
    built = await clients.executor.Execute(request)
    assert built.included == (0).to_bytes(4, "big") + (2).to_bytes(4, "big")
    assert [(dropped.index, dropped.refusal.code) for dropped in built.dropped] == [(1, "nonce_too_high")]
    error = await refused(clients.executor.Execute(verify_request(request, built)))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "BLOCK_INVALID")
    info = error_info(error)
    assert info is not None
    assert (info.metadata["code"], info.metadata["index"]) == ("nonce_too_high", "1")


async def test_blocks_are_built_on_staged_parents(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    head = await head_of(clients)
    hashes = []
    for nonce in range(4):
        built = await clients.executor.Execute(build_request(head, transfers(chain, KEYS, [nonce] * 20, TO)))
        head = types_pb2.Head(number=nonce + 1, hash=built.hash, header=built.header)
        hashes.append(built.hash)
    for block_hash in hashes:
        head = (await clients.statedb.Commit(statedb_pb2.CommitRequest(block_hash=block_hash))).head
    assert head.number == 4


async def test_two_executors_share_one_statedb(alpha: Member, chain: ChainSpec) -> None:
    first = await alpha.clients()
    second = Clients(first.statedb, await alpha.start_executor())
    head = await head_of(first)
    for nonce in range(6):
        batch = transfers(chain, KEYS, [nonce] * 20, TO)
        request = build_request(head, batch)
        one, two = await asyncio.gather(first.executor.Execute(request), second.executor.Execute(request))
        assert one.hash == two.hash
        head, _ = await build_and_commit((first, second)[nonce % 2], head, batch)
    assert head.number == 6


async def test_a_new_executor_goes_on_where_another_died(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    head, _ = await build_and_commit(clients, await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
    staged = await clients.executor.Execute(build_request(head, transfers(chain, KEYS, [1] * 20, TO)))
    other = Clients(clients.statedb, await alpha.start_executor())
    parent = types_pb2.Head(hash=staged.hash, header=staged.header)
    grandchild = await other.executor.Execute(build_request(parent, transfers(chain, KEYS, [2] * 20, TO)))
    for block_hash in (staged.hash, grandchild.hash):
        head = (await clients.statedb.Commit(statedb_pb2.CommitRequest(block_hash=block_hash))).head
    assert head.number == 3


async def test_statedb_restart_loses_staged_blocks_and_nothing_else(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    head, _ = await build_and_commit(clients, await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
    request = build_request(head, transfers(chain, KEYS, [1] * 20, TO))
    staged = await clients.executor.Execute(request)
    await alpha.stop_statedb()
    asked = asyncio.ensure_future(clients.executor.Execute(verify_request(request, staged)))
    await asyncio.sleep(0.2)
    statedb = await alpha.start_statedb()
    again = await asked  # waited for statedb to come back
    assert again.hash == staged.hash
    head = (await statedb.Commit(statedb_pb2.CommitRequest(block_hash=staged.hash))).head
    assert head.number == 2
    head, _ = await build_and_commit(Clients(statedb, clients.executor), head, transfers(chain, KEYS, [2] * 20, TO))
    assert head.number == 3


async def test_executor_starts_before_statedb(alpha: Member, chain: ChainSpec) -> None:
    statedb = await alpha.start_statedb()
    await alpha.stop_statedb()
    executor = await alpha.start_executor()
    del statedb
    clients = Clients(await alpha.start_statedb(), executor)
    head, _ = await build_and_commit(clients, await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
    assert head.number == 1


async def test_unknown_parent_has_its_reason(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    request = build_request(await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
    request.parent_hash = b"\x11" * 32
    error = await refused(clients.executor.Execute(request))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "PARENT_UNKNOWN")


async def test_hostile_requests_are_invalid_arguments(alpha: Member, chain: ChainSpec) -> None:
    clients = await alpha.clients()
    good = build_request(await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))

    def changed(**fields: bytes) -> executor_pb2.ExecuteRequest:
        request = executor_pb2.ExecuteRequest()
        request.CopyFrom(good)
        for name, value in fields.items():
            setattr(request, name, value)
        return request

    empty = changed()
    empty.ClearField("context")
    short = changed()
    short.context.base_fee_per_gas = b"\x01"
    beneficiary = changed()
    beneficiary.context.beneficiary = b"\x01" * 19
    hostile = [
        changed(parent_hash=b"\x11" * 31),
        changed(transactions=b"\x00\x00\x00\x09x"),
        changed(senders=good.senders[:-1]),
        changed(hashes=good.hashes[32:] + good.hashes[:32]),
        changed(header=b"\xc0"),
        empty,
        short,
        beneficiary,
    ]
    for index, request in enumerate(hostile):
        error = await refused(clients.executor.Execute(request))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, (index, error.details())
    assert (await clients.executor.Execute(good)).gas_used == 20 * 21_000


async def test_a_full_queue_refuses_and_serves_those_that_wait() -> None:
    queue = Queue("blocks", 1, limits.BLOCKS_WAITING_MAX)
    go = asyncio.Event()

    async def work() -> None:
        async with queue.turn():
            await go.wait()

    waiting = [asyncio.ensure_future(work()) for _ in range(limits.BLOCKS_WAITING_MAX + 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        async with queue.turn():
            pass
    go.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([], []), ([9], [[9]]), ([3, 3, 4, 1], [[3, 3, 4], [1]]), ([11, 1, 12], [[11], [1], [12]]), ([0] * 3, [[0] * 3])],
)
def test_write_sets_are_sent_as_many_at_once_as_fit(sizes: list[int], expected: list[list[int]]) -> None:
    batches = list(batches_within([bytes(size) for size in sizes], 10))
    assert [[len(item) for item in batch] for batch in batches] == expected
