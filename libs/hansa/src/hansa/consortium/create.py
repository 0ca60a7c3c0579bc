"""Makes a consortium's folder: keys, chain spec, settings."""

import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from hansa.chainspec import GenesisChoices, new_chain_spec
from hansa.consortium.errors import ConsortiumError
from hansa.consortium.folder import HOST, ConsortiumFolder, Shape
from hansa.consortium.ports import EXECUTORS_MAX, Replaced, free_ports, wanted_ports
from hansa.keys import new_member_keys, validator_of

MEMBERS_MAX: Final = 64
"""Members of one host: each is at least one process of over 100 MB."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `hansa up` was asked for."""

    members: int = 4
    engine: str = "pbft"
    block_time: str = "200ms"
    empty_block_time: str = "5s"
    split: bool = False
    executors: int = 1
    ports: int | None = None
    chain_id: int = 1337
    zero_base_fee: bool = True
    gas_limit: int = 60_000_000


def create(folder: ConsortiumFolder, wishes: Wishes) -> tuple[Shape, list[Replaced]]:
    """Make a new consortium. Raises `ConsortiumError`, `ChainSpecInvalid`."""
    if not 1 <= wishes.members <= MEMBERS_MAX:
        raise ConsortiumError(f"{wishes.members} members", f"--members takes 1 to {MEMBERS_MAX}")
    if not 1 <= wishes.executors <= EXECUTORS_MAX:
        raise ConsortiumError(f"{wishes.executors} executors", f"--executors takes 1 to {EXECUTORS_MAX}")
    names = tuple(f"member{number + 1}" for number in range(wishes.members))
    # What an interrupted start has left is of no use: no block was ever made with it, since the record is written last.
    for name in names:
        shutil.rmtree(folder.member(name), ignore_errors=True)
    folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports, replaced = free_ports(
        {
            name: wanted_ports(number, wishes.ports, wishes.executors if number == 0 else 1, split=wishes.split)
            for number, name in enumerate(names)
        }
    )
    validators = []
    for name in names:
        keys = new_member_keys(folder.member(name) / "keys", name, light=True)
        validators.append(validator_of(keys, name, f"{HOST}:{ports[name]['p2p']}"))
    raw, chain = new_chain_spec(
        GenesisChoices(
            validators=validators,
            chain_id=wishes.chain_id,
            engine=wishes.engine,
            block_time=wishes.block_time,
            empty_block_time=wishes.empty_block_time,
            zero_base_fee=wishes.zero_base_fee,
            gas_limit=wishes.gas_limit,
            test_accounts=True,
            timestamp=int(time.time()),
        )
    )
    folder.chain_spec.write_bytes(raw)
    shape = Shape(names, wishes.engine, wishes.split, wishes.executors, ports, chain.chain_id, wishes.ports)
    write_settings(folder, shape)
    folder.write(shape)
    return shape, replaced


def renew_ports(folder: ConsortiumFolder, shape: Shape) -> tuple[Shape, list[Replaced]]:
    """Replace ports that have been taken since, in the record and in all settings."""
    ports, replaced = free_ports(shape.ports)
    renewed = replace(shape, ports=ports)
    write_settings(folder, renewed)
    folder.write(renewed)
    return renewed, replaced


def reshape(folder: ConsortiumFolder, shape: Shape, *, split: bool, executors: int, ports: int | None) -> Shape:
    """The same chain and members with other processes or ports; written by `renew_ports`."""
    base = shape.base if ports is None else ports
    wanted = {
        name: wanted_ports(number, base, executors if number == 0 else 1, split=split)
        for number, name in enumerate(shape.members)
    }
    return replace(shape, split=split, executors=executors, ports=wanted, base=base)


def write_settings(folder: ConsortiumFolder, shape: Shape) -> None:
    """Write `config.toml` of every member."""
    endpoints = {name: f"{HOST}:{shape.ports[name]['p2p']}" for name in shape.members}
    threads = max(1, (os.cpu_count() or 1) // len(shape.members))
    for number, name in enumerate(shape.members):
        ports = shape.ports[name]
        executors = [f"{HOST}:{ports['executor']}"]
        if number == 0:
            executors += [f"{HOST}:{ports[f'executor{extra}']}" for extra in range(2, shape.executors + 1)]
        member = folder.member(name)
        document: dict[str, Any] = {
            "profile": "local",
            "member": name,
            "chain_spec": str(folder.chain_spec),
            "data_dir": str(member / "data"),
            "keys_dir": str(member / "keys"),
            "kernel_threads": threads,
            "statedb": {"host": HOST, "port": ports["statedb"]},
            "executor": {"host": HOST, "port": ports["executor"]},
            "consensus": {"host": HOST, "port": ports["consensus"]},
            "p2p": {
                "host": HOST,
                "port": ports["p2p"],
                "internal_host": HOST,
                "internal_port": ports["p2p_internal"],
                "endpoints": {other: endpoint for other, endpoint in endpoints.items() if other != name},
            },
            "api": {
                "host": HOST,
                "port": ports["http"],
                "ws_port": ports["ws"],
                "grpc_host": HOST,
                "grpc_port": ports["grpc"],
            },
            "metrics": {"host": HOST, "port": ports["metrics"]},
            "log": {"level": "info", "format": "json"},
            "addresses": {
                "consensus": f"{HOST}:{ports['consensus']}",
                "executors": executors,
                "statedb": f"{HOST}:{ports['statedb']}",
                "p2p": f"{HOST}:{ports['p2p_internal']}",
            },
        }
        draft = folder.config(name).with_suffix(".draft")
        draft.write_text(f"# Settings of {name}, written by `hansa up`.\n{to_toml(document)}")
        draft.replace(folder.config(name))


def to_toml(document: dict[str, Any], prefix: str = "") -> str:
    """TOML of nested tables of texts, numbers, booleans and lists of texts."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in document.items() if not isinstance(value, dict)]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in document.items():
        if isinstance(value, dict):
            text += f"\n[{prefix}{key}]\n{to_toml(value, f'{prefix}{key}.')}"
    return text


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
