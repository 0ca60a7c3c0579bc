"""Transactions: reading and sending."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Response

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.dispatcher import oversized
from hansa_api.errors import InvalidParams, LimitExceeded, TransactionRefused
from hansa_api.params import At
from hansa_api.rest import models
from hansa_api.rest.problems import NotFound
from hansa_api.rest.values import hex_of, read_data, read_hash
from hansa_api.rest.views import log_view, receipt_view, transaction_view
from hansa_api.sync_send import send_and_wait, sync_timeout_ms

EMPTY_BLOCKS_PASSED_MAX = 200
"""Blocks without transactions that one page looks at; then it ends early with a cursor."""


def routes(api: Api) -> APIRouter:
    """This file's routes."""
    router = APIRouter(tags=["transactions"])

    async def find(transaction_hash: str) -> tuple[CommittedBlock, int]:
        found = await api.heads.find(read_hash(transaction_hash), receipts=True)
        if found is None:
            raise NotFound(f"transaction {transaction_hash} is not committed")
        return found

    def read_raw(value: str) -> bytes:
        raw = read_data(value)
        if len(raw) > api.limits.transaction_bytes:
            raise oversized(len(raw), api.limits.transaction_bytes)
        return raw

    @router.get("/transactions")
    async def transactions(
        limit: Annotated[int, Query(ge=1, le=api.limits.page_items)] = 25,
        cursor: Annotated[str | None, Query(description="From the page before.")] = None,
    ) -> models.Transactions:
        """Committed transactions, newest first."""
        head = await api.heads.latest()
        number, index = (head.number, len(head) - 1) if cursor is None else _cursor(cursor)
        number = min(number, head.number)
        items: list[models.Transaction] = []
        passed = 0
        while number >= api.heads.earliest and len(items) < limit and passed < EMPTY_BLOCKS_PASSED_MAX:
            block = await api.heads.block(At(number=number))
            if block is None:
                break
            index = min(index, len(block) - 1)
            passed += index < 0
            while index >= 0 and len(items) < limit:
                items.append(transaction_view(orjson.loads(block.transaction_json(index))))
                index -= 1
            if index < 0:
                number, index = number - 1, _LAST
        more = number >= api.heads.earliest
        return models.Transactions(items=items, cursor=f"{number}-{index}" if more else None)

    @router.get("/transactions/{hash}")
    async def transaction(hash: str) -> models.Transaction:
        """A transaction, committed or waiting in the pool."""
        wanted = read_hash(hash)
        found = await api.heads.find(wanted)
        if found is not None:
            return transaction_view(orjson.loads(found[0].transaction_json(found[1])))
        pool = await api.backend.pool(hashes=wanted)
        waiting: list[Any] = orjson.loads(pool.transactions_json or b"[]")
        if not waiting or waiting[0] is None:
            raise NotFound(f"transaction {hash} is neither committed nor in the pool")
        return transaction_view(waiting[0])

    @router.get("/transactions/{hash}/receipt")
    async def receipt(hash: str) -> models.Receipt:
        """What a committed transaction did."""
        block, index = await find(hash)
        return receipt_view(orjson.loads(block.receipts_json(index)))

    @router.get("/transactions/{hash}/logs")
    async def logs(hash: str) -> models.Logs:
        """Events of a committed transaction."""
        block, index = await find(hash)
        return models.Logs(items=[log_view(item) for item in orjson.loads(block.receipts_json(index))["logs"]])

    @router.post("/transactions", status_code=202, responses={200: {"model": models.Receipt}})
    async def send(
        body: models.RawTransaction,
        response: Response,
        wait: Annotated[Literal["committed"] | None, Query(description="Wait for the receipt.")] = None,
        timeout_ms: Annotated[int | None, Query(ge=1)] = None,
    ) -> models.Accepted | models.Receipt:
        """Send a signed transaction: 202 when it is in the pool, 200 with the receipt when waited for."""
        raw = read_raw(body.raw)
        if wait is None:
            return models.Accepted(hash=hex_of((await api.submitter.submit([raw])).first()))
        done = await send_and_wait(api, raw, sync_timeout_ms(api, timeout_ms))
        response.status_code = 200
        return receipt_view(orjson.loads(done.block.receipts_json(done.index)))

    @router.post("/transactions/batch", status_code=202)
    async def send_batch(body: models.RawTransactions) -> models.SubmitResults:
        """Send many signed transactions; one result each, same order."""
        if len(body.raw) > api.limits.batch_items:
            raise LimitExceeded(f"batch of {len(body.raw)} transactions, limit {api.limits.batch_items}")
        if not body.raw:
            return models.SubmitResults(items=[])
        verdicts = await api.submitter.submit([read_raw(item) for item in body.raw])
        return models.SubmitResults(
            items=[
                models.SubmitResult(
                    hash=hex_of(verdicts.hashes[32 * index : 32 * index + 32]),
                    refusal=_refusal(verdicts.refusals.get(index)),
                )
                for index in range(len(body.raw))
            ]
        )

    return router


_LAST = (1 << 31) - 1


def _refusal(error: TransactionRefused | None) -> models.Refusal | None:
    if error is None:
        return None
    return models.Refusal(
        code=error.reason, message=error.message, expected=error.data.get("expected"), got=error.data.get("got")
    )


def _cursor(value: str) -> tuple[int, int]:
    number, _, index = value.partition("-")
    if not all(part.isdecimal() and part.isascii() and len(part) < 20 for part in (number, index)):
        raise InvalidParams("cursor: not one of ours; take it from the page before")
    return int(number), int(index)
