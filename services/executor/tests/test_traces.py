"""Traces and simulations on real servers: old transactions on the state before them, bounds, refusals."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import hansa_kernel
import orjson
import pytest
from hansa.rpc import error_info, reason_of
from hansa.v1 import executor_pb2, executor_pb2_grpc, statedb_pb2, statedb_pb2_grpc, types_pb2
from hansa_executor import limits
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

KEYS = secret_keys(2)
FIRST, SECOND = addresses_of(KEYS)
TO = b"\x0a" * 20
# Loops for ever: JUMPDEST PUSH1 0 JUMP.
LOOP = bytes.fromhex("5b600056")
# Returns BLOCKHASH(NUMBER - 1).
PARENT = bytes.fromhex("600143034060005260206000f3")
LOOP_AT, PARENT_AT = b"\x01" * 20, b"\x02" * 20


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    chain = chain_of(KEYS, contracts={LOOP_AT: LOOP, PARENT_AT: PARENT})
    async with running(StateDbService(context_of(chain, tmp_path))) as statedb:
        context = context_of(
            chain,
            tmp_path,
            addresses={"statedb": f"127.0.0.1:{statedb.port}"},
            executor={"port": 0, "call_gas_max": 2**40},
        )
        async with (
            running(ExecutorService(context)) as executor,
            stub_of(statedb_pb2_grpc.StateDbStub, statedb.port) as state,
            stub_of(executor_pb2_grpc.ExecutorStub, executor.port) as execution,
        ):
            made = Clients(state, execution)
            head = (await state.GetHead(statedb_pb2.GetHeadRequest())).head
            for nonce in range(3):
                batch = transfers(chain, KEYS, [nonce, nonce], [TO, TO], value_wei=ETHER)
                head, _ = await build_and_commit(made, head, batch)
            yield made


def at(number: int) -> types_pb2.BlockSelector:
    return types_pb2.BlockSelector(number=number)


def calls(*items: dict[str, str]) -> bytes:
    return orjson.dumps([[item, None] for item in items])


async def test_a_transaction_is_traced_on_the_state_that_it_met(clients: Clients) -> None:
    config = orjson.dumps({"tracer": "prestateTracer"})
    for number in (1, 2, 3):
        request = executor_pb2.TraceRequest(block=at(number), config=config)
        answer = await clients.executor.Trace(request)
        balances = [
            int(orjson.loads(trace).get("0x" + TO.hex(), {"balance": "0x0"})["balance"], 16) for trace in answer.traces
        ]
        # Two transfers a block: the second one's state holds the first one's.
        assert balances == [(2 * number - 2) * ETHER, (2 * number - 1) * ETHER]
        assert len(answer.hashes) == 64
        second = await clients.executor.Trace(
            executor_pb2.TraceRequest(block=at(number), config=config, first=1, count=1)
        )
        assert list(second.traces) == list(answer.traces)[1:]


async def test_calls_run_after_as_many_transactions_as_named(clients: Clients) -> None:
    config = orjson.dumps({"tracer": "prestateTracer"})
    found = []
    for after in range(3):
        request = executor_pb2.TraceRequest(
            block=at(2), config=config, calls=calls({"to": "0x" + TO.hex()}), calls_after=after
        )
        (trace,) = (await clients.executor.Trace(request)).traces
        found.append(int(orjson.loads(trace)["0x" + TO.hex()]["balance"], 16) // ETHER)
    assert found == [2, 3, 4]


async def test_a_trace_that_grows_without_end_is_refused(clients: Clients) -> None:
    endless = calls({"to": "0x" + LOOP_AT.hex(), "gas": hex(2**40)})
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await clients.executor.Trace(executor_pb2.TraceRequest(block=at(3), calls=endless))
    assert reason_of(raised.value) == "TRACE_REFUSED"
    info = error_info(raised.value)
    assert info is not None
    assert info.metadata["code"] == "-32005"
    assert str(limits.TRACE_BYTES_MAX) in (raised.value.details() or "")


async def test_a_client_that_goes_frees_the_worker(clients: Clients) -> None:
    endless = calls({"to": "0x" + LOOP_AT.hex(), "gas": hex(2**40)})
    request = executor_pb2.TraceRequest(block=at(3), calls=endless, config=b'{"tracer":"callTracer"}')
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await clients.executor.Trace(request, timeout=0.3)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    answer = await clients.executor.Trace(executor_pb2.TraceRequest(block=at(1)), timeout=5)
    assert len(answer.traces) == 2


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (executor_pb2.TraceRequest(block=at(0)), "TRACE_REFUSED"),
        (executor_pb2.TraceRequest(block=at(9)), "BLOCK_UNKNOWN"),
        (executor_pb2.TraceRequest(block=at(1), first=3), "REQUEST_INVALID"),
        (executor_pb2.TraceRequest(block=at(1), config=b'{"tracer":"x"}'), "REQUEST_INVALID"),
        (executor_pb2.TraceRequest(block=at(1), config=b"["), "REQUEST_INVALID"),
        (executor_pb2.TraceRequest(block=at(1), calls=b"[1]"), "REQUEST_INVALID"),
        (executor_pb2.TraceRequest(block=at(1), raw=b"\x02\xc0"), "TRACE_REFUSED"),
        (executor_pb2.TraceRequest(block=types_pb2.BlockSelector(hash=b"\x01")), "REQUEST_INVALID"),
    ],
)
async def test_what_cannot_be_traced_is_refused_by_name(
    clients: Clients, request_: executor_pb2.TraceRequest, reason: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await clients.executor.Trace(request_)
    assert reason_of(raised.value) == reason


async def test_simulated_blocks_know_the_hashes_of_those_before(clients: Clients) -> None:
    ask = {"from": "0x" + FIRST.hex(), "to": "0x" + PARENT_AT.hex()}
    options = orjson.dumps({"blockStateCalls": [{"calls": [ask]}, {"calls": [ask]}, {"calls": [ask]}]})
    answer = await clients.executor.Simulate(executor_pb2.SimulateRequest(block=at(3), options=options))
    blocks = orjson.loads(answer.blocks_json)
    parents = [block["parentHash"] for block in blocks]
    assert [block["calls"][0]["returnData"] for block in blocks] == parents
    assert parents[1:] == [block["hash"] for block in blocks[:-1]]
    assert [int(block["number"], 16) for block in blocks] == [4, 5, 6]


async def test_a_simulated_block_has_the_root_of_the_block_that_is_built_from_it(clients: Clients) -> None:
    head = (await clients.statedb.GetHead(statedb_pb2.GetHeadRequest())).head
    header = hansa_kernel.Header.decode(head.header)
    transfer = {"from": "0x" + FIRST.hex(), "to": "0x" + TO.hex(), "value": hex(ETHER), "gas": hex(21_000)}
    overrides = {"time": hex(header.timestamp + 12)}
    options = orjson.dumps({"blockStateCalls": [{"blockOverrides": overrides, "calls": [transfer]}]})
    simulated = await clients.executor.Simulate(executor_pb2.SimulateRequest(block=at(3), options=options))
    (block,) = orjson.loads(simulated.blocks_json)
    chain = chain_of(KEYS, contracts={LOOP_AT: LOOP, PARENT_AT: PARENT})
    context = executor_pb2.BlockContext(
        number=4,
        timestamp=header.timestamp + 12,
        gas_limit=header.gas_limit,
        beneficiary=header.beneficiary,
        prev_randao=bytes(32),
        parent_beacon_block_root=bytes(32),
        base_fee_per_gas=bytes(32),
    )
    batch = transfers(chain, KEYS[:1], [3], [TO], value_wei=ETHER)
    built = await clients.executor.Execute(
        executor_pb2.ExecuteRequest(
            parent_hash=head.hash,
            context=context,
            transactions=batch.packed(),
            senders=batch.senders(),
            hashes=batch.hashes(),
        )
    )
    real = hansa_kernel.Header.decode(built.header)
    assert real.gas_used == int(block["gasUsed"], 16) == 21_000
    assert real.state_root.hex() == block["stateRoot"][2:]
    assert real.receipts_root.hex() == block["receiptsRoot"][2:]


async def test_malformed_simulations_are_refused_by_name(clients: Clients) -> None:
    for options, reason in (
        (b"{}", "REQUEST_INVALID"),
        (b'{"blockStateCalls":[{"calls":3}]}', "REQUEST_INVALID"),
        (b'{"blockStateCalls":[{"blockOverrides":{"number":"0x1"}}]}', "TRACE_REFUSED"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await clients.executor.Simulate(executor_pb2.SimulateRequest(block=at(3), options=options))
        assert reason_of(raised.value) == reason
