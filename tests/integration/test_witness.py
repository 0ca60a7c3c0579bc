"""An auditor checks a block of a real consortium with nothing but the chain spec, a file and a hash."""

import json
from pathlib import Path

from eth_account import Account
from support.consortium import Consortium, wait_for
from support.transactions import signed


def test_an_auditor_checks_a_block_from_its_hash_alone(consortium: Consortium, tmp_path: Path) -> None:
    asked, trusted = consortium.members()[1:3]
    key = consortium.accounts()[2]["private_key"]
    nonce = int(asked.rpc("eth_getTransactionCount", Account.from_key(key).address, "pending"), 16)
    raw, hash_ = signed(key, consortium.status()["chain_id"], nonce, to=Account.create().address, value=7)
    asked.rpc("eth_sendRawTransaction", raw)
    receipt = wait_for("receipt", lambda: asked.rpc("eth_getTransactionReceipt", hash_), 30)
    number = int(receipt["blockNumber"], 16)
    # The hash comes from another member than the witness.
    wait_for("block", lambda: trusted.height() >= number, 30)
    header = trusted.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
    file = tmp_path / "block.witness"
    made = consortium.hansa("proof", "witness", str(number), "-o", str(file), "--rpc", asked.rpc_url, "--json")
    assert json.loads(made.stdout)["block_hash"] == header["hash"]

    spec = consortium.folder / "chain.json"
    check = ("proof", "verify-block", str(file), "--chain-spec", str(spec))
    done = consortium.hansa(*check, "--trusted-header-hash", header["hash"], "--json")
    found = json.loads(done.stdout)
    assert (found["number"], found["block_hash"]) == (number, header["hash"])
    assert found["state_root_after"] == header["stateRoot"]
    assert found["transactions"] == len(header["transactions"])
    readable = consortium.hansa(*check, "--parent", header["parentHash"])
    assert f"block {number} is what its header says" in readable.stdout

    wrong = consortium.hansa(*check, "--trusted-header-hash", header["parentHash"], check=False)
    assert (wrong.returncode, "trusted_header_hash" in wrong.stderr) == (1, True)
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    refused = consortium.hansa(*check, "--trusted-header-hash", header["hash"], check=False)
    assert (refused.returncode, "not proven" in refused.stderr) == (1, True)
