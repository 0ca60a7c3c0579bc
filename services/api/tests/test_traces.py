"""debug_, trace_, eth_simulateV1 and eth_createAccessList on a real chain."""

from collections.abc import Callable
from typing import Any

import pytest
from api_accounts import Sender
from hansa.config import ApiSettings
from hansa_api.limits import Limits
from hansa_api.methods import all_methods
from hansa_api.service import _serves_traces
from keeper_contract import CREATION, FAIL, STORE, STORED, VALUE

Rpc = Callable[..., Any]
SENDER = Sender(5)
WHO = "0x" + "a7" * 20


@pytest.fixture(scope="module")
def facts(rpc: Rpc) -> dict[str, Any]:
    """A creation, a call that stores and one that reverts, each in a block of its own."""
    from eth_account import Account
    from web3 import Web3

    account = Account.from_key(SENDER.key)

    def send(**fields: Any) -> Any:
        nonce = int(rpc("eth_getTransactionCount", SENDER.hex, "pending")["result"], 16)
        common = {
            "nonce": nonce,
            "gas": 500_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "chainId": 1337,
            "value": 0,
        }
        raw = "0x" + bytes(account.sign_transaction({**common, **fields}).raw_transaction).hex()
        return rpc("eth_sendRawTransactionSync", raw, 10_000)["result"]

    created = send(data=CREATION)
    contract = Web3.to_checksum_address(created["contractAddress"])
    stored = send(to=contract, data=STORE + (5).to_bytes(32, "big"))
    failed = send(to=contract, data=FAIL)
    return {"created": created, "stored": stored, "failed": failed, "contract": contract.lower()}


def test_struct_logs_tell_every_step(rpc: Rpc, facts: dict[str, Any]) -> None:
    trace = rpc("debug_traceTransaction", facts["stored"]["transactionHash"])["result"]
    assert trace["gas"] == int(facts["stored"]["gasUsed"], 16)
    assert not trace["failed"]
    (store,) = (log for log in trace["structLogs"] if log["op"] == "SSTORE")
    assert store["stack"][-2:] == ["0x5", "0x0"]
    assert store["storage"] == {"0x" + "00" * 32: "0x" + (5).to_bytes(32, "big").hex()}
    assert all(log["depth"] == 1 for log in trace["structLogs"])
    short = rpc("debug_traceTransaction", facts["stored"]["transactionHash"], {"limit": 2, "disableStack": True})
    assert [sorted(log) for log in short["result"]["structLogs"]] == [["depth", "gas", "gasCost", "op", "pc"]] * 2


def test_call_tracer_tells_call_logs_and_reasons(rpc: Rpc, facts: dict[str, Any]) -> None:
    config = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
    stored = rpc("debug_traceTransaction", facts["stored"]["transactionHash"], config)["result"]
    assert (stored["type"], stored["to"], stored["from"]) == ("CALL", facts["contract"], SENDER.hex)
    assert [log["topics"] for log in stored["logs"]] == [["0x" + STORED.hex()]] or stored["logs"]
    assert stored["gasUsed"] == facts["stored"]["gasUsed"]
    failed = rpc("debug_traceTransaction", facts["failed"]["transactionHash"], config)["result"]
    assert (failed["error"], failed["revertReason"]) == ("execution reverted", "no")
    created = rpc("debug_traceTransaction", facts["created"]["transactionHash"], config)["result"]
    assert (created["type"], created["to"]) == ("CREATE", facts["contract"])


def test_a_block_is_traced_by_number_hash_and_bytes(rpc: Rpc, facts: dict[str, Any]) -> None:
    config = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    number, block_hash = facts["stored"]["blockNumber"], facts["stored"]["blockHash"]
    raw = rpc("debug_getRawBlock", number)["result"]
    answers = [
        rpc("debug_traceBlockByNumber", number, config)["result"],
        rpc("debug_traceBlockByHash", block_hash, config)["result"],
        rpc("debug_traceBlock", raw, config)["result"],
    ]
    assert answers[0] == answers[1] == answers[2]
    (found,) = (item for item in answers[0] if item["txHash"] == facts["stored"]["transactionHash"])
    storage = found["result"]["post"][facts["contract"]]["storage"]
    assert storage == {"0x" + "00" * 32: "0x" + (5).to_bytes(32, "big").hex()}
    assert rpc("debug_traceBlockByNumber", "0x0")["error"] == {"code": -32000, "message": "genesis is not traceable"}
    assert rpc("debug_traceBlockByNumber", "0xffffff")["error"]["code"] == -32000
    assert rpc("debug_traceTransaction", "0x" + "00" * 31 + "01")["error"]["message"] == "transaction not found"
    assert rpc("debug_traceBlock", "0x00")["error"]["code"] == -32602


