"""A real one-member chain for tests: every service by its entry point, on free ports, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import uvloop
from hansa.chainspec import ChainSpec, GenesisChoices, new_chain_spec
from hansa.config import (
    AddressSettings,
    ApiSettings,
    ConsensusSettings,
    ExecutorSettings,
    P2pSettings,
    Settings,
    StateDbSettings,
)
from hansa.keys import new_member_keys, validator_of
from hansa.service import START_ORDER, ServiceContext, find_services

NAME = "alpha"
BOUND_SECONDS = 60
BACKEND = ("statedb", "executor", "p2p", "consensus")


class Node:
    """A member whose services can be started and stopped one by one."""

    def __init__(self, folder: Path, *, engine: str = "poa", api: dict[str, Any] | None = None, **genesis: Any) -> None:
        self.folder = folder
        keys = new_member_keys(folder / "keys", NAME, light=True)
        validator = validator_of(keys, NAME, "127.0.0.1:30303")
        choices = {"block_time": "100ms", "empty_block_time": "1s", **genesis}
        raw, chain = new_chain_spec(
            GenesisChoices(validators=[validator], engine=engine, test_accounts=True, **choices)
        )
        (folder / "genesis.json").write_bytes(raw)
        self.chain: ChainSpec = chain
        self.services: dict[str, Any] = {}
        self.failures: list[BaseException] = []
        self.api_settings = api or {}
        self.redis_url: str | None = None
        self._ports: dict[str, int] = {}
        self._tasks: set[Any] = set()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="node", daemon=True)
        self._thread.start()

    def settings(self) -> Settings:
        """With the ports that are bound already."""
        at = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        away = "127.0.0.1:1"
        return Settings(
            profile="local",
            member=NAME,
            chain_spec=self.folder / "genesis.json",
            data_dir=self.folder,
            redis_url=self.redis_url,
            statedb=StateDbSettings(port=self._ports.get("statedb", 0)),
            executor=ExecutorSettings(port=self._ports.get("executor", 0)),
            consensus=ConsensusSettings(port=self._ports.get("consensus", 0)),
            p2p=P2pSettings(host="127.0.0.1", port=0, internal_port=0),
            api=ApiSettings(port=self._ports.get("api", 0), ws_port=0, grpc_port=0, **self.api_settings),
            addresses=AddressSettings(
                statedb=at.get("statedb", away),
                executors=(at.get("executor", away),),
                p2p=at.get("p2p_internal", away),
                consensus=at.get("consensus", away),
            ),
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await in the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND_SECONDS)

    def start(self, *names: str) -> None:
        """Start services, all by default; with all of them, returns once the api answers from the others."""
        self.run(self._start(names or START_ORDER))
        if not names:
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + BOUND_SECONDS
        while httpx.get(f"{self.url}/readyz", timeout=BOUND_SECONDS).status_code != 200:
            assert time.monotonic() < deadline, "the api is not ready"
            time.sleep(0.05)

    def stop(self, *names: str) -> None:
        """Stop services, all that run by default."""
        self.run(self._stop(names or tuple(name for name in START_ORDER if name in self.services)))

    def close(self) -> None:
        """Stop everything and end the thread."""
        self.stop()
        for task in list(self._tasks):
            self._loop.call_soon_threadsafe(task.cancel)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_SECONDS)

    async def _start(self, names: tuple[str, ...]) -> None:
        for name in names:
            service = await self.start_another(name)
            self.services[name] = service
            self._ports[name] = service.port
            if name == "p2p":
                self._ports["p2p_internal"] = service.internal_port

    async def start_another(self, name: str) -> Any:
        """A started service that this node does not count as its own, such as a second api."""
        context = ServiceContext(self.settings(), self.chain, asyncio.get_running_loop().create_future())
        context.failure.add_done_callback(lambda future: self.failures.append(future.result()))
        self._tasks = context.tasks
        service = find_services([name])[0](context)
        await service.start()
        return service

    async def _stop(self, names: tuple[str, ...]) -> None:
        for name in reversed(names):
            await self.services.pop(name).stop()

    @property
    def url(self) -> str:
        """JSON-RPC over HTTP."""
        return f"http://127.0.0.1:{self.services['api'].port}"

    @property
    def ws_url(self) -> str:
        """JSON-RPC over WebSocket, on the same port."""
        return f"ws://127.0.0.1:{self.services['api'].port}"
