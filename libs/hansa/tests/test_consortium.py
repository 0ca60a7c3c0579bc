"""A local consortium's folder: made, taken up again, refused."""

import socket
import stat
import tomllib
from pathlib import Path

import pytest
from hansa.chainspec import load_chain_spec
from hansa.config import load_settings
from hansa.consortium.create import Wishes, create, renew_ports, reshape
from hansa.consortium.errors import ConsortiumError
from hansa.consortium.folder import ConsortiumFolder
from hansa.consortium.ports import SLOTS, STEP, free_ports, wanted_ports
from hansa.consortium.processes import plan, stop
from hansa.consortium.readiness import last_words
from hansa.consortium.status import read_status
from hansa.keys import check_against, load_member_keys
from hansa.names import START_ORDER


@pytest.fixture
def taken_port() -> "socket.socket":
    """A port of this machine that somebody listens on."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


@pytest.fixture
def folder(tmp_path: Path) -> ConsortiumFolder:
    return ConsortiumFolder(tmp_path / "consortium")


def test_members_get_keys_settings_and_one_chain(folder: ConsortiumFolder) -> None:
    shape, _ = create(folder, Wishes(members=3, engine="poa"))
    chain = load_chain_spec(folder.chain_spec)
    assert [validator.name for validator in chain.validators] == ["member1", "member2", "member3"]
    assert chain.consensus.engine == "poa"
    assert chain.zero_base_fee
    assert chain.gas_limit == 60_000_000
    assert chain.allocates_test_accounts
    for name in shape.members:
        settings = load_settings(folder.config(name))
        assert settings.member == name
        assert settings.kernel_threads >= 1
        assert settings.api.port == shape.ports[name]["http"]
        keys = load_member_keys(settings.keys_path, "local")
        check_against(keys, chain.validators[chain.index_of(name)], settings.keys_path)
        assert set(settings.p2p.endpoints) == set(shape.members) - {name}


def test_secrets_of_a_consortium_are_closed_to_others(folder: ConsortiumFolder) -> None:
    create(folder, Wishes(members=1))
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    for path in (folder.member("member1") / "keys").iterdir():
        assert path.suffix == ".crt" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_record_is_read_back(folder: ConsortiumFolder) -> None:
    shape, _ = create(folder, Wishes(members=2, split=True, executors=2))
    assert folder.exists()
    assert folder.read() == shape


def test_chain_outlives_new_ports(folder: ConsortiumFolder, taken_port: socket.socket) -> None:
    shape, _ = create(folder, Wishes(members=2))
    before = load_chain_spec(folder.chain_spec).genesis_hash
    shape.ports["member2"]["p2p"] = taken_port.getsockname()[1]
    renewed, replaced = renew_ports(folder, shape)
    assert [(change.member, change.slot, change.wanted) for change in replaced] == [
        ("member2", "p2p", taken_port.getsockname()[1])
    ]
    assert load_chain_spec(folder.chain_spec).genesis_hash == before
    endpoint = load_settings(folder.config("member1")).p2p.endpoints["member2"]
    assert endpoint == f"127.0.0.1:{renewed.ports['member2']['p2p']}"


def test_other_shape_keeps_the_port_base(folder: ConsortiumFolder) -> None:
    shape, _ = create(folder, Wishes(members=2, ports=23_000))
    split = reshape(folder, shape, split=True, executors=2, ports=None)
    assert split.ports["member2"]["http"] == 23_100
    names = [process.name for process in plan(folder, split)]
    assert names == [
        *(f"member1-{service}" for service in START_ORDER),
        "member1-executor2",
        *(f"member2-{service}" for service in START_ORDER),
    ]


def test_every_process_has_ports_of_its_own() -> None:
    wanted = {f"member{n + 1}": wanted_ports(n, 20_000, 3 if n == 0 else 1, split=True) for n in range(4)}
    ports = [port for slots in wanted.values() for port in slots.values()]
    assert len(ports) == len(set(ports))
    assert max(wanted["member1"].values()) < 20_000 + STEP


def test_default_ports_are_those_of_the_table() -> None:
    ports = wanted_ports(1, None, 1, split=False)
    assert (ports["http"], ports["ws"], ports["grpc"], ports["p2p"], ports["metrics"]) == (
        8645,
        8646,
        50151,
        30403,
        9645,
    )
    assert list(SLOTS)[:5] == ["http", "ws", "grpc", "p2p", "metrics"]


def test_taken_port_is_replaced_and_said(taken_port: socket.socket) -> None:
    port = taken_port.getsockname()[1]
    found, replaced = free_ports({"member1": {"http": port}})
    assert found["member1"]["http"] != port
    assert (replaced[0].wanted, replaced[0].used) == (port, found["member1"]["http"])


def test_two_members_never_share_a_port() -> None:
    found, replaced = free_ports({"a": {"http": 24_001}, "b": {"http": 24_001}})
    assert found["a"]["http"] != found["b"]["http"]
    assert len(replaced) >= 1


@pytest.mark.parametrize("wishes", [Wishes(members=0), Wishes(members=1000), Wishes(executors=0), Wishes(executors=99)])
def test_impossible_wishes_are_refused(folder: ConsortiumFolder, wishes: Wishes) -> None:
    with pytest.raises(ConsortiumError, match="takes 1 to"):
        create(folder, wishes)


def test_interrupted_creation_is_made_anew(folder: ConsortiumFolder) -> None:
    create(folder, Wishes(members=1))
    folder.record.unlink()
    create(folder, Wishes(members=1))
    assert folder.exists()


def test_folder_without_a_consortium_says_how_to_start_one(folder: ConsortiumFolder) -> None:
    with pytest.raises(ConsortiumError, match="hansa up"):
        read_status(folder)
    assert stop(folder) is False


@pytest.mark.parametrize("text", ["{", '{"version": 99}', '{"version": 1, "members": []}'])
def test_damaged_record_is_refused(folder: ConsortiumFolder, text: str) -> None:
    folder.root.mkdir()
    folder.record.write_text(text)
    with pytest.raises(ConsortiumError):
        folder.read()


def test_stopped_consortium_names_all_as_missing(folder: ConsortiumFolder) -> None:
    create(folder, Wishes(members=2, engine="poa"))
    status = read_status(folder)
    assert status.missing == ["member1", "member2"]
    assert [member.up for member in status.members] == [False, False]
    assert status.members[0].pids == {}
    assert len(status.accounts) == 10
    assert set(status.accounts[0]) == {"address", "private_key"}


def test_settings_are_valid_toml(folder: ConsortiumFolder) -> None:
    create(folder, Wishes(members=1))
    assert tomllib.loads(folder.config("member1").read_text())["member"] == "member1"


def test_last_words_are_those_of_an_error(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert last_words(log) == "(no log)"
    log.write_text('{"event":"start_refused","error":"port taken","level":"error"}\n{"event":"x","level":"info"}\n')
    assert last_words(log) == "error: start_refused port taken"
    log.write_text("Traceback\nValueError: broken\n")
    assert last_words(log) == "ValueError: broken"
