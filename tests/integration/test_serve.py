"""An imported chain as clients meet it: everything that needs neither pool nor consensus, and clear words for the rest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hansa.chainspec import load_chain_spec
from hansa_kernel import KernelInputError, WitnessDiffers, WitnessIncomplete, verify_block
from support.chains import EXECUTION_APIS, hansa, header_of, split_blocks
from support.rpc_cases import imported_and_served
from support.vectors import needs_vectors
from websockets.sync.client import connect

pytestmark = [needs_vectors, pytest.mark.vectors]

BYZANTIUM = 9  # block from which on receipts hold no state roots
SENDER = "0x7435ed30a8b4aeb0877cef0c6e8cffe834eb865f"  # an account of the chain's genesis


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(genesis, block file, data folder)."""
    folder = tmp_path_factory.mktemp("served")
    return *EXECUTION_APIS.unpacked(folder), folder / "data"


@pytest.fixture(scope="module")
def url(chain: tuple[Path, Path, Path]) -> Iterator[str]:
    """Where the chain is served."""
    with imported_and_served(*chain) as found:
        yield found


def ask(url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(url, json=body, timeout=30).json()


def test_the_chain_is_told_as_one_without_others(chain: tuple[Path, Path, Path], url: str) -> None:
    head = header_of(split_blocks(chain[1].read_bytes())[-1])
    for method, want in (
        ("eth_blockNumber", hex(head.number)),
        ("eth_syncing", False),
        ("net_listening", False),
        ("net_peerCount", "0x0"),
        ("eth_accounts", []),
        ("txpool_content", {"pending": {}, "queued": {}}),
        ("hansa_getMembers", []),
    ):
        assert ask(url, method)["result"] == want, method
    status = ask(url, "hansa_getNodeStatus")["result"]
    assert (status["engine"], status["head"]["hash"]) == ("none", "0x" + head.hash.hex())
    assert httpx.get(f"{url}/api/v1/status", timeout=30).json()["engine"] == "none"
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    assert "newest block" in httpx.get(url, headers={"accept": "text/html"}, timeout=30).text


def test_transactions_are_refused_by_name_however_they_come(url: str) -> None:
    sends = [
        {"jsonrpc": "2.0", "id": i, "method": method, "params": [value]}
        for i, (method, value) in enumerate(
            [
                ("eth_sendRawTransaction", "0x01"),
                ("eth_sendRawTransaction", "0x02"),
                ("eth_sendRawTransactionSync", "0x03"),
                ("hansa_submitBatch", ["0x04"]),
                ("hansa_getMostRecent", "0x0"),
            ]
        )
    ]
    for answer in httpx.post(url, json=sends, timeout=30).json():
        assert answer["error"]["code"] == -32004, answer
        assert "read-only" in answer["error"]["message"]
    refused = httpx.post(f"{url}/api/v1/transactions", json={"raw": "0x01"}, timeout=30)
    assert refused.status_code >= 400
    assert "read-only" in refused.text


def test_the_pending_block_is_the_next_one_and_empty(chain: tuple[Path, Path, Path], url: str) -> None:
    head = header_of(split_blocks(chain[1].read_bytes())[-1])
    pending = ask(url, "eth_getBlockByNumber", "pending", True)["result"]
    assert (int(pending["number"], 16), pending["transactions"]) == (head.number + 1, [])
    assert pending["parentHash"] == "0x" + head.hash.hex()
    latest = ask(url, "eth_getTransactionCount", SENDER, "latest")["result"]
    assert ask(url, "eth_getTransactionCount", SENDER, "pending")["result"] == latest
    assert ask(url, "eth_call", {"to": SENDER}, "pending")["result"] == "0x"


def test_blocks_with_ommers_and_withdrawals_have_witnesses(chain: tuple[Path, Path, Path], url: str) -> None:
    spec = load_chain_spec(chain[0])
    attached = {"uncles": 0, "withdrawals": 0}
    for number in range(1, EXECUTION_APIS.head + 1):
        block = ask(url, "eth_getBlockByNumber", hex(number), False)["result"]
        answer = ask(url, "hansa_getBlockWitness", hex(number))
        if number < BYZANTIUM and block["transactions"]:
            assert "since Byzantium" in answer["error"]["message"]
            continue
        witness = bytes.fromhex(answer["result"]["witness"][2:])
        trusted = bytes.fromhex(block["hash"][2:])
        found = verify_block(spec.kernel, witness, genesis_hash=spec.genesis_hash, trusted_header_hash=trusted)
        assert (found.header.number, found.transactions) == (number, len(block["transactions"]))
        has = [name for name in attached if block.get(name)]
        assert witness[8:10] == (b"\0\2" if has else b"\0\1")
        for name in has:
            attached[name] += 1
        if has:
            changed = bytearray(witness)
            changed[-1] ^= 1  # the end of the withdrawals, or of the last ommer and what follows it
            with pytest.raises((KernelInputError, WitnessDiffers, WitnessIncomplete)):
                verify_block(spec.kernel, bytes(changed), genesis_hash=spec.genesis_hash, trusted_header_hash=trusted)
    assert min(attached.values()) > 3


def test_subscriptions_of_the_same_port_are_answered(url: str) -> None:
    with connect(url.replace("http", "ws", 1)) as socket:
        for kind in ("newHeads", "syncing", "newPendingTransactions"):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [kind]}))
            assert json.loads(socket.recv(10))["result"].startswith("0x")


def test_a_served_folder_is_not_imported_into(chain: tuple[Path, Path, Path], url: str) -> None:
    genesis, blocks, data = chain
    refused = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", data)
    assert (refused.status, "✗" in refused.error) == (1, True)
    assert ask(url, "eth_syncing")["result"] is False


def test_a_folder_that_nothing_was_imported_into_is_not_served(chain: tuple[Path, Path, Path], tmp_path: Path) -> None:
    refused = hansa("serve", "--chain-spec", chain[0], "--data-dir", tmp_path)
    assert (refused.status, "`hansa import` makes one" in refused.error) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(chain: tuple[Path, Path, Path], url: str, tmp_path: Path) -> None:
    genesis, blocks, _ = chain
    assert hansa("import", blocks, "--chain-spec", genesis, "--data-dir", tmp_path / "data").status == 0
    port = url.rsplit(":", 1)[1]
    refused = hansa("serve", "--chain-spec", genesis, "--data-dir", tmp_path / "data", "--port", port)
    assert (refused.status, port in refused.error) == (1, True)
