"""Random lives of consortia, the small campaign: `hansa sim run` runs as many as one likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hansa_sim.seeds import run_seed

PRINT_HASHES = """
import json
from hansa_sim.seeds import run_seed
print(json.dumps([run_seed(engine, 0, 1, seed).trace_hash for engine in ("pbft", "poa") for seed in range(5)]))
"""


@pytest.mark.parametrize(
    ("engine", "seed"), [*(("pbft", seed) for seed in range(40)), *(("poa", seed) for seed in range(16))]
)
def test_nothing_promised_is_broken_in_five_minutes(engine: str, seed: int) -> None:
    outcome = run_seed(engine, 0, 5, seed)
    again = f"hansa sim replay {seed} --engine {engine}"
    assert not outcome.violation, f"{outcome.violation}\n{outcome.picture}\nagain: {again}"
    assert outcome.counts["blocks_committed"] > 0


def test_seed_with_real_signatures() -> None:
    outcome = run_seed("pbft", 4, 1, 99)
    assert not outcome.violation, outcome.violation


def test_same_seed_gives_the_same_trace_in_every_process() -> None:
    def hashes(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", PRINT_HASHES], capture_output=True, text=True, check=True, env=environment
        )
        found: list[str] = json.loads(done.stdout)
        return found

    first = hashes("1")
    assert first == hashes("2")
    assert len(set(first)) == len(first)
