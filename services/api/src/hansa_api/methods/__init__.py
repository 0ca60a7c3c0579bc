"""The JSON-RPC methods: one file per group, each with its part of the table."""

from hansa_api.limits import Limits
from hansa_api.methods import (
    eth_blocks,
    eth_calls,
    eth_fees,
    eth_filters,
    eth_logs,
    eth_node,
    eth_signing,
    eth_state,
    eth_subscriptions,
    eth_transactions,
    hansa,
    net,
    txpool,
)
from hansa_api.registry import Method, Registry

_GROUPS = (
    eth_blocks,
    eth_calls,
    eth_fees,
    eth_filters,
    eth_logs,
    eth_node,
    eth_signing,
    eth_state,
    eth_subscriptions,
    eth_transactions,
    hansa,
    net,
    txpool,
)


def all_methods(limits: Limits) -> Registry:
    """The whole table."""
    found: list[Method] = [method for group in _GROUPS for method in group.methods(limits)]
    return Registry(found)
