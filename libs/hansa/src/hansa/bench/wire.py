"""A raw HTTP/1.1 connection for JSON-RPC: one request at a time, body in, body out."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from hansa.bench.limits import ANSWER_BYTES_MAX

HEADER_BYTES_MAX: Final = 64 << 10


class AnswerInvalid(Exception):
    """The other side does not speak HTTP as we know it."""


class Connection:
    """A kept connection; opened at the first request, and again after a failure."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise AnswerInvalid(f"{url}: a plain http URL was expected")
        self._host = parts.hostname
        self._port = parts.port or 80
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\ncontent-length: "
        ).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bytes:
        """Body of the answer. Raises `OSError`, `AnswerInvalid`, `asyncio.IncompleteReadError`."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=HEADER_BYTES_MAX)
        reader, writer = self._streams
        try:
            writer.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            answer = await self._body(reader, head)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in head:
            self.close()
        return answer

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        if (begin := head.find(b"content-length:")) >= 0:
            length = int(head[begin + 15 : head.index(b"\r\n", begin)])
            if length > ANSWER_BYTES_MAX:
                raise AnswerInvalid(f"an answer of {length} bytes")
            return await reader.readexactly(length)
        if b"transfer-encoding: chunked" not in head:
            raise AnswerInvalid("an answer of unknown length")
        chunks: list[bytes] = []
        size = 0
        while length := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            size += length
            if size > ANSWER_BYTES_MAX:
                raise AnswerInvalid(f"an answer of over {ANSWER_BYTES_MAX} bytes")
            chunks.append((await reader.readexactly(length + 2))[:-2])
        await reader.readuntil(b"\r\n")
        return b"".join(chunks)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
