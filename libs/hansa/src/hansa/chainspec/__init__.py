"""The chain spec: one JSON file that all members of a chain agree on, a superset of geth's `genesis.json`.

Owns the model of `config.hansa`, what the genesis hash commits to, and making and checking such files. Ethereum's own
keys are read by the kernel.
"""

from hansa.chainspec.errors import ChainSpecInvalid
from hansa.chainspec.load import (
    ChainSpec,
    ConsensusRules,
    Validator,
    check_profile,
    load_chain_spec,
    parse_chain_spec,
)
from hansa.chainspec.model import chain_spec_schema
from hansa.chainspec.new import GenesisChoices, new_chain_spec
from hansa.test_accounts import TEST_ADDRESSES, TEST_BALANCE_WEI, TEST_KEYS

__all__ = [
    "TEST_ADDRESSES",
    "TEST_BALANCE_WEI",
    "TEST_KEYS",
    "ChainSpec",
    "ChainSpecInvalid",
    "ConsensusRules",
    "GenesisChoices",
    "Validator",
    "chain_spec_schema",
    "check_profile",
    "load_chain_spec",
    "new_chain_spec",
    "parse_chain_spec",
]
