"""Every planted bug is found. `FOUND_BY` says which seeds find the slower ones today, so that it takes one run each."""

from __future__ import annotations

import pytest
from hansa_sim.mutants import MUTANTS, Mutant, hunt

FOUND_BY = {
    "certificates not checked": 5,
    "synced certificates not checked": 5,
    "lowest view is chosen": 61,
    "header rules not asked": 34,
}
MOST = 120
"""A change of the engine may shift which seeds find a bug: then more are searched."""


def test_at_least_twenty_bugs_are_planted() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bug_is_found(mutant: Mutant) -> None:
    found = hunt(mutant, FOUND_BY.get(mutant.name, 0), 1)
    if not found.seeds:
        found = hunt(mutant, 0, MOST)
    assert found.seeds, f"{mutant.name}: not found in {MOST} seeds"
