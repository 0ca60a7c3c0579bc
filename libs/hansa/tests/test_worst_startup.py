"""The check of a chain's gas limit against the slowest mix of this machine."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hansa.chainspec import ChainSpec, parse_chain_spec
from hansa.worst import measure, rules, startup
from hansa.worst.startup import GasLimitTooHigh, Slowest

Changed = Callable[[Callable[[dict[str, Any]], None]], bytes]


class Steps:
    """A clock that goes on by the same step whenever it is read."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.seconds = seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def consensus(changed: Changed, **values: Any) -> ChainSpec:
    """The chain with other times."""
    return parse_chain_spec(changed(lambda spec: spec["config"]["hansa"]["consensus"].update(values)))


def test_a_limit_that_fits_half_of_the_request_timeout_is_fine(changed: Changed) -> None:
    chain = consensus(changed, blockTime="200ms", requestTimeout="4s")
    assert startup.allowed_ms(chain) == 2_000
    assert startup.judge(chain, Slowest("x", chain.gas_limit / 2)) is None
    assert startup.judge(chain, None) is None


def test_a_limit_beyond_it_is_told_with_field_estimate_and_suggestion(changed: Changed) -> None:
    chain = consensus(changed, blockTime="200ms", requestTimeout="2s")
    found = startup.judge(chain, Slowest("PAIRING", 12_345_678.0))
    wanted = int(chain.gas_limit / 12_345_678 * 1000)
    assert found == GasLimitTooHigh(chain.gas_limit, Slowest("PAIRING", 12_345_678.0), wanted, 1_000)
    assert found.gas_limit_max == 12_300_000
    assert found.text.startswith(f"gasLimit {chain.gas_limit}: a full block of PAIRING takes some {wanted} ms")
    assert "lower gasLimit to 12300000" in found.text


def test_slow_blocks_are_allowed_what_their_interval_is(changed: Changed) -> None:
    assert startup.allowed_ms(consensus(changed, blockTime="5s", emptyBlockTime="5s", requestTimeout="6s")) == 5_000


def test_the_slowest_mix_is_measured_within_the_budget() -> None:
    spec = rules.chain("osaka")
    # Every look at the clock takes 50 ms, so after one run of the first mix the budget is gone.
    clock = Steps(0.05)
    found = startup.slowest(spec, clock)
    assert found is not None
    assert found.mix == startup.mixes()[0].name
    assert found.gas_per_second > 0
    # With a clock that barely moves, all of them have their runs.
    quick = startup.slowest(spec, Steps(1e-6))
    assert quick is not None
    assert quick.mix in {case.name for case in startup.mixes()}


def test_dearer_reads_make_the_same_machine_faster_for_its_gas() -> None:
    case = startup.mixes()[0]

    def reads(percent: int) -> int:
        spec = rules.chain("osaka", {"gas": {"stateReadPercent": percent}})
        return measure.run(case, spec).reads

    assert reads(100) > 4 * reads(500) > 0


def test_a_chain_of_tiny_transactions_is_not_measured() -> None:
    assert startup.slowest(rules.chain("osaka", {"txGasLimit": 100_000})) is None


def test_a_chain_of_others_rules_is_not_measured() -> None:
    document = {"config": {"chainId": 7}, "gasLimit": "0xffffffffff", "difficulty": "0x1", "alloc": {}}
    assert startup.check(parse_chain_spec(json.dumps(document).encode())) is None


@pytest.mark.parametrize("case", startup.mixes(), ids=lambda case: case.name)
def test_a_mix_uses_the_gas_that_it_is_given(case: Any) -> None:
    found = measure.run(case, rules.chain("osaka"), hinted=measure.hints(case))
    assert found.gas == case.gas
