"""The way to consensus where it fails: a small server stands in for it, since these faults cannot be made otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from hansa.config import AddressSettings
from hansa.packing import unpack
from hansa.rpc import new_server
from hansa.v1 import consensus_pb2, consensus_pb2_grpc, types_pb2
from hansa_api.backend import Backend
from hansa_api.errors import LimitExceeded, TransactionRefused, Unavailable
from hansa_api.limits import Limits
from hansa_api.submit import Submitter


class Consensus(consensus_pb2_grpc.ConsensusServicer):
    """Keeps what it is sent; its hash of a transaction is the transaction, padded."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.fail_after_keeping = 0
        self.gate: asyncio.Event | None = None

    async def Submit(self, request: consensus_pb2.SubmitRequest, context: Any) -> consensus_pb2.SubmitResponse:
        """Admit; a transaction seen before is already known."""
        known = {raw for batch in self.batches for raw in batch}
        raws = unpack(request.transactions)
        self.batches.append(raws)
        if self.gate is not None:
            await self.gate.wait()
        if self.fail_after_keeping:
            self.fail_after_keeping -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        refusals = [
            consensus_pb2.SubmitRefusal(
                index=i, refusal=types_pb2.Refusal(code="already_known", message="already known")
            )
            for i, raw in enumerate(raws)
            if raw in known
        ]
        return consensus_pb2.SubmitResponse(hashes=b"".join(raw.ljust(32) for raw in raws), refusals=refusals)


@pytest.fixture
async def consensus() -> AsyncIterator[tuple[Consensus, Backend]]:
    """The stand-in and a client of it."""
    servicer = Consensus()
    server = new_server()
    consensus_pb2_grpc.add_ConsensusServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend = Backend(AddressSettings(consensus=f"127.0.0.1:{port}"), Limits())
    yield servicer, backend
    await backend.close()
    await server.stop(0)


async def test_requests_of_a_few_milliseconds_share_a_submit(consensus: tuple[Consensus, Backend]) -> None:
    servicer, backend = consensus
    submitter = Submitter(backend, Limits())
    answers = await asyncio.gather(*(submitter.submit([b"%d" % i, b"x%d" % i]) for i in range(10)))
    assert len(servicer.batches) == 1
    assert [answer.hashes.split() for answer in answers] == [[b"%d" % i, b"x%d" % i] for i in range(10)]


async def test_batch_is_one_submit_and_goes_at_once(consensus: tuple[Consensus, Backend]) -> None:
    servicer, backend = consensus
    submitter = Submitter(backend, Limits.from_settings({"submit_gather_ms": 60_000}))
    raws = [b"%d" % i for i in range(500)]
    await asyncio.wait_for(submitter.submit(raws), 5)
    assert servicer.batches == [raws]


async def test_known_transaction_is_refused(consensus: tuple[Consensus, Backend]) -> None:
    submitter = Submitter(consensus[1], Limits())
    await submitter.submit([b"a"])
    verdicts = await submitter.submit([b"b", b"a"])
    assert list(verdicts.refusals) == [1]
    assert isinstance(verdicts.refusals[1], TransactionRefused)
    assert verdicts.refusals[1].data == {"reason": "already_known", "code": 1000}


async def test_repeated_submit_takes_already_known_as_accepted(consensus: tuple[Consensus, Backend]) -> None:
    servicer, backend = consensus
    servicer.fail_after_keeping = 1
    verdicts = await Submitter(backend, Limits()).submit([b"a", b"b"])
    assert not verdicts.refusals
    assert len(servicer.batches) == 2


async def test_second_failure_is_unavailable_for_everybody_in_the_batch(consensus: tuple[Consensus, Backend]) -> None:
    servicer, backend = consensus
    servicer.fail_after_keeping = 2
    submitter = Submitter(backend, Limits())
    answers = await asyncio.gather(submitter.submit([b"a"]), submitter.submit([b"b"]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]


async def test_queue_is_bounded_while_consensus_does_not_answer(consensus: tuple[Consensus, Backend]) -> None:
    servicer, backend = consensus
    servicer.gate = asyncio.Event()
    limits = Limits.from_settings(
        {"submit_concurrency": 1, "submit_items": 1_000, "batch_items": 1_000, "submit_waiting": 1_000}
    )
    submitter = Submitter(backend, limits)
    under_way = asyncio.create_task(submitter.submit([b"0"] * 64))
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(submitter.submit([b"%d" % i] * 100)) for i in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(LimitExceeded, match="submission queue is full: 1000"):
        await submitter.submit([b"more"])
    servicer.gate.set()
    await asyncio.gather(under_way, *waiting)