def test_raw_parts_of_a_block_hash_to_what_its_header_says(rpc: Rpc, facts: dict[str, Any]) -> None:
    from eth_utils.crypto import keccak

    number = facts["stored"]["blockNumber"]
    header = bytes.fromhex(rpc("debug_getRawHeader", number)["result"][2:])
    assert "0x" + keccak(header).hex() == facts["stored"]["blockHash"]
    block = bytes.fromhex(rpc("debug_getRawBlock", number)["result"][2:])
    assert header in block
    assert len(block) == int(rpc("eth_getBlockByNumber", number, False)["result"]["size"], 16)
    receipts = rpc("debug_getRawReceipts", number)["result"]
    assert len(receipts) == len(rpc("eth_getBlockReceipts", number)["result"])
    raw = rpc("debug_getRawTransaction", facts["stored"]["transactionHash"])["result"]
    assert "0x" + keccak(bytes.fromhex(raw[2:])).hex() == facts["stored"]["transactionHash"]


def test_a_call_is_traced_with_overrides(rpc: Rpc, facts: dict[str, Any]) -> None:
    call = {"from": WHO, "to": facts["contract"], "data": "0x" + VALUE.hex()}
    at = facts["stored"]["blockNumber"]
    plain = rpc("debug_traceCall", call, at, {"tracer": "callTracer"})["result"]
    assert int(plain["output"], 16) == 5
    changed = {"stateOverrides": {facts["contract"]: {"stateDiff": {"0x" + "00" * 32: "0x" + "11" * 32}}}}
    other = rpc("debug_traceCall", call, at, {"tracer": "callTracer"} | changed)["result"]
    assert other["output"] == "0x" + "11" * 32
    before = rpc("debug_traceCall", call, at, {"tracer": "callTracer", "txIndex": "0x0"})["result"]
    assert int(before["output"], 16) == 0
    assert rpc("debug_traceCall", call, at, {"tracer": "{}"})["error"]["code"] == -32602
    poor = rpc("debug_traceCall", call | {"value": "0x1"}, at, {})["error"]
    assert "insufficient funds" in poor["message"]


def test_parity_methods_agree_with_each_other(rpc: Rpc, facts: dict[str, Any]) -> None:
    number, hash_ = facts["stored"]["blockNumber"], facts["stored"]["transactionHash"]
    block = rpc("trace_block", number)["result"]
    own = [trace for trace in block if trace["transactionHash"] == hash_]
    assert own == rpc("trace_transaction", hash_)["result"]
    assert rpc("trace_get", hash_, [])["result"] == own[0]
    assert rpc("trace_get", hash_, ["0x3"])["result"] is None
    assert rpc("trace_transaction", "0x" + "00" * 32)["result"] is None
    replayed = rpc("trace_replayTransaction", hash_, ["trace", "stateDiff", "vmTrace"])["result"]
    assert replayed["trace"][0]["action"] == own[0]["action"]
    assert replayed["stateDiff"][facts["contract"]]["storage"] == {
        "0x" + "00" * 32: {"*": {"from": "0x" + "00" * 32, "to": "0x" + (5).to_bytes(32, "big").hex()}}
    }
    assert replayed["vmTrace"]["ops"]
    whole = rpc("trace_replayBlockTransactions", number, ["trace"])["result"]
    assert replayed["trace"] in [item["trace"] for item in whole]
    reverted = rpc("trace_transaction", facts["failed"]["transactionHash"])["result"]
    assert reverted[0]["error"] == "Reverted"
    found = rpc(
        "trace_filter",
        {"fromBlock": facts["created"]["blockNumber"], "toBlock": number, "toAddress": [facts["contract"]]},
    )["result"]
    assert [trace["type"] for trace in found] == ["create", "call"]
    assert rpc("trace_filter", {"fromBlock": "0x0", "toBlock": number, "count": 0})["result"] == []
    assert rpc("trace_block", "0x0")["result"] == []


