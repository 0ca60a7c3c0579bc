"""Whole members for consensus' tests: every service real, on port 0, in this process, found by entry point."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import hansa_kernel
from hansa import rpc
from hansa.chainspec import TEST_KEYS, ChainSpec, GenesisChoices, new_chain_spec
from hansa.config import AddressSettings, ConsensusSettings, ExecutorSettings, P2pSettings, Settings, StateDbSettings
from hansa.keys import new_member_keys, validator_of
from hansa.service import ServiceContext, find_services
from hansa.v1 import consensus_pb2, consensus_pb2_grpc, statedb_pb2, statedb_pb2_grpc

BOUND_SECONDS = 30
ORDER = ("statedb", "executor", "p2p", "consensus")


@dataclass
class Member:
    """One member's node."""

    name: str
    folder: Path
    chain: ChainSpec
    endpoints: dict[str, str]  # of other members' p2p, shared
    services: dict[str, Any] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    channels: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  # kept over restarts
    more_executors: list[str] = field(default_factory=list)  # addresses

    def settings(self) -> Settings:
        """With the ports that are bound already."""
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        return Settings(
            profile="local",
            member=self.name,
            chain_spec=self.folder.parent / "genesis.json",
            data_dir=self.folder,
            statedb=StateDbSettings(port=self.ports.get("statedb", 0)),
            executor=ExecutorSettings(port=self.ports.get("executor", 0)),
            consensus=ConsensusSettings(port=self.ports.get("consensus", 0)),
            p2p=P2pSettings(
                host="127.0.0.1",
                port=self.ports.get("p2p", 0),
                internal_port=self.ports.get("p2p_internal", 0),
                endpoints=self.endpoints,
                reconnect_ms_max=300,
            ),
            addresses=AddressSettings(
                statedb=at.get("statedb", "127.0.0.1:1"),
                executors=(at.get("executor", "127.0.0.1:1"), *self.more_executors),
                p2p=at.get("p2p_internal", "127.0.0.1:1"),
                consensus=at.get("consensus", "127.0.0.1:1"),
            ),
        )

    async def start(self, *names: str) -> None:
        """Start services, all by default, in order."""
        for name in names or ORDER:
            context = ServiceContext(self.settings(), self.chain, asyncio.get_running_loop().create_future())
            context.failure.add_done_callback(lambda future: self.failures.append(future.result()))
            service = find_services([name])[0](context)
            await service.start()
            self.services[name] = service
            self.ports[name] = service.port
            if name == "p2p":
                self.ports["p2p_internal"] = service.internal_port
                self.endpoints[self.name] = f"127.0.0.1:{service.port}"

    async def add_executor(self) -> None:
        """A second executor, behind the first in order of choice."""
        context = ServiceContext(
            self.settings().model_copy(update={"executor": ExecutorSettings(port=0)}),
            self.chain,
            asyncio.get_running_loop().create_future(),
        )
        service = find_services(["executor"])[0](context)
        await service.start()
        self.services["executor 2"] = service
        self.more_executors.append(f"127.0.0.1:{service.port}")

    async def stop(self, *names: str) -> None:
        """Stop services, all that run by default."""
        for name in reversed(names or tuple(name for name in (*ORDER, "executor 2") if name in self.services)):
            await self.services.pop(name).stop()
        if not names:
            for channel in self.channels.values():
                await channel.close(None)
            self.channels.clear()

    def _channel(self, name: str) -> Any:
        if name not in self.channels:
            self.channels[name] = rpc.channel(f"127.0.0.1:{self.ports[name]}")
        return self.channels[name]

    @property
    def consensus(self) -> Any:
        """Stub of the running service."""
        return consensus_pb2_grpc.ConsensusStub(self._channel("consensus"))

    @property
    def statedb(self) -> Any:
        """Stub of the running service."""
        return statedb_pb2_grpc.StateDbStub(self._channel("statedb"))

    async def submit(self, packed: bytes) -> consensus_pb2.SubmitResponse:
        """Once the service is past its start."""
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                try:
                    response: consensus_pb2.SubmitResponse = await self.consensus.Submit(
                        consensus_pb2.SubmitRequest(transactions=packed)
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    return response

    async def status(self) -> consensus_pb2.GetStatusResponse:
        """GetStatus."""
        response: consensus_pb2.GetStatusResponse = await self.consensus.GetStatus(consensus_pb2.GetStatusRequest())
        return response

    async def head(self) -> int:
        """Committed height."""
        return int((await self.statedb.GetHead(statedb_pb2.GetHeadRequest(), wait_for_ready=True)).head.number)

    async def until_head(self, height: int, *, seconds: float = BOUND_SECONDS) -> None:
        """Wait until a height is committed here."""
        async with asyncio.timeout(seconds):
            while await self.head() < height:  # noqa: ASYNC110 - another service's state
                await asyncio.sleep(0.05)

    async def block_hash(self, height: int) -> bytes:
        """Hash of a committed block."""
        request = statedb_pb2.GetBlocksRequest(count=1, **{"from": height})  # type: ignore[arg-type]
        return bytes((await self.statedb.GetBlocks(request)).blocks[0].hash)

    async def committed(self, hashes: bytes) -> int:
        """How many of these transactions are in blocks."""
        response = await self.statedb.FindTransactions(
            statedb_pb2.FindTransactionsRequest(hashes=hashes), wait_for_ready=True
        )
        return sum(place.found for place in response.places)

    async def until_committed(self, hashes: bytes, *, seconds: float = BOUND_SECONDS) -> None:
        """Wait until all of them are."""
        async with asyncio.timeout(seconds):
            while await self.committed(hashes) < len(hashes) // 32:  # noqa: ASYNC110 - another service's state
                await asyncio.sleep(0.05)


def consortium(folder: Path, count: int, **choices: Any) -> list[Member]:
    """Members with keys and a chain spec of their own, not started."""
    names = [f"m{index + 1}" for index in range(count)]
    validators = [
        validator_of(new_member_keys(folder / name / "keys", name, light=True), name, f"{name}.invalid:1")
        for name in names
    ]
    raw, chain = new_chain_spec(GenesisChoices(validators=validators, test_accounts=True, **choices))
    (folder / "genesis.json").write_bytes(raw)
    endpoints: dict[str, str] = {}
    return [Member(name, folder / name, chain, endpoints) for name in names]


async def start_all(members: list[Member]) -> None:
    """Highest index first: a member dials those above it and has to know their ports."""
    for member in reversed(members):
        await member.start()


async def stop_all(members: list[Member]) -> None:
    """Stop everything that runs."""
    for member in members:
        with contextlib.suppress(Exception):
            await member.stop()


def transfers(chain: ChainSpec, *, sender: int, first_nonce: int, count: int, max_fee_wei: int = 0) -> bytes:
    """Packed transfers of one wei from a test account."""
    return hansa_kernel.sign_transactions(
        chain_id=chain.chain_id,
        secret_keys=TEST_KEYS[sender] * count,
        nonces=b"".join(nonce.to_bytes(8, "big") for nonce in range(first_nonce, first_nonce + count)),
        to=b"".join(index.to_bytes(20, "big") for index in range(0x1000, 0x1000 + count)),
        values_wei=(1).to_bytes(32, "big") * count,
        data=bytes(4 * count),
        gas_limit=21_000,
        max_fee_per_gas=max_fee_wei,
        max_priority_fee_per_gas=0,
    )


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait, with a bound, until `holds`."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not holds():  # noqa: ASYNC110 - another party's state
            await asyncio.sleep(0.05)
