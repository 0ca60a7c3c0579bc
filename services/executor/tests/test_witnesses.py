"""Witnesses of committed blocks: made on real servers, checked with the kernel alone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import hansa_kernel
import pytest
from hansa.chainspec import ChainSpec
from hansa.packing import pack, unpack
from hansa.rpc import reason_of
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_executor.service import ExecutorService
from hansa_statedb.service import StateDbService
from support.execution import (
    Clients,
    build_and_commit,
    chain_of,
    context_of,
    running,
    secret_keys,
    stub_of,
    transfers,
)

KEYS = secret_keys(20)
TO = [hansa_kernel.keccak(bytes((index,)))[:20] for index in range(20)]
STORE = b"\xc0" * 20
STORE_CODE = bytes.fromhex("6020355f35556003430340600055")
"""sstore(calldata[0:32], calldata[32:64]), then sstore(0, blockhash(number - 3))."""
WINDOW = 4


@asynccontextmanager
async def member(chain: ChainSpec, folder: Path) -> AsyncIterator[Clients]:
    """A statedb and an executor on it."""
    async with AsyncExitStack() as stack:
        statedb = await stack.enter_async_context(running(StateDbService(context_of(chain, folder))))
        addresses = {"statedb": f"127.0.0.1:{statedb.port}"}
        executor = await stack.enter_async_context(
            running(ExecutorService(context_of(chain, folder, addresses=addresses)))
        )
        yield Clients(
            await stack.enter_async_context(stub_of(statedb_pb2_grpc.StateDbStub, statedb.port)),
            await stack.enter_async_context(stub_of(executor_pb2_grpc.ExecutorStub, executor.port)),
        )


def stores(chain: ChainSpec, nonces: list[int], slots: list[tuple[int, int]]) -> hansa_kernel.TxBatch:
    """One transaction per slot, which sets it, each from a key of its own."""
    count = len(slots)
    packed = hansa_kernel.sign_transactions(
        chain_id=chain.chain_id,
        secret_keys=b"".join(KEYS[:count]),
        nonces=b"".join(nonce.to_bytes(8, "big") for nonce in nonces),
        to=STORE * count,
        values_wei=bytes(32) * count,
        data=pack(slot.to_bytes(32, "big") + value.to_bytes(32, "big") for slot, value in slots),
        gas_limit=100_000,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=0,
    )
    return hansa_kernel.decode_transactions(packed, spec=chain.kernel, number=1, timestamp=2)


async def head_of(clients: Clients) -> types_pb2.Head:
    found: types_pb2.Head = (await clients.statedb.GetHead(statedb_pb2.GetHeadRequest(), wait_for_ready=True)).head
    return found


async def witness_of(clients: Clients, number: int) -> executor_pb2.GetWitnessResponse:
    selector = types_pb2.BlockSelector(number=number)
    found: executor_pb2.GetWitnessResponse = await clients.executor.GetWitness(
        executor_pb2.GetWitnessRequest(block=selector)
    )
    return found


async def test_witnesses_of_committed_blocks_verify_with_the_chain_spec_and_the_hash_alone(tmp_path: Path) -> None:
    chain = chain_of(KEYS, contracts={STORE: STORE_CODE})
    async with member(chain, tmp_path) as clients:
        head = await head_of(clients)
        heads = [head]
        blocks = [
            transfers(chain, KEYS, [0] * 20, TO),
            stores(chain, [1] * 10, [(slot, 7) for slot in range(1, 11)]),
            # Branches of the storage trie collapse.
            stores(chain, [2] * 8, [(slot, 0) for slot in range(1, 9)]),
            transfers(chain, [], [], []),
            stores(chain, [3], [(99, 1)]),
        ]
        for batch in blocks:
            head, _ = await build_and_commit(clients, head, batch)
            heads.append(head)
        for number, batch in enumerate(blocks, start=1):
            answer = await witness_of(clients, number)
            assert answer.block_hash == heads[number].hash
            verified = hansa_kernel.verify_block(
                chain.kernel,
                answer.witness,
                genesis_hash=chain.genesis_hash,
                trusted_header_hash=heads[number].hash,
                trusted_parent_hash=heads[number - 1].hash,
            )
            assert verified.header.hash == heads[number].hash
            assert verified.transactions == len(batch)
            # blockhash(number - 3) stands in the header of number - 2.
            assert verified.headers == (2 if number in (3, 5) else 1)
            # Another executor would make the same bytes.
            assert (await witness_of(clients, number)).witness == answer.witness


async def test_a_witness_less_a_node_says_where_the_node_belongs(tmp_path: Path) -> None:
    chain = chain_of(KEYS)
    async with member(chain, tmp_path) as clients:
        head, _ = await build_and_commit(clients, await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
        whole = (await witness_of(clients, 1)).witness
        items = unpack(whole[74:])
        nodes = unpack(items[4])
        for index, node in enumerate(nodes):
            less = whole[:74] + pack([*items[:4], pack(nodes[:index] + nodes[index + 1 :])])
            with pytest.raises(hansa_kernel.WitnessIncomplete) as raised:
                hansa_kernel.verify_block(chain.kernel, less, genesis_hash=chain.genesis_hash)
            assert raised.value.kind == "node"
            request = statedb_pb2.GetNodesRequest(
                block_hash=hansa_kernel.Header.decode(head.header).parent_hash, paths=pack([raised.value.path])
            )
            assert unpack((await clients.statedb.GetNodes(request)).nodes) == [node]
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        with pytest.raises((hansa_kernel.WitnessIncomplete, hansa_kernel.KernelInputError)):
            hansa_kernel.verify_block(chain.kernel, bytes(changed), genesis_hash=chain.genesis_hash)


async def test_genesis_unknown_and_pruned_blocks_have_no_witness(tmp_path: Path) -> None:
    chain = chain_of(KEYS, proof_window=WINDOW)
    async with member(chain, tmp_path) as clients:
        head = await head_of(clients)
        for nonce in range(8):
            head, _ = await build_and_commit(clients, head, transfers(chain, KEYS, [nonce] * 20, TO))
        for number, code, reason in (
            (0, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
            (4, grpc.StatusCode.NOT_FOUND, "PRUNED"),
            (9, grpc.StatusCode.NOT_FOUND, "BLOCK_UNKNOWN"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await witness_of(clients, number)
            assert (raised.value.code(), reason_of(raised.value)) == (code, reason), number
        for number in range(5, 9):
            answer = await witness_of(clients, number)
            hansa_kernel.verify_block(chain.kernel, answer.witness, genesis_hash=chain.genesis_hash)


async def test_another_chains_witness_is_refused_by_name(tmp_path: Path) -> None:
    chain, other = chain_of(KEYS), chain_of(KEYS[:5])
    async with member(chain, tmp_path) as clients:
        await build_and_commit(clients, await head_of(clients), transfers(chain, KEYS, [0] * 20, TO))
        answer = await witness_of(clients, 1)
    with pytest.raises(hansa_kernel.KernelInputError, match=r"witness\.genesis_hash"):
        hansa_kernel.verify_block(other.kernel, answer.witness, genesis_hash=other.genesis_hash)
