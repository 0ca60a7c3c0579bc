"""Answers against the public description of Ethereum's JSON-RPC (execution-apis, OpenRPC)."""

import tarfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from api_accounts import Sender
from hansa.chainspec import TEST_ADDRESSES
from jsonschema import Draft202012Validator
from keeper_contract import CREATION, STORE
from support.vectors import VECTORS, needs_vectors

Rpc = Callable[..., Any]

pytestmark = [pytest.mark.vectors, needs_vectors]

SENDER = "0x" + TEST_ADDRESSES[6].hex()
FULL_BLOCK_ONLY = "eth_getBlockAccessList"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Schemas of results by method, and the shared components."""
    folder = tmp_path_factory.mktemp("openrpc")
    with tarfile.open(VECTORS / "jsonrpc.tar.xz") as archive:
        wanted = [member for member in archive.getmembers() if "/execution-apis/openrpc/" in member.name]
        archive.extractall(folder, wanted, filter="data")
    root = folder / "jsonrpc" / "execution-apis" / "openrpc"
    schemas: dict[str, Any] = {}
    for path in sorted((root / "schemas").glob("*.yaml")):
        schemas |= yaml.safe_load(path.read_text())
    results = {
        method["name"]: method["result"]["schema"]
        for group in ("eth", "txpool", "debug")
        for path in sorted((root / group).glob("*.yaml"))
        for method in yaml.safe_load(path.read_text())
    }
    return {"components": {"schemas": schemas}, "results": results}


@pytest.fixture(scope="module")
def facts(rpc: Rpc) -> dict[str, Any]:
    """A transaction with a log and one that creates a contract."""
    sender = _Counting(rpc)
    created = rpc("eth_sendRawTransactionSync", sender.create())["result"]
    stored = rpc("eth_sendRawTransactionSync", sender.store(created["contractAddress"]))["result"]
    assert stored["logs"]
    return {"created": created, "stored": stored}


class _Counting:
    def __init__(self, rpc: Rpc) -> None:
        from eth_account import Account

        self._account = Account.from_key(Sender(6).key)
        self._rpc = rpc

    def _sign(self, **fields: Any) -> str:
        nonce = int(self._rpc("eth_getTransactionCount", SENDER, "pending")["result"], 16)
        common = {
            "nonce": nonce,
            "gas": 500_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "chainId": 1337,
            "value": 0,
        }
        return "0x" + bytes(self._account.sign_transaction({**common, **fields}).raw_transaction).hex()

    def create(self) -> str:
        return self._sign(data=CREATION)

    def store(self, contract: str) -> str:
        from web3 import Web3

        return self._sign(to=Web3.to_checksum_address(contract), data=STORE + (5).to_bytes(32, "big"))


def _cases(facts: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    stored, created = facts["stored"], facts["created"]
    number, block_hash, transaction = stored["blockNumber"], stored["blockHash"], stored["transactionHash"]
    contract = created["contractAddress"]
    return [
        ("eth_getBlockByHash", [block_hash, True]),
        ("eth_getBlockByHash", [block_hash, False]),
        ("eth_getBlockByNumber", [number, True]),
        ("eth_getBlockByNumber", ["0x0", False]),
        ("eth_getBlockByNumber", ["0xfffffff", False]),
        ("eth_getBlockTransactionCountByHash", [block_hash]),
        ("eth_getBlockTransactionCountByNumber", [number]),
        ("eth_getBlockReceipts", [number]),
        ("eth_capabilities", []),
        ("eth_chainId", []),
        ("eth_syncing", []),
        ("eth_coinbase", []),
        ("eth_accounts", []),
        ("eth_blockNumber", []),
        ("eth_config", []),
        ("eth_call", [{"to": contract, "data": "0x3fa4f245"}, "latest"]),
        ("eth_estimateGas", [{"to": contract, "data": "0x3fa4f245"}]),
        ("eth_createAccessList", [{"to": contract, "data": "0x3fa4f245"}, "latest"]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [{"to": contract}]}], "returnFullTransactions": True}]),
        ("debug_traceTransaction", [transaction]),
        ("debug_traceTransaction", [transaction, {"enableMemory": True, "enableReturnData": True}]),
        ("debug_traceBlockByNumber", [number]),
        ("debug_getRawHeader", [number]),
        ("debug_getRawBlock", [number]),
        ("debug_getRawReceipts", [number]),
        ("debug_getRawTransaction", [transaction]),
        ("debug_getBadBlocks", []),
        ("eth_gasPrice", []),
        ("eth_baseFee", []),
        ("eth_blobBaseFee", []),
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x2", "latest", [20, 80]]),
        ("eth_newFilter", [{}]),
        ("eth_newBlockFilter", []),
        ("eth_newPendingTransactionFilter", []),
        ("eth_uninstallFilter", ["0x1"]),
        ("eth_getLogs", [{"fromBlock": "0x0"}]),
        ("eth_getBalance", [contract, "latest"]),
        ("eth_getStorageAt", [contract, "0x0", "latest"]),
        ("eth_getStorageValues", [{contract: ["0x0"]}, "latest"]),
        ("eth_getTransactionCount", [contract, "latest"]),
        ("eth_getCode", [contract, "latest"]),
        ("eth_getProof", [contract, ["0x0", "0x" + "00" * 32], "latest"]),
        ("eth_getTransactionByHash", [transaction]),
        ("eth_getTransactionByHash", [created["transactionHash"]]),
        ("eth_getTransactionByBlockHashAndIndex", [block_hash, "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", [number, "0x0"]),
        ("eth_getTransactionReceipt", [transaction]),
        ("eth_getTransactionReceipt", [created["transactionHash"]]),
        ("eth_getTransactionReceipt", ["0x" + "ab" * 32]),
        ("txpool_status", []),
        ("txpool_content", []),
        ("txpool_contentFrom", [SENDER]),
    ]


def test_answers_have_the_shapes_of_execution_apis(rpc: Rpc, described: dict[str, Any], facts: dict[str, Any]) -> None:
    wrong: list[str] = []
    for method, params in _cases(facts):
        answer = rpc(method, *params)
        assert "result" in answer, (method, answer)
        schema = {**described["results"][method], "components": described["components"]}
        for error in list(Draft202012Validator(schema).iter_errors(answer["result"]))[:1]:
            wrong.append(f"{method}{params}: {error.message[:300]} at {list(error.absolute_path)}")
    assert not wrong, "\n".join(wrong)


def test_every_described_method_answers_or_is_not_there(rpc: Rpc, described: dict[str, Any]) -> None:
    not_there = {FULL_BLOCK_ONLY, "debug_getRawBlockAccessList"}
    absent = {method for method in described["results"] if rpc(method).get("error", {}).get("code") == -32601}
    assert absent == not_there
