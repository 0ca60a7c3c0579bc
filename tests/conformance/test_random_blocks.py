"""Random blocks come to the same on Ethereum's executable specification: 20 in `make test`, 1,000 in `make conformance`.

The blocks are those of the kernel's own property tests (`kernel/tests/random`), which run them by every runner.
"""

import copy
import json
import os
import subprocess
from typing import Any

import pytest
from ethereum.exceptions import InvalidBlock
from support.eels_chains import PACKAGES, replay
from support.sources import ROOT

GENERATOR = ROOT / "kernel" / "target" / "kernel-dev" / "examples" / "random_chains"
BLOCKS = int(os.environ.get("HANSA_RANDOM_BLOCKS") or (1_000 if os.environ.get("HANSA_CONFORMANCE") else 20))
SEED = int(os.environ.get("HANSA_RANDOM_SEED") or 20_261_121)
BLOCKS_PER_CHAIN = 4
EMPTY_REQUESTS = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    if not GENERATOR.exists():
        pytest.skip("the generator is not built: `cargo build --profile kernel-dev --example random_chains` in kernel/")
    command = [GENERATOR, str(BLOCKS), str(SEED)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


@pytest.mark.timeout(1800)
def test_random_blocks_come_to_the_same_on_the_execution_specs(cases: dict[str, Any]) -> None:
    transactions = 0
    for name, case in cases.items():
        try:
            transactions += replay(case)
        except Exception as error:
            raise AssertionError(f"{name}, {case['network']}: {error!r}") from error
    assert len(cases) * BLOCKS_PER_CHAIN >= BLOCKS
    assert transactions > 5 * BLOCKS
    headers = [block["blockHeader"] for case in cases.values() for block in case["blocks"]]
    assert sum(int(header["bloom"], 16) != 0 for header in headers) > BLOCKS // 4
    if BLOCKS >= 1_000:
        assert {case["network"] for case in cases.values()} == set(PACKAGES)
        assert sum(int(header.get("blobGasUsed", "0x0"), 16) > 0 for header in headers) > 20
        assert sum(header.get("requestsHash", EMPTY_REQUESTS) != EMPTY_REQUESTS for header in headers) > 20


def test_another_state_root_is_refused_by_the_execution_specs(cases: dict[str, Any]) -> None:
    case = copy.deepcopy(next(iter(cases.values())))
    block = case["blocks"][0]
    root = block["blockHeader"]["stateRoot"].removeprefix("0x")
    assert root in block["rlp"]
    block["rlp"] = block["rlp"].replace(root, "11" * 32)
    with pytest.raises(InvalidBlock):
        replay(case)


def test_the_same_seed_gives_the_same_blocks(cases: dict[str, Any]) -> None:
    again = json.loads(subprocess.run([GENERATOR, "4", str(SEED)], capture_output=True, check=True).stdout)
    assert list(again.items()) == list(cases.items())[:1]
