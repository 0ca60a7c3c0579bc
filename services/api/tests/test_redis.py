"""Two api replicas and a real Redis: shared buckets, notices and heads; and the same without Redis when it dies."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_accounts import Sender, hash_of
from api_node import Node
from api_sockets import Socket
from websockets.asyncio.client import connect

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")

TO = bytes.fromhex("48" * 20)


class Redis:
    """A redis-server on a free port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        pytest.fail("redis-server does not answer")

    def kill(self) -> None:
        """Away at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Running at first."""
    found = Redis(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def pair(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Any]]:
    """A node and a second api of the same member."""
    limits = {"rate_per_second": 5, "rate_burst": 400}
    node = Node(tmp_path_factory.mktemp("pair"), api={"rate_limit": True, "limits": limits})
    node.redis_url = f"redis://127.0.0.1:{redis.port}"
    node.start("statedb", "executor", "p2p", "consensus", "api")
    node._ports["api"] = 0
    second = node.run(node.start_another("api"))
    for api in (node.services["api"], second):
        for _ in range(100):
            if api._api.bus.up:
                break
            time.sleep(0.05)
        assert api._api.bus.up
    yield node, second
    node.run(second.stop())
    node.close()


async def test_pending_transactions_reach_subscribers_of_both_replicas(pair: tuple[Node, Any]) -> None:
    node, second = pair
    sender = Sender(0)
    async with connect(node.ws_url) as one, connect(f"ws://127.0.0.1:{second.port}") as two:
        sockets = Socket(one), Socket(two)
        numbers = [(await found.ask("eth_subscribe", "newPendingTransactions"))["result"] for found in sockets]
        await asyncio.sleep(3.5)  # the replica without the duty looks for it every 2.5 s
        raw = sender.transfer(TO)
        await sockets[1].ask("eth_sendRawTransaction", "0x" + raw.hex())
        for found, number in zip(sockets, numbers, strict=True):
            assert await found.notice(number) == hash_of(raw)
        streams = [api._api.feed._reading for api in (node.services["api"], second)]
        assert sorted(streams) == [False, True]


async def test_receipt_seen_at_one_replica_is_state_at_the_other(pair: tuple[Node, Any]) -> None:
    node, second = pair
    sender = Sender(1)
    async with httpx.AsyncClient() as client:
        for number in range(10):
            raw = "0x" + sender.transfer(TO).hex()
            sent = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransactionSync", "params": [raw]}
            receipt = (await client.post(node.url, json=sent)).json()["result"]
            read = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [sender.hex, "latest"]}
            found = (await client.post(f"http://127.0.0.1:{second.port}", json=read)).json()["result"]
            assert int(found, 16) == number + 1, receipt["blockNumber"]


def test_bucket_is_shared(pair: tuple[Node, Any]) -> None:
    node, second = pair
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    with httpx.Client() as client:
        client.post(node.url, json=[{**call, "id": i} for i in range(400)])
        answer = client.post(f"http://127.0.0.1:{second.port}", json={**call, "method": "eth_call", "params": [{}]})
        assert answer.status_code == 429


def test_everything_goes_on_without_redis_and_returns_with_it(pair: tuple[Node, Any], redis: Redis) -> None:
    node, _ = pair
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}
    redis.kill()
    with httpx.Client(timeout=10) as client:
        for _ in range(5):
            answer = client.post(node.url, json=call)
            assert answer.status_code == 200
            assert "result" in answer.json()
            time.sleep(0.1)
        assert not node.services["api"]._api.bus.up
        redis.start()
        ends = time.monotonic() + 20
        while not node.services["api"]._api.bus.up:
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert client.get(node.url + "/readyz").status_code == 200
    assert not node.failures
