"""The ERC-20 scenario with the clients people use: deploy at member 1, use at 2, read at 3, events on 4's WebSocket."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from support.consortium import Consortium, Member
from support.transactions import CLIENTS, clients_ready, compiled
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError

SUPPLY = 10**24
AMOUNT = 12_345

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not clients_ready(), reason="npm client tools are not installed"),
]


@pytest.fixture
def members(consortium: Consortium) -> list[Member]:
    return consortium.members()


def tool(
    name: str, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None, timeout: float = 120
) -> str:
    """Output of one of the npm clients; `env` goes on top of ours."""
    done = subprocess.run(
        [str(CLIENTS / "node_modules" / ".bin" / name), *arguments], cwd=CLIENTS, input=stdin,
        env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("client", "account"), [("ethers", 0), ("viem", 1)])
def test_erc20_with_javascript_clients(
    consortium: Consortium, members: list[Member], client: str, account: int
) -> None:
    key = consortium.accounts()[account]["private_key"]
    recipient = Account.create().address
    job = {
        **compiled("Token.sol", "Token"),
        "urls": [member.rpc_url for member in members],
        "ws": members[3].ws_url,
        "key": key,
        "recipient": recipient,
        "amount": str(AMOUNT),
        "chainId": consortium.status()["chain_id"],
    }
    done = subprocess.run(
        ["node", f"{client}.mjs"],
        cwd=CLIENTS,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 1
    assert int(found["balance"]) == AMOUNT
    assert int(found["before"]) == 0
    assert found["logs"] == 1
    assert found["event"]["hash"] == found["hash"]
    assert int(found["event"]["value"]) == AMOUNT
    assert found["event"]["to"] == recipient
    assert found["refused"] == "ERC20InsufficientBalance"


async def _web3_scenario(consortium: Consortium, members: list[Member], key: str) -> dict[str, Any]:
    contract = compiled("Token.sol", "Token")
    first, second, third = (Web3(Web3.HTTPProvider(member.rpc_url)) for member in members[:3])
    owner = Account.from_key(key)
    recipient = Account.create().address

    def send(w3: Web3, call: Any) -> Any:
        fields = call.build_transaction(
            {"from": owner.address, "nonce": w3.eth.get_transaction_count(owner.address, "pending")}
        )
        return w3.eth.send_raw_transaction(owner.sign_transaction(fields).raw_transaction)

    factory = first.eth.contract(abi=contract["abi"], bytecode=contract["bytecode"])
    deployed = first.eth.wait_for_transaction_receipt(send(first, factory.constructor(SUPPLY)), poll_latency=0.1)
    address = deployed["contractAddress"]
    async with AsyncWeb3(WebSocketProvider(members[3].ws_url)) as live:
        await live.eth.subscribe("logs", {"address": address})
        token = second.eth.contract(address=address, abi=contract["abi"])
        hash = await asyncio.to_thread(send, second, token.functions.transfer(recipient, AMOUNT))
        event = await asyncio.wait_for(anext(live.socket.process_subscriptions()), 20)
    receipt = second.eth.wait_for_transaction_receipt(hash, poll_latency=0.1)
    reader = third.eth.contract(address=address, abi=contract["abi"])
    transfers = reader.events.Transfer().get_logs(from_block=receipt["blockNumber"], to_block=receipt["blockNumber"])
    with pytest.raises(ContractLogicError):
        reader.functions.transfer(recipient, 10**30).call({"from": recipient})
    return {
        "status": receipt["status"],
        "balance": reader.functions.balanceOf(recipient).call(block_identifier=receipt["blockNumber"]),
        "before": reader.functions.balanceOf(recipient).call(block_identifier=receipt["blockNumber"] - 1),
        "event": event["result"]["transactionHash"] == hash,
        "transfers": [(entry["args"]["to"], entry["args"]["value"]) for entry in transfers],
        "recipient": recipient,
    }


async def test_erc20_with_web3py(consortium: Consortium, members: list[Member]) -> None:
    found = await _web3_scenario(consortium, members, consortium.accounts()[2]["private_key"])
    assert found["status"] == 1
    assert found["balance"] == AMOUNT
    assert found["before"] == 0
    assert found["event"]
    assert found["transfers"] == [(found["recipient"], AMOUNT)]


def test_erc20_with_forge_and_cast(consortium: Consortium, members: list[Member]) -> None:
    account = consortium.accounts()[9]
    key, owner = account["private_key"], account["address"]
    urls = [member.rpc_url for member in members]
    recipient = Account.create().address
    out = tool(
        "forge", "create", "contracts/Token.sol:Token", "--offline", "--use", "./solc", "--broadcast", "--json",
        "--rpc-url", urls[0], "--private-key", key, "--constructor-args", str(SUPPLY),
    )  # fmt: skip
    address = json.loads(out[out.index("{") :])["deployedTo"]

    sent = json.loads(
        tool(
            "cast",
            "send",
            "--json",
            "--rpc-url",
            urls[1],
            "--private-key",
            key,
            address,
            "transfer(address,uint256)",
            recipient,
            str(AMOUNT),
        )
    )
    assert int(sent["status"], 16) == 1
    sync = json.loads(
        tool(
            "cast",
            "send",
            "--json",
            "--sync",
            "--rpc-url",
            urls[0],
            "--private-key",
            key,
            recipient,
            "--value",
            "1ether",
        )
    )
    assert int(sync["status"], 16) == 1

    balance = tool("cast", "call", "--rpc-url", urls[2], address, "balanceOf(address)(uint256)", recipient)
    assert int(balance.split()[0]) == AMOUNT
    block = int(sent["blockNumber"], 16)
    logs = tool(
        "cast", "logs", "--json", "--rpc-url", urls[3], "--from-block", str(block), "--to-block", str(block),
        "--address", address, "Transfer(address,address,uint256)",
    )  # fmt: skip
    assert [entry["transactionHash"] for entry in json.loads(logs)] == [sent["transactionHash"]]
    assert int(tool("cast", "balance", "--rpc-url", urls[2], recipient)) == 10**18
    assert int(tool("cast", "nonce", "--rpc-url", urls[2], owner)) >= 3
    proof = json.loads(tool("cast", "proof", "--rpc-url", urls[2], address))
    assert proof["address"].lower() == address.lower()
    assert len(proof["accountProof"]) >= 1
    receipt = json.loads(tool("cast", "receipt", "--json", "--rpc-url", urls[3], sent["transactionHash"]))
    assert receipt["blockHash"] == sent["blockHash"]


def test_erc20_with_hardhat(consortium: Consortium, members: list[Member], tmp_path: Path) -> None:
    account = consortium.accounts()[8]
    recipient = Account.create().address
    env = {
        "HANSA_RPC_URLS": json.dumps([member.rpc_url for member in members]),
        "HANSA_PRIVATE_KEY": account["private_key"],
        # A home of its own: Hardhat keeps consents and compilers there, and must not need either.
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "CI": "true",
    }

    def step(member: int, **what: Any) -> dict[str, Any]:
        out = tool(
            "hardhat", "run", "--no-compile", "hardhat.cjs", "--network", f"member{member}",
            env={**env, "HANSA_STEP": json.dumps(what)},
        )  # fmt: skip
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    tool("hardhat", "compile", "--force", env=env)
    assert not list(tmp_path.rglob("*solc*")), "npm's solc was at hand: nothing is downloaded"

    deployed = step(1, do="deploy")
    assert int(deployed["status"], 16) == 1
    assert deployed["from"] == account["address"].lower()
    address = deployed["contractAddress"]

    sent = step(2, do="transfer", address=address, recipient=recipient, amount=str(AMOUNT))
    assert int(sent["status"], 16) == 1
    assert len(sent["logs"]) == 1
    read = step(3, do="read", address=address, recipient=recipient, block=int(sent["blockNumber"], 16))
    assert read == {"balance": str(AMOUNT), "before": "0", "refused": "ERC20InsufficientBalance"}
