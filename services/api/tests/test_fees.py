"""A chain with EIP-1559 fees: prices, history and tips as committed blocks have them."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_accounts import Sender, sign
from api_node import Node
from eth_account import Account
from web3 import Web3
from web3.exceptions import Web3RPCError

GWEI = 10**9
TO = bytes.fromhex("49" * 20)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A chain with a base fee."""
    node = Node(tmp_path_factory.mktemp("paid"), zero_base_fee=False)
    node.start()
    yield node
    node.close()


@pytest.fixture(scope="module")
def w3(paid: Node) -> Any:
    """web3.py on it."""
    return Web3(Web3.HTTPProvider(paid.url))


def test_transaction_with_suggested_fees_is_committed_and_pays_them(w3: Any) -> None:
    account = Account.from_key(Sender(0).key)
    base, tip = w3.eth.get_block("latest").baseFeePerGas, w3.eth.max_priority_fee
    assert base > 0
    assert tip == GWEI
    assert abs(w3.eth.gas_price - base - tip) <= base // 8 + 1
    before = w3.eth.get_balance(account.address)
    signed = account.sign_transaction(
        {
            "to": Web3.to_checksum_address(TO),
            "value": 5,
            "nonce": 0,
            "gas": 21_000,
            "chainId": 1337,
            "maxFeePerGas": 2 * base + tip,
            "maxPriorityFeePerGas": tip,
        }
    )
    receipt = w3.eth.wait_for_transaction_receipt(
        w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.05
    )
    block = w3.eth.get_block(receipt.blockNumber)
    assert receipt.effectiveGasPrice == block.baseFeePerGas + tip
    assert before - w3.eth.get_balance(account.address) == 5 + 21_000 * receipt.effectiveGasPrice


def test_history_has_base_fees_and_tips(w3: Any) -> None:
    sender = Sender(1)
    base = w3.eth.get_block("latest").baseFeePerGas
    fees = [base * 2 + 1 * GWEI, base * 2 + 3 * GWEI]
    raws = [sign(sender.key, nonce, TO, fee=fee) for nonce, fee in enumerate(fees)]
    receipts = [
        w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(raw), poll_latency=0.05) for raw in raws
    ]
    last = receipts[-1].blockNumber
    history = w3.eth.fee_history(last + 1, last, [0, 100])
    assert history.oldestBlock == 0
    assert history.baseFeePerGas[:-1] == [w3.eth.get_block(number).baseFeePerGas for number in range(last + 1)]
    assert len(history.baseFeePerGas) == last + 2
    for receipt in receipts:
        block = w3.eth.get_block(receipt.blockNumber)
        low, high = history.reward[receipt.blockNumber]
        assert low <= receipt.effectiveGasPrice - block.baseFeePerGas <= high
        assert history.gasUsedRatio[receipt.blockNumber] == block.gasUsed / block.gasLimit
    assert w3.eth.max_priority_fee > 0


def test_base_fee_of_the_next_block_is_told_in_advance(w3: Any) -> None:
    head = w3.eth.block_number
    told = int(w3.provider.make_request("eth_baseFee", [])["result"], 16)
    ends = [w3.eth.get_block(number).baseFeePerGas for number in (head, w3.eth.block_number)]
    history = w3.eth.fee_history(1, head)
    assert told <= max(*ends, history.baseFeePerGas[-1])
    pending: Any = w3.eth.get_block("pending")
    assert pending.number > head


def test_transaction_below_the_base_fee_is_refused(w3: Any) -> None:
    with pytest.raises(Web3RPCError, match="max fee per gas less than block base fee"):
        w3.eth.send_raw_transaction(sign(Sender(2).key, 0, TO, fee=1))


def test_filled_transaction_can_pay(w3: Any) -> None:
    filled: Any = w3.provider.make_request("eth_fillTransaction", [{"from": Sender(3).hex, "to": "0x" + TO.hex()}])
    transaction = filled["result"]["tx"]
    tip, cap = int(transaction["maxPriorityFeePerGas"], 16), int(transaction["maxFeePerGas"], 16)
    assert cap >= tip + w3.eth.get_block("latest").baseFeePerGas
    legacy: Any = w3.provider.make_request(
        "eth_fillTransaction", [{"from": Sender(3).hex, "to": "0x" + TO.hex(), "gasPrice": hex(100 * GWEI)}]
    )
    assert legacy["result"]["tx"]["type"] == "0x0"
    assert legacy["result"]["raw"].startswith("0xe")
