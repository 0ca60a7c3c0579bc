"""What several api replicas of one member share through Redis; without Redis each makes do with its own memory.

Shared: newest head shown to clients (read-your-writes), notices of pending transactions (one replica reads them from
consensus for all), token buckets. Nothing here is needed for a right answer: when Redis goes away, a warning is logged
once, everything falls back to memory, and connecting is tried again for ever.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from hansa_api import metrics
from hansa_api.pool_feed import LEASE_MS

OPERATION_SECONDS_MAX = 0.5
"""An answer later than this counts as none: requests wait for it."""
RETRY_SECONDS = 2.0
OUTBOX_MAX = 1_000
"""Notices waiting to be published; the oldest go."""

_BUCKET = """
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local tokens = tonumber(kept[1]) or burst
tokens = math.min(burst, tokens + (now - (tonumber(kept[2]) or now)) * rate)
local wait = 0
if tokens >= cost then tokens = tokens - cost else wait = math.ceil((cost - tokens) / rate) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate) + 1)
return wait
"""

log = structlog.get_logger()

Listener = Callable[[bytes], None]


class RedisBus:
    """One connection pool and one subscription; all keys and channels under `prefix`."""

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        self._replica = secrets.token_bytes(8)
        self._client: Any = redis.asyncio.from_url(
            url, socket_timeout=OPERATION_SECONDS_MAX, socket_connect_timeout=OPERATION_SECONDS_MAX
        )
        self._listener_client: Any = redis.asyncio.from_url(url, socket_connect_timeout=OPERATION_SECONDS_MAX)
        self._listeners: dict[str, list[Listener]] = {}
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(OUTBOX_MAX)
        self._bucket = self._client.register_script(_BUCKET)
        self.up = False

    def listen(self, channel: str, listener: Listener) -> None:
        """Call `listener` with what other replicas publish; before `run`."""
        self._listeners.setdefault(f"{self._prefix}:{channel}", []).append(listener)

    def publish(self, channel: str, payload: bytes) -> None:
        """Tell the other replicas, without waiting; lost when Redis is away."""
        if not self.up:
            return
        if self._outbox.full():
            self._outbox.get_nowait()
            metrics.EVENTS_DROPPED.labels("redis").inc()
        self._outbox.put_nowait((f"{self._prefix}:{channel}", self._replica + payload))

    async def lead(self, duty: str) -> bool:
        """Whether this replica has the duty for the next `LEASE_MS`; True as well when Redis is away."""
        key, ours = f"{self._prefix}:lead:{duty}", self._replica.hex()
        try:
            if await self._client.set(key, ours, nx=True, px=LEASE_MS):
                return True
            if await self._client.get(key) != ours.encode():
                return False
            await self._client.pexpire(key, LEASE_MS)
        except (RedisError, OSError) as error:
            self._lost(error)
        return True

    async def resign(self, duty: str) -> None:
        """Give the duty up, so that another replica takes it at once."""
        key = f"{self._prefix}:lead:{duty}"
        try:
            if await self._client.get(key) == self._replica.hex().encode():
                await self._client.delete(key)
        except (RedisError, OSError) as error:
            self._lost(error)

    async def take(self, address: str, rate: int, burst: int, cost: int) -> int | None:
        """Seconds to wait for `cost` tokens, 0 when taken; None when Redis is away."""
        if not self.up:
            return None
        try:
            return int(await self._bucket(keys=[f"{self._prefix}:rate:{address}"], args=[rate, burst, cost]))
        except (RedisError, OSError) as error:
            self._lost(error)
            return None

    async def run(self) -> None:
        """Keep connected, for the service's life."""
        sender = asyncio.create_task(self._send())
        try:
            while True:
                try:
                    await self._receive()
                except (RedisError, OSError) as error:
                    self._lost(error)
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            sender.cancel()

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._client, self._listener_client):
            try:
                await client.aclose()
            except (RedisError, OSError):
                pass  # it was lost already

    async def _receive(self) -> None:
        async with self._listener_client.pubsub() as subscription:
            await subscription.subscribe(*self._listeners)
            async for message in subscription.listen():
                if not self.up:
                    self.up = True
                    metrics.REDIS_UP.set(1)
                    log.info("redis_connected")
                if message["type"] != "message":
                    continue
                data: bytes = message["data"]
                if data[:8] == self._replica:
                    continue
                for listener in self._listeners.get(message["channel"].decode(), ()):
                    listener(data[8:])

    async def _send(self) -> None:
        while True:
            channel, payload = await self._outbox.get()
            try:
                await self._client.publish(channel, payload)
            except (RedisError, OSError) as error:
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        if self.up:
            log.warning("redis_away", detail=str(error), effect="replicas use their own memory until it returns")
        self.up = False
        metrics.REDIS_UP.set(0)
