"""What state a consortium is in, as its members answer."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from hansa.consortium.folder import HOST, ConsortiumFolder, Shape
from hansa.jsonrpc import NodeUnreachable, RpcClient, RpcError
from hansa.supervise.plan import State, read_state
from hansa.test_accounts import TEST_KEYS

ANSWER_SECONDS_MAX: Final = 2.0
"""A member that has not answered after this long counts as away."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member as seen from outside."""

    name: str
    up: bool  # its processes run and its JSON-RPC answers
    rpc_url: str
    ws_url: str
    grpc_url: str
    pids: dict[str, int]  # service ("node" when one process runs all) -> process id
    head: int | None
    view: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """All members."""

    chain_id: int
    engine: str
    accounts: list[dict[str, str]]
    members: list[MemberStatus]
    missing: list[str]


def rpc_url(shape: Shape, member: str) -> str:
    """JSON-RPC of a member."""
    return f"http://{HOST}:{shape.ports[member]['http']}"


def read_status(folder: ConsortiumFolder) -> Status:
    """Ask every member. Raises `ConsortiumError` when there is no consortium."""
    shape = folder.read()
    state = read_state(folder.run)
    with ThreadPoolExecutor(len(shape.members)) as threads:
        members = list(threads.map(lambda name: _member_status(shape, state, name), shape.members))
    addresses = test_accounts()
    return Status(
        shape.chain_id, shape.engine, addresses, members, [member.name for member in members if not member.up]
    )


def test_accounts() -> list[dict[str, str]]:
    """The funded accounts of every local consortium."""
    import hansa_kernel

    packed = hansa_kernel.address_of_secret_keys(b"".join(TEST_KEYS))
    return [
        {"address": "0x" + packed[20 * i : 20 * i + 20].hex(), "private_key": "0x" + key.hex()}
        for i, key in enumerate(TEST_KEYS)
    ]


def _member_status(shape: Shape, state: State | None, name: str) -> MemberStatus:
    ports = shape.ports[name]
    pids: dict[str, int] = {}
    complete = state is not None
    for process, entry in (state.processes if state else {}).items():
        if process != name and not process.startswith(f"{name}-"):
            continue
        service = process.removeprefix(name).removeprefix("-") or "node"
        if entry.pid is not None:
            pids[service] = entry.pid
        elif not service.removeprefix("executor").isdigit():  # further executors may be away
            complete = False
    url = rpc_url(shape, name)
    head: int | None = None
    view: int | None = None
    if pids:
        try:
            client = RpcClient(url, ANSWER_SECONDS_MAX)
            found, node = client.batch([("eth_blockNumber", []), ("hansa_getNodeStatus", [])])
            client.close()
            head = int(found, 16) if isinstance(found, str) else None
            view = _view(node)
        except (NodeUnreachable, ValueError):
            pass
    return MemberStatus(
        name=name,
        up=complete and head is not None,
        rpc_url=url,
        ws_url=f"ws://{HOST}:{ports['http']}",
        grpc_url=f"{HOST}:{ports['grpc']}",
        pids=pids,
        head=head,
        view=view,
    )


def _view(node: Any) -> int | None:
    if isinstance(node, RpcError) or not isinstance(node, dict):
        return None
    view = node.get("view")
    if isinstance(view, str):
        return int(view, 16)
    return view if isinstance(view, int) else None
