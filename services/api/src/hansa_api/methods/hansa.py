"""What Hansa adds beside Ethereum: certificates, members, batches and the node's state."""

from typing import Any

from hansa import __version__
from hansa.v1 import consensus_pb2, types_pb2
from hansa_kernel import signers_of, vote_message

from hansa_api.api import Api
from hansa_api.dispatcher import SEND_COST, oversized
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Invalid, Param, block, count_or_number, data, list_of
from hansa_api.registry import Method

CONF_LEVEL_MAX = (1 << 32) - 1
_RAWS = {"type": "array", "items": {"type": "string"}}

WITNESS_COST = 100
"""Units of the rate limit: a whole block is executed."""


async def submit_batch(api: Api, raws: list[bytes]) -> list[dict[str, Any]]:
    """Admit many transactions; `{hash}` or `{hash, error}` per item, same order."""
    for raw in raws:
        if len(raw) > api.limits.transaction_bytes:
            raise oversized(len(raw), api.limits.transaction_bytes)
    if not raws:
        return []
    verdicts = await api.submitter.submit(raws)
    digits = verdicts.hashes.hex()
    found: list[dict[str, Any]] = [{"hash": "0x" + digits[64 * i : 64 * i + 64]} for i in range(len(raws))]
    for index, error in verdicts.refusals.items():
        found[index]["error"] = error.as_dict()
    return found


async def get_most_recent(api: Api, level: int) -> dict[str, str]:
    """Newest block with at least this confidence (Enterprise Ethereum's interface)."""
    found: consensus_pb2.GetMostRecentResponse = await api.backend.ask(
        api.backend.consensus.GetMostRecent, consensus_pb2.GetMostRecentRequest(conf_level=level), "consensus"
    )
    await api.heads.reach(found.number)
    return {"number": hex(found.number), "hash": "0x" + found.hash.hex()}


async def get_certificate(api: Api, at: At) -> dict[str, Any] | None:
    """The certificate of a committed block, or null when there is no such block or it is genesis."""
    found = await api.heads.block(at)
    if found is None or found.certificate is None:
        return None
    return certificate_json(api, found.certificate)


async def get_block_witness(api: Api, at: At) -> dict[str, str] | None:
    """A committed block with everything that it takes to execute it again, for `hansa proof verify-block`; null when
    there is no such block."""
    found = await api.heads.block(at)
    if found is None:
        return None
    answer = await api.backend.witness(found.hash)
    return {"blockHash": "0x" + answer.block_hash.hex(), "witness": "0x" + answer.witness.hex()}


def certificate_json(api: Api, certificate: types_pb2.Certificate) -> dict[str, Any]:
    """A certificate, with the bytes that its signers signed and their names, so that it can be checked offline."""
    validators = api.chain.validators
    signers = signers_of(certificate.signers, len(validators)) if validators else []
    signed = vote_message(
        genesis_hash=api.chain.genesis_hash,
        shard=certificate.shard,
        epoch=certificate.epoch,
        level=certificate.level,
        phase=certificate.phase,
        from_hash=certificate.from_hash,
        from_height=certificate.from_height,
        to_hash=certificate.to_hash,
        to_height=certificate.to_height,
        view=certificate.view,
        next_set_hash=certificate.next_set_hash,
    )
    return {
        "shard": hex(certificate.shard),
        "epoch": hex(certificate.epoch),
        "level": hex(certificate.level),
        "phase": certificate.phase,
        "fromHash": "0x" + certificate.from_hash.hex(),
        "fromHeight": hex(certificate.from_height),
        "toHash": "0x" + certificate.to_hash.hex(),
        "toHeight": hex(certificate.to_height),
        "view": hex(certificate.view),
        "nextSetHash": "0x" + certificate.next_set_hash.hex() if certificate.next_set_hash else None,
        "signers": "0x" + certificate.signers.hex(),
        "signerNames": [validators[index].name for index in signers],
        "signature": "0x" + certificate.signature.hex(),
        "signedMessage": "0x" + signed.hex(),
    }


async def get_members(api: Api) -> list[dict[str, Any]]:
    """Members in the order of their numbers, as this one sees them."""
    status = await api.backend.status()
    leader = status.leader
    return [
        {
            "index": hex(index),
            "name": member.name,
            "address": "0x" + member.address.hex(),
            "voteKey": "0x" + member.vote_key.hex(),
            "endpoint": member.endpoint,
            "up": member.up or index == status.self,
            "self": index == status.self,
            "leader": index == leader,
            "head": hex(member.head),
        }
        for index, member in enumerate(status.members)
    ]


async def get_node_status(api: Api) -> dict[str, Any]:
    """Where this member stands, and every limit that applies to its clients."""
    status = await api.backend.status()
    pool = await api.backend.pool()
    head = api.heads.head
    return {
        "version": __version__,
        "member": api.settings.member,
        "chainId": hex(api.chain.chain_id),
        "genesisHash": "0x" + api.chain.genesis_hash.hex(),
        "engine": status.engine,
        "head": {"number": hex(head.number), "hash": "0x" + head.hash.hex(), "timestamp": hex(head.header.timestamp)},
        "view": hex(status.view),
        "height": hex(status.height),
        "leader": status.members[status.leader].name if status.leader < len(status.members) else None,
        "quorum": hex(status.quorum),
        "members": hex(len(status.members)),
        "missing": list(status.missing),
        "waitingFor": status.waiting_for or None,
        "votingMode": status.mode or None,
        "syncing": status.syncing,
        "highestKnown": hex(max(status.highest_known, head.number)),
        "pool": {
            "pending": hex(pool.executable),
            "queued": hex(pool.gapped),
            "bytes": hex(pool.bytes),
            "local": hex(pool.local),
        },
        "limits": {"api": api.limits.as_dict(), "consensus": dict(status.limits)},
    }


def _level(value: Any) -> int:
    found = count_or_number(value)
    if found > CONF_LEVEL_MAX:
        raise Invalid(f"confidence {found} is not within 0 and {CONF_LEVEL_MAX}")
    return found


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method(
            "hansa_submitBatch",
            submit_batch,
            (Param("transactions", list_of(data, limits.batch_items, "transactions"), schema=_RAWS),),
            cost=lambda arguments: SEND_COST * max(1, len(arguments[0])),
        ),
        Method(
            "hansa_getMostRecent", get_most_recent, (Param("confLevel", _level, 0, {"type": ["string", "integer"]}),)
        ),
        Method("hansa_getCertificate", get_certificate, (Param("block", block, LATEST),)),
        Method("hansa_getBlockWitness", get_block_witness, (Param("block", block, LATEST),), cost=WITNESS_COST),
        Method("hansa_getMembers", get_members),
        Method("hansa_getNodeStatus", get_node_status),
    ]
