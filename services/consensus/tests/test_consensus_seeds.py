"""Random lives of consortia: safety through chaos, liveness after it. `HANSA_SIM_SEEDS=a:b` chooses other seeds.

A failing seed is repeated with `HANSA_SIM_SEEDS=<seed>:<seed + 1> pytest services/consensus/tests/test_consensus_seeds.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from consensus_chaos import run_seed
from hansa_consensus.core import chain, logstate, signer
from hansa_consensus.core.pbft import agreement, engine, view_changes

FIRST, LAST = (int(part) for part in os.environ.get("HANSA_SIM_SEEDS", "0:500").split(":"))
SLICE = 50


@pytest.mark.parametrize("start", range(FIRST, LAST, SLICE))
def test_chaos_keeps_agreement_and_calm_brings_progress(start: int) -> None:
    commits = crashes = view_changes_seen = 0
    for seed in range(start, min(start + SLICE, LAST)):
        try:
            world = run_seed(seed)
        except AssertionError as problem:
            raise AssertionError(f"HANSA_SIM_SEEDS={seed}:{seed + 1}: {problem}") from problem
        commits += world.commits
        crashes += world.crashes
        view_changes_seen += world.view_changes
    assert LAST - FIRST < SLICE or min(commits, crashes, view_changes_seen) > 0, "a run without faults says nothing"


# --- mutants: the harness must notice bugs that are planted ------------------------------------------------------------


def _lower_quorum(monkeypatch: pytest.MonkeyPatch) -> None:
    from consensus_world import OracleCrypto

    monkeypatch.setattr(OracleCrypto, "quorum", lambda self, n: n - (n - 1) // 3 - 1)


def _lock_forgotten_in_view_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    original = engine.PbftEngine._make_change

    def forget(self: Any, view: int) -> Any:
        self.lock = None
        return original(self, view)

    monkeypatch.setattr(engine.PbftEngine, "_make_change", forget)


def _bound_block_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_changes.Choice, "hash_at", lambda self, height: None)


def _votes_go_on_in_a_view_that_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement.Agreement, "changing", property(lambda self: False))
    monkeypatch.setattr(signer.WatermarkSigner, "may_sign", lambda self, vote: self.sign(self.message(vote)))


def _votes_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement.Agreement, "_persist", lambda self, vote: None)


def _votes_lost_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logstate.LogState, "_vote", lambda self, vote: None)


def _certificates_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain.Chain, "is_valid", lambda self, certificate, phase: True)
    monkeypatch.setattr(view_changes.ViewChangeBook, "new_view_fault", lambda self, new_view: None)


def _no_view_change_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.PbftEngine, "_resend_change", lambda self: None)
    monkeypatch.setattr(engine.PbftEngine, "_join", lambda self: None)


def _statuses_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.PbftEngine, "_repeat_to", lambda self, member: None)
    monkeypatch.setattr(engine.PbftEngine, "_new_view_for", lambda self, view: None)
    monkeypatch.setattr(engine.PbftEngine, "_resend_change", lambda self: None)


def _unexecuted_blocks_are_voted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain.Chain, "is_executed", lambda self, block_hash: True)


def _timer_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.PbftEngine, "_watch_leader", lambda self: None)


FOUND_BY = (0, 17, 20, 31, 35, 48)
"""Seeds that find them today, tried first; a change of the engine may shift that, then the others are searched."""

MUTANTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    _lower_quorum,
    _lock_forgotten_in_view_changes,
    _bound_block_ignored,
    _votes_go_on_in_a_view_that_was_left,
    _votes_not_logged,
    _votes_lost_in_the_log,
    _certificates_not_checked,
    _no_view_change_is_repeated,
    _statuses_say_nothing,
    _unexecuted_blocks_are_voted_for,
    _timer_never_runs,
]


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__.strip("_"))
def test_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in (*FOUND_BY, *range(400)):
        try:
            run_seed(seed)
        except (AssertionError, KeyError):
            return
    raise AssertionError("not found in 400 seeds")
