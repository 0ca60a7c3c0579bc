"""Calls and estimations at the border."""

from __future__ import annotations

import json
import threading
import time

import hansa_kernel as k
import pytest
from kernel_driver import State, env, genesis

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
CODES = {
    # storage[0], then calldata's first word added
    "11": "5f545f35015f5260205ff3",
    # revert with four bytes
    "12": "63deadbeef5f526004601cfd",
    # INVALID
    "13": "fe",
    # an undefined opcode
    "14": "0c",
    # endless loop
    "15": "5b5f56",
    # NUMBER, BASEFEE, BLOBBASEFEE, COINBASE
    "16": "435f52486020524a6040524160605260805ff3",
    # writes a slot, clears it again: a refund
    "17": "60015f555f5f5500",
    # needs 60000 gas at hand: if gas < 60000 revert
    "18": "61ea605a10600a5700" + "5b5f5ffd",
    # jump to nowhere
    "19": "60ff56",
}


def address(name: str) -> bytes:
    return bytes.fromhex(name * 20)


@pytest.fixture
def world() -> tuple[k.Spec, State]:
    alloc: dict[str, dict[str, object]] = {
        address(name).hex(): {"balance": "0x0", "nonce": "0x1", "code": "0x" + code} for name, code in CODES.items()
    }
    alloc[address("11").hex()]["storage"] = {"0x" + "00" * 32: "0x" + "00" * 31 + "05"}
    alloc[ALICE.hex()] = {"balance": hex(10**18)}
    spec = k.Spec(genesis(alloc))
    state = State()
    state.apply(spec.genesis_write_set())
    return spec, state


def call(world: tuple[k.Spec, State], to: bytes | None, **options: object) -> k.CallResult:
    spec, state = world
    values: dict[str, object] = {"sender": ALICE, "to": to, "gas": 1_000_000}
    result = state.run(k.CallJob(spec, env(), **(values | options)))  # type: ignore[arg-type]
    assert isinstance(result, k.CallResult)
    return result


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_a_call_reads_state_and_returns_its_output(world: tuple[k.Spec, State]) -> None:
    result = call(world, address("11"), data=word(7))
    assert (result.status, result.output, result.error) == ("success", word(12), "")


def test_a_precompile_that_is_moved_runs_there_and_its_own_address_is_empty(world: tuple[k.Spec, State]) -> None:
    identity, elsewhere = bytes(19) + b"\x04", b"\x77" * 20
    moved = json.dumps({"0x" + identity.hex(): {"movePrecompileToAddress": "0x" + elsewhere.hex()}}).encode()
    assert call(world, identity, data=b"same").output == b"same"
    assert call(world, elsewhere, data=b"same", state_overrides=moved).output == b"same"
    assert call(world, identity, data=b"same", state_overrides=moved).output == b""
    coded = json.dumps({"0x" + identity.hex(): {"code": "0x" + CODES["12"]}}).encode()
    assert call(world, identity, state_overrides=coded).status == "revert"
    ordinary = json.dumps({"0x" + BOB.hex(): {"movePrecompileToAddress": "0x" + elsewhere.hex()}}).encode()
    with pytest.raises(k.KernelInputError, match="is not a precompile"):
        call(world, elsewhere, state_overrides=ordinary)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("12", "revert", "execution reverted"),
        ("13", "halt", "invalid opcode: INVALID"),
        ("14", "halt", "invalid opcode: opcode 0xc not defined"),
        ("15", "halt", "out of gas"),
        ("19", "halt", "invalid jump destination"),
    ],
)
def test_failures_have_geths_words(world: tuple[k.Spec, State], name: str, status: str, text: str) -> None:
    result = call(world, address(name))
    assert (result.status, result.error) == (status, text)
    if status == "revert":
        assert result.output == bytes.fromhex("deadbeef")


def test_a_call_that_cannot_begin_says_why(world: tuple[k.Spec, State]) -> None:
    poor = call(world, BOB, sender=BOB, value_wei=5)
    assert poor.status == "halt"
    assert poor.error.startswith("err: insufficient funds for gas * price + value: address 0x")
    assert poor.error.endswith("have 0 want 5 (supplied gas 1000000)")
    assert call(world, BOB, gas=10).error == "err: intrinsic gas too low: have 10, want 21000 (supplied gas 10)"
    priced = call(world, BOB, sender=BOB, gas_price=3)
    assert "have 0 want 3000000" in priced.error


