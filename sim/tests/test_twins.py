"""Twins, the small campaign: `hansa sim twins` enumerates all."""

from __future__ import annotations

from hansa_sim.mutants import Patch
from hansa_sim.oracles import OracleCrypto
from hansa_sim.twins import SCENARIOS, run_part, scenario


def parts(mode: str, total: int, count: int) -> list[tuple[str, int, int]]:
    """Single scenarios, spread evenly."""
    return [(mode, at * total // count, at * total // count + 1) for at in range(count)]


def test_enumeration_names_every_scenario_once() -> None:
    some = [scenario(index, late=False) for index in range(0, SCENARIOS, 997)]
    assert len({(each.leaders, each.partitions) for each in some}) == len(some)
    last = scenario(SCENARIOS - 1, late=True)
    assert (last.leaders, last.partitions[0]) == ((3, 3, 3), (0, 1, 1, 1, 1))
    assert all(0 < sum(each.partitions[0]) < 5 for each in some)


def test_agreement_holds_between_twins_in_every_hundredth_scenario() -> None:
    decided = 0
    for mode in ("drop", "late"):
        for job in parts(mode, SCENARIOS, 1_000):
            part = run_part(job)
            assert not part.violations, f"{part.violations}: hansa sim twins --mode {mode} --scenarios {job[1]}"
            decided += part.decided
    assert decided > 1_000


def test_agreement_holds_among_seven_with_two_twins() -> None:
    part = run_part(("sample", 0, 500))
    assert not part.violations


def test_twins_fork_a_chain_whose_quorum_is_too_small() -> None:
    patch = Patch()
    patch.set(OracleCrypto, "quorum", lambda self, n: n - (n - 1) // 3 - 1)
    try:
        assert any(run_part(job).violations for job in parts("drop", SCENARIOS, 40))
    finally:
        patch.undo()
