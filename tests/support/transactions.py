"""Signed transactions and compiled contracts for tests across packages."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils.address import to_checksum_address

CLIENTS = Path(__file__).resolve().parents[1] / "integration" / "clients"


def clients_ready() -> bool:
    """Whether the npm client tools are installed."""
    return (CLIENTS / "node_modules" / ".ready").exists()


@cache
def compiled(source: str, contract: str) -> dict[str, Any]:
    """ABI and bytecode of a contract in `tests/integration/clients/contracts`, compiled by npm's solc."""
    done = subprocess.run(
        ["node", "compile.mjs", source, contract], cwd=CLIENTS, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0:
        raise AssertionError(f"solc failed on {source}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def signed(private_key: str, chain_id: int, nonce: int, *, to: str | None = None, value: int = 0, data: str = "0x",
           gas: int = 21_000, max_fee: int = 0, tip: int = 0) -> tuple[str, str]:  # fmt: skip
    """(raw, hash) of an EIP-1559 transaction."""
    fields: dict[str, Any] = {
        "type": 2, "chainId": chain_id, "nonce": nonce, "value": value, "data": data, "gas": gas,
        "maxFeePerGas": max_fee, "maxPriorityFeePerGas": tip,
    }  # fmt: skip
    if to is not None:
        fields["to"] = to_checksum_address(to)
    found = Account.sign_transaction(fields, private_key)
    return "0x" + found.raw_transaction.hex().removeprefix("0x"), "0x" + found.hash.hex().removeprefix("0x")