def test_state_and_block_overrides_apply_to_the_call_alone(world: tuple[k.Spec, State]) -> None:
    target = "0x" + address("11").hex()
    slot = {"0x" + "00" * 32: "0x" + word(100).hex()}
    for kind in ("state", "stateDiff"):
        result = call(world, address("11"), data=word(1), state_overrides=json.dumps({target: {kind: slot}}).encode())
        assert result.output == word(101)
    emptied = json.dumps({target: {"state": {}}}).encode()
    assert call(world, address("11"), data=word(1), state_overrides=emptied).output == word(1)
    coded = json.dumps({"0x" + BOB.hex(): {"code": "0x" + CODES["12"], "balance": "0x5"}}).encode()
    assert call(world, BOB, state_overrides=coded).status == "revert"
    rich = json.dumps({"0x" + BOB.hex(): {"balance": "0x5"}}).encode()
    assert call(world, ALICE, sender=BOB, value_wei=5, state_overrides=rich).status == "success"
    block = {"number": "0x10", "baseFeePerGas": "0x9", "blobBaseFee": "0x7", "feeRecipient": "0x" + "cc" * 20}
    seen = call(world, address("16"), gas_price=9, block_overrides=json.dumps(block).encode()).output
    assert seen == word(16) + word(9) + word(7) + (b"\xcc" * 20).rjust(32, b"\0")
    assert call(world, address("11"), data=word(1)).output == word(6)


@pytest.mark.parametrize(
    "options",
    [
        {"state_overrides": b"[]"},
        {"state_overrides": b'{"0x01": {}}'},
        {"state_overrides": b'{"0x' + b"11" * 20 + b'": {"state": {}, "stateDiff": {}}}'},
        {"block_overrides": b'{"beaconRoot": "0x00"}'},
        {"gas_price": 1, "max_fee_per_gas": 1},
        {"authorizations": b"\xff"},
        {"value_wei": 2**256},
        {"value_wei": -1},
        {"gas_price": 2**128},
    ],
)
def test_malformed_parameters_are_input_errors(world: tuple[k.Spec, State], options: dict[str, object]) -> None:
    with pytest.raises(k.KernelInputError):
        call(world, BOB, **options)


def test_an_estimate_is_enough_and_a_tenth_less_is_not(world: tuple[k.Spec, State]) -> None:
    assert call(world, BOB, gas=0, value_wei=1, estimate=True).estimate == 21_000
    for name in ("17", "18", "11"):
        estimate = call(world, address(name), gas=0, estimate=True).estimate
        assert estimate is not None
        assert call(world, address(name), gas=estimate).status == "success"
        if name != "11":
            assert call(world, address(name), gas=estimate * 9 // 10).status != "success"


def test_an_estimate_that_cannot_be_says_why(world: tuple[k.Spec, State]) -> None:
    assert call(world, address("12"), gas=0, estimate=True).status == "revert"
    assert call(world, address("15"), gas=50_000, estimate=True).error == "gas required exceeds allowance (50000)"
    poor = call(world, BOB, sender=BOB, value_wei=1, gas=0, estimate=True)
    assert poor.error.startswith("failed with 21000 gas: insufficient funds for gas * price + value: address 0x")


def test_a_cancelled_call_ends_soon(world: tuple[k.Spec, State]) -> None:
    spec, state = world
    job = k.CallJob(spec, env(), sender=ALICE, to=address("15"), gas=2**62)
    threading.Timer(0.2, job.cancel).start()
    began = time.monotonic()
    with pytest.raises(k.Cancelled):
        state.run(job)
    assert time.monotonic() - began < 20
    with pytest.raises(k.Cancelled):
        job.step()


def test_two_calls_run_beside_each_other(world: tuple[k.Spec, State]) -> None:
    spec, state = world
    endless = k.CallJob(spec, env(), sender=ALICE, to=address("15"), gas=2**62)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            State(state.accounts, state.slots, state.codes).run(endless)
        except k.Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert call(world, address("11"), data=word(7)).output == word(12)
        assert not ended
    finally:
        endless.cancel()
        thread.join(20)
    assert len(ended) == 1
