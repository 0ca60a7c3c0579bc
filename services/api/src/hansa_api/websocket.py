"""One WebSocket connection: requests in, answers and notices out through one bounded queue.

Requests of a connection are worked on side by side up to a limit; past it the next message stays unread, which holds
the client back. Transactions keep their order: each request submits before its first pause.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog
from hansa.stages import charged

from hansa_api.connection import Connection
from hansa_api.dispatcher import Dispatcher, error_bytes
from hansa_api.errors import InternalError, LimitExceeded
from hansa_api.http_body import Receive, Scope, Send
from hansa_api.subscriptions import Subscriber

if TYPE_CHECKING:
    from hansa_api.api import Api

CLOSE_TRY_AGAIN_LATER = 1013

log = structlog.get_logger()


async def serve_websocket(api: "Api", dispatcher: Dispatcher, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve until either side closes."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    subscriber = Subscriber(api.limits)
    connection = Connection((scope.get("client") or ("",))[0], subscriber)
    writer = asyncio.create_task(_write(subscriber, send))
    reader = asyncio.create_task(_read(api, dispatcher, connection, receive))
    try:
        await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
    finally:
        api.subscriptions.drop(subscriber)
        for task in (writer, reader):
            task.cancel()
        await asyncio.gather(writer, reader, return_exceptions=True)


@charged("rpc")
async def _write(subscriber: Subscriber, send: Send) -> None:
    queue = subscriber.queue
    while True:
        await subscriber.ready.wait()
        subscriber.ready.clear()
        while queue:
            await send({"type": "websocket.send", "text": queue.popleft().decode()})
        if subscriber.overflowed:
            reason = f"reader too slow: more than {subscriber.limits.subscription_queue} messages waiting"
            await send({"type": "websocket.close", "code": CLOSE_TRY_AGAIN_LATER, "reason": reason})
            return


@charged("rpc")
async def _read(api: "Api", dispatcher: Dispatcher, connection: Connection, receive: Receive) -> None:
    room = asyncio.Semaphore(api.limits.websocket_requests)
    tasks: set[asyncio.Task[None]] = set()
    subscriber = connection.subscriber
    assert subscriber is not None

    async def work(body: bytes | str) -> None:
        try:
            answer = await dispatcher.answer(body, connection)
        except Exception:  # the outermost loop of a request
            log.exception("request_failed")
            answer = error_bytes(None, InternalError())
        finally:
            room.release()
        if answer is not None:
            subscriber.push(answer)
        if subscriber.starting:
            api.subscriptions.activate(subscriber)

    try:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            body = message.get("text") if message.get("text") is not None else message.get("bytes")
            if body is None:
                continue
            if len(body) > api.limits.websocket_message_bytes:
                error = LimitExceeded(
                    f"message of {len(body)} bytes exceeds the limit of {api.limits.websocket_message_bytes}"
                )
                subscriber.push(error_bytes(None, error))
                continue
            await room.acquire()
            task = asyncio.create_task(work(body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()
