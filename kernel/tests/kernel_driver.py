"""A state in a dictionary that answers jobs, for the tests of the border."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import hansa_kernel as k

BEACON_ROOTS = (
    "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c57"
    "5f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
)
HISTORY = (
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff"
    "9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
# A queue that is always empty: the request contracts' real code is long and is tested with the public vectors.
EMPTY_QUEUE = "00"


def packed(items: list[bytes]) -> bytes:
    """Items as a packed list."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def unpacked(data: bytes) -> list[bytes]:
    """Items of a packed list."""
    items = []
    while data:
        length = int.from_bytes(data[:4], "big")
        items.append(data[4 : 4 + length])
        data = data[4 + length :]
    return items


def genesis(alloc: dict[str, dict[str, object]], *, zero_base_fee: bool = True) -> bytes:
    """A Hansa chain spec with every fork up to Osaka from block 0 and the system contracts."""
    forks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
    ]
    config: dict[str, object] = {f"{name}Block": 0 for name in [*forks, "london"]}
    config |= {f"{name}Time": 0 for name in ["shanghai", "cancun", "prague", "osaka"]}
    config |= {"chainId": 4242, "terminalTotalDifficulty": 0, "hansa": {"fees": {"zeroBaseFee": zero_base_fee}}}
    system = {
        "000f3df6d732807ef1319fb7b8bb8522d0beac02": BEACON_ROOTS,
        "0000f90827f1c53a10cb7a02335b175320002935": HISTORY,
        "00000961ef480eb55e80d19ad83579a64c007002": EMPTY_QUEUE,
        "0000bbddc7ce488642fb579f8b00f3a590007251": EMPTY_QUEUE,
    }
    accounts = {address: {"nonce": "0x1", "balance": "0x0", "code": "0x" + code} for address, code in system.items()}
    document = {"config": config, "gasLimit": "0x3938700", "difficulty": "0x0", "alloc": accounts | alloc}
    return json.dumps(document).encode()


@dataclass
class State:
    """Accounts, slots and codes; applies write sets and answers needs."""

    accounts: dict[bytes, bytes] = field(default_factory=dict)
    slots: dict[bytes, bytes] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    def apply(self, write_set: bytes) -> None:
        """Fold in a write set (layout in `_kernel.pyi`)."""
        at = 4
        for _ in range(int.from_bytes(write_set[:4], "big")):
            address, flags = write_set[at : at + 20], write_set[at + 20]
            fields = write_set[at + 21 : at + 61]
            code_hash = write_set[at + 61 : at + 93]
            at += 93
            if flags & 4:
                length = int.from_bytes(write_set[at : at + 4], "big")
                self.codes[code_hash] = write_set[at + 4 : at + 4 + length]
                at += 4 + length
            if flags & 2:
                self.slots = {key: value for key, value in self.slots.items() if key[:20] != address}
            for _ in range(int.from_bytes(write_set[at : at + 4], "big")):
                slot, value = write_set[at + 4 : at + 36], write_set[at + 36 : at + 68]
                at += 64
                if any(value):
                    self.slots[address + slot] = value
                else:
                    self.slots.pop(address + slot, None)
            at += 4
            if flags & 1:
                self.accounts.pop(address, None)
            else:
                root = bytes(32) if any(key[:20] == address for key in self.slots) else k.EMPTY_ROOT
                self.accounts[address] = b"\x01" + fields + root + code_hash

    def answer(self, need: k.Need, *, advice: bool = True) -> k.Values:
        """Everything asked for, and with `advice` the code of the accounts."""
        addresses = [need.accounts[i : i + 20] for i in range(0, len(need.accounts), 20)]
        slots = [need.slots[i : i + 52] for i in range(0, len(need.slots), 52)]
        codes = [need.codes[i : i + 32] for i in range(0, len(need.codes), 32)]
        blocks = [need.blocks[i : i + 8] for i in range(0, len(need.blocks), 8)]
        for kind, keys in (("account", addresses), ("slot", slots), ("code", codes), ("block", blocks)):
            self.asked += [(kind, key) for key in keys]
        records = [self.accounts.get(address, bytes(105)) for address in addresses]
        code = [self.codes[record[73:]] for record in records if record[73:] in self.codes] if advice else []
        return k.Values(
            accounts=b"".join(records),
            slots=b"".join(self.slots.get(slot, bytes(32)) for slot in slots),
            codes=packed([self.codes.get(code, b"") for code in codes]),
            blocks=b"".join(k.keccak(block) for block in blocks),
            account_codes=packed(code),
        )

    def run(self, job: k.BlockJob | k.CallJob, *, advice: bool = True) -> k.BlockResult | k.CallResult:
        """Step a job to its end."""
        out = job.step()
        while isinstance(out, k.Need | k.Progress):
            out = job.step(self.answer(out, advice=advice) if isinstance(out, k.Need) else None)
        return out


def env(parent_hash: bytes = bytes(32), number: int = 1, **changes: object) -> k.BlockEnv:
    """A block environment with zero base fee."""
    values: dict[str, object] = {
        "parent_hash": parent_hash,
        "number": number,
        "timestamp": number,
        "gas_limit": 60_000_000,
        "base_fee_per_gas": 0,
        "beneficiary": b"\xbb" * 20,
        "prev_randao": bytes(32),
    }
    return k.BlockEnv(**(values | changes))  # type: ignore[arg-type]
