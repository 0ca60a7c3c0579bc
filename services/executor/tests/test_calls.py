"""Calls on real servers: on old blocks, the head and the next block; reverts, limits, estimates."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import hansa_kernel
import pytest
from hansa.rpc import reason_of
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_executor.service import ExecutorService
from hansa_statedb.service import StateDbService
from support.execution import (
    ETHER,
    Clients,
    addresses_of,
    build_and_commit,
    chain_of,
    context_of,
    running,
    secret_keys,
    stub_of,
    transfers,
)

KEYS = secret_keys(3)
SENDER = addresses_of(KEYS)[0]
TO = b"\x0a" * 20
# Returns BALANCE(first word of the input).
BALANCE_OF = bytes.fromhex("6000353160005260206000f3")
# Returns NUMBER.
NUMBER = bytes.fromhex("4360005260206000f3")
# Reverts with the input.
REVERT = bytes.fromhex("3660006000373660 00fd".replace(" ", ""))
# Loops for ever: JUMPDEST PUSH1 0 JUMP.
LOOP = bytes.fromhex("5b600056")
# Returns its storage slot 0.
SLOT = bytes.fromhex("60005460005260206000f3")
CONTRACTS = {bytes((index + 1,)) * 20: code for index, code in enumerate((BALANCE_OF, NUMBER, REVERT, LOOP, SLOT))}
BALANCE_AT, NUMBER_AT, REVERT_AT, LOOP_AT, SLOT_AT = CONTRACTS


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    chain = chain_of(KEYS, contracts=CONTRACTS)
    async with running(StateDbService(context_of(chain, tmp_path))) as statedb:
        context = context_of(
            chain,
            tmp_path,
            addresses={"statedb": f"127.0.0.1:{statedb.port}"},
            executor={"port": 0, "call_timeout_ms": 300, "call_gas_max": 2**40},
        )
        async with (
            running(ExecutorService(context)) as executor,
            stub_of(statedb_pb2_grpc.StateDbStub, statedb.port) as state,
            stub_of(executor_pb2_grpc.ExecutorStub, executor.port) as execution,
        ):
            made = Clients(state, execution)
            head = (await state.GetHead(statedb_pb2.GetHeadRequest())).head
            for nonce in range(3):
                head, _ = await build_and_commit(made, head, transfers(chain, KEYS[:1], [nonce], [TO], value_wei=ETHER))
            yield made


def request(to: bytes, data: bytes = b"", **fields: object) -> executor_pb2.CallRequest:
    return executor_pb2.CallRequest(**{"from": SENDER, "to": to, "data": data, "gas": 1_000_000} | fields)  # type: ignore[arg-type]


def at(number: int) -> types_pb2.BlockSelector:
    return types_pb2.BlockSelector(number=number)


async def test_calls_see_the_state_of_their_block(clients: Clients) -> None:
    for number in range(4):
        answer = await clients.executor.Call(request(BALANCE_AT, TO.rjust(32, b"\x00"), block=at(number)))
        assert answer.status == executor_pb2.CALL_STATUS_SUCCESS
        assert int.from_bytes(answer.output, "big") == number * ETHER
    latest = await clients.executor.Call(request(BALANCE_AT, TO.rjust(32, b"\x00")))
    assert int.from_bytes(latest.output, "big") == 3 * ETHER


async def test_pending_is_the_next_block_on_the_head(clients: Clients) -> None:
    pending = types_pb2.BlockSelector(tag=types_pb2.BLOCK_TAG_PENDING)
    assert int.from_bytes((await clients.executor.Call(request(NUMBER_AT, block=pending))).output, "big") == 4
    assert int.from_bytes((await clients.executor.Call(request(NUMBER_AT))).output, "big") == 3


async def test_a_revert_is_an_answer(clients: Clients) -> None:
    answer = await clients.executor.Call(request(REVERT_AT, b"why"))
    assert answer.status == executor_pb2.CALL_STATUS_REVERT
    assert answer.output == b"why"
    assert answer.error.startswith("execution reverted")


async def test_a_call_that_runs_too_long_is_cut_off_and_the_next_is_served(clients: Clients) -> None:
    started = time.monotonic()
    calls = [clients.executor.Call(request(LOOP_AT, gas=2**40)) for _ in range(2)]  # every call worker
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason_of(raised.value) == "CALL_TIMED_OUT"
    assert (await clients.executor.Call(request(NUMBER_AT))).status == executor_pb2.CALL_STATUS_SUCCESS
    assert time.monotonic() - started < 5


async def test_out_of_gas_is_a_halt(clients: Clients) -> None:
    answer = await clients.executor.Call(request(LOOP_AT, gas=100_000))
    assert answer.status == executor_pb2.CALL_STATUS_HALT
    assert "out of gas" in answer.error


async def test_a_transfer_is_estimated_at_its_intrinsic_gas(clients: Clients) -> None:
    answer = await clients.executor.Call(request(b"\x77" * 20, value=(1).to_bytes(32, "big"), gas=0, estimate=True))
    assert (answer.status, answer.estimate) == (executor_pb2.CALL_STATUS_SUCCESS, 21_000)


async def test_overrides_change_the_call_alone(clients: Clients) -> None:
    slot = "0x" + "00" * 32
    overrides = b'{"0x%s": {"stateDiff": {"%s": "0x%064x"}}}' % (SLOT_AT.hex().encode(), slot.encode(), 77)
    answer = await clients.executor.Call(request(SLOT_AT, state_overrides=overrides))
    assert int.from_bytes(answer.output, "big") == 77
    assert int.from_bytes((await clients.executor.Call(request(SLOT_AT))).output, "big") == 0


async def test_unknown_blocks_and_broken_requests_are_refused(clients: Clients) -> None:
    for wrong, code in (
        (request(NUMBER_AT, block=at(99)), grpc.StatusCode.NOT_FOUND),
        (request(NUMBER_AT, block=types_pb2.BlockSelector(hash=b"\x11" * 32)), grpc.StatusCode.NOT_FOUND),
        (request(NUMBER_AT, block=types_pb2.BlockSelector(hash=b"\x11" * 31)), grpc.StatusCode.INVALID_ARGUMENT),
        (request(b"\x11" * 19), grpc.StatusCode.INVALID_ARGUMENT),
        (request(NUMBER_AT, value=b"\x11"), grpc.StatusCode.INVALID_ARGUMENT),
        (request(NUMBER_AT, state_overrides=b"{"), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await clients.executor.Call(wrong)
        assert raised.value.code() == code


async def test_calls_go_on_while_blocks_are_built(clients: Clients) -> None:
    chain = chain_of(KEYS, contracts=CONTRACTS)
    head = (await clients.statedb.GetHead(statedb_pb2.GetHeadRequest())).head
    for nonce in range(3, 10):
        call = clients.executor.Call(request(BALANCE_AT, TO.rjust(32, b"\x00"), block=at(1)))
        head, _ = await build_and_commit(clients, head, transfers(chain, KEYS[:1], [nonce], [TO], value_wei=ETHER))
        assert int.from_bytes((await call).output, "big") == ETHER
    assert hansa_kernel.Header.decode(head.header).number == 10
