"""Fixtures: one real chain for all tests that do not change its services, and small clients."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from api_node import Node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A one-member poa chain without fees."""
    found = Node(tmp_path_factory.mktemp("node"))
    found.start()
    yield found
    found.close()
    assert not found.failures


@pytest.fixture(scope="session")
def http(node: Node) -> Iterator[httpx.Client]:
    """A client of the node's port."""
    with httpx.Client(base_url=node.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def rpc(http: httpx.Client) -> Callable[..., Any]:
    """`rpc(method, *params)`: the whole answer."""

    def call(method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return http.post("/", json=body).json()

    return call
