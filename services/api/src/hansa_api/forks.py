"""The fork schedule as `eth_config` tells it (EIP-7910)."""

import zlib
from typing import Any

import orjson
from hansa.chainspec import ChainSpec
from hansa_kernel import Header

# From EIP-7910's table of names; each fork has those of the ones before it.
_PRECOMPILES: dict[str, dict[str, int]] = {
    "shanghai": {
        "ECREC": 1, "SHA256": 2, "RIPEMD160": 3, "ID": 4, "MODEXP": 5, "BN254_ADD": 6, "BN254_MUL": 7,
        "BN254_PAIRING": 8, "BLAKE2F": 9,
    },
    "cancun": {"KZG_POINT_EVALUATION": 10},
    "prague": {
        "BLS12_G1ADD": 11, "BLS12_G1MSM": 12, "BLS12_G2ADD": 13, "BLS12_G2MSM": 14, "BLS12_PAIRING_CHECK": 15,
        "BLS12_MAP_FP_TO_G1": 16, "BLS12_MAP_FP2_TO_G2": 17,
    },
    "osaka": {"P256VERIFY": 0x100},
}  # fmt: skip
_SYSTEM_CONTRACTS: dict[str, dict[str, str]] = {
    "cancun": {"BEACON_ROOTS_ADDRESS": "0x000f3df6d732807ef1319fb7b8bb8522d0beac02"},
    "prague": {
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS": "0x0000bbddc7ce488642fb579f8b00f3a590007251",
        "HISTORY_STORAGE_ADDRESS": "0x0000f90827f1c53a10cb7a02335b175320002935",
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS": "0x00000961ef480eb55e80d19ad83579a64c007002",
    },
}
_FORKS = ("shanghai", "cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
"""Forks by time; those of EIP-7892 change only blobs."""


def chain_config(chain: ChainSpec, timestamp: int) -> dict[str, Any]:
    """`eth_config` at a time (Unix seconds): the present, the next and the last configuration."""
    schedule = _schedule(chain)
    present = [item for item in schedule if item[1] <= timestamp]
    future = [item for item in schedule if item[1] > timestamp]
    return {
        "current": _configuration(chain, *present[-1]) if present else None,
        "next": _configuration(chain, *future[0]) if future else None,
        "last": _configuration(chain, *future[-1]) if future else None,
    }


def _schedule(chain: ChainSpec) -> list[tuple[str, int]]:
    """(fork, activation time), those that take effect at one time only by their last."""
    config = orjson.loads(chain.raw)["config"]
    genesis_time = Header.decode(chain.genesis_header).timestamp
    by_time: dict[int, str] = {}
    for fork in _FORKS:
        time = config.get(f"{fork}Time")
        if time is not None:
            by_time[0 if int(time) <= genesis_time else int(time)] = fork
    return [(fork, time) for time, fork in sorted(by_time.items())]


def _configuration(chain: ChainSpec, fork: str, activation: int) -> dict[str, Any]:
    config = orjson.loads(chain.raw)["config"]
    upto = _FORKS[: _FORKS.index(fork) + 1]
    blobs = chain.kernel.blob_rules(activation or Header.decode(chain.genesis_header).timestamp)
    precompiles = {name: number for item in upto for name, number in _PRECOMPILES.get(item, {}).items()}
    contracts = {name: address for item in upto for name, address in _SYSTEM_CONTRACTS.get(item, {}).items()}
    if "prague" in upto and "depositContractAddress" in config:
        contracts["DEPOSIT_CONTRACT_ADDRESS"] = config["depositContractAddress"].lower()
    return {
        "activationTime": activation,
        "blobSchedule": None
        if blobs is None
        else {"baseFeeUpdateFraction": blobs[2], "max": blobs[1], "target": blobs[0]},
        "chainId": hex(chain.chain_id),
        "forkId": "0x" + fork_hash(chain, config, activation).hex(),
        "precompiles": {name: f"0x{number:040x}" for name, number in sorted(precompiles.items())},
        "systemContracts": dict(sorted(contracts.items())),
    }


def fork_hash(chain: ChainSpec, config: dict[str, Any], upto: int) -> bytes:
    """FORK_HASH of EIP-2124 and EIP-6122: CRC-32 of the genesis hash and the forks passed, heights before times."""
    genesis_time = Header.decode(chain.genesis_header).timestamp
    heights = sorted({int(v) for k, v in config.items() if k.endswith("Block") and isinstance(v, int) and v > 0})
    times = sorted(
        {int(v) for k, v in config.items() if k.endswith("Time") and isinstance(v, int) and genesis_time < v <= upto}
    )
    value = zlib.crc32(chain.genesis_hash)
    for passed in (*heights, *times):
        value = zlib.crc32(passed.to_bytes(8, "big"), value)
    return value.to_bytes(4, "big")
