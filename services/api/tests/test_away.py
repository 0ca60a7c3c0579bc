"""Services behind the api come and go: requests get -32002 meanwhile, and nothing is lost or has to be restarted."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_accounts import Sender, hash_of
from api_node import Node

WHO = "0x" + "11" * 20
TO = bytes.fromhex("47" * 20)
SENDER = Sender(0)


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A chain of its own, whose api gives up on others quickly."""
    limits = {
        "read_timeout_backend_ms": 700,
        "submit_timeout_ms": 700,
        "call_timeout_ms": 400,
        "batch_time_ms": 500,
        "trace_timeout_ms": 400,
        "call_waiting": 20,
    }
    node = Node(tmp_path_factory.mktemp("fragile"), api={"limits": limits})
    node.start()
    yield node
    node.close()


def ask(node: Node, method: str, *params: Any) -> Any:
    """One request on a connection of its own."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(node.url, json=body, timeout=20).json()


def eventually(node: Node, method: str, *params: Any) -> Any:
    """Ask until there is a result, for a bounded time."""
    ends = time.monotonic() + 30
    while True:
        answer = ask(node, method, *params)
        if "result" in answer:
            return answer["result"]
        assert answer["error"]["code"] == -32002, answer
        assert time.monotonic() < ends, answer
        time.sleep(0.1)


def test_executor_away(fragile: Node) -> None:
    assert ask(fragile, "eth_call", {"to": WHO})["result"] == "0x"
    fragile.stop("executor")
    error = ask(fragile, "eth_call", {"to": WHO})["error"]
    assert error["code"] in (-32002, -32005)
    assert ask(fragile, "eth_getBalance", WHO)["result"] == "0x0"
    fragile.start("executor")
    assert eventually(fragile, "eth_call", {"to": WHO}) == "0x"


def test_calls_past_the_queue_are_refused_and_sends_go_on(fragile: Node) -> None:
    endless = [{"to": WHO}, "latest", {WHO: {"code": "0x5b600056"}}]
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": endless}

    async def flood() -> tuple[list[Any], Any]:
        async with httpx.AsyncClient(base_url=fragile.url, timeout=60) as client:
            calls = [asyncio.create_task(client.post("/", json=body)) for _ in range(60)]
            await asyncio.sleep(0.2)
            raw = Sender(1).transfer(TO)
            send = {**body, "method": "eth_sendRawTransactionSync", "params": ["0x" + raw.hex(), 20_000]}
            sent = (await client.post("/", json=send)).json()
            return [(await call).json()["error"] for call in calls], sent

    errors, sent = asyncio.run(flood())
    assert sent["result"]["status"] == "0x1"
    assert {error["code"] for error in errors} <= {-32000, -32005}
    assert any("limit 20" in error["message"] for error in errors)


def test_consensus_away(fragile: Node) -> None:
    raw = SENDER.transfer(TO, nonce=0)
    fragile.stop("consensus")
    error = ask(fragile, "eth_sendRawTransaction", "0x" + raw.hex())["error"]
    assert (error["code"], error["message"]) == (-32002, "resource unavailable: consensus does not answer")
    assert ask(fragile, "eth_getBalance", WHO)["result"] == "0x0"
    method, params = "eth_sendRawTransactionSync", ["0x" + raw.hex()]
    batch = [{"jsonrpc": "2.0", "id": number, "method": method, "params": params} for number in range(3)]
    answers = httpx.post(fragile.url, json=batch, timeout=10).json()
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert {answer["error"]["message"] for answer in answers} == {"batch time limit of 500 ms exceeded"}
    page = httpx.get(fragile.url, headers={"accept": "text/html"}, timeout=10)
    assert "consensus does not answer" in page.text
    assert httpx.get(fragile.url + "/api/v1/status", timeout=10).status_code == 503
    fragile.start("consensus")
    assert eventually(fragile, "eth_sendRawTransaction", "0x" + raw.hex()) == hash_of(raw)
    ends = time.monotonic() + 20
    while not ask(fragile, "eth_getTransactionReceipt", hash_of(raw)).get("result"):
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_statedb_away(fragile: Node) -> None:
    fragile.stop("consensus", "executor", "statedb")
    assert ask(fragile, "eth_getBalance", WHO)["error"]["code"] == -32002
    assert ask(fragile, "eth_getLogs", {})["error"]["code"] == -32002
    number = int(ask(fragile, "eth_blockNumber")["result"], 16)  # the newest block known is still told
    fragile.start("statedb", "executor", "consensus")
    assert eventually(fragile, "eth_getBalance", WHO) == "0x0"
    raw = SENDER.transfer(TO, nonce=1)
    eventually(fragile, "eth_sendRawTransaction", "0x" + raw.hex())
    ends = time.monotonic() + 30
    while not ask(fragile, "eth_getTransactionReceipt", hash_of(raw)).get("result"):
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert int(ask(fragile, "eth_blockNumber")["result"], 16) > number


def test_api_before_everybody_else(fragile: Node) -> None:
    fragile.stop("api", "consensus", "executor", "statedb")
    fragile.start("api")
    assert httpx.get(fragile.url + "/livez", timeout=5).status_code == 200
    assert httpx.get(fragile.url + "/readyz", timeout=5).status_code == 503
    assert httpx.get(fragile.url + "/startupz", timeout=5).status_code == 503
    assert ask(fragile, "eth_chainId")["result"] == "0x539"
    error = ask(fragile, "eth_blockNumber")["error"]
    assert (error["code"], error["message"]) == (-32002, "resource unavailable: statedb has not answered yet")
    fragile.start("statedb", "executor", "consensus")
    assert int(eventually(fragile, "eth_blockNumber"), 16) >= 2
    assert httpx.get(fragile.url + "/readyz", timeout=5).status_code == 200
    assert not fragile.failures
