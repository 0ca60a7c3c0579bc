"""The JSON-RPC methods: one file per group, each with its part of the table."""

from hansa_api.limits import Limits
from hansa_api.methods import (
    debug,
    debug_state,
    eth_blocks,
    eth_calls,
    eth_fees,
    eth_filters,
    eth_logs,
    eth_node,
    eth_signing,
    eth_simulate,
    eth_state,
    eth_subscriptions,
    eth_transactions,
    hansa,
    net,
    trace,
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
    eth_simulate,
    eth_state,
    eth_subscriptions,
    eth_transactions,
    hansa,
    net,
    txpool,
)

_TRACES = (debug, debug_state, trace)
"""Whoever may call these makes a member run whole blocks again: not for everybody (spec apis 9)."""


def all_methods(limits: Limits, *, traces: bool = True) -> Registry:
    """The whole table; without `traces`, debug_ and trace_ do not exist."""
    groups = _GROUPS + _TRACES if traces else _GROUPS
    found: list[Method] = [method for group in groups for method in group.methods(limits)]
    return Registry(found)
