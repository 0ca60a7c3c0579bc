"""Blocks. What stands under a block hash never changes: such answers may be kept for ever."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import InvalidParams
from hansa_api.methods.hansa import certificate_json
from hansa_api.params import At
from hansa_api.rest import models
from hansa_api.rest.problems import NotFound
from hansa_api.rest.values import read_at
from hansa_api.rest.views import block_view, certificate_view, transaction_view


def routes(api: Api) -> APIRouter:
    """This file's routes."""
    router = APIRouter(tags=["blocks"])

    async def find(identity: str) -> CommittedBlock:
        at = read_at(identity)
        if at.is_pending:
            raise InvalidParams("block: pending is not a committed block")
        found = await api.heads.block(at)
        if found is None:
            raise NotFound(f"there is no {at}")
        return found

    @router.get("/blocks")
    async def blocks(
        limit: Annotated[int, Query(ge=1, le=api.limits.page_items)] = 25,
        cursor: Annotated[str | None, Query(description="From the page before.")] = None,
    ) -> models.Blocks:
        """Newest first."""
        head = (await api.heads.latest()).number
        start = head if cursor is None else min(head, _cursor(cursor))
        stop = max(api.heads.earliest, start - limit + 1)
        found = [await api.heads.block(At(number=number)) for number in range(start, stop - 1, -1)]
        return models.Blocks(
            items=[block_view(block) for block in found if block is not None],
            cursor=str(stop - 1) if stop > api.heads.earliest else None,
        )

    @router.get("/blocks/{block}")
    async def block(block: str, response: Response) -> models.Block:
        """One block by height, hash or tag."""
        found = await find(block)
        _mark(block, found, response)
        return block_view(found)

    @router.get("/blocks/{block}/transactions")
    async def block_transactions(block: str, response: Response) -> models.Transactions:
        """All transactions of a block, in order."""
        found = await find(block)
        items = [transaction_view(item) for item in orjson.loads(found.json_full())["transactions"]]
        _mark(block, found, response)
        return models.Transactions(items=items, cursor=None)

    @router.get("/blocks/{block}/certificate")
    async def block_certificate(block: str) -> models.Certificate:
        """The group signature over a block."""
        found = await find(block)
        if found.certificate is None:
            raise NotFound(f"block {found.number} has no certificate")
        return certificate_view(certificate_json(api, found.certificate))

    @router.get("/blocks/{block}/header.rlp", response_class=Response)
    async def block_header(block: str) -> Response:
        """The header's RLP; its Keccak hash is the block's."""
        found = await find(block)
        return Response(found.header_rlp, media_type="application/octet-stream")

    return router


def _mark(asked: str, block: CommittedBlock, response: Response) -> None:
    """Headers of what is asked by hash: it never changes."""
    if len(asked) == 66:
        response.headers["etag"] = f'"{block.hash.hex()}"'
        response.headers["cache-control"] = "public, max-age=31536000, immutable"


def _cursor(value: str) -> int:
    if not (value.isdecimal() and value.isascii() and len(value) < 20):
        raise InvalidParams("cursor: not one of ours; take it from the page before")
    return int(value)
