"""The small public test suites: transactions, RLP, tries, difficulty, base fee, precompiles, instructions, transitions.

State and block tests have a fixed part in `kernel/tests`; `make conformance` runs all of everything and writes
docs/internals/conformance.md.
"""

import os
from collections.abc import Iterable

import pytest
from hansa.conformance import Case, run_jobs
from support.conformance import SUITES, Suite
from support.step_traces import trace_cases
from support.transitions import transition_cases
from support.vectors import needs_vectors

SMALL = [suite for suite in SUITES if suite.kind not in ("state", "block")]


def expect_all(cases: Iterable[Case]) -> None:
    """Every case passes or has a reason, and there is one."""
    decided = list(cases)
    failed = [f"{case.name} ({case.fork}): {case.error}" for case in decided if not (case.passed or case.skipped)]
    assert not failed, f"{len(failed)} of {len(decided)} failed:\n" + "\n".join(failed[:20])
    assert decided


@needs_vectors
@pytest.mark.parametrize("suite", SMALL, ids=lambda suite: suite.name)
def test_small_suite_passes(suite: Suite) -> None:
    results = run_jobs(list(suite.jobs()), processes=os.cpu_count() or 1, threads=1)
    expect_all(case for result in results for case in result.cases)


@needs_vectors
def test_state_transitions_come_to_what_other_tools_say() -> None:
    expect_all(transition_cases())


@needs_vectors
def test_steps_are_those_that_other_tools_show() -> None:
    expect_all(trace_cases())
