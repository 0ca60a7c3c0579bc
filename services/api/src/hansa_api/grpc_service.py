"""The public gRPC: `hansa.v1.Ledger`, with health and reflection.

Limits are those of spec reliability 6.1: message size, streams per connection, a deadline on every unary call, and
streams that end when their reader idles too long.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import orjson
import structlog
from hansa.rpc import abort, add_health, bind, server_options, set_serving
from hansa.v1 import ledger_pb2, ledger_pb2_grpc, types_pb2

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.dispatcher import SEND_COST, oversized
from hansa_api.errors import (
    HeaderNotFound,
    InvalidParams,
    LimitExceeded,
    NotSupported,
    Pruned,
    RateLimited,
    RpcError,
    SyncNonceGap,
    SyncNotReady,
    SyncTimeout,
    TransactionRefused,
    Unavailable,
)
from hansa_api.limits import Limits
from hansa_api.params import EARLIEST, LATEST, At
from hansa_api.sync_send import send_and_wait, sync_timeout_ms

SERVICE = "hansa.v1.Ledger"
HEADER_BYTES_MAX = 16 << 10
PING_MS_MIN = 10_000

log = structlog.get_logger()

_CODES: tuple[tuple[type[RpcError], grpc.StatusCode, str], ...] = (
    (InvalidParams, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PARAMS"),
    (RateLimited, grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    (LimitExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
    (HeaderNotFound, grpc.StatusCode.NOT_FOUND, "BLOCK_NOT_FOUND"),
    (Pruned, grpc.StatusCode.NOT_FOUND, "PRUNED"),
    (Unavailable, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
    (NotSupported, grpc.StatusCode.UNIMPLEMENTED, "NOT_SUPPORTED"),
    (SyncTimeout, grpc.StatusCode.DEADLINE_EXCEEDED, "NOT_COMMITTED"),
    (SyncNotReady, grpc.StatusCode.FAILED_PRECONDITION, "NOT_READY"),
    (SyncNonceGap, grpc.StatusCode.FAILED_PRECONDITION, "NONCE_GAP"),
)


class LedgerServicer(ledger_pb2_grpc.LedgerServicer):
    """Proto to the api's parts and back."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def GetHead(self, request: ledger_pb2.LedgerGetHeadRequest, context: Any) -> ledger_pb2.LedgerGetHeadResponse:
        """The committed head."""
        return await self._run(context, request.shard, 1, self._head())  # type: ignore[no-any-return]

    async def GetBlock(
        self, request: ledger_pb2.LedgerGetBlockRequest, context: Any
    ) -> ledger_pb2.LedgerGetBlockResponse:
        """A committed block."""
        return await self._run(context, request.shard, 2, self._block(request))  # type: ignore[no-any-return]

    async def GetReceipt(self, request: ledger_pb2.GetReceiptRequest, context: Any) -> ledger_pb2.GetReceiptResponse:
        """A committed receipt."""
        return await self._run(context, request.shard, 1, self._receipt(request))  # type: ignore[no-any-return]

    async def Submit(self, request: ledger_pb2.LedgerSubmitRequest, context: Any) -> ledger_pb2.LedgerSubmitResponse:
        """Admit a batch."""
        cost = SEND_COST * max(1, len(request.transactions))
        return await self._run(context, request.shard, cost, self._submit(request))  # type: ignore[no-any-return]

    async def SubmitAndWait(
        self, request: ledger_pb2.SubmitAndWaitRequest, context: Any
    ) -> ledger_pb2.SubmitAndWaitResponse:
        """Admit one transaction and wait for its receipt."""
        return await self._run(context, request.shard, SEND_COST, self._submit_and_wait(request))  # type: ignore[no-any-return]

    async def StreamBlocks(
        self, request: ledger_pb2.StreamBlocksRequest, context: Any
    ) -> AsyncIterator[ledger_pb2.StreamBlocksResponse]:
        """Committed blocks from a height on, then live."""
        await self._check(context, request.shard, 2)
        heads = self._api.heads
        try:
            number = getattr(request, "from") or heads.head.number + 1
            if number < heads.earliest:
                raise Pruned(f"lowest block held is {heads.earliest}")
            while True:
                block = await heads.block(At(number=number), receipts=request.receipts)
                if block is None:
                    if number <= heads.head.number:
                        raise Pruned(f"block {number} is no longer held")
                    await heads.advanced()
                    continue
                yield ledger_pb2.StreamBlocksResponse(block=block_message(block, receipts=request.receipts))
                number += 1
        except RpcError as error:
            await _abort(context, error)

    async def _head(self) -> ledger_pb2.LedgerGetHeadResponse:
        head, heads = await self._api.heads.latest(), self._api.heads
        return ledger_pb2.LedgerGetHeadResponse(
            head=types_pb2.Head(
                number=head.number,
                hash=head.hash,
                header=head.header_rlp,
                certificate=head.certificate,
                genesis_hash=heads.genesis_hash,
                earliest=heads.earliest,
                earliest_proof=heads.earliest_proof,
            )
        )

    async def _block(self, request: ledger_pb2.LedgerGetBlockRequest) -> ledger_pb2.LedgerGetBlockResponse:
        at = selected(request.at)
        block = await self._api.heads.block(at, receipts=request.receipts)
        if block is None:
            raise HeaderNotFound(str(at))
        return ledger_pb2.LedgerGetBlockResponse(block=block_message(block, receipts=request.receipts))

    async def _receipt(self, request: ledger_pb2.GetReceiptRequest) -> ledger_pb2.GetReceiptResponse:
        if len(request.transaction_hash) != 32:
            raise InvalidParams(f"transaction_hash has {len(request.transaction_hash)} bytes, expected 32")
        found = await self._api.heads.find(request.transaction_hash, receipts=True)
        if found is None:
            raise HeaderNotFound("the transaction is not committed")
        return ledger_pb2.GetReceiptResponse(receipt=receipt_message(*found))

    async def _submit(self, request: ledger_pb2.LedgerSubmitRequest) -> ledger_pb2.LedgerSubmitResponse:
        limits = self._api.limits
        raws = list(request.transactions)
        if len(raws) > limits.batch_items:
            raise LimitExceeded(f"batch of {len(raws)} transactions, limit {limits.batch_items}")
        for raw in raws:
            if len(raw) > limits.transaction_bytes:
                raise oversized(len(raw), limits.transaction_bytes)
        if not raws:
            return ledger_pb2.LedgerSubmitResponse()
        verdicts = await self._api.submitter.submit(raws)
        return ledger_pb2.LedgerSubmitResponse(
            results=[
                ledger_pb2.SubmitResult(
                    hash=verdicts.hashes[32 * index : 32 * index + 32],
                    refusal=_refusal(verdicts.refusals.get(index)),
                )
                for index in range(len(raws))
            ]
        )

    async def _submit_and_wait(self, request: ledger_pb2.SubmitAndWaitRequest) -> ledger_pb2.SubmitAndWaitResponse:
        limits = self._api.limits
        if len(request.transaction) > limits.transaction_bytes:
            raise oversized(len(request.transaction), limits.transaction_bytes)
        done = await send_and_wait(self._api, request.transaction, sync_timeout_ms(self._api, request.timeout_ms))
        return ledger_pb2.SubmitAndWaitResponse(receipt=receipt_message(done.block, done.index))

    async def _run(self, context: Any, shard: int, cost: int, work: Any) -> Any:
        """Await `work` after the checks that all unary calls share."""
        try:
            await self._check(context, shard, cost)
            remaining = context.time_remaining()
            bound = self._api.limits.grpc_unary_max_ms / 1000
            if remaining is None:
                await abort(
                    context, grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED", "set a deadline on the call"
                )
            return await asyncio.wait_for(work, min(remaining, bound))
        except RpcError as error:
            await _abort(context, error)
        except TimeoutError:
            await abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed")
        finally:
            work.close()

    async def _check(self, context: Any, shard: int, cost: int) -> None:
        if shard != 0:
            await abort(context, grpc.StatusCode.UNAVAILABLE, "SHARD_NOT_SERVED", f"shard {shard} is not served here")
        if self._api.rates is not None and (wait := await self._api.rates.take(_address(context.peer()), cost)):
            await _abort(context, RateLimited(self._api.limits.rate_per_second, wait))


