"""The state as debug_accountRange and debug_storageRangeAt list it: hashed again it gives the roots of the headers."""

import base64
from typing import Any

import httpx
import pytest
import rlp
from eth_utils import keccak
from support.chains import EXECUTION_APIS
from support.rpc_cases import long_run
from support.vectors import needs_vectors
from trie import HexaryTrie

pytestmark = [needs_vectors, pytest.mark.vectors]

FIRST = "0x" + "00" * 32


def ask(url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(url, json=body, timeout=60).json()


def result(url: str, method: str, *params: Any) -> Any:
    answer = ask(url, method, *params)
    assert "error" not in answer, answer
    return answer["result"]


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def root_of(leaves: dict[bytes, bytes]) -> bytes:
    trie = HexaryTrie({})
    for key, value in leaves.items():
        trie[key] = value
    found: bytes = trie.root_hash
    return found


def accounts_at(url: str, block: str, count: int) -> dict[str, dict[str, Any]]:
    """All accounts, asked for in pieces."""
    found: dict[str, dict[str, Any]] = {}
    start = "0x"
    while True:
        part = result(url, "debug_accountRange", block, start, count, False, False, False)
        assert len(part["accounts"]) <= count
        assert not found.keys() & part["accounts"].keys()
        found |= part["accounts"]
        if "next" not in part:
            return found
        start = "0x" + base64.b64decode(part["next"]).hex()


def slots_at(url: str, block: str, index: int, who: str, count: int = 1_000) -> dict[str, dict[str, str]]:
    """All slots of an account, asked for in pieces."""
    found: dict[str, dict[str, str]] = {}
    start = FIRST
    while True:
        part = result(url, "debug_storageRangeAt", block, index, who, start, count)
        found |= part["storage"]
        assert part["complete"] == (part["nextKey"] is None)
        if part["nextKey"] is None:
            return found
        assert len(part["storage"]) == count
        start = part["nextKey"]


@pytest.mark.parametrize("block", ["0x0", "0x14", "0x36"])
def test_all_accounts_with_their_storage_make_the_state_root(url: str, block: str) -> None:
    leaves = {}
    for address, account in accounts_at(url, block, 100).items():
        slots = {
            keccak(bytes.fromhex(slot[2:])): rlp.encode(bytes.fromhex(value))
            for slot, value in account.get("storage", {}).items()
        }
        code = bytes.fromhex(account.get("code", "0x")[2:])
        assert (account["root"], account["codeHash"]) == ("0x" + root_of(slots).hex(), "0x" + keccak(code).hex())
        key = keccak(bytes.fromhex(address[2:]))
        assert (account["address"], account["key"]) == (address.lower(), "0x" + key.hex())
        fields = [number(account["nonce"]), number(int(account["balance"])), root_of(slots), keccak(code)]
        leaves[key] = rlp.encode(fields)
    header = result(url, "eth_getBlockByNumber", block, False)
    assert "0x" + root_of(leaves).hex() == header["stateRoot"]


@long_run
def test_slots_between_the_transactions_of_a_block_are_those_of_their_traces(url: str) -> None:
    """Each transaction's own difference leads from the slots before it to those before the next one."""
    config = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    changed = 0
    for height in range(1, EXECUTION_APIS.head + 1):
        block = hex(height)
        traces = [trace["result"] for trace in result(url, "debug_traceBlockByNumber", block, config)]
        touched = {who for trace in traces for who, account in trace["post"].items() if "storage" in account}
        for who in sorted(touched):
            before = slots_at(url, block, 0, who)
            for index, trace in enumerate(traces):
                after = slots_at(url, block, index + 1, who)
                wanted = {entry["key"]: entry["value"] for entry in before.values()}
                for slot in trace["pre"].get(who, {}).get("storage", {}):
                    wanted.pop(slot, None)
                wanted |= trace["post"].get(who, {}).get("storage", {})
                # The last ones are those of the block itself, where its own system calls have been made, too.
                if index + 1 < len(traces) or not who.startswith("0x0000"):
                    assert {entry["key"]: entry["value"] for entry in after.values()} == wanted, (block, index, who)
                    changed += before != after
                before = after
    assert changed > 10


def test_slots_in_pieces_are_the_whole(url: str) -> None:
    """The contract of EIP-4788 has two slots for each block since Cancun."""
    beacon_roots = "0x000f3df6d732807ef1319fb7b8bb8522d0beac02"
    whole = slots_at(url, "latest", 0, beacon_roots)
    assert len(whole) > 10
    assert slots_at(url, "latest", 0, beacon_roots, count=3) == whole
    assert list(whole) == sorted("0x" + keccak(bytes.fromhex(entry["key"][2:])).hex() for entry in whole.values())


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (["0x0", 0, "0x" + "11" * 20, "0x", 10], "no transaction in genesis"),
        (["0x10", 100, "0x" + "11" * 20, "0x", 10], "out of range"),
        (["0x10", 0, "0x" + "11" * 20, "0x" + "00" * 33, 10], "at most 64 hex digits"),
        (["0xffff", 0, "0x" + "11" * 20, "0x", 10], "not found"),
    ],
)
def test_places_that_are_not_there_are_refused(url: str, params: list[Any], text: str) -> None:
    assert text in ask(url, "debug_storageRangeAt", *params)["error"]["message"]
