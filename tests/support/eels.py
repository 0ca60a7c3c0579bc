"""Replays our blocks on Ethereum's executable specification (EELS, package `ethereum-execution`), fork Osaka.

Only rules that a Hansa chain sets itself are left out: header checks of proof of stake (strictly rising time, EIP-1559
base fee where the chain has `zeroBaseFee`). Everything that execution decides is compared.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from ethereum.crypto.hash import Hash32
from ethereum.forks.osaka import vm
from ethereum.forks.osaka.bloom import logs_bloom
from ethereum.forks.osaka.fork import apply_body
from ethereum.forks.osaka.fork_types import Account, Address
from ethereum.forks.osaka.requests import compute_requests_hash
from ethereum.forks.osaka.state import State, set_account, set_storage, state_root
from ethereum.forks.osaka.transactions import LegacyTransaction
from ethereum.forks.osaka.trie import root
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes32
from ethereum_types.numeric import U64, U256, Uint


def _number(text: str | int) -> int:
    return text if isinstance(text, int) else int(text, 0)


@dataclass
class Replayed:
    """What EELS says of a block."""

    state_root: bytes
    receipts_root: bytes
    transactions_root: bytes
    gas_used: int
    logs_bloom: bytes
    requests_hash: bytes


@dataclass
class Replay:
    """A chain on EELS, block by block."""

    chain_id: int
    state: State = field(default_factory=State)
    hashes: list[bytes] = field(default_factory=list)

    @classmethod
    def from_genesis(cls, text: str) -> "Replay":
        """State of a genesis file's `alloc`; add the genesis hash to `hashes`."""
        genesis: dict[str, Any] = json.loads(text)
        replay = cls(int(genesis["config"]["chainId"]))
        for name, entry in genesis["alloc"].items():
            address = Address(bytes.fromhex(name.removeprefix("0x")))
            code = Bytes(bytes.fromhex(entry.get("code", "0x").removeprefix("0x")))
            set_account(
                replay.state,
                address,
                Account(
                    nonce=Uint(_number(entry.get("nonce", 0))),
                    balance=U256(_number(entry.get("balance", 0))),
                    code=code,
                ),
            )
            for slot, value in entry.get("storage", {}).items():
                key = Bytes32(_number(slot).to_bytes(32, "big"))
                set_storage(replay.state, address, key, U256(_number(value)))
        return replay

    def root(self) -> bytes:
        """State root now."""
        return bytes(state_root(self.state))

    def block(self, header: dict[str, Any], raw_transactions: list[bytes]) -> Replayed:
        """Apply a block given its JSON-RPC header fields and raw transactions."""
        environment = vm.BlockEnvironment(
            chain_id=U64(self.chain_id),
            state=self.state,
            block_gas_limit=Uint(_number(header["gasLimit"])),
            block_hashes=[Hash32(known) for known in self.hashes[-256:]],
            coinbase=Address(bytes.fromhex(header["miner"][2:])),
            number=Uint(_number(header["number"])),
            base_fee_per_gas=Uint(_number(header["baseFeePerGas"])),
            time=U256(_number(header["timestamp"])),
            prev_randao=Bytes32(bytes.fromhex(header["mixHash"][2:])),
            excess_blob_gas=U64(_number(header["excessBlobGas"])),
            parent_beacon_block_root=Hash32(bytes.fromhex(header["parentBeaconBlockRoot"][2:])),
        )
        transactions = tuple(
            rlp.decode_to(LegacyTransaction, raw) if raw[0] >= 0xC0 else Bytes(raw) for raw in raw_transactions
        )
        output = apply_body(environment, transactions, ())
        self.hashes.append(bytes.fromhex(header["hash"][2:]))
        return Replayed(
            state_root=bytes(state_root(self.state)),
            receipts_root=bytes(root(output.receipts_trie)),
            transactions_root=bytes(root(output.transactions_trie)),
            gas_used=int(output.block_gas_used),
            logs_bloom=bytes(logs_bloom(output.block_logs)),
            requests_hash=bytes(compute_requests_hash(output.requests)),
        )
