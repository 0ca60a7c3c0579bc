"""Prices of reads and growth, and caps on growth, of the chain spec: blocks, calls, estimates and traces agree."""

from __future__ import annotations

import json
from typing import Any

import hansa_kernel as k
import pytest
from kernel_driver import State, env, genesis, packed

KEY = bytes(31) + b"\x11"
SENDER = k.address_of_secret_keys(KEY)
CONTRACT = b"\x3a" * 20
ABSENT = b"\x3b" * 20
# Reads a cold account and a cold slot, writes two slots from zero and pays 1 wei to an account that is not there.
CODE = (
    f"73{ABSENT.hex()}31"
    "600754"
    "6001600155"
    "6001600255"
    f"5f5f5f5f600173{ABSENT.hex()}5af1"
    "00"
)  # fmt: skip
ETHEREUM = 21_000 + (3 + 2_600) + (3 + 2_100) + 2 * (6 + 22_100) + (3 + 3 + 8 + 2 + 100 + 9_000 - 2_300 + 25_000)
DEAR = {"stateReadPercent": 200, "stateGrowthPercent": 300}
DEARER = 2_600 + 3 * 2_100 + 2 * 2 * 19_900 + 2 * 25_000


def world(vm: dict[str, Any]) -> tuple[k.Spec, State]:
    """A chain with those rules, a rich sender and the contract."""
    alloc: dict[str, dict[str, object]] = {
        SENDER.hex(): {"balance": hex(10**18)},
        CONTRACT.hex(): {"balance": "0x1", "nonce": "0x1", "code": "0x" + CODE, "storage": {"0x09": "0x01"}},
    }
    document = json.loads(genesis(alloc))
    document["config"]["hansa"]["vm"] = vm
    spec = k.Spec(json.dumps(document).encode())
    state = State()
    state.apply(spec.genesis_write_set())
    return spec, state


def batch(spec: k.Spec, gas: int = 300_000) -> k.TxBatch:
    """One call of the contract."""
    raw = k.sign_transactions(
        chain_id=4242,
        secret_keys=KEY,
        nonces=bytes(8),
        to=CONTRACT,
        values_wei=bytes(32),
        data=packed([b""]),
        gas_limit=gas,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
    )
    return k.decode_transactions(raw, spec=spec, number=1, timestamp=1)


@pytest.mark.parametrize(("gas", "more"), [({}, 0), (DEAR, DEARER)])
def test_blocks_calls_estimates_and_traces_agree_on_gas(gas: dict[str, int], more: int) -> None:
    spec, state = world({"gas": gas})
    wanted = ETHEREUM + more

    block = state.run(k.BlockJob(spec, env(), batch(spec)))
    assert isinstance(block, k.BlockResult)
    assert block.gas_used == wanted

    called = state.run(k.CallJob(spec, env(), sender=SENDER, to=CONTRACT, gas=10**6))
    assert isinstance(called, k.CallResult)
    assert (called.status, called.gas_used) == ("success", wanted)

    estimated = state.run(k.CallJob(spec, env(), sender=SENDER, to=CONTRACT, gas=10**6, estimate=True))
    assert isinstance(estimated, k.CallResult)
    assert estimated.estimate is not None
    found = state.run(k.BlockJob(spec, env(), batch(spec, estimated.estimate)))
    assert isinstance(found, k.BlockResult)
    assert found.gas_used == wanted

    tracer = json.dumps({"tracer": "callTracer"}).encode()
    job = k.TraceJob(spec, env(), batch(spec), first=0, config=tracer, gas_max=10**7, system_calls=True)
    out = job.step()
    while isinstance(out, k.Need | k.Progress):
        out = job.step(state.answer(out) if isinstance(out, k.Need) else None)
    assert out.gas_used == [wanted]
    assert int(json.loads(out.traces[0])["gasUsed"], 16) == wanted


def test_a_transaction_beyond_the_cap_is_refused_dropped_and_not_estimated() -> None:
    # Two slots and an account.
    for items, fits in [(3, True), (2, False)]:
        spec, state = world({"stateGrowth": {"senderItemsMax": items}})
        estimated = state.run(k.CallJob(spec, env(), sender=SENDER, to=CONTRACT, gas=10**6, estimate=True))
        built = state.run(k.BlockJob(spec, env(), batch(spec), building=True))
        assert isinstance(estimated, k.CallResult)
        assert isinstance(built, k.BlockResult)
        assert (estimated.status == "success") is fits
        assert bool(built.included) is fits
        if fits:
            assert state.run(k.BlockJob(spec, env(), batch(spec)))
            continue
        text = "state growth too large: 3 items, limit of a transaction 2"
        assert estimated.error == text
        assert [(index, error.code, error.message) for index, error in built.dropped] == [
            (0, "state_growth_too_large", text)
        ]
        with pytest.raises(k.BlockInvalid) as refused:
            state.run(k.BlockJob(spec, env(), batch(spec)))
        assert (refused.value.index, refused.value.code) == (0, "state_growth_too_large")  # type: ignore[attr-defined]
