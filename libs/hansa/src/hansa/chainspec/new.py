"""Makes the chain spec of a new consortium."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hansa.chainspec.commitment import commitment
from hansa.chainspec.load import ChainSpec, Validator, parse_chain_spec
from hansa.chainspec.system_contracts import system_contracts
from hansa.test_accounts import TEST_ADDRESSES, TEST_BALANCE_WEI

INITIAL_BASE_FEE_WEI: Final = 1_000_000_000
"""Base fee of block 0 on a chain with EIP-1559 fees."""

FORKS_AT_GENESIS: Final[dict[str, Any]] = {
    "homesteadBlock": 0,
    "eip150Block": 0,
    "eip155Block": 0,
    "eip158Block": 0,
    "byzantiumBlock": 0,
    "constantinopleBlock": 0,
    "petersburgBlock": 0,
    "istanbulBlock": 0,
    "berlinBlock": 0,
    "londonBlock": 0,
    "mergeNetsplitBlock": 0,
    "terminalTotalDifficulty": 0,
    "shanghaiTime": 0,
    "cancunTime": 0,
    "pragueTime": 0,
    "osakaTime": 0,
    "blobSchedule": {name: {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716} for name in ("prague", "osaka")}
    | {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477}},
}


@dataclass(frozen=True, slots=True)
class GenesisChoices:
    """What the founders of a consortium decide."""

    validators: Sequence[Validator]
    chain_id: int = 1337
    engine: str = "pbft"
    block_time: str | int = "200ms"
    empty_block_time: str | int = "5s"
    request_timeout: str | int = "2s"
    leader_term: int = 64
    gas_limit: int = 60_000_000
    zero_base_fee: bool = True
    proof_window: int | str = 1_024
    beneficiary: bytes | None = None
    test_accounts: bool = False
    timestamp: int = 0  # Unix seconds


def new_chain_spec(choices: GenesisChoices) -> tuple[bytes, ChainSpec]:
    """(file, chain). Raises `ChainSpecInvalid` when the choices contradict each other."""
    hansa: dict[str, Any] = {
        "consensus": {
            "engine": choices.engine,
            "blockTime": choices.block_time,
            "emptyBlockTime": choices.empty_block_time,
            "requestTimeout": choices.request_timeout,
            "leaderTerm": choices.leader_term,
        },
        "fees": {"zeroBaseFee": choices.zero_base_fee},
        "state": {"proofWindow": choices.proof_window},
        "validators": [validator_entry(validator) for validator in choices.validators],
    }
    if choices.beneficiary is not None:
        hansa["beneficiary"] = "0x" + choices.beneficiary.hex()
    config = {"chainId": choices.chain_id, **FORKS_AT_GENESIS, "hansa": hansa}
    alloc: dict[str, Any] = {
        "0x" + contract.address.hex(): {"nonce": "0x1", "balance": "0x0", "code": "0x" + contract.code.hex()}
        for contract in system_contracts()
    }
    if choices.test_accounts:
        alloc |= {"0x" + address.hex(): {"balance": hex(TEST_BALANCE_WEI)} for address in TEST_ADDRESSES}
    document = {
        "config": config,
        "nonce": "0x0",
        "timestamp": hex(choices.timestamp),
        "extraData": "0x" + commitment(config, choices.timestamp).hex(),
        "gasLimit": hex(choices.gas_limit),
        "difficulty": "0x0",
        "mixHash": "0x" + "00" * 32,
        "coinbase": "0x" + "00" * 20,
        "baseFeePerGas": "0x0" if choices.zero_base_fee else hex(INITIAL_BASE_FEE_WEI),
        "alloc": alloc,
    }
    raw = (json.dumps(document, indent=2) + "\n").encode()
    return raw, parse_chain_spec(raw)


def validator_entry(validator: Validator) -> dict[str, str]:
    """A member as it stands in the file."""
    return {
        "name": validator.name,
        "account": "0x" + validator.account.hex(),
        "voteKey": "0x" + validator.vote_key.hex(),
        "proofOfPossession": "0x" + validator.proof_of_possession.hex(),
        "nodeKey": "0x" + validator.node_key.hex(),
        "endpoint": validator.endpoint,
        "certificate": validator.certificate,
    }
