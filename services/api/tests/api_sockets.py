"""A WebSocket client for tests."""

import asyncio
from typing import Any

import orjson
import websockets
from websockets.asyncio.client import ClientConnection

BOUND_SECONDS = 15


class Socket:
    """A connection that sorts answers from notices."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.notices: list[Any] = []
        self._next = 0

    async def ask(self, method: str, *params: Any) -> Any:
        """The answer to a request."""
        self._next += 1
        await self.connection.send(
            orjson.dumps({"jsonrpc": "2.0", "id": self._next, "method": method, "params": list(params)}).decode()
        )
        while True:
            message = await self.receive()
            if message.get("id") == self._next:
                return message
            self.notices.append(message)

    async def receive(self) -> Any:
        """The next message."""
        return orjson.loads(await asyncio.wait_for(self.connection.recv(), BOUND_SECONDS))

    async def notice(self, subscription: str) -> Any:
        """The next notice of a subscription."""
        while True:
            message = self.notices.pop(0) if self.notices else await self.receive()
            if message["params"]["subscription"] == subscription:
                return message["params"]["result"]


async def close_code(connection: ClientConnection) -> int | None:
    """Read until the server closes; its code."""
    try:
        while True:
            await asyncio.wait_for(connection.recv(), BOUND_SECONDS)
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None
