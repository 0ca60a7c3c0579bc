"""net, web3 and rpc."""

import platform
import sys
from typing import Any

from hansa import __version__
from hansa_kernel import keccak

from hansa_api.api import Api
from hansa_api.limits import Limits
from hansa_api.openrpc import document
from hansa_api.params import Param, data
from hansa_api.registry import Method

CLIENT_VERSION = (
    f"Hansa/v{__version__}/{sys.platform}-{platform.machine()}/python{sys.version_info.major}.{sys.version_info.minor}"
    f".{sys.version_info.micro}"
)


def version(api: Api) -> str:
    """The chain id, decimal."""
    return str(api.chain.chain_id)


def listening(api: Api) -> bool:
    """True: members connect to each other whenever they can. A node that serves an imported chain has no others."""
    return not api.backend.read_only


async def peer_count(api: Api) -> str:
    """Other members that are heard from."""
    status = await api.backend.status()
    return hex(sum(1 for index, member in enumerate(status.members) if member.up and index != status.self))


def client_version(_api: Api) -> str:
    """Name, version, platform and interpreter."""
    return CLIENT_VERSION


def sha3(_api: Api, value: bytes) -> str:
    """Keccak-256."""
    return "0x" + keccak(value).hex()


def modules(api: Api) -> dict[str, str]:
    """Namespaces that have methods here."""
    return api.registry.modules()


def discover(api: Api) -> dict[str, Any]:
    """The OpenRPC document of the methods that are served here."""
    return document(api.registry)


def methods(_limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method("net_version", version),
        Method("net_listening", listening),
        Method("net_peerCount", peer_count),
        Method("web3_clientVersion", client_version),
        Method("web3_sha3", sha3, (Param("data", data),)),
        Method("rpc_modules", modules),
        Method("rpc_discover", discover, cost=10),
    ]
