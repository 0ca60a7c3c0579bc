"""What strangers send: every kind of bad request gets its typed error, and the next request is answered."""

import gzip
import socket
import time
from collections.abc import Callable
from typing import Any

import brotli
import httpx
import orjson
import pytest
from api_node import Node
from hansa_api.http_body import encoding_for

Rpc = Callable[..., Any]
WHO = "0x" + "11" * 20


def post(http: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    """A raw body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post("/", content=content, headers={"content-type": "application/json", **named})


@pytest.fixture(autouse=True)
def _still_answers(rpc: Rpc, node: Node) -> Any:
    yield
    assert rpc("eth_chainId")["result"] == "0x539"
    assert not node.failures


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"jsonrpc":"2.0",}', b"[" * 100_000, b'{"a":' * 2_000, b"\x00"]
)
def test_what_is_not_json_is_a_parse_error(http: httpx.Client, body: bytes) -> None:
    answer = post(http, body)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == -32700
    assert answer.json()["error"]["message"].startswith("parse error")
    assert answer.json()["id"] is None


@pytest.mark.parametrize(
    "request_",
    [
        1,
        "x",
        None,
        True,
        {},
        {"id": 1},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.1", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": 2.0, "id": 1, "method": "eth_chainId"},
        {"id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": [1], "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": True, "method": "eth_chainId"},
    ],
)
def test_json_that_is_no_request_is_invalid(http: httpx.Client, request_: Any) -> None:
    assert post(http, orjson.dumps(request_)).json()["error"]["code"] == -32600
    in_batch = post(http, orjson.dumps([request_])).json()
    assert [item["error"]["code"] for item in in_batch] == [-32600]


def test_empty_batch_is_invalid(http: httpx.Client) -> None:
    assert post(http, b"[]").json() == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32600, "message": "empty batch"},
    }


def test_batch_with_junk_is_answered_in_order(http: httpx.Client) -> None:
    body = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
        55,
        {"jsonrpc": "2.0", "id": "two", "method": "unknown_method"},
        {"foo": "bar"},
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 3, "method": "eth_sendRawTransaction", "params": ["0x"]},
        {"jsonrpc": "2.0", "id": 4, "method": "net_version"},
    ]
    answers = post(http, orjson.dumps(body)).json()
    assert [item["id"] for item in answers] == [1, None, "two", None, 3, 4]
    assert answers[0]["result"] == "0x539"
    assert answers[2]["error"] == {
        "code": -32601,
        "message": "the method unknown_method does not exist/is not available",
    }
    assert answers[5]["result"] == "1337"


def test_batch_of_a_thousand_is_answered_in_order(http: httpx.Client) -> None:
    body = [{"jsonrpc": "2.0", "id": i, "method": "eth_getBalance", "params": [WHO, "latest"]} for i in range(1_000)]
    answers = post(http, orjson.dumps(body)).json()
    assert [item["id"] for item in answers] == list(range(1_000))
    assert {item["result"] for item in answers} == {"0x0"}


def test_batch_over_the_limit_names_the_limit(http: httpx.Client) -> None:
    body = [{"jsonrpc": "2.0", "id": i, "method": "eth_chainId"} for i in range(1_001)]
    answer = post(http, orjson.dumps(body)).json()
    assert answer == [
        {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "batch too large: 1001 requests, limit 1000"}}
    ]


def test_notification_has_no_answer(http: httpx.Client) -> None:
    answer = post(http, b'{"jsonrpc":"2.0","method":"eth_chainId"}')
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("id_", [0, -1, "a", "", None, 1.5, 2**63, 'quote"\\é'])
def test_id_comes_back_as_it_was(http: httpx.Client, id_: Any) -> None:
    request = {"jsonrpc": "2.0", "id": id_, "method": "eth_chainId"}
    assert post(http, orjson.dumps(request)).json()["id"] == id_
    send = {"jsonrpc": "2.0", "id": id_, "method": "eth_sendRawTransaction", "params": ["0x00"]}
    assert post(http, orjson.dumps([send, send])).json()[1]["id"] == id_


@pytest.mark.parametrize(
    ("method", "params", "part"),
    [
        ("eth_getBalance", [], "missing value for required argument 0"),
        ("eth_getBalance", ["0x11"], "invalid argument 0: hex string has length 2, want 40"),
        ("eth_getBalance", [WHO, "0x01"], "invalid argument 1: hex number with leading zero digits"),
        ("eth_getBalance", [WHO, "newest"], "invalid argument 1: hex string without 0x prefix"),
        ("eth_getBalance", [5, "latest"], "invalid argument 0: json: cannot unmarshal number"),
        ("eth_getBalance", [WHO, "latest", "more"], "too many arguments, want at most 2"),
        ("eth_getBlockByNumber", ["0x", False], "invalid argument 0: hex string is empty"),
        ("eth_getBlockByNumber", ["latest", "false"], "invalid argument 1: json: cannot unmarshal string into a bool"),
        (
            "eth_getTransactionByHash",
            ["0x" + "0" * 62],
            "invalid argument 0: hex string has length 62, want 64 for common.Hash",
        ),
        (
            "eth_getTransactionByHash",
            ["0" * 64],
            "invalid argument 0: json: cannot unmarshal hex string without 0x prefix into Go value of type common.Hash",
        ),
        ("eth_sendRawTransaction", ["0x123"], "invalid argument 0: json: cannot unmarshal hex string of odd length"),
        ("eth_sendRawTransaction", ["zz"], "invalid argument 0: json: cannot unmarshal hex string without 0x prefix"),
        ("eth_sendRawTransaction", ["0x12 34"], "invalid argument 0"),
        ("eth_sendRawTransaction", [["0x12"]], "invalid argument 0: json: cannot unmarshal array"),
        ("eth_call", ["0x", "latest"], "invalid argument 0: json: cannot unmarshal string into a transaction"),
        ("eth_call", [{"to": WHO, "gas": "21000"}], "invalid argument 0: gas: hex string without 0x prefix"),
        ("eth_call", [{"to": WHO, "chainId": "0x1"}], "chainId does not match node's (have=1, want=1337)"),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x1"}], "invalid block range"),
        ("eth_getLogs", [{"topics": [[], [], [], [], []]}], "exceed max topics"),
        ("eth_getProof", [WHO, ["0x0"] * 1_025, "latest"], "too many storage keys: 1025, limit 1024"),
        ("eth_getStorageValues", [{}], "empty request"),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]], "invalid reward percentile"),
        ("eth_sendRawTransactionSync", ["0x00", "0x7531"], "timeout 30001 ms, limit 30000 ms"),
        ("eth_newFilter", [{"blockHash": "0x" + "00" * 32}], "a filter cannot name a block hash"),
    ],
)
def test_bad_parameter_is_named(rpc: Rpc, method: str, params: list[Any], part: str) -> None:
    error = rpc(method, *params)["error"]
    assert error["code"] == -32602
    assert part in error["message"]


def test_named_parameters_are_refused(http: httpx.Client) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"address":"0x"}}'
    assert post(http, body).json()["error"] == {"code": -32602, "message": "non-array args"}


def test_deep_parameters_are_refused(http: httpx.Client) -> None:
    deep = b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[' + b"[" * 70 + b"]" * 70 + b"]}"
    error = post(http, deep).json()["error"]
    assert error == {"code": -32602, "message": "params are nested deeper than 64"}


@pytest.mark.parametrize(
    "method",
    [
        "eth_simulateV9",
        "engine_newPayloadV4",
        "debug_traceNothing",
        "trace_nothing",
        "personal_sign",
        "miner_start",
        "evm_mine",
        "",
        "eth_",
        "__class__",
        "x" * 10_000,
    ],
)
def test_method_that_is_not_there_is_not_found(rpc: Rpc, method: str) -> None:
    error = rpc(method)["error"]
    assert error["code"] == -32601
    assert len(error["message"]) < 200
    modules = rpc("rpc_modules")["result"]
    assert set(modules) == {"debug", "eth", "hansa", "net", "rpc", "trace", "txpool", "web3"}


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_sign", "eth_signTransaction", "eth_signTypedData_v4"])
def test_signing_says_what_to_use_instead(rpc: Rpc, method: str) -> None:
    error = rpc(method, WHO, "0x00")["error"]
    assert error["code"] == -32004
    assert "eth_sendRawTransaction" in error["message"]


def test_block_that_is_not_there(rpc: Rpc) -> None:
    far = "0xffffffff"
    assert rpc("eth_getBlockByNumber", far, False)["result"] is None
    assert rpc("eth_getBlockByHash", "0x" + "ab" * 32, True)["result"] is None
    assert rpc("eth_getBlockReceipts", far)["result"] is None
    for method, params in (
        ("eth_getBalance", [WHO, far]),
        ("eth_getCode", [WHO, {"blockHash": "0x" + "ab" * 32}]),
        ("eth_call", [{"to": WHO}, far]),
        ("eth_getProof", [WHO, [], far]),
        ("eth_getStorageAt", [WHO, "0x0", far]),
    ):
        error = rpc(method, *params)["error"]
        assert error["code"] == -32001
        assert error["message"].startswith("header not found")


def test_logs_of_too_many_blocks_suggest_a_range_that_fits(rpc: Rpc) -> None:
    error = rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x186a1"})["error"]
    assert error["code"] == -32005
    assert "limit 100000" in error["message"]
    start, stop = error["message"].rsplit("[", 1)[1].rstrip("].").split(", ")
    assert rpc("eth_getLogs", {"fromBlock": start, "toBlock": stop})["result"] is not None


def test_logs_from_above_the_head_on_are_none_yet(rpc: Rpc) -> None:
    assert rpc("eth_getLogs", {"fromBlock": "0xfffffff"})["result"] == []
    assert rpc("eth_getLogs", {"fromBlock": "0xfffffff", "toBlock": "latest"})["result"] == []


def test_subscribing_over_http_says_how(rpc: Rpc) -> None:
    error = rpc("eth_subscribe", "newHeads")["error"]
    assert error["code"] == -32004
    assert "WebSocket" in error["message"]


def test_body_over_the_limit_is_413(http: httpx.Client) -> None:
    answer = post(http, b" " * (5 << 20) + b"{}")
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == -32005
    assert "5242880" in answer.json()["error"]["message"]


def test_chunked_body_over_the_limit_is_413(node: Node) -> None:
    def parts() -> Any:
        for _ in range(90):
            yield b" " * 65_536

    answer = httpx.post(node.url, content=parts(), headers={"content-type": "application/json"}, timeout=30)
    assert answer.status_code == 413


def test_gzip_goes_both_ways(http: httpx.Client) -> None:
    body = gzip.compress(b'{"jsonrpc":"2.0","id":1,"method":"rpc_modules"}')
    assert post(http, body, content_encoding="gzip").json()["result"]["eth"] == "1.0"
    batch = [{"jsonrpc": "2.0", "id": i, "method": "hansa_getNodeStatus"} for i in range(20)]
    answer = post(http, gzip.compress(orjson.dumps(batch)), content_encoding="gzip", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()) == 20


def test_brotli_goes_both_ways(http: httpx.Client) -> None:
    body = brotli.compress(b'{"jsonrpc":"2.0","id":1,"method":"rpc_modules"}')
    assert post(http, body, content_encoding="br").json()["result"]["eth"] == "1.0"
    batch = [{"jsonrpc": "2.0", "id": i, "method": "hansa_getNodeStatus"} for i in range(20)]
    answer = post(
        http, brotli.compress(orjson.dumps(batch)), content_encoding="br", accept_encoding="gzip, deflate, br"
    )
    assert answer.headers["content-encoding"] == "br"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert [item["id"] for item in answer.json()] == list(range(20))


def test_small_answers_and_clients_that_take_no_encoding_get_plain_json(http: httpx.Client) -> None:
    small = post(http, b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', accept_encoding="br, gzip")
    assert "content-encoding" not in small.headers
    batch = orjson.dumps([{"jsonrpc": "2.0", "id": i, "method": "hansa_getNodeStatus"} for i in range(20)])
    for accepted in ("identity", "deflate", "br;q=0, gzip;q=0"):
        answer = post(http, batch, accept_encoding=accepted)
        assert "content-encoding" not in answer.headers
        assert len(answer.json()) == 20


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", b""),
        (b"gzip", b"gzip"),
        (b"br", b"br"),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"GZIP , BR", b"br"),
        (b"br;q=0.5, gzip;q=0.8", b"gzip"),
        (b"br;q=0, gzip", b"gzip"),
        (b"br;q=0, *", b"gzip"),
        (b"*", b"br"),
        (b"*;q=0", b""),
        (b"identity", b""),
        (b"brotli, xgzip", b""),
        (b"br;q=nan, gzip;q=inf", b""),
        (b";;,;q=,", b""),
        (b"a," * 16 + b"br", b""),
    ],
)
def test_encoding_is_what_the_client_weighs_most(accepted: bytes, expected: bytes) -> None:
    assert encoding_for(accepted) == expected


def test_brotli_bomb_is_413(http: httpx.Client) -> None:
    answer = post(http, brotli.compress(b" " * (20 << 20)), content_encoding="br")
    assert answer.status_code == 413
    assert "100 times" in answer.json()["error"]["message"]


def test_gzip_bomb_is_413(http: httpx.Client) -> None:
    answer = post(http, gzip.compress(b" " * (20 << 20)), content_encoding="gzip")
    assert answer.status_code == 413
    answer = post(http, gzip.compress(b" " * (1 << 20)), content_encoding="gzip")
    assert answer.status_code == 413
    assert "100 times" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"{}")[:-4], "gzip", 400),
        (gzip.compress(b"{}") * 2, "gzip", 400),
        (b"no brotli", "br", 400),
        (b"", "br", 400),
        (brotli.compress(b"{}")[:-1], "br", 400),
        (brotli.compress(b"{}") * 2, "br", 400),
        (b"{}", "deflate", 415),
    ],
)
def test_body_in_a_wrong_encoding_is_refused(http: httpx.Client, body: bytes, encoding: str, status: int) -> None:
    assert post(http, body, content_encoding=encoding).status_code == status


def test_other_content_types_are_refused(http: httpx.Client) -> None:
    answer = http.post("/", content=b"{}", headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 415


def test_foreign_host_is_refused(http: httpx.Client) -> None:
    answer = post(http, b"{}", host="evil.example.org:8545")
    assert answer.status_code == 403
    assert "api.allowed_hosts" in answer.text
    assert http.get("/livez", headers={"host": "10.0.0.5"}).status_code == 200


def test_foreign_page_is_refused(http: httpx.Client, node: Node) -> None:
    assert post(http, b"{}", origin="https://evil.example.org").status_code == 403
    own = post(http, b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', origin=node.url)
    assert own.status_code == 200
    assert own.headers["access-control-allow-origin"] == node.url


def test_other_paths_and_methods(http: httpx.Client) -> None:
    request = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    headers = {"content-type": "application/json"}
    assert http.post("/shards/0", content=request, headers=headers).json()["result"] == "0x539"
    other = http.post("/shards/7", content=request, headers=headers).json()
    assert other["error"]["code"] == -32002
    assert http.get("/").status_code == 405
    assert http.put("/", content=b"x").status_code == 405
    assert http.get("/nothing").status_code == 404
    page = http.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "member alpha" in page.text


def test_health_and_metrics_are_served_here_too(http: httpx.Client) -> None:
    assert http.get("/livez").json() == {"live": True}
    assert http.get("/startupz").json() == {"started": True}
    assert http.get("/readyz").json()["ready"] is True
    assert http.get("/liveness").status_code == 200
    http.get("/api/v1/status")
    assert http.get("/readiness?minPeers=0&maxBlocksBehind=5").status_code == 200
    assert http.get("/readiness?minPeers=1").status_code == 503
    text = http.get("/metrics").text
    assert 'hansa_rpc_requests_total{code="0",method="eth_chainId"}' in text
    assert 'method="unknown"' in text


def test_random_bytes_on_the_port_are_answered_and_closed(node: Node) -> None:
    port = node.services["api"].port
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"POST / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), 5) as found:
            found.sendall(rubbish)
            found.settimeout(5)
            try:
                assert b"400" in found.recv(1_000)
            except ConnectionError:
                pass


def test_headers_over_the_limit_are_431(node: Node) -> None:
    port = node.services["api"].port
    with socket.create_connection(("127.0.0.1", port), 5) as found:
        found.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\n")
        try:
            for number in range(40):
                found.sendall(b"x-%d: " % number + b"a" * 1_000 + b"\r\n")
                time.sleep(0.001)
        except ConnectionError:
            return
        assert b" 431 " in found.recv(1_000)


def test_two_pipelined_requests_are_answered_in_order(node: Node) -> None:
    port = node.services["api"].port
    with socket.create_connection(("127.0.0.1", port), 5) as found:
        parts = []
        for number in (1, 2):
            body = b'{"jsonrpc":"2.0","id":%d,"method":"eth_chainId"}' % number
            parts.append(
                b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (len(body), body)
            )
        found.sendall(b"".join(parts))
        found.settimeout(5)
        seen = b""
        while seen.count(b'"result"') < 2:
            seen += found.recv(4_096)
        assert seen.index(b'"id":1') < seen.index(b'"id":2')
