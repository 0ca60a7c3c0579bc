"""Replays cases of Ethereum's `blockchain_test` format on its executable specification (EELS), any fork.

Every rule of a block is checked but the seal of proof of work: header after its parent, state, transactions and receipts
roots, gas, bloom, withdrawals and requests. EELS is an implementation that shares no code with ours.
"""

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

# Networks of the tests and the package of their rules. Constantinople's package holds what was in force: Petersburg.
PACKAGES = {
    "Frontier": "frontier",
    "Homestead": "homestead",
    "EIP150": "tangerine_whistle",
    "EIP158": "spurious_dragon",
    "Byzantium": "byzantium",
    "ConstantinopleFix": "constantinople",
    "Istanbul": "istanbul",
    "Berlin": "berlin",
    "London": "london",
    "Paris": "paris",
    "Shanghai": "shanghai",
    "Cancun": "cancun",
    "Prague": "prague",
    "Osaka": "osaka",
}


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@contextlib.contextmanager
def _unsealed(fork: ModuleType) -> Iterator[None]:
    """Take any seal: random blocks have not been mined."""
    name = "validate_proof_of_work"
    with mock.patch.object(fork, name, return_value=None) if hasattr(fork, name) else contextlib.nullcontext():
        yield


class Rules:
    """The modules of one fork."""

    def __init__(self, network: str) -> None:
        package = f"ethereum.forks.{PACKAGES[network]}"
        self.fork = importlib.import_module(f"{package}.fork")
        self.blocks = importlib.import_module(f"{package}.blocks")
        self.state = importlib.import_module(f"{package}.state")
        self.types = importlib.import_module(f"{package}.fork_types")

    def state_of(self, accounts: dict[str, Any]) -> Any:
        """A state of {address: {nonce, balance, code, storage}}."""
        state = self.state.State()
        for name, entry in accounts.items():
            address = Bytes20(_bytes(name))
            account = self.types.Account(
                nonce=Uint(int(entry["nonce"], 16)),
                balance=U256(int(entry["balance"], 16)),
                code=Bytes(_bytes(entry["code"])),
            )
            self.state.set_account(state, address, account)
            for slot, value in entry["storage"].items():
                key = Bytes32(int(slot, 16).to_bytes(32, "big"))
                self.state.set_storage(state, address, key, U256(int(value, 16)))
        return state


def replay(case: dict[str, Any]) -> int:
    """Run every block of a valid case; the number of transactions.

    Raises `InvalidBlock` of EELS for a block that it refuses, AssertionError where another state or block comes out.
    """
    rules = Rules(case["network"])
    state = rules.state_of(case["pre"])
    genesis = rlp.decode_to(rules.blocks.Block, Bytes(_bytes(case["genesisRLP"])))
    if bytes(rules.state.state_root(state)) != bytes(genesis.header.state_root):
        raise AssertionError("another state root before the first block")
    chain_id = U64(int(case["config"]["chainid"], 16))
    chain = rules.fork.BlockChain(blocks=[genesis], state=state, chain_id=chain_id)
    transactions = 0
    with _unsealed(rules.fork):
        for entry in case["blocks"]:
            block = rlp.decode_to(rules.blocks.Block, Bytes(_bytes(entry["rlp"])))
            rules.fork.state_transition(chain, block)
            transactions += len(block.transactions)
    head = keccak256(rlp.encode(chain.blocks[-1].header))
    if bytes(head) != _bytes(case["lastblockhash"]):
        raise AssertionError(f"the last block is {head.hex()}")
    after = rules.state.state_root(rules.state_of(case["postState"]))
    if after != rules.state.state_root(chain.state):
        raise AssertionError("another state after the last block")
    return transactions
