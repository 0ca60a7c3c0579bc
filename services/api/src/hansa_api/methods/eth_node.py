"""What the node is and where it stands."""

from typing import Any

from hansa_api.api import Api
from hansa_api.forks import chain_config
from hansa_api.limits import Limits
from hansa_api.registry import Method

PROTOCOL_VERSION = "0x44"  # eth/68, whose objects these are; members speak their own protocol to each other


def chain_id(api: Api) -> str:
    """Chain id of EIP-155."""
    return hex(api.chain.chain_id)


async def block_number(api: Api) -> str:
    """Height of the newest committed block."""
    return hex((await api.heads.latest()).number)


async def syncing(api: Api) -> Any:
    """False, or where a member that catches up stands."""
    status = await api.backend.status()
    if not status.syncing:
        return False
    head = api.heads.head.number
    return {
        "startingBlock": hex(api.heads.earliest),
        "currentBlock": hex(head),
        "highestBlock": hex(max(status.highest_known, head)),
    }


def accounts(_api: Api) -> list[str]:
    """Always empty: keys never live in a node."""
    return []


def coinbase(api: Api) -> str:
    """Account that gets the fees of this member's blocks."""
    found = api.chain.beneficiary
    if found is None and api.chain.validators:
        found = api.chain.validators[api.chain.index_of(api.settings.member)].account
    return "0x" + (found or bytes(20)).hex()


def protocol_version(_api: Api) -> str:
    """The Ethereum protocol whose objects these are."""
    return PROTOCOL_VERSION


def mining(_api: Api) -> bool:
    """False: there is no proof of work."""
    return False


async def config(api: Api) -> dict[str, Any]:
    """Fork configuration now, next and last (EIP-7910)."""
    return chain_config(api.chain, (await api.heads.latest()).header.timestamp)


async def capabilities(api: Api) -> dict[str, Any]:
    """What history this node serves, for routers."""
    head = await api.heads.latest()
    held = {"disabled": False, "oldestBlock": hex(api.heads.earliest)}
    window = api.chain.proof_window
    state = dict(held)
    proofs: dict[str, Any] = {
        "disabled": False,
        "oldestBlock": hex(max(api.heads.earliest_proof, 0 if window is None else head.number - window)),
    }
    if window is not None:
        proofs["deleteStrategy"] = {"type": "window", "retentionBlocks": hex(window)}
    return {
        "head": {"number": hex(head.number), "hash": "0x" + head.hash.hex()},
        "state": state,
        "tx": held,
        "logs": held,
        "receipts": held,
        "blocks": held,
        "stateproofs": proofs,
    }


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method("eth_chainId", chain_id),
        Method("eth_blockNumber", block_number),
        Method("eth_syncing", syncing),
        Method("eth_accounts", accounts),
        Method("eth_coinbase", coinbase),
        Method("eth_protocolVersion", protocol_version),
        Method("eth_mining", mining),
        Method("eth_config", config),
        Method("eth_capabilities", capabilities),
    ]
