"""What `docker compose up` promises."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from support.consortium import Member, wait_for
from support.transactions import clients_ready, compiled, signed

if TYPE_CHECKING:
    from conftest import Compose

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "observability" / "grafana" / "dashboards" / "overview.json"
SERVICES = [f"{name}-{i}" for i in range(1, 5) for name in ("statedb", "executor", "p2p", "consensus", "api")]
# The key of the first test account of every local consortium.
ACCOUNT = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400)]


def send(member: Member, key: str = ACCOUNT, **fields: Any) -> Any:
    """Send one transaction and wait for its receipt."""
    sender = Account.from_key(key).address
    nonce = int(member.rpc("eth_getTransactionCount", sender, "pending"), 16)
    raw, hash = signed(key, int(member.rpc("eth_chainId"), 16), nonce, **fields)
    member.rpc("eth_sendRawTransaction", raw)
    return wait_for("receipt", lambda: member.rpc("eth_getTransactionReceipt", hash), 60)


def test_every_service_is_healthy_and_confined(healthy: "Compose") -> None:
    found = healthy.services()
    assert [name for name in SERVICES if found[name]["Health"] != "healthy"] == []
    assert found["redis"]["Health"] == "healthy"
    for name in ("statedb-1", "consensus-2"):
        assert healthy.run("exec", name, "id", "-u").strip() == "10001"
        touched = healthy.run("exec", name, "bash", "-c", "touch /opt/x 2>&1 || echo refused")
        assert "refused" in touched
    connect = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/7003' 2>/dev/null && echo reached || echo refused"
    assert healthy.run("exec", "api-1", "bash", "-c", connect.format("statedb-1")).strip() == "reached"
    assert healthy.run("exec", "api-1", "bash", "-c", connect.format("statedb-2")).strip() == "refused"


def test_erc20_through_published_ports(healthy: "Compose") -> None:
    if not clients_ready():
        pytest.skip("npm client tools are not installed (solc)")
    first, second, third, fourth = healthy.members()
    supply = f"{10**24:064x}"
    token = send(first, data=compiled("Token.sol", "Token")["bytecode"] + supply, gas=2_000_000)["contractAddress"]
    recipient = Account.create().address
    words = recipient[2:].lower().rjust(64, "0") + f"{77:064x}"
    receipt = send(
        second, to=token, data="0x" + keccak(text="transfer(address,uint256)")[:4].hex() + words, gas=200_000
    )
    assert receipt["status"] == "0x1"
    number = int(receipt["blockNumber"], 16)
    wait_for("member 3 follows", lambda: third.height() >= number, 30)
    balance = "0x" + keccak(text="balanceOf(address)")[:4].hex() + recipient[2:].lower().rjust(64, "0")
    assert int(third.rpc("eth_call", {"to": token, "data": balance}, "latest"), 16) == 77
    wait_for("member 4 follows", lambda: fourth.height() >= number, 30)
    logs = fourth.rpc("eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number), "address": token})
    assert [entry["transactionHash"] for entry in logs] == [receipt["transactionHash"]]


def test_prometheus_scrapes_every_service(healthy: "Compose") -> None:
    url = f"http://127.0.0.1:{healthy.prometheus_port}/api/v1/targets"

    def all_up() -> bool:
        targets = httpx.get(url, timeout=5).json()["data"]["activeTargets"]
        return len(targets) == len(SERVICES) and all(target["health"] == "up" for target in targets)

    wait_for("every target up", all_up, 60, pause=2)


def test_every_dashboard_expression_returns_data(healthy: "Compose") -> None:
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    assert len(expressions) >= 10
    for _ in range(3):
        send(healthy.members()[0], to=Account.create().address, value=1)
    url = f"http://127.0.0.1:{healthy.prometheus_port}/api/v1/query"

    def without_data() -> list[str]:
        return [
            expression
            for expression in expressions
            if not httpx.get(url, params={"query": expression}, timeout=5).json()["data"]["result"]
        ]

    wait_for("every expression returns data", lambda: not without_data() or None, 90, pause=3)
    if healthy.with_grafana:
        found = httpx.get(f"http://127.0.0.1:{healthy.grafana_port}/api/dashboards/uid/hansa-overview", timeout=10)
        assert found.status_code == 200


def test_killing_a_member_changes_nothing_for_clients(healthy: "Compose") -> None:
    victims = [name for name in SERVICES if name.endswith("-4")]
    healthy.run("kill", *victims)
    try:
        first = healthy.members()[0]
        height = first.height()
        for value in (1, 2, 3):
            assert send(first, to=Account.create().address, value=value)["status"] == "0x1"
        assert first.height() > height
    finally:
        healthy.run("up", "--detach", "--no-recreate", *victims, timeout=300)
    fourth = healthy.members()[3]
    wait_for("member 4 follows again", lambda: fourth.height() >= healthy.members()[0].height() - 2, 120)