def selected(selector: types_pb2.BlockSelector) -> At:
    """Which block a selector means. Raises `InvalidParams`."""
    which = selector.WhichOneof("block")
    if which is None:
        return LATEST
    if which == "hash":
        if len(selector.hash) != 32:
            raise InvalidParams(f"hash has {len(selector.hash)} bytes, expected 32")
        return At(hash=selector.hash)
    if which == "number":
        return At(number=selector.number)
    if selector.tag == types_pb2.BLOCK_TAG_EARLIEST:
        return EARLIEST
    if selector.tag == types_pb2.BLOCK_TAG_PENDING:
        raise InvalidParams("the pending block is not committed; ask JSON-RPC for it")
    return LATEST


def block_message(block: CommittedBlock, *, receipts: bool) -> types_pb2.Block:
    """A block as proto."""
    return types_pb2.Block(
        hash=block.hash,
        header=block.header_rlp,
        transactions=block.transactions,
        senders=block.senders,
        hashes=block.hashes,
        receipts=(block.receipts or b"") if receipts else b"",
        certificate=block.certificate,
    )


def receipt_message(block: CommittedBlock, index: int) -> ledger_pb2.Receipt:
    """A receipt as proto."""
    found = orjson.loads(block.receipts_json(index))
    return ledger_pb2.Receipt(
        transaction_hash=_bytes(found["transactionHash"]),
        transaction_index=index,
        block_hash=block.hash,
        block_number=block.number,
        status=int(found.get("status", "0x0"), 16),
        gas_used=int(found["gasUsed"], 16),
        cumulative_gas_used=int(found["cumulativeGasUsed"], 16),
        effective_gas_price=int(found["effectiveGasPrice"], 16).to_bytes(32, "big"),
        **{"from": _bytes(found["from"])},
        to=_bytes(found["to"]),
        contract_address=_bytes(found.get("contractAddress")),
        logs=[
            ledger_pb2.Log(
                address=_bytes(item["address"]),
                topics=[_bytes(topic) for topic in item["topics"]],
                data=_bytes(item["data"]),
                log_index=int(item["logIndex"], 16),
            )
            for item in found["logs"]
        ],
    )


