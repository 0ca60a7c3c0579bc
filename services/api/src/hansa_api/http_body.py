"""Request bodies in, response bodies out: sizes, gzip and brotli, and the headers that browsers need."""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import brotli

from hansa_api.limits import Limits

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

COMPRESS_LEVEL = 1
"""Of gzip: a third of the time of level 6 for nearly the same size of JSON."""
BROTLI_QUALITY = 1
"""Half the time of gzip's level 1 for a fifth less JSON (1 MB of transactions: 3 ms, 247 kB); higher ones gain nothing."""
ACCEPTED_ENCODINGS_MAX = 16
"""Entries of `Accept-Encoding` that are read; browsers send five."""
THREAD_FROM_BYTES = 64 << 10
"""Larger bodies are inflated and compressed in a thread: a megabyte takes 10 ms of the event loop else."""


DRAIN_TIMES = 4
DRAIN_SECONDS = 5
"""How much of a refused body is read away: four times the limit, for so long."""

_WEIGHT = re.compile(rb"0(\.\d{0,3})?|1(\.0{0,3})?")


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
    if encoding not in (b"gzip", b"x-gzip", b"br"):
        raise BodyRefused(415, "content-encoding is not supported; there are gzip, br and identity")
    if len(body) < THREAD_FROM_BYTES:
        return inflate(body, encoding, limits)
    return await asyncio.to_thread(inflate, body, encoding, limits)


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


def inflate(body: bytes, encoding: bytes, limits: Limits) -> bytes:
    """Decompress gzip or br within the body limit and the ratio limit. Raises `BodyRefused`."""
    bound = min(limits.body_bytes, max(1_000, len(body) * limits.inflate_ratio))
    try:
        found, whole = _brotli_start(body, bound) if encoding == b"br" else _gzip_start(body, bound)
    except (zlib.error, brotli.error):
        raise BodyRefused(400, f"the body is not {encoding.decode()} as its content-encoding says") from None
    if len(found) > bound:
        what = (
            f"exceeds the limit of {limits.body_bytes} bytes"
            if bound == limits.body_bytes
            else f"is more than {limits.inflate_ratio} times its compressed size"
        )
        raise BodyRefused(413, f"inflated request body {what}")
    if not whole:
        raise BodyRefused(400, f"the body is not one whole {encoding.decode()} stream")
    return found


def _gzip_start(body: bytes, bound: int) -> tuple[bytes, bool]:
    """(at most `bound` + 1 bytes, whether that is all of exactly one member)."""
    decompressor = zlib.decompressobj(wbits=31)
    found = decompressor.decompress(body, bound + 1)
    return found, decompressor.eof and not decompressor.unused_data


def _brotli_start(body: bytes, bound: int) -> tuple[bytes, bool]:
    """(`bound` + 1 bytes and at most one buffer of the library, 32 KiB, more; whether that is all of the stream)."""
    decompressor = brotli.Decompressor()
    found: bytes = decompressor.process(body, output_buffer_limit=bound + 1)
    return found, decompressor.is_finished()


def encoding_for(accepted: bytes) -> bytes:
    """The content encoding for a client's `Accept-Encoding` (RFC 9110, 12.5.3): br, gzip, or empty for none.

    The one it weighs most; br when it weighs both the same. Weights that are not numbers count as 0.
    """
    weights: dict[bytes, float] = {}
    for entry in accepted.lower().split(b",")[:ACCEPTED_ENCODINGS_MAX]:
        name, *parameters = (part.strip() for part in entry.split(b";"))
        weight = next((part[2:] for part in parameters if part.startswith(b"q=")), b"1")
        weights[name] = float(weight) if _WEIGHT.fullmatch(weight) else 0.0
    others = weights.get(b"*", 0.0)
    best = max((b"br", b"gzip"), key=lambda name: weights.get(name, others))
    return best if weights.get(best, others) > 0 else b""


def compressed(body: bytes, encoding: bytes) -> bytes:
    """`body` in an encoding that `encoding_for` named."""
    if encoding == b"br":
        found: bytes = brotli.compress(body, quality=BROTLI_QUALITY)
        return found
    compressor = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, 31)
    return compressor.compress(body) + compressor.flush()


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    extra: list[tuple[bytes, bytes]] | None = None,
    encoding: bytes = b"",
) -> None:
    """Send a whole response; with `encoding` only what the client takes so and what is worth it."""
    headers = [(b"content-type", content_type)]
    if extra:
        headers.extend(extra)
    if encoding:
        in_thread = len(body) >= THREAD_FROM_BYTES
        body = await asyncio.to_thread(compressed, body, encoding) if in_thread else compressed(body, encoding)
        headers.append((b"content-encoding", encoding))
        headers.append((b"vary", b"Accept-Encoding"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
