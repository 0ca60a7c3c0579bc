"""What `hansa up` does and prints."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hansa.cli import output
from hansa.cli.output import usage
from hansa.consortium import readiness
from hansa.consortium.create import Wishes, create, renew_ports, reshape
from hansa.consortium.errors import ConsortiumError
from hansa.consortium.folder import DEFAULT, ConsortiumFolder, Shape
from hansa.consortium.ports import Replaced
from hansa.consortium.processes import start, stop
from hansa.consortium.status import rpc_url, test_accounts
from hansa.jsonrpc import NodeUnreachable, RpcClient, RpcError
from hansa.supervise.plan import is_supervised

LABEL_WIDTH: Final = 26


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `hansa up`; None where nothing was said."""

    members: int | None = None
    engine: str | None = None
    ports: int | None = None
    block_time: str | None = None
    empty_block_time: str | None = None
    split: bool | None = None
    executors: int | None = None
    chain_id: int | None = None
    fees: bool | None = None


def start_consortium(data: Path, options: Options, deadline: float) -> None:
    """Create or resume, start, wait, send a transaction, print. Raises `ConsortiumError`.

    `deadline`: monotonic seconds.
    """
    if options.engine not in (None, "pbft", "poa"):
        raise usage(f"--engine is pbft or poa, not {options.engine}")
    folder = ConsortiumFolder(data)
    resumed = folder.exists()
    running = is_supervised(folder.run)
    if resumed:
        shape = _as_asked(folder, options, running=running)
        replaced: list[Replaced] = []
        if not running:
            shape, replaced = renew_ports(folder, shape)
    elif running:
        raise ConsortiumError(f"processes run in {folder.root}, but its record is gone", "hansa down --wipe")
    else:
        _refuse_foreign(folder)
        shape, replaced = create(folder, _wishes(options))
    for change in replaced:
        output.plain(f"  port {change.wanted} ({change.member} {change.slot}) is taken: {change.used} is used")
    engine = f"{len(shape.members)} member{'s' * (len(shape.members) != 1)}, chain id {shape.chain_id}, engine {shape.engine}, 1 shard"
    _done("keys and chain spec", engine + (" (resumed)" if resumed else ""))
    if not running:
        start(folder, shape)
    heads: dict[str, int] = {}
    try:
        heads = readiness.wait_for_members(folder, shape, deadline, lambda count: None)
        _done("members running", f"{len(heads)}/{len(shape.members)}")
        first = readiness.first_transaction(folder, shape, deadline)
    except ConsortiumError:
        # Members without a single block are of no use to anybody; those of an older chain are.
        if not resumed and not any(heads.values()):
            stop(folder)
        raise
    word = "next block" if max(heads.values()) else "first block"
    _done(word, f"#{first.first_block_number} in {first.first_block_seconds:.1f} s")
    signed = _signers(shape, first.block_hash)
    short = f"{first.hash[:4]}…{first.hash[-2:]}"
    _done(
        "transaction" if resumed else "first transaction",
        f"{short} committed in block #{first.block_number} after {first.seconds:.2f} s"
        + (f", signed by {signed}" if signed else ""),
    )
    _print_endpoints(shape, data)


def _wishes(options: Options) -> Wishes:
    default = Wishes()
    return Wishes(
        members=options.members or default.members,
        engine=options.engine or default.engine,
        block_time=options.block_time or default.block_time,
        empty_block_time=options.empty_block_time or default.empty_block_time,
        split=bool(options.split),
        executors=options.executors or default.executors,
        ports=options.ports,
        chain_id=options.chain_id or default.chain_id,
        zero_base_fee=not options.fees,
    )


def _as_asked(folder: ConsortiumFolder, options: Options, *, running: bool) -> Shape:
    """The consortium of the folder with other processes or ports if asked; what is in its genesis cannot change."""
    shape = folder.read()
    fixed = {
        "--members": (options.members, len(shape.members)),
        "--engine": (options.engine, shape.engine),
        "--chain-id": (options.chain_id, shape.chain_id),
    }
    for option, (asked, is_so) in fixed.items():
        if asked is not None and asked != is_so:
            raise ConsortiumError(
                f"{folder.root} holds a consortium with {option} {is_so}, not {asked}",
                "another --data for a second one, or hansa down --wipe to start over",
            )
    for option, value in (
        ("--block-time", options.block_time),
        ("--empty-block-time", options.empty_block_time),
        ("--fees", options.fees),
    ):
        if value is not None:
            output.plain(f"  {option} is part of the genesis and stays as it was; hansa down --wipe starts over")
    split = shape.split if options.split is None else options.split
    executors = shape.executors if options.executors is None else options.executors
    ports_asked = options.ports is not None and options.ports != shape.base
    if (split, executors) == (shape.split, shape.executors) and not ports_asked:
        return shape
    if running:
        raise ConsortiumError(
            f"the consortium in {folder.root} runs in another shape", "hansa down, then hansa up again"
        )
    return reshape(folder, shape, split=split, executors=executors, ports=options.ports)


def _refuse_foreign(folder: ConsortiumFolder) -> None:
    """A folder with something else in it is not ours to write into."""
    if not folder.root.exists():
        return
    known = {"chain.json", "logs", "run", "consortium.draft"}
    foreign = [
        path.name for path in folder.root.iterdir() if path.name not in known and not path.name.startswith("member")
    ]
    if foreign:
        raise ConsortiumError(
            f"{folder.root} holds other things ({', '.join(sorted(foreign)[:3])})", "choose another folder with --data"
        )


def _done(label: str, text: str) -> None:
    output.plain(f"✓ {label.ljust(LABEL_WIDTH - 1)} {text}")


def _signers(shape: Shape, block_hash: str) -> str:
    """`3/4`: how many members' signatures the block's certificate holds; empty when no certificate is served."""
    try:
        client = RpcClient(rpc_url(shape, shape.members[0]), 5.0)
        certificate: Any = client.call("hansa_getCertificate", block_hash)
        client.close()
    except (RpcError, NodeUnreachable):
        return ""
    if not isinstance(certificate, dict):
        return ""
    signers = certificate.get("signerNames")
    if not isinstance(signers, list):
        return ""
    return f"{len(signers)}/{len(shape.members)}"


def _print_endpoints(shape: Shape, data: Path) -> None:
    """Addresses; only what has just answered."""
    url = rpc_url(shape, shape.members[0])
    found = [("JSON-RPC", url), ("WebSocket", url.replace("http://", "ws://"))]
    client = RpcClient(url, 5.0)
    for name, path, accept in (("Explorer", "/", "text/html"), ("REST docs", "/api/v1/docs", "text/html")):
        try:
            if client.get(path, accept) == 200:
                found.append((name, url + path))
        except NodeUnreachable:
            continue
    client.close()
    for left in range(0, len(found), 2):
        row = [f"{name.ljust(10)} {address}" for name, address in found[left : left + 2]]
        output.plain(row[0].ljust(40) + row[1] if len(row) == 2 else row[0])
    accounts = test_accounts()
    account, other = accounts[0], accounts[1]
    output.plain(
        f"Account 0  {account['address']}  1000000 HAN  private key {account['private_key']}"
        "   (test keys: never use them for anything real)"
    )
    output.plain(
        f"Try:  cast send --rpc-url {url} --private-key {account['private_key']} {other['address']} --value 1ether"
        f"  |  hansa send --from 0 {other['address']} 1ether --rpc {url}"
    )
    where = "" if data == DEFAULT else f" --data {_shortest(data)}"
    output.plain(f"Stop: hansa down{where}        Start over: hansa down --wipe{where}")


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return min(relative, str(path), key=len)
