"""300 random transactions, replayed on Ethereum's executable specification."""

import random
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from support.consortium import Consortium, wait_for
from support.eels import Replay
from support.transactions import clients_ready, compiled, signed

TRANSACTIONS = 300


def selector(signature: str, *arguments: Any) -> str:
    kinds = signature[signature.index("(") + 1 : -1]
    types = kinds.split(",") if kinds else []
    return "0x" + (keccak(text=signature)[:4] + encode(types, arguments)).hex()


class Generator:
    """Random transactions of several funded senders; nonces stay gapless."""

    def __init__(self, seed: int, chain_id: int, keys: list[str], nonces: list[int]) -> None:
        self.random = random.Random(seed)
        self.chain_id = chain_id
        self.keys = keys
        self.nonces = nonces
        self.contract: str | None = None

    def next(self, bytecode: str) -> str:
        sender = self.random.randrange(len(self.keys))
        fields = self._body(bytecode)
        raw = self._sign(sender, fields)
        self.nonces[sender] += 1
        return raw

    def _body(self, bytecode: str) -> dict[str, Any]:
        draw = self.random.random()
        if draw < 0.25:
            to = (
                Account.from_key(self.random.randbytes(32)).address
                if draw < 0.15
                else Account.from_key(self.keys[0]).address
            )
            return {"to": to, "value": self.random.randrange(10**18), "gas": 21_000}
        if draw < 0.30:
            return {"data": bytecode, "gas": 2_000_000}
        if draw < 0.33:
            return {"data": "0x" + self.random.randbytes(30).hex(), "gas": 200_000}  # most likely a failing creation
        value = self.random.choice([0, 0, self.random.randrange(10**12)])
        number = self.random.randrange(40)
        data = self.random.choice([
            selector("store(uint256,uint256,uint256)", number, self.random.randrange(6), self.random.choice([0, 7, 8])),
            selector("grow(uint256)", number),
            selector("growAndDrop(uint256)", number),
            selector("refuse(uint256)", number),
            selector("burn(uint256)", number),
            "0x",
            "0xdeadbeef",
        ])  # fmt: skip
        return {
            "to": self.contract,
            "data": data,
            "value": value,
            "gas": self.random.choice([30_000, 120_000, 800_000]),
        }

    def _sign(self, sender: int, fields: dict[str, Any]) -> str:
        key, nonce = self.keys[sender], self.nonces[sender]
        price = self.random.choice([0, 0, 10**9])
        kind = self.random.choice([0, 1, 2])
        base = {**fields, "nonce": nonce, "chainId": self.chain_id}
        base.setdefault("value", 0)
        if fields.get("gas") == 21_000:
            kind = self.random.choice([0, 2])  # an access list costs more than a transfer's gas
        if kind == 2:
            base |= {"type": 2, "maxFeePerGas": price, "maxPriorityFeePerGas": self.random.choice([0, price])}
        else:
            base |= {"gasPrice": price}
            if kind == 1:
                base |= {"type": 1, "accessList": [{"address": self.contract, "storageKeys": ["0x" + "00" * 32]}]}
                base["gas"] += 5_000
        return "0x" + Account.sign_transaction(base, key).raw_transaction.hex().removeprefix("0x")


@pytest.mark.clients
@pytest.mark.timeout(600)
def test_random_transactions_give_the_roots_of_the_execution_specs(consortium: Consortium) -> None:
    if not clients_ready():
        pytest.skip("npm client tools are not installed (solc)")
    seed = 20_261_121
    member = consortium.members()[0]
    chain_id = int(member.rpc("eth_chainId"), 16)
    keys = [account["private_key"] for account in consortium.accounts()[3:9]]
    addresses = [Account.from_key(key).address for key in keys]
    nonces = [int(member.rpc("eth_getTransactionCount", address, "latest"), 16) for address in addresses]
    generator = Generator(seed, chain_id, keys, nonces)
    bytecode = compiled("Scratch.sol", "Scratch")["bytecode"]

    raw, deployment = signed(keys[0], chain_id, nonces[0], data=bytecode, gas=2_000_000)
    nonces[0] += 1
    member.rpc("eth_sendRawTransaction", raw)
    receipt = wait_for("deployment", lambda: member.rpc("eth_getTransactionReceipt", deployment), 30)
    generator.contract = to_checksum_address(receipt["contractAddress"])

    sent = []
    for start in range(0, TRANSACTIONS, 50):
        batch = [generator.next(bytecode) for _ in range(50)]
        answers = member.rpc_batch([("eth_sendRawTransaction", [raw]) for raw in batch])
        assert all("result" in answer for answer in answers), (seed, start, [a for a in answers if "error" in a][:3])
        sent += [answer["result"] for answer in answers]
    last = [
        wait_for("all committed", lambda hash=hash: member.rpc("eth_getTransactionReceipt", hash), 60) for hash in sent
    ]
    assert {int(entry["status"], 16) for entry in last} == {0, 1}, "the mix must hold failures and successes"

    replay = Replay.from_genesis((consortium.folder / "chain.json").read_text())
    genesis = member.rpc("eth_getBlockByNumber", "0x0", False)
    assert replay.root().hex() == genesis["stateRoot"][2:]
    replay.hashes.append(bytes.fromhex(genesis["hash"][2:]))
    for number in range(1, max(int(entry["blockNumber"], 16) for entry in last) + 1):
        header = member.rpc("eth_getBlockByNumber", hex(number), False)
        transactions = [
            bytes.fromhex(member.rpc("eth_getRawTransactionByHash", hash)[2:]) for hash in header["transactions"]
        ]
        found = replay.block(header, transactions)
        assert found.gas_used == int(header["gasUsed"], 16), (seed, number)
        assert found.transactions_root.hex() == header["transactionsRoot"][2:], (seed, number)
        assert found.receipts_root.hex() == header["receiptsRoot"][2:], (seed, number)
        assert found.logs_bloom.hex() == header["logsBloom"][2:], (seed, number)
        assert found.requests_hash.hex() == header["requestsHash"][2:], (seed, number)
        assert found.state_root.hex() == header["stateRoot"][2:], (seed, number)
