"""WebSocket connections: subscriptions, batches, bad messages, limits."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import websockets
from api_accounts import Sender, hash_of
from api_node import Node
from api_sockets import Socket, close_code
from websockets.asyncio.client import connect

SENDER = Sender(7)
TO = bytes.fromhex("44" * 20)


@pytest.fixture
async def ws(node: Node) -> AsyncIterator[Socket]:
    """A connection to the HTTP port."""
    async with connect(node.ws_url, max_size=None) as connection:
        yield Socket(connection)


def raw_of(value: int = 1) -> str:
    """A signed transfer."""
    return "0x" + SENDER.transfer(TO, value).hex()


async def test_new_heads_are_gapless_and_look_like_headers(ws: Socket) -> None:
    number = (await ws.ask("eth_subscribe", "newHeads"))["result"]
    heads = []
    for _ in range(3):
        await ws.ask("eth_sendRawTransactionSync", raw_of())
        heads.append(await ws.notice(number))
    heights = [int(head["number"], 16) for head in heads]
    assert heights == list(range(heights[0], heights[0] + 3))
    assert heads[1]["parentHash"] == heads[0]["hash"]
    assert "transactions" not in heads[0]
    assert (await ws.ask("eth_unsubscribe", number))["result"] is True
    error = (await ws.ask("eth_unsubscribe", number))["error"]
    assert error["message"] == "subscription not found"


async def test_receipts_of_wanted_transactions_are_told(ws: Socket) -> None:
    raw = raw_of()
    wanted = hash_of(bytes.fromhex(raw[2:]))
    number = (await ws.ask("eth_subscribe", "transactionReceipts", {"transactionHashes": [wanted]}))["result"]
    await ws.ask("eth_sendRawTransaction", raw)
    receipts = await ws.notice(number)
    assert [receipt["transactionHash"] for receipt in receipts] == [wanted]


async def test_pending_transactions_are_told_as_hashes_and_whole(ws: Socket) -> None:
    short = (await ws.ask("eth_subscribe", "newPendingTransactions"))["result"]
    full = (await ws.ask("eth_subscribe", "newPendingTransactions", True))["result"]
    sent = []
    for _ in range(20):  # the stream from consensus opens with the first subscription
        raw = raw_of()
        sent.append(hash_of(bytes.fromhex(raw[2:])))
        await ws.ask("eth_sendRawTransactionSync", raw)
        if any(message["params"]["subscription"] == short for message in ws.notices):
            break
    assert await ws.notice(short) in sent
    whole = await ws.notice(full)
    assert whole["hash"] in sent
    assert whole["from"] == SENDER.hex


async def test_syncing_subscription_is_accepted(ws: Socket) -> None:
    number = (await ws.ask("eth_subscribe", "syncing"))["result"]
    assert await ws.notice(number) is False


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["nothing"], -32602),
        ([], -32602),
        ([5], -32602),
        (["logs", {"topics": 5}], -32602),
        (["newHeads", {"x": 1}], -32602),
        (["newPendingTransactions", "yes"], -32602),
        (["transactionReceipts", {"transactionHashes": ["0x1"]}], -32602),
    ],
)
async def test_wrong_subscription_is_refused(ws: Socket, params: list[Any], code: int) -> None:
    assert (await ws.ask("eth_subscribe", *params))["error"]["code"] == code


async def test_subscriptions_of_a_connection_are_limited(ws: Socket) -> None:
    for _ in range(100):
        await ws.ask("eth_subscribe", "logs", {"address": "0x" + "99" * 20})
    error = (await ws.ask("eth_subscribe", "logs"))["error"]
    assert error["code"] == -32005
    assert "limit 100" in error["message"]


async def test_junk_is_answered_and_the_connection_lives(ws: Socket) -> None:
    for junk, code in ((b"\xff\x00", -32700), ("{", -32700), ("[]", -32600), ("5", -32600)):
        await ws.connection.send(junk)
        assert (await ws.receive())["error"]["code"] == code
    assert (await ws.ask("eth_chainId"))["result"] == "0x539"


async def test_batch_is_answered_in_order(ws: Socket) -> None:
    await ws.connection.send(
        orjson.dumps(
            [
                {"jsonrpc": "2.0", "id": "a", "method": "eth_sendRawTransaction", "params": [raw_of()]},
                {"jsonrpc": "2.0", "id": "b", "method": "eth_blockNumber"},
            ]
        ).decode()
    )
    assert [item["id"] for item in await ws.receive()] == ["a", "b"]


async def test_message_over_the_limit_closes_the_connection(ws: Socket) -> None:
    try:
        await ws.connection.send("x" * ((5 << 20) + 1))
    except websockets.ConnectionClosed:
        pass  # the server closes before it has read everything
    assert await close_code(ws.connection) == 1009


async def test_second_port_serves_websockets_only(node: Node) -> None:
    import httpx

    port = node.services["api"].ws_port
    async with connect(f"ws://127.0.0.1:{port}") as connection:
        assert (await Socket(connection).ask("eth_chainId"))["result"] == "0x539"
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"http://127.0.0.1:{port}/", json={})).status_code == 426


async def test_foreign_page_and_unknown_path_are_refused(node: Node) -> None:
    for path, headers, status in (
        ("/", {"origin": "https://evil.example.org"}, 403),
        ("/nothing", {}, 404),
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(node.ws_url + path, additional_headers=headers):
                pass
        assert refused.value.response.status_code == status
    assert not node.failures


async def test_reader_that_is_too_slow_is_closed_with_1013(tmp_path: Path) -> None:
    node = Node(tmp_path, api={"limits": {"subscription_queue": 1}}, block_time="20ms", empty_block_time="20ms")
    node.start()
    try:
        async with connect(node.ws_url) as connection:
            # Two answers and a burst of notices for a queue of one.
            await connection.send(
                orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}).decode()
            )
            for number in range(200):
                await connection.send(orjson.dumps({"jsonrpc": "2.0", "id": number, "method": "eth_chainId"}).decode())
            assert await close_code(connection) == 1013
    finally:
        node.close()
