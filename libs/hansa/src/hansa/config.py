"""Settings of a node: the one model of everything an operator can set for a single member.

What all members must agree on is in the chain spec, never here. Precedence: command line, environment (`HANSA_`,
nested with `__`, e.g. `HANSA_API__PORT`), file (`--config`, TOML), built-in default. Unknown keys are errors.
"""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hansa.environment import VariableInvalid, merge, read_environment
from hansa.errors import Explained


class SettingsInvalid(Explained, ValueError):
    """A setting is unknown or has a wrong value; the text names it and says what was expected."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StateDbSettings(_Section):
    """Chain data of this member."""

    host: str = Field("127.0.0.1", description="Address that statedb's internal gRPC listens on.")
    port: int = Field(7003, ge=0, le=65535, description="Port of statedb's internal gRPC.")
    block_cache_bytes: int = Field(64 << 20, ge=1 << 20, description="RocksDB block cache, bytes.")
    write_buffer_bytes: int = Field(
        8 << 20, ge=1 << 20, description="RocksDB memtable per busy column family, bytes; four times that for all."
    )


class ExecutorSettings(_Section):
    """Execution of blocks and calls."""

    host: str = Field("127.0.0.1", description="Address that the executor's internal gRPC listens on.")
    port: int = Field(7002, ge=0, le=65535, description="Port of the executor's internal gRPC.")
    call_workers: int = Field(2, ge=1, le=64, description="Calls (eth_call, eth_estimateGas) that run at once.")
    call_timeout_ms: int = Field(5_000, ge=10, description="Longest time of one call, milliseconds.")
    call_gas_max: int = Field(50_000_000, ge=21_000, description="Gas cap of one call.")
    cache_entries: int = Field(200_000, ge=1_000, description="Committed accounts and slots kept in memory.")
    gas_limit_check: Literal["warn", "refuse", "off"] = Field(
        "warn",
        description="What happens if a full block of the slowest opcodes would take this machine longer than the chain "
        "has for it: a warning in the log, or no start.",
    )


class ConsensusSettings(_Section):
    """Engine, pool and vote log."""

    host: str = Field("127.0.0.1", description="Address that consensus' internal gRPC listens on.")
    port: int = Field(7001, ge=0, le=65535, description="Port of consensus' internal gRPC.")
    pool_transactions: int = Field(100_000, ge=100, description="Transactions that the pool holds at most.")
    pool_bytes: int = Field(512 << 20, ge=1 << 20, description="Bytes of transactions that the pool holds at most.")
    journal_sync_ms: int = Field(
        20, ge=0, le=1_000, description="How late the pool journal may be synced, milliseconds."
    )


class P2pSettings(_Section):
    """Connections to other members."""

    host: str = Field("0.0.0.0", description="Address that members connect to.")
    port: int = Field(30303, ge=0, le=65535, description="Port that members connect to (mutual TLS).")
    internal_host: str = Field("127.0.0.1", description="Address that p2p's internal gRPC listens on.")
    internal_port: int = Field(7004, ge=0, le=65535, description="Port of p2p's internal gRPC.")
    endpoints: dict[str, str] = Field(
        default_factory=dict, description="host:port of members by name, instead of those in the chain spec."
    )
    reconnect_ms_max: int = Field(2_000, ge=100, description="Longest pause between attempts to reach a member.")


class ApiSettings(_Section):
    """Surfaces for clients."""

    host: str = Field("127.0.0.1", description="Address that JSON-RPC, REST and WebSocket listen on.")
    port: int = Field(8545, ge=0, le=65535, description="Port of HTTP and WebSocket.")
    ws_port: int = Field(8546, ge=0, le=65535, description="Second port, for tools that expect geth's WebSocket port.")
    grpc_host: str = Field("127.0.0.1", description="Address that the public gRPC listens on.")
    grpc_port: int = Field(50051, ge=0, le=65535, description="Port of the public gRPC.")
    grpc_reflection: bool = Field(True, description="Serve gRPC reflection.")
    cors_origins: tuple[str, ...] = Field((), description="Origins that browsers may call from.")
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host headers that are answered; `*` takes any."
    )
    rate_limit: bool = Field(False, description="Limit requests per address (spec reliability 6.1).")
    traces: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Serve the debug_ and trace_ namespaces; auto: only where `host` is an address of this machine alone.",
    )
    limits: dict[str, int] = Field(
        default_factory=dict, description="Bounds of the api by name, instead of the built-in ones (services/api)."
    )


class MetricsSettings(_Section):
    """Metrics and health of the process."""

    host: str = Field("127.0.0.1", description="Address that /metrics and the health endpoints listen on.")
    port: int = Field(9545, ge=0, le=65535, description="Port of /metrics and the health endpoints.")


class LogSettings(_Section):
    """Logs on standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is written.")
    format: Literal["auto", "json", "pretty"] = Field("auto", description="auto: pretty on a terminal, else JSON.")