def test_parity_calls_build_on_each_other(rpc: Rpc, facts: dict[str, Any]) -> None:
    store = {"from": SENDER.hex, "to": facts["contract"], "data": "0x" + (STORE + (9).to_bytes(32, "big")).hex()}
    value = {"from": SENDER.hex, "to": facts["contract"], "data": "0x" + VALUE.hex()}
    many = rpc("trace_callMany", [[store, ["trace"]], [value, ["trace", "stateDiff"]]])["result"]
    assert int(many[1]["output"], 16) == 9
    assert int(rpc("trace_call", value, ["trace"])["result"]["output"], 16) == 5
    assert rpc("trace_call", value, ["nothing"])["error"]["code"] == -32602
    nonce = int(rpc("eth_getTransactionCount", SENDER.hex, "latest")["result"], 16)
    raw = SENDER.transfer(bytes.fromhex(facts["contract"][2:]), 0, nonce=nonce, data=VALUE)
    assert int(rpc("trace_rawTransaction", "0x" + raw.hex(), ["trace"])["result"]["output"], 16) == 5


def test_an_access_list_makes_the_call_cheaper_or_equal(rpc: Rpc, facts: dict[str, Any]) -> None:
    call = {"from": SENDER.hex, "to": facts["contract"], "data": "0x" + VALUE.hex()}
    found = rpc("eth_createAccessList", call)["result"]
    assert found["accessList"] == [{"address": facts["contract"], "storageKeys": ["0x" + "00" * 32]}]
    assert int(found["gasUsed"], 16) > 21_000
    failing = rpc("eth_createAccessList", call | {"data": "0x" + FAIL.hex()})["result"]
    assert failing["error"] == "execution reverted"
    assert rpc("eth_createAccessList", call | {"chainId": "0x1"})["error"]["code"] == -32602


def test_simulated_blocks_follow_on_each_other(rpc: Rpc, facts: dict[str, Any]) -> None:
    store = {"from": WHO, "to": facts["contract"], "input": "0x" + (STORE + (7).to_bytes(32, "big")).hex()}
    value = {"from": WHO, "to": facts["contract"], "input": "0x" + VALUE.hex()}
    rich = {WHO: {"balance": "0x10"}}
    options = {
        "blockStateCalls": [
            {"stateOverrides": rich, "calls": [store, {"from": WHO, "to": SENDER.hex, "value": "0x1"}]},
            {"calls": [value]},
        ],
        "traceTransfers": True,
    }
    head = rpc("eth_getBlockByNumber", facts["failed"]["blockNumber"], False)["result"]
    first, second = rpc("eth_simulateV1", options, head["number"])["result"]
    assert (first["parentHash"], second["parentHash"]) == (head["hash"], first["hash"])
    assert int(second["calls"][0]["returnData"], 16) == 7
    assert first["stateRoot"] != head["stateRoot"]
    assert [log["address"] for log in first["calls"][1]["logs"]] == ["0x" + "ee" * 20]
    assert int(rpc("eth_call", {"to": facts["contract"], "data": "0x" + VALUE.hex()})["result"], 16) == 5
    poor = {"blockStateCalls": [{"calls": [{"from": WHO, "to": WHO, "value": "0x1"}]}]}
    assert rpc("eth_simulateV1", poor)["error"]["code"] == -38014
    assert rpc("eth_simulateV1", {"blockStateCalls": []})["error"]["code"] == -32602
    old = {"blockStateCalls": [{"blockOverrides": {"number": "0x1"}}]}
    assert rpc("eth_simulateV1", old)["error"]["code"] == -38020


def test_an_empty_simulated_block_has_the_state_root_that_its_own_system_calls_leave(rpc: Rpc) -> None:
    (block,) = rpc("eth_simulateV1", {"blockStateCalls": [{}]})["result"]
    assert block["transactions"] == []
    assert block["gasUsed"] == "0x0"
    assert len(block["stateRoot"]) == 66


@pytest.mark.parametrize(
    ("host", "setting", "served"),
    [
        ("127.0.0.1", "auto", True),
        ("::1", "auto", True),
        ("localhost", "auto", True),
        ("0.0.0.0", "auto", False),
        ("10.0.0.7", "auto", False),
        ("0.0.0.0", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_traces_are_served_where_only_this_machine_listens_or_when_switched_on(
    host: str, setting: Any, served: bool
) -> None:
    assert _serves_traces(ApiSettings(host=host, traces=setting)) is served


def test_without_traces_their_namespaces_do_not_exist() -> None:
    registry = all_methods(Limits(), traces=False)
    assert "debug_traceCall" not in registry
    assert not {"debug", "trace"} & set(registry.modules())
    assert "eth_simulateV1" in registry
