"""What a process of a node checks before it starts, and how services are started and ended."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hansa import service as runtime
from hansa.chainspec import ChainSpec, ChainSpecInvalid
from hansa.config import Settings, SettingsInvalid, load_settings, origins
from hansa.consortium.create import to_toml
from hansa.node import MARKER, DataFolderInvalid, claim_data_folder, prepare
from hansa.rpc import PortTaken
from hansa.service import EXIT_FAILED, Check, ServiceContext, ServiceUnknown, StartRefused, find_services, run_services


def settings_file(folder: Path, chain: ChainSpec, **changes: Any) -> Path:
    spec = folder / "chain.json"
    spec.write_bytes(chain.raw)
    document: dict[str, Any] = {
        "profile": "local",
        "member": "member1",
        "chain_spec": str(spec),
        "data_dir": str(folder / "data"),
        "metrics": {"port": 0},
        **changes,
    }
    path = folder / "config.toml"
    path.write_text(to_toml(document))
    return path


def test_settings_and_chain_are_loaded(tmp_path: Path, chain: ChainSpec) -> None:
    settings, loaded = prepare(settings_file(tmp_path, chain), ["statedb"])
    assert settings.member == "member1"
    assert loaded.genesis_hash == chain.genesis_hash
    marker = json.loads((tmp_path / "data" / MARKER).read_bytes())
    assert marker["genesis_hash"] == "0x" + chain.genesis_hash.hex()


def test_second_start_takes_its_own_folder(tmp_path: Path, chain: ChainSpec) -> None:
    for _ in range(2):
        claim_data_folder(tmp_path, chain, "member1")


def test_folder_of_another_member_is_refused(tmp_path: Path, chain: ChainSpec) -> None:
    claim_data_folder(tmp_path, chain, "member1")
    with pytest.raises(DataFolderInvalid, match="another chain or member"):
        claim_data_folder(tmp_path, chain, "member2")


def test_folder_of_another_chain_is_refused(tmp_path: Path, chain: ChainSpec) -> None:
    (tmp_path / MARKER).write_text(
        json.dumps({"genesis_hash": "0x" + "11" * 32, "chain_id": 1337, "member": "member1"})
    )
    with pytest.raises(DataFolderInvalid, match="set data_dir to another folder"):
        claim_data_folder(tmp_path, chain, "member1")


def test_damaged_marker_is_refused(tmp_path: Path, chain: ChainSpec) -> None:
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(DataFolderInvalid, match="damaged"):
        claim_data_folder(tmp_path, chain, "member1")


def test_unknown_member_is_refused(tmp_path: Path, chain: ChainSpec) -> None:
    with pytest.raises(ChainSpecInvalid, match="no member is called"):
        prepare(settings_file(tmp_path, chain, member="nobody"), ["statedb"])


def test_test_accounts_are_refused_in_production(tmp_path: Path, chain: ChainSpec) -> None:
    with pytest.raises(ChainSpecInvalid, match="test accounts"):
        prepare(settings_file(tmp_path, chain, profile="production"), ["statedb"])


def test_unknown_setting_is_refused_with_a_suggestion(tmp_path: Path, chain: ChainSpec) -> None:
    with pytest.raises(SettingsInvalid, match="did you mean 'ws_port'"):
        load_settings(settings_file(tmp_path, chain, api={"wsport": 1}))


def test_wrong_type_of_a_setting_is_named(tmp_path: Path, chain: ChainSpec) -> None:
    with pytest.raises(SettingsInvalid, match=r"api\.port"):
        load_settings(settings_file(tmp_path, chain, api={"port": 99_999}))


def test_settings_that_are_no_toml_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("= 3")
    with pytest.raises(SettingsInvalid, match="not TOML"):
        load_settings(tmp_path / "config.toml")


def test_environment_goes_before_the_file(tmp_path: Path, chain: ChainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_file(tmp_path, chain, api={"port": 1111, "ws_port": 2222})
    monkeypatch.setenv("HANSA_API__PORT", "3333")
    settings = load_settings(path)
    assert (settings.api.port, settings.api.ws_port) == (3333, 2222)
    found = origins(path)
    assert found["api.port"] == (3333, "environment HANSA_API__PORT")
    assert found["api.ws_port"] == (2222, "file")
    assert found["api.grpc_port"][1] == "default"


def test_tables_and_lists_come_from_the_environment(
    tmp_path: Path, chain: ChainSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settings_file(tmp_path, chain, p2p={"endpoints": {"member2": "a:1", "member3": "b:2"}})
    monkeypatch.setenv("HANSA_P2P__ENDPOINTS__MEMBER2", "c:3")
    monkeypatch.setenv("HANSA_ADDRESSES__EXECUTORS", '["x:1", "y:2"]')
    monkeypatch.setenv("HANSA_API__RATE_LIMIT", "true")
    settings = load_settings(path)
    assert settings.p2p.endpoints == {"member2": "c:3", "member3": "b:2"}
    assert settings.addresses.executors == ("x:1", "y:2")
    assert settings.api.rate_limit


def test_secret_is_read_from_a_file(tmp_path: Path, chain: ChainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("redis://secret@host\n")
    monkeypatch.setenv("HANSA_REDIS_URL_FILE", str(tmp_path / "url"))
    assert load_settings(settings_file(tmp_path, chain)).redis_url == "redis://secret@host"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HANSA_API__NOTHING", "1"),
        ("HANSA_API__PORT", "many"),
        ("HANSA_ADDRESSES__EXECUTORS", "x:1"),
        ("HANSA_REDIS_URL_FILE", "/nonexistent/file"),
        ("HANSA_PROFILE", "test"),
    ],
)
def test_bad_variable_is_refused(
    tmp_path: Path, chain: ChainSpec, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsInvalid):
        load_settings(settings_file(tmp_path, chain))


def test_variables_of_tools_are_left_alone(tmp_path: Path, chain: ChainSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANSA_RPC_URL", "http://somewhere")
    monkeypatch.setenv("HANSA_VECTORS", "/somewhere")
    load_settings(settings_file(tmp_path, chain))


def test_unknown_service_names_those_there_are() -> None:
    with pytest.raises(ServiceUnknown, match="no service 'nothing'"):
        find_services(["nothing"])


class Recorder:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, events: list[str], context: ServiceContext) -> None:
        self.name = name
        self.events = events
        self.context = context
        self.hang = False
        self.error: Exception | None = None
        self.after_start: Any = None

    async def start(self) -> None:
        self.events.append(f"start {self.name}")
        if self.error is not None:
            raise self.error
        if self.hang:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        if self.after_start is not None:
            self.after_start(self.context)

    async def stop(self) -> None:
        self.events.append(f"stop {self.name}")

    def checks(self) -> Sequence[Check]:
        return ()


@pytest.fixture
def settings(tmp_path: Path, chain: ChainSpec) -> Settings:
    return load_settings(settings_file(tmp_path, chain))


def with_services(monkeypatch: pytest.MonkeyPatch, **changes: dict[str, Any]) -> list[str]:
    events: list[str] = []

    def factory(name: str) -> Any:
        def create(context: ServiceContext) -> Recorder:
            recorder = Recorder(name, events, context)
            for key, value in changes.get(name, {}).items():
                setattr(recorder, key, value)
            return recorder

        return create

    monkeypatch.setattr(runtime, "find_services", lambda names: [factory(name) for name in names])
    return events


def terminate(_: ServiceContext) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_services_end_in_reverse_on_a_signal(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, chain: ChainSpec
) -> None:
    events = with_services(monkeypatch, b={"after_start": terminate})
    assert await run_services(["a", "b"], settings, chain) == 0
    assert events == ["start a", "start b", "stop b", "stop a"]


async def test_signal_during_a_start_that_hangs_ends_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, chain: ChainSpec
) -> None:
    events = with_services(monkeypatch, a={"hang": True})
    assert await asyncio.wait_for(run_services(["a", "b"], settings, chain), 10) == 0
    assert events == ["start a", "stop a"]


async def test_failing_task_ends_the_process_with_a_status(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, chain: ChainSpec
) -> None:
    async def fails() -> None:
        raise AssertionError("broken invariant")

    events = with_services(monkeypatch, a={"after_start": lambda context: context.spawn(fails(), "fails")})
    assert await asyncio.wait_for(run_services(["a"], settings, chain), 10) == EXIT_FAILED
    assert events == ["start a", "stop a"]


async def test_taken_port_refuses_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, chain: ChainSpec
) -> None:
    events = with_services(monkeypatch, b={"error": PortTaken("127.0.0.1:1")})
    with pytest.raises(StartRefused, match=r"127\.0\.0\.1:1 cannot be bound"):
        await run_services(["a", "b"], settings, chain)
    assert events == ["start a", "start b", "stop b", "stop a"]
