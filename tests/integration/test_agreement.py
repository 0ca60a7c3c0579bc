"""All members hold the same blocks, and what they say of old states can be verified."""

from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_utils.crypto import keccak
from support.consortium import Consortium, Member, RpcFailed, wait_for
from support.transactions import clients_ready, compiled, signed
from trie import HexaryTrie

EMPTY_ROOT = keccak(rlp.encode(b""))
EMPTY_CODE = keccak(b"")


@pytest.fixture
def members(consortium: Consortium) -> list[Member]:
    return consortium.members()


def proven(root: bytes, key: bytes, nodes: list[str]) -> Any:
    """RLP value under a hashed key, proven with py-trie; b"" when absence is proven."""
    return HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(bytes.fromhex(node[2:])) for node in nodes])


def test_members_hold_equal_blocks_receipts_and_logs(consortium: Consortium, members: list[Member]) -> None:
    key = consortium.accounts()[0]["private_key"]
    sender = Account.from_key(key).address
    nonce = int(members[0].rpc("eth_getTransactionCount", sender, "pending"), 16)
    raw, hash = signed(key, consortium.status()["chain_id"], nonce, to=Account.create().address, value=5)
    members[0].rpc("eth_sendRawTransaction", raw)
    block = int(wait_for("receipt", lambda: members[0].rpc("eth_getTransactionReceipt", hash), 30)["blockNumber"], 16)
    for member in members:
        wait_for(f"{member.name} at {block}", lambda member=member: member.height() >= block, 30)
    for number in range(max(0, block - 200), block + 1):
        for method, parameters in (
            ("eth_getBlockByNumber", [hex(number), True]),
            ("eth_getBlockReceipts", [hex(number)]),
            ("eth_getLogs", [{"fromBlock": hex(number), "toBlock": hex(number)}]),
        ):
            answers = [member.rpc(method, *parameters) for member in members]
            assert all(answer == answers[0] for answer in answers), (method, number)


def test_proofs_and_reads_at_old_heights_agree(consortium: Consortium, members: list[Member]) -> None:
    if not clients_ready():
        pytest.skip("npm client tools are not installed (solc)")
    key = consortium.accounts()[1]["private_key"]
    sender = Account.from_key(key).address
    chain_id = consortium.status()["chain_id"]
    member = members[1]

    def send(**fields: Any) -> Any:
        nonce = int(member.rpc("eth_getTransactionCount", sender, "pending"), 16)
        raw, hash = signed(key, chain_id, nonce, **fields)
        member.rpc("eth_sendRawTransaction", raw)
        return wait_for("receipt", lambda: member.rpc("eth_getTransactionReceipt", hash), 30)

    contract = send(data=compiled("Scratch.sol", "Scratch")["bytecode"], gas=2_000_000)["contractAddress"]
    store = "0x" + keccak(text="store(uint256,uint256,uint256)")[:4].hex()
    words = lambda *numbers: "".join(f"{number:064x}" for number in numbers)  # noqa: E731 - one expression, used twice
    heights = [int(send(to=contract, data=store + words(1, 3, seed), gas=500_000, value=0)["blockNumber"], 16)
               for seed in (1, 2, 0)]  # fmt: skip
    slot = keccak((1).to_bytes(32, "big") + (0).to_bytes(32, "big"))
    seen = []
    for height in heights:
        block = member.rpc("eth_getBlockByNumber", hex(height), False)
        proof = member.rpc("eth_getProof", contract, ["0x" + slot.hex()], hex(height))
        account = rlp.decode(
            proven(bytes.fromhex(block["stateRoot"][2:]), bytes.fromhex(contract[2:]), proof["accountProof"])
        )
        assert int.from_bytes(account[0], "big") == int(proof["nonce"], 16)
        assert int.from_bytes(account[1], "big") == int(proof["balance"], 16)
        assert account[2].hex() == proof["storageHash"][2:]
        assert account[3].hex() == proof["codeHash"][2:]
        entry = proof["storageProof"][0]
        value = proven(account[2], slot, entry["proof"]) if account[2] != EMPTY_ROOT else b""
        number = int.from_bytes(rlp.decode(value), "big") if value else 0
        assert number == int(entry["value"], 16)
        assert number == int(member.rpc("eth_getStorageAt", contract, "0x" + slot.hex(), hex(height)), 16)
        called = member.rpc(
            "eth_call", {"to": contract, "data": "0x" + keccak(text="slots(uint256)")[:4].hex() + words(1)}, hex(height)
        )
        assert number == int(called, 16)
        seen.append(number)
    assert len(set(seen)) == 3, "three heights, three values"
    assert seen[2] == 0

    block = member.rpc("eth_getBlockByNumber", hex(heights[0]), False)
    nobody = Account.create().address
    proof = member.rpc("eth_getProof", nobody, [], hex(heights[0]))
    assert proven(bytes.fromhex(block["stateRoot"][2:]), bytes.fromhex(nobody[2:]), proof["accountProof"]) == b""


def test_historic_balance_is_that_of_its_block(consortium: Consortium, members: list[Member]) -> None:
    key = consortium.accounts()[0]["private_key"]
    sender = Account.from_key(key).address
    recipient = Account.create().address
    chain_id = consortium.status()["chain_id"]
    heights = []
    for value in (7, 11):
        nonce = int(members[2].rpc("eth_getTransactionCount", sender, "pending"), 16)
        raw, hash = signed(key, chain_id, nonce, to=recipient, value=value)
        members[2].rpc("eth_sendRawTransaction", raw)
        receipt = wait_for("receipt", lambda hash=hash: members[2].rpc("eth_getTransactionReceipt", hash), 30)
        heights.append(int(receipt["blockNumber"], 16))
    member = members[3]
    wait_for("member 4", lambda: member.height() >= heights[1], 30)
    balance = lambda height: int(member.rpc("eth_getBalance", recipient, hex(height)), 16)  # noqa: E731 - used inline
    assert [balance(heights[0] - 1), balance(heights[0]), balance(heights[1])] == [0, 7, 18]
    with pytest.raises(RpcFailed) as refused:
        balance(heights[1] + 10_000)
    assert refused.value.code == -32001
