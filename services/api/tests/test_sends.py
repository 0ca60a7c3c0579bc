"""Sending transactions: batches, verdicts, waiting for receipts, and the pool's views."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from api_accounts import Sender, hash_of, hexes, sign
from hansa.chainspec import TEST_KEYS

Rpc = Callable[..., Any]

SENDER = Sender(1)
OTHER = Sender(2)
GAPPED = Sender(3)
TO = bytes.fromhex("43" * 20)


def batch(http: httpx.Client, raws: list[bytes]) -> list[Any]:
    """Send as one JSON-RPC batch."""
    body = [
        {"jsonrpc": "2.0", "id": i, "method": "eth_sendRawTransaction", "params": [raw]}
        for i, raw in enumerate(hexes(raws))
    ]
    found: list[Any] = http.post("/", json=body).json()
    return found


def test_batch_of_sends_is_admitted_in_order_and_committed(http: httpx.Client, rpc: Rpc) -> None:
    raws = [SENDER.transfer(TO) for _ in range(300)]
    answers = batch(http, raws)
    assert [answer["id"] for answer in answers] == list(range(300))
    assert [answer["result"] for answer in answers] == [hash_of(raw) for raw in raws]
    last = SENDER.transfer(TO)
    receipt = rpc("eth_sendRawTransactionSync", *hexes([last]))["result"]
    assert receipt["status"] == "0x1"
    for raw in (raws[0], raws[-1]):
        assert rpc("eth_getTransactionReceipt", hash_of(raw))["result"]["status"] == "0x1"
    assert rpc("eth_getTransactionCount", SENDER.hex, "latest")["result"] == hex(301)


def test_refused_ones_of_a_batch_do_not_hold_up_the_others(http: httpx.Client) -> None:
    good = [OTHER.transfer(TO) for _ in range(3)]
    wrong_chain = sign(OTHER.key, 3, TO, chain_id=1)
    answers = batch(http, [good[0], b"\x02rubbish", good[1], wrong_chain, good[2]])
    assert [answers[i]["result"] for i in (0, 2, 4)] == [hash_of(raw) for raw in good]
    assert answers[1]["error"]["code"] == -32003
    assert answers[3]["error"]["message"].startswith("invalid chain id for signer")


def test_reads_between_sends_of_a_batch_are_answered_in_place(http: httpx.Client) -> None:
    raw = hexes([OTHER.transfer(TO), OTHER.transfer(TO)])
    body = [
        {"jsonrpc": "2.0", "id": 10, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 11, "method": "eth_sendRawTransaction", "params": [raw[0]]},
        {"jsonrpc": "2.0", "id": 12, "method": "eth_getTransactionCount", "params": [OTHER.hex, "pending"]},
        {"jsonrpc": "2.0", "id": 13, "method": "eth_sendRawTransaction", "params": [raw[1]]},
    ]
    answers = http.post("/", json=body).json()
    assert [answer["id"] for answer in answers] == [10, 11, 12, 13]
    assert answers[2]["result"] == "0x4"


@pytest.mark.parametrize(
    ("raw", "words", "number"),
    [
        (sign(TEST_KEYS[4], 0, TO, 10**30), "insufficient funds for gas * price + value", 809),
        (sign(TEST_KEYS[4], 0, TO, gas=20_000), "intrinsic gas too low", 800),
        (sign(TEST_KEYS[4], 0, TO, chain_id=5), "invalid chain id for signer", None),
        (sign(b"\x77" * 32, 0, TO), "insufficient funds", 809),
    ],
)
def test_refusal_has_geths_words_and_the_catalogue_number(rpc: Rpc, raw: bytes, words: str, number: int | None) -> None:
    error = rpc("eth_sendRawTransaction", "0x" + raw.hex())["error"]
    assert error["code"] == -32003
    assert error["message"].startswith(words)
    assert error["data"].get("code") == number
    assert error["data"]["reason"]


def test_used_nonce_and_known_transaction_are_refused(rpc: Rpc) -> None:
    raw = "0x" + SENDER.transfer(TO, nonce=rpc_nonce(rpc, SENDER)).hex()
    assert rpc("eth_sendRawTransactionSync", raw)["result"]["status"] == "0x1"
    error = rpc("eth_sendRawTransaction", raw)["error"]
    assert error["code"] == -32003
    assert error["message"].startswith(("nonce too low", "already known"))
    low = rpc("eth_sendRawTransaction", "0x" + SENDER.transfer(TO, 5, nonce=0).hex())["error"]
    assert low["message"].startswith("nonce too low")
    assert low["data"]["code"] == 1
    assert (low["data"]["got"], low["data"]["expected"]) == ("0", str(rpc_nonce(rpc, SENDER)))


def rpc_nonce(rpc: Rpc, sender: Sender) -> int:
    """Committed nonce."""
    return int(rpc("eth_getTransactionCount", sender.hex, "latest")["result"], 16)


def test_transaction_over_the_size_limit_is_refused(rpc: Rpc, http: httpx.Client) -> None:
    raw = b"\x02" + bytes(128 << 10)
    for answer in (rpc("eth_sendRawTransaction", "0x" + raw.hex()), *batch(http, [raw, raw])):
        assert answer["error"]["code"] == -32005
        assert "131073, limit 131072" in answer["error"]["message"]


def test_waiting_with_a_nonce_gap_tells_the_nonce_expected(rpc: Rpc) -> None:
    raw = GAPPED.transfer(TO, nonce=5)
    error = rpc("eth_sendRawTransactionSync", "0x" + raw.hex())["error"]
    assert error["code"] == 6
    assert error["data"] == "0x0"
    status = rpc("txpool_status")["result"]
    assert int(status["queued"], 16) >= 1
    queued = rpc("txpool_contentFrom", GAPPED.hex)["result"]["queued"]
    assert queued["5"]["hash"] == hash_of(raw)
    assert rpc("txpool_content")["result"]["queued"]
    assert any(
        "wei + 100000 gas" in text for by in rpc("txpool_inspect")["result"]["queued"].values() for text in by.values()
    )
    found = rpc("eth_getTransactionByHash", hash_of(raw))["result"]
    assert (found["blockHash"], found["blockNumber"], found["nonce"]) == (None, None, "0x5")
    assert rpc("eth_getRawTransactionByHash", hash_of(raw))["result"] == "0x" + raw.hex()
    assert rpc("eth_getTransactionBySenderAndNonce", GAPPED.hex, "0x5")["result"]["hash"] == hash_of(raw)
    assert rpc("eth_getTransactionReceipt", hash_of(raw))["result"] is None
    assert rpc("eth_getTransactionCount", GAPPED.hex, "pending")["result"] == "0x0"
    besu = rpc("txpool_besuPendingTransactions", 100)["result"]
    assert hash_of(raw) in [transaction["hash"] for transaction in besu]
    assert {"hash": hash_of(raw)} in rpc("txpool_besuTransactions")["result"]
    statistics = rpc("txpool_besuStatistics")["result"]
    assert statistics["localCount"] >= 1


def test_waiting_too_short_gives_the_hash(rpc: Rpc) -> None:
    raw = Sender(5).transfer(TO)
    error = rpc("eth_sendRawTransactionSync", "0x" + raw.hex(), 1)["error"]
    assert (error["code"], error["data"]) == (4, hash_of(raw))


def test_submit_batch_gives_a_verdict_each(rpc: Rpc) -> None:
    sender = Sender(6)
    raws = [sender.transfer(TO), b"\x01", sender.transfer(TO)]
    found = rpc("hansa_submitBatch", hexes(raws))["result"]
    assert [item["hash"] for item in found[::2]] == [hash_of(raws[0]), hash_of(raws[2])]
    assert found[1]["error"]["code"] == -32003
    assert rpc("hansa_submitBatch", [])["result"] == []
    assert rpc("hansa_submitBatch", ["0x01"] * 1_001)["error"]["code"] == -32602


def test_pending_block_holds_what_waits(rpc: Rpc) -> None:
    block = rpc("eth_getBlockByNumber", "pending", True)["result"]
    latest = rpc("eth_getBlockByNumber", "latest", False)["result"]
    assert int(block["number"], 16) >= int(latest["number"], 16)
    assert (block["hash"], block["nonce"], block["miner"]) == (None, None, None)
    assert int(rpc("eth_getBlockTransactionCountByNumber", "pending")["result"], 16) >= 0
    assert rpc("eth_getTransactionByBlockNumberAndIndex", "pending", "0xffff")["result"] is None


def test_hansas_own_methods(rpc: Rpc) -> None:
    recent = rpc("hansa_getMostRecent", 1)["result"]
    assert rpc("eth_getBlockByNumber", recent["number"], False)["result"]["hash"] == recent["hash"]
    certificate = rpc("hansa_getCertificate", recent["number"])["result"]
    assert certificate["toHash"] == recent["hash"]
    assert certificate["signerNames"] == ["alpha"]
    assert rpc("hansa_getCertificate", "earliest")["result"] is None
    assert rpc("hansa_getCertificate", "0xffffffff")["result"] is None
    members = rpc("hansa_getMembers")["result"]
    assert [(member["name"], member["up"], member["self"]) for member in members] == [("alpha", True, True)]
    status = rpc("hansa_getNodeStatus")["result"]
    assert status["limits"]["api"]["batch_items"] == 1_000
    assert status["engine"] == "poa"


def test_certificate_verifies_offline(rpc: Rpc, node: Any) -> None:
    from hansa_kernel import ValidatorKeys

    certificate = rpc("hansa_getCertificate", "latest")["result"]
    keys = ValidatorKeys([validator.vote_key for validator in node.chain.validators])
    bitmap, message, signature = (
        bytes.fromhex(certificate[name][2:]) for name in ("signers", "signedMessage", "signature")
    )
    assert keys.verify_certificate(bitmap, message, signature)
    assert not keys.verify_certificate(bitmap, message + b"x", signature)
