"""REST: shapes, pages, sending, and problems for everything that is wrong."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from api_accounts import Sender, hash_of, hexes
from api_node import Node

Rpc = Callable[..., Any]
SENDER = Sender(8)
TO = bytes.fromhex("45" * 20)
API = "/api/v1"


@pytest.fixture(scope="module")
def receipt(http: httpx.Client, node: Node) -> Any:
    """Of a transaction sent over REST."""
    raw = SENDER.transfer(TO, 10**18)
    answer = http.post(f"{API}/transactions?wait=committed", json={"raw": "0x" + raw.hex()})
    assert answer.status_code == 200
    found = answer.json()
    assert found["transaction_hash"] == hash_of(raw)
    return found


def test_receipt_has_decimal_amounts_and_checksummed_addresses(receipt: Any, http: httpx.Client) -> None:
    assert receipt["status"] == "success"
    assert (receipt["gas_used"], receipt["effective_gas_price"]) == (21_000, "0")
    assert receipt["sender"].lower() == SENDER.hex
    assert receipt["sender"] != SENDER.hex
    again = http.get(f"{API}/transactions/{receipt['transaction_hash']}/receipt").json()
    assert again == receipt
    transaction = http.get(f"{API}/transactions/{receipt['transaction_hash']}").json()
    assert (transaction["value"], transaction["block_number"]) == (str(10**18), receipt["block_number"])
    assert http.get(f"{API}/transactions/{receipt['transaction_hash']}/logs").json() == {"items": []}


def test_account_at_two_heights(receipt: Any, http: httpx.Client) -> None:
    now = http.get(f"{API}/accounts/0x{TO.hex()}").json()
    before = http.get(f"{API}/accounts/0x{TO.hex()}?at={receipt['block_number'] - 1}").json()
    assert int(now["balance"]) - int(before["balance"]) == 10**18
    assert (now["is_contract"], now["code_bytes"]) == (False, 0)


def test_block_by_hash_may_be_kept_for_ever(receipt: Any, http: httpx.Client) -> None:
    found = http.get(f"{API}/blocks/{receipt['block_hash']}")
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["etag"] == f'"{receipt["block_hash"][2:]}"'
    block = found.json()
    assert block["number"] == receipt["block_number"]
    assert block["timestamp"].endswith("Z")
    assert "cache-control" not in http.get(f"{API}/blocks/latest").headers
    items = http.get(f"{API}/blocks/{receipt['block_number']}/transactions").json()["items"]
    assert receipt["transaction_hash"] in [item["hash"] for item in items]
    certificate = http.get(f"{API}/blocks/{receipt['block_number']}/certificate").json()
    assert certificate["to_hash"] == receipt["block_hash"]


def test_header_bytes_hash_to_the_block(receipt: Any, http: httpx.Client) -> None:
    from hansa_kernel import keccak

    header = http.get(f"{API}/blocks/{receipt['block_hash']}/header.rlp").content
    assert "0x" + keccak(header).hex() == receipt["block_hash"]


def test_pages_of_blocks_join_without_gaps(receipt: Any, http: httpx.Client) -> None:
    numbers: list[int] = []
    cursor = ""
    while True:
        page = http.get(f"{API}/blocks?limit=7{cursor}").json()
        numbers += [block["number"] for block in page["items"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert numbers == list(range(numbers[0], -1, -1))


def test_pages_of_transactions_join_without_gaps(receipt: Any, http: httpx.Client) -> None:
    raws = [SENDER.transfer(TO) for _ in range(5)]
    results = http.post(f"{API}/transactions/batch", json={"raw": hexes(raws)})
    assert results.status_code == 202
    assert [item["hash"] for item in results.json()["items"]] == [hash_of(raw) for raw in raws]
    http.post(f"{API}/transactions?wait=committed", json={"raw": "0x" + SENDER.transfer(TO).hex()})
    seen: list[str] = []
    cursor = ""
    while True:
        page = http.get(f"{API}/transactions?limit=3{cursor}").json()
        seen += [item["hash"] for item in page["items"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert len(seen) == len(set(seen))
    assert {hash_of(raw) for raw in raws} <= set(seen)
    assert receipt["transaction_hash"] in seen


def test_status_chain_and_members(http: httpx.Client, node: Node) -> None:
    status = http.get(f"{API}/status").json()
    assert (status["member"], status["chain_id"], status["members_up"]) == ("alpha", 1337, 1)
    chain = http.get(f"{API}/chain").json()
    assert chain["genesis_hash"] == "0x" + node.chain.genesis_hash.hex()
    assert http.get(f"{API}/chain/spec").content == node.chain.raw
    assert [member["name"] for member in http.get(f"{API}/members").json()["items"]] == ["alpha"]


def test_description_and_documentation_are_local(http: httpx.Client) -> None:
    described = http.get(f"{API}/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert f"{API}/transactions/{{hash}}/receipt" in described["paths"]
    page = http.get(f"{API}/docs").text
    assert "http://" not in page
    assert "https://" not in page
    script = http.get(f"{API}/docs/files/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert "SwaggerUIBundle" in http.get(f"{API}/docs/start.js").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/blocks/999999999", 404),
        ("/blocks/0x" + "ab" * 32, 404),
        ("/blocks/newest", 400),
        ("/blocks/0x01", 400),
        ("/blocks/99999999999999999999999", 400),
        ("/blocks/pending", 400),
        ("/blocks/0/certificate", 404),
        ("/blocks?limit=0", 400),
        ("/blocks?limit=101", 400),
        ("/blocks?cursor=x", 400),
        ("/transactions?cursor=1", 400),
        ("/transactions/0x" + "ab" * 32, 404),
        ("/transactions/0x12", 400),
        ("/transactions/0x" + "ab" * 32 + "/receipt", 404),
        ("/accounts/0x12", 400),
        ("/accounts/0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266", 400),
        ("/accounts/0x" + "00" * 20 + "?at=99999999", 404),
        ("/nothing", 404),
    ],
)
def test_what_is_wrong_is_a_problem(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(API + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}", 400),
        (b'{"raw":5}', 400),
        (b'{"raw":"0x1"}', 400),
        (b'{"raw":"0x01"}', 422),
        (b'{"raw":"0x' + b"00" * 131_073 + b'"}', 413),
        (b'{"raw":"' + b"0" * (5 << 20) + b'"}', 413),
    ],
)
def test_bad_transaction_is_a_problem(http: httpx.Client, body: bytes, status: int) -> None:
    answer = http.post(f"{API}/transactions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_refusal_says_why(http: httpx.Client) -> None:
    raw = SENDER.transfer(TO, nonce=0)
    problem = http.post(f"{API}/transactions", json={"raw": "0x" + raw.hex()}).json()
    assert problem["title"] == "transaction refused"
    assert problem["detail"].startswith("nonce too low")
    assert problem["data"]["code"] == 1
