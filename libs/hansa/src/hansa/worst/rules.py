"""Chain specs for cases: Ethereum's forks, and a chain's own prices on top of the newest."""

import json
from typing import Any

import hansa_kernel

from hansa.worst.precompiles import declared

_BY_NUMBER = (
    ("frontier", ()),
    ("homestead", ("homestead",)),
    ("eip150", ("eip150",)),
    ("eip158", ("eip155", "eip158")),
    ("byzantium", ("byzantium",)),
    ("istanbul", ("constantinople", "petersburg", "istanbul")),
    ("berlin", ("berlin",)),
    ("london", ("london",)),
)
_BY_TIME = ("shanghai", "cancun", "prague", "osaka")

RULES = (*(name for name, _ in _BY_NUMBER), *_BY_TIME)
"""Names of rules, oldest first."""

GAS_LIMIT = 1 << 40
"""Of a transaction, in place of EIP-7825's: a case is one transaction of any size."""


def chain(rules: str, vm: dict[str, Any] | None = None) -> hansa_kernel.Spec:
    """A chain under those rules from block 0 on, with a chain's own rules of execution (`config.hansa.vm`)."""
    config: dict[str, Any] = {"chainId": 4242}
    for name, forks in _BY_NUMBER:
        config |= {f"{fork}Block": 0 for fork in forks}
        if name == rules:
            break
    else:
        config["terminalTotalDifficulty"] = 0
        for name in _BY_TIME[: _BY_TIME.index(rules) + 1]:
            config[f"{name}Time"] = 0
    config["hansa"] = {
        "fees": {"zeroBaseFee": True},
        "vm": {"txGasLimit": GAS_LIMIT, "precompiles": declared(), **(vm or {})},
    }
    return hansa_kernel.Spec(json.dumps({"config": config, "gasLimit": hex(GAS_LIMIT)}).encode())
