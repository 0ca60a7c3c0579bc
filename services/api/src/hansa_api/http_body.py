"""Request bodies in, response bodies out: sizes, gzip, and the headers that browsers need."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hansa_api.limits import Limits

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

COMPRESS_LEVEL = 1
"""A third of the time of level 6 for nearly the same size of JSON."""
THREAD_FROM_BYTES = 64 << 10
"""Larger bodies are inflated and compressed in a thread: a megabyte takes 10 ms of the event loop else."""


DRAIN_TIMES = 4
DRAIN_SECONDS = 5
"""How much of a refused body is read away: four times the limit, for so long."""


class BodyRefused(Exception):
    """A body that is not read; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Disconnected(Exception):
    """The client has gone."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Headers by lower-case name; the first of equal ones counts."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), value)
    return found


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limits: Limits) -> bytes:
    """The body, inflated. Raises `BodyRefused` or `Disconnected`."""
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > limits.body_bytes:
        await _drain(receive, limits)
        raise BodyRefused(413, f"request body of {int(length)} bytes exceeds the limit of {limits.body_bytes}")
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    body: bytes = message["body"]
    if message.get("more_body"):
        parts = [body]
        size = len(body)
        try:
            async with asyncio.timeout(limits.read_timeout_ms / 1000):
                while message.get("more_body"):
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Disconnected
                    parts.append(message["body"])
                    size += len(message["body"])
                    if size > limits.body_bytes:
                        raise BodyRefused(413, f"request body exceeds the limit of {limits.body_bytes} bytes")
        except TimeoutError:
            raise BodyRefused(408, f"the request did not arrive within {limits.read_timeout_ms} ms") from None
        body = b"".join(parts)
    if len(body) > limits.body_bytes:
        raise BodyRefused(413, f"request body of {len(body)} bytes exceeds the limit of {limits.body_bytes}")
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in (b"identity", b""):
        return body
    if encoding not in (b"gzip", b"x-gzip"):
        raise BodyRefused(415, "content-encoding is not supported; there are gzip and identity")
    if len(body) < THREAD_FROM_BYTES:
        return inflate(body, limits)
    return await asyncio.to_thread(inflate, body, limits)


async def _drain(receive: Receive, limits: Limits) -> None:
    """Read and forget some of a body that is refused: closing at once would cut the client off before it reads why."""
    left = DRAIN_TIMES * limits.body_bytes
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


def inflate(body: bytes, limits: Limits) -> bytes:
    """Gunzip within the body limit and the ratio limit. Raises `BodyRefused`."""
    bound = min(limits.body_bytes, max(1_000, len(body) * limits.inflate_ratio))
    decompressor = zlib.decompressobj(wbits=31)
    try:
        found = decompressor.decompress(body, bound + 1)
    except zlib.error:
        raise BodyRefused(400, "the body is not gzip as its content-encoding says") from None
    if len(found) > bound:
        what = (
            f"exceeds the limit of {limits.body_bytes} bytes"
            if bound == limits.body_bytes
            else f"is more than {limits.inflate_ratio} times its compressed size"
        )
        raise BodyRefused(413, f"inflated request body {what}")
    if not decompressor.eof or decompressor.unused_data:
        raise BodyRefused(400, "the body is not one whole gzip member")
    return found


def gzip_bytes(body: bytes) -> bytes:
    """gzip."""
    compressor = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, 31)
    return compressor.compress(body) + compressor.flush()


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    extra: list[tuple[bytes, bytes]] | None = None,
    compress: bool = False,
) -> None:
    """Send a whole response; `compress` only what the client takes and what is worth it."""
    headers = [(b"content-type", content_type)]
    if extra:
        headers.extend(extra)
    if compress:
        body = await asyncio.to_thread(gzip_bytes, body) if len(body) >= THREAD_FROM_BYTES else gzip_bytes(body)
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"Accept-Encoding"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
