"""Send and wait for the committed receipt (EIP-7966, and its REST and gRPC twins): woken by the block, no polling."""

import asyncio
from dataclasses import dataclass

import orjson

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import InvalidParams, SyncNonceGap, SyncNotReady, SyncTimeout


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a transaction was committed."""

    hash: bytes
    block: CommittedBlock
    index: int


def sync_timeout_ms(api: Api, asked_ms: int | None) -> int:
    """Milliseconds to wait; None and 0 mean the default. Raises `InvalidParams` above the ceiling."""
    if not asked_ms:
        return api.limits.sync_wait_ms
    if asked_ms > api.limits.sync_wait_max_ms:
        raise InvalidParams(f"timeout {asked_ms} ms, limit {api.limits.sync_wait_max_ms} ms")
    return asked_ms


async def send_and_wait(api: Api, raw: bytes, timeout_ms: int) -> Committed:
    """Admit one transaction and wait. Raises `TransactionRefused`, `SyncTimeout`, `SyncNotReady`, `SyncNonceGap`."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_ms / 1000
    transaction_hash = (await api.submitter.submit([raw])).first()
    committed = api.heads.committed(transaction_hash)
    try:
        probe = min(api.limits.sync_probe_ms / 1000, ends - loop.time())
        done, _ = await asyncio.wait((committed,), timeout=max(0.0, probe))
        if not done:
            ready = await _check_ready(api, transaction_hash)
            done, _ = await asyncio.wait((committed,), timeout=max(0.0, ends - loop.time()))
            if not done:
                raise SyncTimeout(transaction_hash, timeout_ms) if ready else SyncNotReady(transaction_hash)
        block, index = committed.result()
        return Committed(transaction_hash, block, index)
    finally:
        api.heads.forget(transaction_hash, committed)


async def _check_ready(api: Api, transaction_hash: bytes) -> bool:
    """Whether the pool holds it ready for the next blocks. Raises `SyncNonceGap` at once: waiting would not help."""
    pool = await api.backend.pool(hashes=transaction_hash)
    found = orjson.loads(pool.transactions_json or b"[]")
    if not found or found[0] is None:
        return False  # gone from the pool: just committed (then the wait ends at once), or dropped
    nonce = int(found[0]["nonce"], 16)
    sender = bytes.fromhex(found[0]["from"][2:])
    expected = (await api.backend.pending_nonces([sender]))[0]
    if expected is None:
        head = await api.heads.latest()
        expected = (await api.state.account(head.hash, sender)).nonce
    if nonce > expected:
        raise SyncNonceGap(nonce, expected)
    return True
