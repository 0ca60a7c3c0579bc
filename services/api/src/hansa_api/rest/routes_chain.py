"""Status, chain, members and accounts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from hansa import __version__
from hansa_kernel import EMPTY_CODE_HASH

from hansa_api.api import Api
from hansa_api.rest import models
from hansa_api.rest.values import checksummed, hex_of, read_address, read_at
from hansa_api.rest.views import block_ref, chain_view


def routes(api: Api) -> APIRouter:
    """This file's routes."""
    router = APIRouter()

    @router.get("/status", tags=["chain"])
    async def status() -> models.Status:
        """Head, members, pool and what the engine waits for."""
        node = await api.backend.status()
        pool = await api.backend.pool()
        head = api.heads.head
        return models.Status(
            version=__version__,
            member=api.settings.member,
            chain_id=api.chain.chain_id,
            engine=node.engine,
            head=block_ref(head),
            finalized=block_ref(head),
            view=node.view,
            leader=node.members[node.leader].name if node.leader < len(node.members) else None,
            quorum=node.quorum,
            members=len(node.members),
            members_up=sum(1 for index, member in enumerate(node.members) if member.up or index == node.self),
            missing=list(node.missing),
            waiting_for=node.waiting_for or None,
            syncing=node.syncing,
            blocks_behind=max(0, node.highest_known - head.number),
            pool=models.PoolCounts(pending=pool.executable, queued=pool.gapped, bytes=pool.bytes),
        )

    @router.get("/chain", tags=["chain"])
    async def chain() -> models.Chain:
        """What all members agree on."""
        return chain_view(api)

    @router.get("/chain/spec", tags=["chain"], response_class=Response)
    async def chain_spec() -> Response:
        """The chain spec file as this member read it."""
        return Response(api.chain.raw, media_type="application/json")

    @router.get("/members", tags=["chain"])
    async def members() -> models.Members:
        """Members in the order of their numbers."""
        node = await api.backend.status()
        return models.Members(
            items=[
                models.Member(
                    index=index,
                    name=member.name,
                    address=checksummed(member.address),
                    vote_key=hex_of(member.vote_key),
                    endpoint=member.endpoint,
                    up=member.up or index == node.self,
                    is_self=index == node.self,
                    is_leader=index == node.leader,
                    head=member.head,
                )
                for index, member in enumerate(node.members)
            ]
        )

    @router.get("/accounts/{address}", tags=["accounts"])
    async def account(
        address: str, at: Annotated[str | None, Query(description="Height, hash or tag; default latest.")] = None
    ) -> models.Account:
        """Balance, nonce and code at a block."""
        who = read_address(address)
        block_hash, number = await api.heads.state_at(read_at(at))
        found = await api.state.account(block_hash, who)
        code = await api.state.code(block_hash, found.code_hash)
        return models.Account(
            address=checksummed(who),
            balance=str(found.balance),
            nonce=found.nonce,
            is_contract=found.code_hash != EMPTY_CODE_HASH,
            code_hash=hex_of(found.code_hash),
            code_bytes=len(code),
            storage_root=hex_of(found.storage_root),
            at=number,
        )

    return router
