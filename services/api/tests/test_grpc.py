"""The public gRPC."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from api_accounts import Sender, hash_of
from api_node import Node
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hansa.v1 import ledger_pb2, ledger_pb2_grpc, types_pb2
from hansa_kernel import keccak

SENDER = Sender(9)
TO = bytes.fromhex("46" * 20)


@pytest.fixture(scope="module")
def channel(node: Node) -> Iterator[grpc.Channel]:
    """To the public port."""
    with grpc.insecure_channel(f"127.0.0.1:{node.services['api'].grpc_port}") as found:
        yield found


@pytest.fixture(scope="module")
def ledger(channel: grpc.Channel) -> Any:
    """The stub."""
    return ledger_pb2_grpc.LedgerStub(channel)


def reason(error: Any) -> str:
    """Stable reason of an error."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.ErrorInfo()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return str(info.reason)
    return ""


def test_transaction_is_submitted_waited_for_and_found(ledger: Any) -> None:
    raw = SENDER.transfer(TO, 7)
    receipt = ledger.SubmitAndWait(ledger_pb2.SubmitAndWaitRequest(transaction=raw), timeout=10).receipt
    assert "0x" + receipt.transaction_hash.hex() == hash_of(raw)
    assert (receipt.status, receipt.gas_used, receipt.to) == (1, 21_000, TO)
    again = ledger.GetReceipt(ledger_pb2.GetReceiptRequest(transaction_hash=receipt.transaction_hash), timeout=5)
    assert again.receipt == receipt
    at = types_pb2.BlockSelector(number=receipt.block_number)
    block = ledger.GetBlock(ledger_pb2.LedgerGetBlockRequest(at=at, receipts=True), timeout=5).block
    assert keccak(block.header) == block.hash == receipt.block_hash
    assert block.receipts
    assert block.certificate.to_hash == block.hash
    head = ledger.GetHead(ledger_pb2.LedgerGetHeadRequest(), timeout=5).head
    assert head.number >= receipt.block_number


def test_batch_has_a_result_each(ledger: Any) -> None:
    raws = [SENDER.transfer(TO), b"\x01", SENDER.transfer(TO)]
    results = ledger.Submit(ledger_pb2.LedgerSubmitRequest(transactions=raws), timeout=5).results
    assert [result.HasField("refusal") for result in results] == [False, True, False]


def test_blocks_stream_from_a_height_and_go_on_live(ledger: Any) -> None:
    stream = ledger.StreamBlocks(ledger_pb2.StreamBlocksRequest(**dict[str, Any]({"from": 1})), timeout=20)
    numbers = []
    parent = b""
    for response in stream:
        if parent:
            assert response.block.certificate.from_hash == parent
        parent = response.block.hash
        numbers.append(response.block.certificate.to_height)
        if len(numbers) == 3:
            ledger.Submit(ledger_pb2.LedgerSubmitRequest(transactions=[SENDER.transfer(TO)]), timeout=5)
        if len(numbers) >= 5:
            break
    stream.cancel()
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("method", "request_", "code", "why"),
    [
        ("GetHead", ledger_pb2.LedgerGetHeadRequest(shard=3), grpc.StatusCode.UNAVAILABLE, "SHARD_NOT_SERVED"),
        (
            "GetBlock",
            ledger_pb2.LedgerGetBlockRequest(at=types_pb2.BlockSelector(number=10**9)),
            grpc.StatusCode.NOT_FOUND,
            "BLOCK_NOT_FOUND",
        ),
        (
            "GetBlock",
            ledger_pb2.LedgerGetBlockRequest(at=types_pb2.BlockSelector(hash=b"x")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_PARAMS",
        ),
        (
            "GetReceipt",
            ledger_pb2.GetReceiptRequest(transaction_hash=bytes(32)),
            grpc.StatusCode.NOT_FOUND,
            "BLOCK_NOT_FOUND",
        ),
        (
            "SubmitAndWait",
            ledger_pb2.SubmitAndWaitRequest(transaction=b"\x01"),
            grpc.StatusCode.FAILED_PRECONDITION,
            None,
        ),
        (
            "SubmitAndWait",
            ledger_pb2.SubmitAndWaitRequest(transaction=b"\x01", timeout_ms=30_001),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_PARAMS",
        ),
        (
            "Submit",
            ledger_pb2.LedgerSubmitRequest(transactions=[b""] * 1_001),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "LIMIT_EXCEEDED",
        ),
    ],
)
def test_wrong_call_has_status_and_reason(
    ledger: Any, method: str, request_: Any, code: grpc.StatusCode, why: str | None
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        getattr(ledger, method)(request_, timeout=5)
    assert failed.value.code() == code
    assert reason(failed.value) == why if why else reason(failed.value)


def test_call_without_deadline_is_refused(ledger: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        ledger.GetHead(ledger_pb2.LedgerGetHeadRequest())
    assert reason(failed.value) == "DEADLINE_REQUIRED"


def test_health_and_reflection_are_served(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "hansa.v1.Ledger"):
        found = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        assert found.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(stub.ServerReflectionInfo(iter([request]), timeout=5))
    assert "hansa.v1.Ledger" in [service.name for service in answer.list_services_response.service]
