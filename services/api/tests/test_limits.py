"""Limits: settings, buckets, connections; each at its bound and past it."""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_node import Node
from hansa.service import StartRefused
from hansa_api.errors import LimitExceeded, ServerError
from hansa_api.filters import Filters
from hansa_api.limits import LimitInvalid, Limits
from hansa_api.protocol import Gate
from hansa_api.rates import Rates

WHO = "0x" + "11" * 20
CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


def test_unknown_limit_is_refused_with_a_suggestion() -> None:
    with pytest.raises(LimitInvalid, match=r"unknown limit api.limits.batch_item; did you mean 'batch_items'"):
        Limits.from_settings({"batch_item": 5})


def test_limit_of_zero_and_contradictions_are_refused() -> None:
    with pytest.raises(LimitInvalid, match="expected at least 1"):
        Limits.from_settings({"filters": 0})
    with pytest.raises(LimitInvalid, match="batch_items is 5000, more than"):
        Limits.from_settings({"batch_items": 5_000})


def test_bucket_empties_refills_and_is_per_address() -> None:
    rates = Rates(Limits.from_settings({"rate_per_second": 10, "rate_burst": 20}), None)
    assert rates._take("a", 20, 100.0) == 0
    assert rates._take("a", 1, 100.0) == 1
    assert rates._take("b", 20, 100.0) == 0
    assert rates._take("a", 5, 100.5) == 0
    assert rates._take("a", 20, 100.5) == 2


async def test_cost_above_the_whole_bucket_can_still_be_paid() -> None:
    rates = Rates(Limits.from_settings({"rate_per_second": 10, "rate_burst": 20}), None)
    assert await rates.take("a", 1_000) == 0
    assert await rates.take("a", 1) == 1


def test_buckets_are_bounded() -> None:
    rates = Rates(Limits.from_settings({"rate_addresses": 10}), None)
    for number in range(100):
        rates._take(str(number), 1, 0.0)
    assert len(rates._buckets) == 10


def test_connections_of_one_address_are_bounded() -> None:
    gate = Gate(
        Limits.from_settings({"connections": 3, "connections_per_address": 2, "websockets": 1}), loopback_free=False
    )
    assert [gate.admit("a"), gate.admit("a")] == ["", ""]
    assert "connections of a are open, limit 2" in gate.admit("a")
    assert gate.admit("b") == ""
    assert "limit 3" in gate.admit("c")
    gate.release("a")
    assert gate.admit("c") == ""
    assert gate.enter_websocket() == ""
    assert "limit 1" in gate.enter_websocket()
    gate.leave_websocket()
    assert gate.enter_websocket() == ""


class _Feed:
    def add(self, listener: Any) -> None:
        self.listener = listener

    def remove(self, listener: Any) -> None:
        self.listener = None


def test_filters_are_bounded_per_address_in_all_and_in_size() -> None:
    feed: Any = _Feed()
    filters = Filters(Limits.from_settings({"filters": 3, "filters_per_address": 2, "filter_items": 10}), feed)
    first = filters.install("pending", "a", 0)
    filters.install("blocks", "a", 1)
    with pytest.raises(LimitExceeded, match="limit 2 per address"):
        filters.install("blocks", "a", 1)
    filters.install("blocks", "b", 1)
    with pytest.raises(LimitExceeded, match="limit 3"):
        filters.install("blocks", "c", 1)
    feed.listener([bytes(32)] * 10)
    assert len(filters.get(first).hashes) == 10
    feed.listener([bytes(32)])
    with pytest.raises(ServerError, match="filter not found"):
        filters.get(first)
    assert feed.listener is None


def test_filter_nobody_polls_ends() -> None:
    feed: Any = _Feed()
    filters = Filters(Limits.from_settings({"filter_idle_ms": 1}), feed)
    number = filters.install("blocks", "a", 1)
    time.sleep(0.01)
    with pytest.raises(ServerError, match="filter not found"):
        filters.get(number)
    assert len(filters) == 0


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A chain whose api has small limits and a rate limit."""
    limits = {
        "rate_per_second": 20,
        "rate_burst": 40,
        "read_timeout_ms": 600,
        "batch_response_bytes": 2_000,
        "logs_blocks": 10,
    }
    node = Node(tmp_path_factory.mktemp("tight"), api={"rate_limit": True, "limits": limits})
    node.start()
    yield node
    node.close()


def test_wrong_limit_in_the_settings_refuses_the_start(tight: Node) -> None:
    before, tight.api_settings = tight.api_settings, {"limits": {"nonsense": 1}}
    try:
        with pytest.raises(StartRefused, match="unknown limit"):
            tight.run(tight.start_another("api"))
    finally:
        tight.api_settings = before


def test_requests_past_the_rate_get_429_and_when_to_come_back(tight: Node) -> None:
    time.sleep(2.5)  # the bucket is full again
    with httpx.Client(base_url=tight.url) as client:
        assert client.post("/", json={**CALL, "method": "eth_getBalance", "params": [WHO]}).status_code == 200
        batch = [{**CALL, "id": i} for i in range(60)]
        answers = client.post("/", json=batch)
        assert answers.status_code == 200
        refused = [item for item in answers.json() if "error" in item]
        assert 10 <= len(refused) <= 25
        assert {item["error"]["code"] for item in refused} == {-32005}
        answer = client.post("/", json={**CALL, "method": "eth_call", "params": [{"to": WHO}]})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["message"].startswith("rate limit of 20 cost units per second exceeded")
        rest = client.get("/api/v1/chain")
        assert rest.status_code == 429
        assert rest.headers["retry-after"]


def test_batch_response_past_its_limit_refuses_the_rest(tight: Node) -> None:
    time.sleep(2.5)
    with httpx.Client(base_url=tight.url) as client:
        batch = [{**CALL, "id": i, "method": "eth_getBlockByNumber", "params": ["0x0", False]} for i in range(20)]
        answers = client.post("/", json=batch).json()
        assert [item["id"] for item in answers] == list(range(20))
        assert "result" in answers[0]
        assert answers[-1]["error"]["code"] == -32005
        assert "batch response limit of 2000 bytes" in answers[-1]["error"]["message"]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nhost: localhost\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ],
)
def test_request_that_never_ends_is_cut_off(tight: Node, start: bytes) -> None:
    port = tight.services["api"].port
    with socket.create_connection(("127.0.0.1", port), 5) as found:
        found.sendall(start)
        found.settimeout(5)
        began = time.monotonic()
        try:
            while found.recv(1_000):
                pass
        except ConnectionError:
            pass
        assert time.monotonic() - began < 4


def test_many_slow_connections_hold_nobody_up(tight: Node) -> None:
    port = tight.services["api"].port
    held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(200)]
    try:
        for found in held:
            found.sendall(b"POST / HTTP/1.1\r\n")
        with httpx.Client(base_url=tight.url, timeout=5) as client:
            assert client.get("/livez").status_code == 200
    finally:
        for found in held:
            found.close()


async def test_gate_is_given_back_after_connections_close(tight: Node) -> None:
    gate = tight.services["api"]._gate
    for _ in range(50):
        if gate._total <= 1:
            break
        await asyncio.sleep(0.1)
    assert gate._total <= 1
