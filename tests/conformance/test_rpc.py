"""What other clients answered on their test chains, recorded: the chain is imported, served, and asked the same.

Cases are taken from the folder of public test data, however many there are; `rpc_skips.toml` names those that are not
compared and why.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.rpc_cases import Case, Described, difference, imported_and_served, io_cases, run_cases, skips, unpacked
from support.vectors import needs_vectors

pytestmark = [needs_vectors, pytest.mark.vectors]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked recordings."""
    return unpacked(tmp_path_factory.mktemp("jsonrpc"))


def test_the_execution_apis_cases_are_answered_as_recorded(archive: Path, tmp_path: Path) -> None:
    folder = archive / "execution-apis"
    described = Described(folder / "openrpc")

    def judge(case: Case, request: bytes, got: Any, want: Any) -> str | None:
        if case.shape_only:
            return described.difference(json.loads(request)["method"], got, want)
        return difference(got, want)

    with imported_and_served(folder / "chain/genesis.json", folder / "chain/chain.rlp", tmp_path / "data") as url:
        outcomes = run_cases(url, io_cases(folder / "tests"), skips("execution-apis"), judge)
    sys.stdout.write("\n".join(("", *outcomes.lines(), "")))
    assert not outcomes.wrong, "\n".join(outcomes.wrong)
    assert not outcomes.stale, f"these pass and are on the list of skipped cases: {outcomes.stale}"
    assert outcomes.passed["eth_simulateV1"]
