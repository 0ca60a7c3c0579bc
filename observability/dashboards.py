"""The Grafana dashboards as code; with --check only compare them with what is committed."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24


@dataclass(frozen=True)
class Panel:
    """One panel: a PromQL expression per legend."""

    title: str
    description: str
    expressions: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 7


OVERVIEW = [
    Panel("Members validating", "Members that the most pessimistic member hears from, itself included.",
          {"online": "min(hansa_consensus_validators_online)"}, kind="stat", width=4, height=4),
    Panel("Quorum margin", "How many more members may be lost before blocks stop.",
          {"margin": "min(hansa_consensus_quorum_margin)"}, kind="stat", width=4, height=4),
    Panel("Head", "Newest block committed by any member.",
          {"head": "max(hansa_chain_head_block)"}, kind="stat", width=4, height=4),
    Panel("Head age", "Time since the newest block, seconds.",
          {"age": "time() - max(hansa_chain_head_timestamp_seconds)"}, unit="s", kind="stat", width=4, height=4),
    Panel("Transactions per second", "Committed, over the last minute.",
          {"tps": "max by (service) (rate(hansa_chain_transactions_total[1m]))"}, kind="stat", width=4, height=4),
    Panel("Pool", "Transactions waiting, largest pool.",
          {"waiting": "max(sum by (member) (hansa_pool_transactions))"}, kind="stat", width=4, height=4),
    Panel("Height by member", "A line that falls behind is a member that lags.",
          {"{{member}}": "max by (member) (hansa_chain_head_block)"}),
    Panel("Committed transactions", "Per second, by member.",
          {"{{member}}": "max by (member) (rate(hansa_chain_transactions_total[1m]))"}),
    Panel("Finality latency", "From submission at a member to its certificate.",
          {
              "p50": "histogram_quantile(0.5, sum by (le) (rate(hansa_commit_latency_seconds_bucket[1m])))",
              "p99": "histogram_quantile(0.99, sum by (le) (rate(hansa_commit_latency_seconds_bucket[1m])))",
          }, unit="s"),
    Panel("Block interval", "Time between commits.",
          {"p50": "histogram_quantile(0.5, sum by (le) (rate(hansa_block_interval_seconds_bucket[1m])))"}, unit="s"),
    Panel("View", "Steps are view changes.", {"{{member}}": "max by (member) (hansa_consensus_view)"}),
    Panel("Peers", "Connected members.", {"{{member}}": "max by (member) (hansa_p2p_peers)"}),
    Panel("RPC requests", "Per second, by member.",
          {"{{member}}": "sum by (member) (rate(hansa_rpc_requests_total[1m]))"}, unit="reqps"),
    Panel("Between members", "Bytes per second sent, by member.",
          {"{{member}}": 'sum by (member) (rate(hansa_p2p_bytes_total{direction="out"}[1m]))'}, unit="Bps"),
    Panel("Memory", "Resident memory of a member's processes.",
          {"{{member}}": "sum by (member) (process_resident_memory_bytes)"}, unit="bytes"),
]  # fmt: skip


def dashboard(title: str, uid: str, panels: list[Panel]) -> dict[str, Any]:
    """Grafana's JSON model, panels laid out in rows."""
    placed: list[dict[str, Any]] = []
    x = y = row = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        placed.append(
            {
                "id": number,
                "title": panel.title,
                "description": panel.description,
                "type": panel.kind,
                "datasource": DATASOURCE,
                "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
                "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
                "targets": [
                    {"refId": chr(65 + index), "expr": expression, "legendFormat": legend, "datasource": DATASOURCE}
                    for index, (legend, expression) in enumerate(panel.expressions.items())
                ],
            }
        )
        x, row = x + panel.width, max(row, panel.height)
    return {
        "title": title,
        "uid": uid,
        "tags": ["hansa"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": placed,
    }


def main() -> int:
    """Write or compare all dashboards."""
    path = FOLDER / "overview.json"
    text = json.dumps(dashboard("Hansa / Overview", "hansa-overview", OVERVIEW), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        if path.exists() and path.read_text() == text:
            return 0
        sys.stderr.write("observability/grafana/dashboards is stale: run `make docs`\n")
        return 1
    path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
