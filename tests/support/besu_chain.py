"""Besu's chain for `trace_` methods, which the test data has as transactions with keys: made into a file of blocks."""

import json
from pathlib import Path
from typing import Any

import hansa_kernel
import rlp
from hansa.chainspec import load_chain_spec

CHAIN_ID = 1982
DIFFICULTY = 15  # fixed by the genesis file
REWARD = 2 * 10**18
EMPTY_OMMERS = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def short(number: int) -> bytes:
    """As RLP has it."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def write_chain(folder: Path, out: Path) -> tuple[Path, Path]:
    """(genesis file, file of blocks) from `genesis.json` and `blocks.json` of `folder`."""
    genesis = json.loads((folder / "genesis.json").read_bytes())  # has keys twice: comments
    cleaned = out / "genesis.json"
    cleaned.write_text(json.dumps(genesis))
    chain = load_chain_spec(cleaned)
    parent, alloc = chain.genesis_header, genesis["alloc"]
    gas_limit = int(genesis["gasLimit"], 16)
    nonces: dict[str, int] = {}
    blocks, hashes = [], {0: chain.genesis_hash}
    for block in json.loads((folder / "blocks.json").read_bytes())["blocks"]:
        number = len(hashes)
        txs = [_transaction(tx, nonces) for tx in block["transactions"]]
        env = {
            "currentCoinbase": "0x" + "00" * 20,
            "currentDifficulty": hex(DIFFICULTY),
            "currentGasLimit": hex(gas_limit),
            "currentNumber": hex(number),
            "currentTimestamp": hex(number),
            "blockHashes": {str(at): "0x" + found.hex() for at, found in hashes.items()},
        }
        done = json.loads(
            hansa_kernel.state_transition(
                json.dumps(alloc).encode(),
                json.dumps(env).encode(),
                json.dumps(txs).encode(),
                "Istanbul",
                CHAIN_ID,
                REWARD,
            )
        )
        alloc, result = done["alloc"], done["result"]
        assert not result.get("rejected"), result["rejected"]
        header = rlp.encode(
            [
                hansa_kernel.keccak(parent), EMPTY_OMMERS, bytes(20), raw(result["stateRoot"]), raw(result["txRoot"]),
                raw(result["receiptsRoot"]), raw(result["logsBloom"]), short(DIFFICULTY), short(number), short(gas_limit),
                short(int(result["gasUsed"], 16)), short(number), b"", bytes(32), bytes(8),
            ]
        )  # fmt: skip
        blocks.append(rlp.encode([rlp.decode(header), rlp.decode(raw(done["body"])), []]))
        parent = header
        hashes[number] = hansa_kernel.keccak(header)
    file = out / "blocks.rlp"
    file.write_bytes(b"".join(blocks))
    return cleaned, file


def _transaction(tx: dict[str, Any], nonces: dict[str, int]) -> dict[str, Any]:
    """As the state transition tool signs it."""
    key = tx["secretKey"]
    nonce = nonces.get(key, 0)
    nonces[key] = nonce + 1
    return {
        "nonce": hex(nonce),
        "gas": tx["gasLimit"],
        "gasPrice": tx["gasPrice"],
        "to": tx.get("to"),
        "value": tx.get("value", "0x0"),
        "input": _data(tx.get("data", "0x")),
        "v": "0x0",
        "r": "0x0",
        "s": "0x0",
        "secretKey": key,
        "protected": False,
    }


def _data(text: str) -> str:
    return text if text.startswith("0x") else "0x" + text