class AddressSettings(_Section):
    """Where this member's services find each other (host:port)."""

    consensus: str = Field(
        "127.0.0.1:7001",
        description="consensus' internal gRPC; empty: none, the api serves what statedb holds read-only.",
    )
    executors: tuple[str, ...] = Field(("127.0.0.1:7002",), description="Executors of this member, in order of choice.")
    statedb: str = Field("127.0.0.1:7003", description="statedb's internal gRPC.")
    p2p: str = Field("127.0.0.1:7004", description="p2p's internal gRPC.")


class Settings(BaseModel):
    """All settings of one member's node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Literal["local", "dev", "production"] = Field(
        "production", description="Which guards apply to keys and hosts."
    )
    member: str = Field(description="Name of this member in the chain spec.")
    chain_spec: Path = Field(description="The chain spec file.")
    data_dir: Path = Field(description="Folder of this member's data.")
    keys_dir: Path | None = Field(None, description="Folder of this member's keys; default: keys in data_dir.")
    kernel_threads: int = Field(0, ge=0, le=256, description="Threads of the kernel's pool; 0: one per core.")
    redis_url: str | None = Field(None, description="Redis that api replicas share notices and subscriptions through.")
    statedb: StateDbSettings = StateDbSettings()
    executor: ExecutorSettings = ExecutorSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    p2p: P2pSettings = P2pSettings()
    api: ApiSettings = ApiSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    addresses: AddressSettings = AddressSettings()

    @property
    def keys_path(self) -> Path:
        """Folder of this member's keys."""
        return self.keys_dir or self.data_dir / "keys"


def load_settings(path: Path | None, **overrides: Any) -> Settings:
    """Read settings from a TOML file and the environment, which goes before it; `overrides` go before both.

    Raises `SettingsInvalid` naming key and expectation.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except OSError as error:
            raise SettingsInvalid(f"{path}: cannot be read ({error.strerror})") from error
        except tomllib.TOMLDecodeError as error:
            raise SettingsInvalid(f"{path}: not TOML: {error}") from error
    try:
        values = merge(merge(values, read_environment(Settings, os.environ)), overrides)
        return Settings(**values)
    except VariableInvalid as error:
        raise SettingsInvalid(str(error)) from error
    except ValidationError as error:
        # An unknown key says more than the key that is missing because of it.
        first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
        name = ".".join(str(part) for part in first["loc"])
        hint = ""
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name.rsplit(".", 1)[-1], sorted(_setting_names()), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SettingsInvalid(f"unknown setting {name}{hint}") from error
        raise SettingsInvalid(f"setting {name}: {first['msg']} (got {first.get('input')!r})") from error


def origins(path: Path | None) -> dict[str, tuple[Any, str]]:
    """Every setting by dotted name: its value and whether it comes from environment, file or default."""
    settings = load_settings(path)
    file = tomllib.loads(path.read_text()) if path is not None else {}
    found: dict[str, tuple[Any, str]] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for key in type(value).model_fields:
                given = isinstance(file.get(name), dict) and key in file[name]
                found[f"{name}.{key}"] = (getattr(value, key), _origin(f"{name}__{key}", given))
        else:
            found[name] = (value, _origin(name, name in file))
    return found


def _origin(name: str, in_file: bool) -> str:
    variable = f"HANSA_{name.upper()}"
    if any(key.upper() == variable for key in os.environ):
        return f"environment {variable}"
    return "file" if in_file else "default"


def _setting_names() -> set[str]:
    names = set(Settings.model_fields)
    for field in Settings.model_fields.values():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names |= set(annotation.model_fields)
    return names
