"""A chain, a statedb and executors in this process, for tests below consensus: real servers on ports of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import hansa_kernel
import orjson
from hansa.chainspec import ChainSpec, parse_chain_spec
from hansa.chainspec.system_contracts import system_contracts
from hansa.config import Settings
from hansa.packing import pack
from hansa.rpc import channel
from hansa.service import Service, ServiceContext
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2

ETHER = 10**18
GAS_LIMIT = 60_000_000
FORKS = (
    "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london",
)  # fmt: skip


def secret_keys(count: int) -> list[bytes]:
    """The same keys every time."""
    return [(index + 1).to_bytes(32, "big") for index in range(count)]


def addresses_of(keys: Sequence[bytes]) -> list[bytes]:
    """Addresses of secret keys."""
    packed = hansa_kernel.address_of_secret_keys(b"".join(keys))
    return [packed[index : index + 20] for index in range(0, len(packed), 20)]


def chain_of(
    keys: Sequence[bytes], *, proof_window: int | None = 1_024, contracts: dict[bytes, bytes] | None = None
) -> ChainSpec:
    """A chain at the newest fork on which every key holds 1,000 ether; base fee 0."""
    alloc: dict[str, Any] = {address.hex(): {"balance": hex(1_000 * ETHER)} for address in addresses_of(keys)}
    alloc |= {
        found.address.hex(): {"nonce": "0x1", "balance": "0x0", "code": "0x" + found.code.hex()}
        for found in system_contracts()
    }
    alloc |= {
        address.hex(): {"nonce": "0x1", "balance": "0x0", "code": "0x" + code.hex()}
        for address, code in (contracts or {}).items()
    }
    blobs = {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716}
    config: dict[str, Any] = {f"{fork}Block": 0 for fork in FORKS} | {
        "chainId": 1337,
        "terminalTotalDifficulty": 0,
        "shanghaiTime": 0,
        "cancunTime": 0,
        "pragueTime": 0,
        "osakaTime": 0,
        "zeroBaseFee": True,
        "blobSchedule": {"cancun": blobs, "prague": blobs, "osaka": blobs},
    }
    genesis = {
        "config": config,
        "nonce": "0x0",
        "timestamp": "0x1",
        "extraData": "0x",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x0",
        "mixHash": "0x" + "00" * 32,
        "coinbase": "0x" + "00" * 20,
        "baseFeePerGas": "0x0",
        "alloc": alloc,
    }
    return replace(parse_chain_spec(orjson.dumps(genesis)), proof_window=proof_window)


def context_of(chain: ChainSpec, folder: Path, **overrides: Any) -> ServiceContext:
    """What a service is made from; ports are chosen by the system."""
    values: dict[str, Any] = {
        "member": "alpha",
        "chain_spec": folder / "chain.json",
        "data_dir": folder,
        "statedb": {"port": 0},
        "executor": {"port": 0},
    }
    return ServiceContext(Settings(**(values | overrides)), chain, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def running(service: Any) -> AsyncIterator[Any]:
    """A started service, stopped at the end."""
    checked: Service = service
    try:
        await checked.start()
        yield service
    finally:
        await checked.stop()


@dataclass(frozen=True, slots=True)
class Clients:
    """Stubs of a statedb and an executor."""

    statedb: statedb_pb2_grpc.StateDbStub
    executor: executor_pb2_grpc.ExecutorStub


@asynccontextmanager
async def stub_of(stub: Any, port: int) -> AsyncIterator[Any]:
    """A stub on a channel of its own."""
    link: grpc.aio.Channel = channel(f"127.0.0.1:{port}")
    try:
        yield stub(link)
    finally:
        await link.close(None)


def transfers(
    chain: ChainSpec, keys: Sequence[bytes], nonces: Sequence[int], to: Sequence[bytes], value_wei: int = 1
) -> hansa_kernel.TxBatch:
    """One signed transfer per key, decoded."""
    packed = hansa_kernel.sign_transactions(
        chain_id=chain.chain_id,
        secret_keys=b"".join(keys),
        nonces=b"".join(nonce.to_bytes(8, "big") for nonce in nonces),
        to=b"".join(to),
        values_wei=value_wei.to_bytes(32, "big") * len(keys),
        data=pack([b""] * len(keys)),
        gas_limit=21_000,
        max_fee_per_gas=10**9,
        max_priority_fee_per_gas=0,
    )
    return hansa_kernel.decode_transactions(packed, spec=chain.kernel, number=1, timestamp=2)


def build_request(head: types_pb2.Head, batch: hansa_kernel.TxBatch) -> executor_pb2.ExecuteRequest:
    """A request to build the block after `head`."""
    parent = hansa_kernel.Header.decode(head.header)
    return executor_pb2.ExecuteRequest(
        parent_hash=head.hash,
        context=executor_pb2.BlockContext(
            number=parent.number + 1,
            timestamp=parent.timestamp + 1,
            gas_limit=parent.gas_limit,
            beneficiary=b"\xbe" * 20,
            prev_randao=hansa_kernel.keccak(head.hash),
            parent_beacon_block_root=bytes(32),
            base_fee_per_gas=bytes(32),
        ),
        transactions=batch.packed(),
        senders=batch.senders(),
        hashes=batch.hashes(),
    )


async def build_and_commit(
    clients: Clients, head: types_pb2.Head, batch: hansa_kernel.TxBatch
) -> tuple[types_pb2.Head, executor_pb2.ExecuteResponse]:
    """Build a block on `head` and commit it without a certificate."""
    built = await clients.executor.Execute(build_request(head, batch))
    answer = await clients.statedb.Commit(statedb_pb2.CommitRequest(block_hash=built.hash))
    return answer.head, built
