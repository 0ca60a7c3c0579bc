"""What other clients answered on their test chains, recorded: the chain is imported, served, and asked the same.

Cases are taken from the folder of public test data, however many there are; `rpc_skips.toml` names those that are not
compared and why.
"""

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.besu_chain import write_chain
from support.rpc_cases import (
    GAS_FIGURES,
    Case,
    Described,
    Outcomes,
    besu_cases,
    besu_difference,
    difference,
    imported_and_served,
    io_cases,
    long_run,
    run_cases,
    skips,
    unpacked,
)
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
    check(outcomes)
    assert outcomes.passed["eth_simulateV1"]


def check(outcomes: Outcomes) -> None:
    """Every case is right or stands on the list, and only there if it is not."""
    sys.stdout.write("\n".join(("", *outcomes.lines(), "")))
    assert not outcomes.wrong, f"{len(outcomes.wrong)} differ:\n" + "\n".join(outcomes.wrong)
    assert not outcomes.stale, f"these pass and are on the list of skipped cases: {outcomes.stale}"


# --- Besu ----------------------------------------------------------------------------------------------------------------

TRACE_CHAIN = "trace/chain-data"
"""Built from transactions: its blocks' hashes are not Besu's."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases of Besu's and the chain that they run on."""

    cases: str
    genesis: str
    blocks: str
    dropped: Collection[str] = ()  # members that are not compared
    pattern: str = "**/*.json"

    @classmethod
    def on_traces(cls, cases: str, *dropped: str) -> "Suite":
        """On the chain that is built here."""
        return cls(cases, TRACE_CHAIN, "", ("blockHash", *dropped))


HIVE = ("chain-data/hive/testGenesis.json", "chain-data/hive/testBlockchain.blocks")
SIMULATION = ("eth/simulateV1/chain-data/genesis.json", "eth/simulateV1/chain-data/blocks.bin")
DEBUG_GETH = ("debug-geth/chain-data/genesis.json", "debug-geth/chain-data/blocks.bin")
BESU = {
    "besu/eth": Suite("eth", *HIVE, pattern="*.json"),
    # Besu's node simulates with a gas limit of its own, which gas limits of calls follow, and so hashes and what stores them.
    "besu/simulate": Suite(
        "eth/simulateV1/specs",
        *SIMULATION,
        (
            "gasLimit",
            "gas",
            "hash",
            "transactions",
            "transactionHash",
            "transactionsRoot",
            "blockHash",
            "parentHash",
            "stateRoot",
        ),
    ),
    "besu/debug-geth": Suite("debug-geth/specs", *DEBUG_GETH),
    "besu/trace-transaction": Suite("debug/trace-transaction", *HIVE),
    "besu/storage-range": Suite("debug/storage-range", *HIVE),
    "besu/account-range": Suite("debug/account-range", *HIVE),
    # Besu's steps have the storage with each of them, and no refund.
    "besu/trace-block": Suite.on_traces("debug/trace-block", "storage", "refund"),
    "besu/trace-call": Suite.on_traces("debug/trace-call", "storage", "refund"),
    # It names neither opcodes nor how creations were made; a call after a call pays by other rules.
    "besu/trace": Suite.on_traces("trace/specs", "op", "idx", "creationMethod", *GAS_FIGURES),
}


@long_run
@pytest.mark.parametrize("name", BESU)
def test_besus_cases_are_answered_as_recorded(archive: Path, tmp_path: Path, name: str) -> None:
    suite, folder = BESU[name], archive / "besu"
    if suite.genesis == TRACE_CHAIN:
        genesis, blocks = write_chain(folder / TRACE_CHAIN, tmp_path)
    else:
        genesis, blocks = folder / suite.genesis, folder / suite.blocks

    def judge(_case: Case, _request: bytes, got: Any, want: Any) -> str | None:
        return besu_difference(got, want, suite.dropped)

    with imported_and_served(genesis, blocks, tmp_path / "data") as url:
        outcomes = run_cases(url, besu_cases(folder / suite.cases, suite.pattern), skips(name), judge)
    check(outcomes)
