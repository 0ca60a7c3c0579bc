"""The command line, and a campaign whose parts add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hansa.cli.main import app, run
from hansa_sim import report
from hansa_sim.report import Campaign
from hansa_sim.summary import Summary
from typer.testing import CliRunner


def test_run_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(
        app, ["sim", "run", "--members", "4", "--seeds", "0..1", "--minutes", "1", "--workers", "1", "--json"]
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (told["seeds"], told["violations"]) == (2, 0)
    names = {"blocks_committed", "view_changes", "crashes", "partitions", "trace_hash"}
    assert names <= set(told)


def test_broken_promise_ends_with_status_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from hansa_sim.oracles import OracleCrypto

    monkeypatch.setattr(OracleCrypto, "quorum", lambda self, n: n - (n - 1) // 3 - 1)
    command = ["sim", "run", "--members", "4", "--seeds", "0..0", "--minutes", "1", "--workers", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "hansa sim replay 0 --engine pbft --members 4 --minutes 1" in done.stdout
    assert "smallest plan found" in done.stdout


@pytest.mark.parametrize("seeds", ["5..3", "x", "1..y"])
def test_ranges_that_say_nothing_are_refused(seeds: str) -> None:
    assert run(lambda: app(["sim", "run", "--seeds", seeds], standalone_mode=False)) == 1


def test_parts_of_a_campaign_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SEEDS", {"pbft": 3})
    monkeypatch.setattr(report, "MINUTES", 1.0)
    monkeypatch.setattr(report, "SAVED_EVERY", 1)
    path = tmp_path / "results.json"
    for expected in (1, 2, 3):
        campaign = Campaign(path, 1, lambda text: None)
        campaign._seeds("pbft", 0.0)
        campaign.save()
        assert json.loads(path.read_text())["seeds"]["pbft"]["next"] == expected
    whole = Campaign(tmp_path / "whole.json", 1, lambda text: None)
    whole._seeds("pbft", float("inf"))
    summaries = [Summary.from_json(each.data["seeds"]["pbft"]["summary"]) for each in (campaign, whole)]
    assert summaries[0].to_json() == summaries[1].to_json()
    assert "| seeds run (target) | 3 (3) |" in campaign.page()


def test_state_that_a_large_campaign_never_reached_is_named(tmp_path: Path) -> None:
    summary = Summary(seeds=report.POINTS_AFTER_SEEDS)
    summary.points_seeds.update(["vote log rotated"])
    entry = {"next": summary.seeds, "summary": summary.to_json()}
    (tmp_path / "results.json").write_text(json.dumps({"seeds": {"poa": entry}}))
    unreached = Campaign(tmp_path / "results.json", 1, lambda text: None).unreached()
    assert "poa: power of all members cut" in unreached
    assert "poa: vote log rotated" not in unreached
