"""A real client library against a real one-member chain: deploy, send, read, filters, subscriptions, proofs."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
import rlp
from api_accounts import Sender, hash_of
from api_node import Node
from eth_account import Account
from hansa_kernel import EMPTY_CODE_HASH, keccak, verify_proof
from keeper_contract import ABI, CRASH, CREATION, RUNTIME
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription

SENDER = Sender(0)
RECIPIENT = "0x" + "42" * 20


@pytest.fixture(scope="module")
def w3(node: Node) -> Any:
    """web3.py over HTTP."""
    found = Web3(Web3.HTTPProvider(node.url))
    assert found.is_connected(show_traceback=True)
    return found


@pytest.fixture(scope="module")
def send(w3: Any) -> Callable[[dict[str, Any]], Any]:
    """Sign, send and wait, the way a program does it."""
    account = Account.from_key(SENDER.key)

    def work(transaction: dict[str, Any]) -> Any:
        filled = {
            "from": account.address,
            "nonce": w3.eth.get_transaction_count(account.address),
            "chainId": w3.eth.chain_id,
            **transaction,
        }
        if "maxFeePerGas" not in filled and "gasPrice" not in filled:
            filled["gasPrice"] = w3.eth.gas_price
        if "gas" not in filled:
            filled["gas"] = w3.eth.estimate_gas(filled)
        signed = account.sign_transaction({key: value for key, value in filled.items() if key != "from"})
        return w3.eth.wait_for_transaction_receipt(
            w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.05
        )

    return work


@pytest.fixture(scope="module")
def keeper(w3: Any, send: Callable[[dict[str, Any]], Any]) -> Any:
    """The deployed contract."""
    receipt = send({"data": CREATION, "value": 0})
    assert receipt.status == 1
    assert w3.eth.get_code(receipt.contractAddress) == RUNTIME
    return w3.eth.contract(receipt.contractAddress, abi=ABI)


def test_transfer_moves_the_balance(w3: Any, send: Any) -> None:
    to = Web3.to_checksum_address(os.urandom(20))
    receipt = send({"to": to, "value": 12_345, "gas": 21_000})
    assert (receipt.status, receipt.gasUsed, receipt.effectiveGasPrice) == (1, 21_000, 0)
    assert w3.eth.get_balance(to) == 12_345
    assert w3.eth.get_balance(to, receipt.blockNumber - 1) == 0
    found = w3.eth.get_transaction(receipt.transactionHash)
    assert (found["value"], found["blockNumber"]) == (12_345, receipt.blockNumber)
    block = w3.eth.get_block(receipt.blockNumber, full_transactions=True)
    assert found in block.transactions
    assert w3.eth.get_transaction_by_block(receipt.blockNumber, receipt.transactionIndex) == found
    assert w3.eth.get_block_receipts(receipt.blockNumber)[receipt.transactionIndex] == receipt


def test_any_gas_price_is_taken_on_a_chain_without_fees(send: Any) -> None:
    assert send({"to": RECIPIENT, "value": 1, "maxFeePerGas": 10**9, "maxPriorityFeePerGas": 10**9}).status == 1


def test_contract_is_called_and_its_events_are_found(w3: Any, send: Any, keeper: Any) -> None:
    receipt = send(
        keeper.functions.store(77).build_transaction(
            {"gas": 100_000, "gasPrice": 0, "nonce": w3.eth.get_transaction_count(w3.to_checksum_address(SENDER.hex))}
        )
    )
    assert keeper.functions.value().call() == 77
    events = keeper.events.Stored().process_receipt(receipt)
    assert [(event.args.who.lower(), event.args.value) for event in events] == [(SENDER.hex, 77)]
    logs = w3.eth.get_logs(
        {"address": keeper.address, "fromBlock": 0, "topics": [None, "0x" + bytes(12).hex() + SENDER.hex[2:]]}
    )
    assert logs[-1].transactionHash == receipt.transactionHash
    assert w3.eth.get_logs({"blockHash": receipt.blockHash, "address": keeper.address}) == receipt.logs
    assert w3.eth.get_logs({"fromBlock": 0, "address": RECIPIENT}) == []


def test_old_state_is_read_at_its_height(w3: Any, send: Any, keeper: Any) -> None:
    first = send({"to": keeper.address, "data": keeper.encode_abi("store", [5])})
    second = send({"to": keeper.address, "data": keeper.encode_abi("store", [6])})
    assert keeper.functions.value().call(block_identifier=first.blockNumber) == 5
    assert keeper.functions.value().call(block_identifier=second.blockHash) == 6
    assert int.from_bytes(w3.eth.get_storage_at(keeper.address, 0, first.blockNumber), "big") == 5
    assert w3.eth.get_transaction_count(
        w3.to_checksum_address(SENDER.hex), first.blockNumber - 1
    ) < w3.eth.get_transaction_count(w3.to_checksum_address(SENDER.hex))


def test_revert_carries_reason_and_data(w3: Any, keeper: Any, rpc: Any) -> None:
    with pytest.raises(ContractLogicError, match="execution reverted: no"):
        keeper.functions.fail().call()
    with pytest.raises(ContractLogicError, match="execution reverted: no"):
        w3.eth.estimate_gas({"to": keeper.address, "data": keeper.encode_abi("fail", [])})
    error = rpc("eth_call", {"to": keeper.address, "data": "0x" + CRASH.hex()}, "latest")["error"]
    assert (error["code"], error["message"]) == (3, "execution reverted: assert(false)")
    assert error["data"].startswith("0x4e487b71")


def test_state_overrides_change_a_call(rpc: Any, keeper: Any) -> None:
    slots = {"stateDiff": {"0x" + bytes(32).hex(): "0x" + (99).to_bytes(32, "big").hex()}}
    answer = rpc(
        "eth_call", {"to": keeper.address, "data": keeper.encode_abi("value", [])}, "latest", {keeper.address: slots}
    )
    assert int(answer["result"], 16) == 99


def test_estimate_is_enough_and_tight(w3: Any, send: Any, keeper: Any) -> None:
    data = keeper.encode_abi("store", [1_234_567])
    gas = w3.eth.estimate_gas({"to": keeper.address, "data": data, "from": w3.to_checksum_address(SENDER.hex)})
    assert send({"to": keeper.address, "data": data, "gas": gas}).status == 1
    assert send({"to": keeper.address, "data": data.replace("12d687", "12d688"), "gas": 21_700}).status == 0


def test_log_filter_gives_each_event_once(w3: Any, send: Any, keeper: Any) -> None:
    found = keeper.events.Stored.create_filter(from_block="latest")
    assert found.get_new_entries() == []
    send({"to": keeper.address, "data": keeper.encode_abi("store", [1])})
    send({"to": keeper.address, "data": keeper.encode_abi("store", [2])})
    assert [event.args.value for event in found.get_new_entries()] == [1, 2]
    assert found.get_new_entries() == []
    everything = keeper.events.Stored.create_filter(from_block=0).get_all_entries()
    assert [event.args.value for event in everything][-2:] == [1, 2]
    assert w3.eth.uninstall_filter(found.filter_id)
    with pytest.raises(Web3RPCError, match="filter not found"):
        found.get_new_entries()


def test_block_filter_gives_every_block_once(w3: Any, send: Any) -> None:
    found = w3.eth.filter("latest")
    before = w3.eth.block_number
    send({"to": RECIPIENT, "value": 1})
    hashes = found.get_new_entries()
    numbers = [w3.eth.get_block(item).number for item in hashes]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert before - 1 <= numbers[0] <= before + 1


def test_pending_filter_gives_admitted_transactions(w3: Any, send: Any) -> None:
    found = w3.eth.filter("pending")
    hashes: list[Any] = []
    for _ in range(20):  # the stream from consensus is opened by the first listener
        receipt = send({"to": RECIPIENT, "value": 1})
        hashes += found.get_new_entries()
        if receipt.transactionHash in hashes:
            return
    pytest.fail("no pending transaction was told")


def test_unknown_transaction_is_null(w3: Any) -> None:
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction_receipt("0x" + "ab" * 32)
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction("0x" + "ab" * 32)


def test_proof_of_account_and_slots_verifies(w3: Any, send: Any, keeper: Any) -> None:
    send({"to": keeper.address, "data": keeper.encode_abi("store", [4_242])})
    block = w3.eth.get_block("latest")
    proof = w3.eth.get_proof(keeper.address, [0, 1], block.number)
    who = bytes.fromhex(keeper.address[2:])
    account = rlp.encode([1, 0, bytes(proof.storageHash), bytes(proof.codeHash)])
    assert verify_proof(bytes(block.stateRoot), keccak(who), account, [bytes(node) for node in proof.accountProof])
    held, absent = proof.storageProof
    assert int.from_bytes(held.value, "big") == 4_242
    nodes = [bytes(node) for node in held.proof]
    assert verify_proof(bytes(proof.storageHash), keccak(bytes(32)), bytes.fromhex("821092"), nodes)
    key = keccak((1).to_bytes(32, "big"))
    assert verify_proof(bytes(proof.storageHash), key, None, [bytes(node) for node in absent.proof])
    nobody = w3.eth.get_proof(RECIPIENT[:-2] + "99", [], block.number)
    assert (nobody.balance, bytes(nobody.codeHash)) == (0, EMPTY_CODE_HASH)


def test_fee_history_of_a_chain_without_fees_is_zeros_of_full_length(w3: Any) -> None:
    count = min(4, w3.eth.block_number)
    history = w3.eth.fee_history(count, "latest", [10, 50, 90])
    assert history.baseFeePerGas == [0] * (count + 1)
    assert history.reward == [[0, 0, 0]] * count
    assert (w3.eth.gas_price, w3.eth.max_priority_fee) == (0, 0)


def test_fill_transaction_gives_what_a_wallet_signs(rpc: Any, w3: Any) -> None:
    filled = rpc("eth_fillTransaction", {"from": SENDER.hex, "to": RECIPIENT, "value": "0x5"})["result"]
    transaction = filled["tx"]
    account = Account.from_key(SENDER.key)
    wanted = {
        key: transaction[key]
        for key in ("nonce", "to", "gas", "value", "chainId", "maxFeePerGas", "maxPriorityFeePerGas")
    }
    signed = account.sign_transaction({**wanted, "to": Web3.to_checksum_address(RECIPIENT), "type": 2, "data": "0x"})
    receipt = w3.eth.wait_for_transaction_receipt(
        w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.05
    )
    assert receipt.status == 1
    fields = rlp.decode(bytes.fromhex(filled["raw"][4:]))
    assert filled["raw"][:4] == "0x02"
    assert fields[1] == rlp.sedes.big_endian_int.serialize(int(transaction["nonce"], 16))
    assert fields[-3:] == [b"", b"", b""]


async def test_subscriptions_tell_heads_and_logs(node: Node, w3: Any, send: Any, keeper: Any) -> None:
    heads: list[int] = []
    values: list[int] = []
    done = asyncio.Event()

    async def on_head(context: Any) -> None:
        heads.append(context.result["number"])

    async def on_log(context: Any) -> None:
        values.append(int.from_bytes(context.result["data"], "big"))
        if len(values) == 3:
            done.set()

    async with AsyncWeb3(WebSocketProvider(node.ws_url)) as socket:
        await socket.subscription_manager.subscribe(
            [
                NewHeadsSubscription(handler=on_head),
                LogsSubscription(address=keeper.address, handler=on_log),
            ]
        )
        reading = asyncio.create_task(socket.subscription_manager.handle_subscriptions(run_forever=True))

        def work() -> None:
            for value in (10, 11, 12):
                send({"to": keeper.address, "data": keeper.encode_abi("store", [value])})

        await asyncio.to_thread(work)
        await asyncio.wait_for(done.wait(), 20)
        reading.cancel()
    assert values == [10, 11, 12]
    assert heads == list(range(heads[0], heads[0] + len(heads)))


def test_raw_transaction_is_given_back(w3: Any, rpc: Any) -> None:
    nonce = w3.eth.get_transaction_count(w3.to_checksum_address(SENDER.hex))
    raw = SENDER.transfer(bytes.fromhex(RECIPIENT[2:]), nonce=nonce)
    answer = rpc("eth_sendRawTransactionSync", "0x" + raw.hex())
    assert answer["result"]["transactionHash"] == hash_of(raw)
    assert rpc("eth_getRawTransactionByHash", hash_of(raw))["result"] == "0x" + raw.hex()
    found = rpc("eth_getTransactionBySenderAndNonce", SENDER.hex, hex(nonce))["result"]
    assert found["hash"] == hash_of(raw)
