"""Contracts that a new genesis allocates, with the runtime code that their EIPs give.

The code stands in `system_contracts.json`; its Keccak hashes stand here as well, so that a damaged file is noticed.
"""

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import hansa_kernel

CODE_HASHES: Final = {
    "EIP-4788": "f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c",
    "EIP-2935": "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d",
    "EIP-7002": "0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50",
    "EIP-7251": "78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60",
    # The proxy at one address on every chain that create2 tools expect.
    "Arachnid deterministic deployment proxy": "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
}

REQUIRED: Final = ("EIP-4788", "EIP-2935", "EIP-7002", "EIP-7251")
"""Without these a block of Prague or later cannot be executed by the rules (their calls would fail or do nothing)."""


@dataclass(frozen=True, slots=True)
class SystemContract:
    """One allocated contract."""

    source: str
    what: str
    address: bytes  # 20
    code: bytes
    code_hash: bytes  # 32


@functools.cache
def system_contracts() -> tuple[SystemContract, ...]:
    """All of them, in the order of the file."""
    entries = json.loads(files("hansa.chainspec").joinpath("system_contracts.json").read_bytes())
    found = []
    for entry in entries:
        code = bytes.fromhex(entry["code"][2:])
        code_hash = hansa_kernel.keccak(code)
        assert code_hash.hex() == CODE_HASHES[entry["source"]], f"damaged code of {entry['source']}"
        address = bytes.fromhex(entry["address"][2:])
        found.append(SystemContract(entry["source"], entry["what"], address, code, code_hash))
    return tuple(found)