def _bytes(value: str | None) -> bytes:
    return b"" if value is None else bytes.fromhex(value[2:])


def _refusal(error: TransactionRefused | None) -> types_pb2.Refusal | None:
    if error is None:
        return None
    data = error.data
    return types_pb2.Refusal(
        code=error.reason, message=error.message, expected=data.get("expected", ""), got=data.get("got", "")
    )


def _address(peer: str) -> str:
    """Address of a gRPC peer such as `ipv4:10.0.0.1:53122`."""
    return peer.partition(":")[2].rpartition(":")[0]


async def _abort(context: Any, error: RpcError) -> None:
    if isinstance(error, TransactionRefused):
        detail = {key: str(value) for key, value in error.data.items() if key in ("expected", "got", "code")}
        await abort(context, grpc.StatusCode.FAILED_PRECONDITION, error.reason.upper(), error.message, detail)
    for kind, code, reason in _CODES:
        if isinstance(error, kind):
            metadata = {"data": str(error.data)} if error.data is not None else None
            await abort(context, code, reason, error.message, metadata)
    log.error("grpc_call_failed", detail=error.message)
    await abort(context, grpc.StatusCode.INTERNAL, "INTERNAL", "internal error")


class GrpcServer:
    """The public gRPC server."""

    def __init__(self, api: Api, limits: Limits, host: str, port: int, *, reflection: bool) -> None:
        options = dict(server_options()) | {
            "grpc.max_receive_message_length": limits.grpc_message_bytes,
            "grpc.max_concurrent_streams": limits.grpc_streams,
            "grpc.max_metadata_size": HEADER_BYTES_MAX,
            "grpc.http2.min_recv_ping_interval_without_data_ms": PING_MS_MIN,
            "grpc.max_connection_idle_ms": limits.grpc_stream_idle_ms,
        }
        self._server = grpc.aio.server(options=list(options.items()), maximum_concurrent_rpcs=limits.grpc_concurrent)
        ledger_pb2_grpc.add_LedgerServicer_to_server(LedgerServicer(api), self._server)
        self._health = add_health(self._server, SERVICE, with_reflection=reflection)
        self._host, self._port = host, port
        self.port = 0

    async def start(self) -> None:
        """Bind and serve. Raises `PortTaken`."""
        self.port = bind(self._server, self._host, self._port)
        await self._server.start()
        await set_serving(self._health, SERVICE)

    async def stop(self) -> None:
        """Let calls finish for a second, then close."""
        await set_serving(self._health, SERVICE, serving=False)
        await self._server.stop(1)
