"""Connection limits below ASGI: how many, how slow, how large the headers.

uvicorn has no bound on headers, on a connection that never finishes a request, or on a client that never reads; these
protocol classes add them. One `Gate` counts for all ports of the process.
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hansa_api import metrics
from hansa_api.limits import Limits

_LOOPBACK = ("127.0.0.1", "::1")


class Gate:
    """Counts connections: in all, per address, and WebSockets."""

    def __init__(self, limits: Limits, *, loopback_free: bool) -> None:
        self.limits = limits
        self._loopback_free = loopback_free
        self._total = 0
        self._websockets = 0
        self._per_address: Counter[str] = Counter()

    def admit(self, address: str) -> str:
        """Empty when the connection may stay, else the limit that it breaks."""
        limits = self.limits
        if self._total >= limits.connections:
            return f"{self._total} connections are open, limit {limits.connections}"
        free = self._loopback_free and address in _LOOPBACK
        if not free and self._per_address[address] >= limits.connections_per_address:
            return f"{self._per_address[address]} connections of {address} are open, limit {limits.connections_per_address}"
        self._total += 1
        self._per_address[address] += 1
        metrics.CONNECTIONS.set(self._total)
        return ""

    def release(self, address: str) -> None:
        """An admitted connection is gone."""
        self._total -= 1
        self._per_address[address] -= 1
        if self._per_address[address] <= 0:
            del self._per_address[address]
        metrics.CONNECTIONS.set(self._total)

    def enter_websocket(self) -> str:
        """Empty when another WebSocket may open, else the limit that it breaks."""
        if self._websockets >= self.limits.websockets:
            return f"{self._websockets} WebSockets are open, limit {self.limits.websockets}"
        self._websockets += 1
        metrics.WS_CONNECTIONS.set(self._websockets)
        return ""

    def leave_websocket(self) -> None:
        """A WebSocket has closed."""
        self._websockets -= 1
        metrics.WS_CONNECTIONS.set(self._websockets)


def http_protocol(gate: Gate) -> type[HttpToolsProtocol]:
    """An HTTP protocol class bound to `gate`."""
    limits = gate.limits

    class LimitedHttp(HttpToolsProtocol):
        """httptools with limits."""

        _admitted = ""
        _timer: asyncio.TimerHandle | None = None
        _header_bytes = 0
        _in_headers = True

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            reason = gate.admit(address)
            if reason:
                metrics.CONNECTIONS_REFUSED.labels("limit").inc()
                self._refuse(503, b"Service Unavailable", reason)
                return
            self._admitted = address or "-"
            self._arm(limits.read_timeout_ms)

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            if self._admitted:
                gate.release("" if self._admitted == "-" else self._admitted)
                self._admitted = ""
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._in_headers:
                # Counted before the parser keeps them; a body in the same segment is not a header, but then the
                # parser has left header state and the counter starts anew.
                self._header_bytes += len(data)
            super().data_received(data)
            if self._in_headers and self._header_bytes > limits.header_bytes:
                metrics.CONNECTIONS_REFUSED.labels("headers").inc()
                self._refuse(
                    431, b"Request Header Fields Too Large", f"headers exceed the limit of {limits.header_bytes} bytes"
                )

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_headers = True
            self._header_bytes = 0
            self._arm(limits.read_timeout_ms)

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._header_bytes = 0
            size = sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url)
            if size > limits.header_bytes:
                metrics.CONNECTIONS_REFUSED.labels("headers").inc()
                self._refuse(
                    431, b"Request Header Fields Too Large", f"headers exceed the limit of {limits.header_bytes} bytes"
                )
                return
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self.transport.is_closing():
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._disarm()
            if not self.transport.is_closing():
                super().on_message_complete()

        def on_response_complete(self) -> None:
            self._in_headers = True
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._arm(limits.write_timeout_ms)

        def resume_writing(self) -> None:
            self._disarm()
            super().resume_writing()

        def handle_websocket_upgrade(self) -> None:
            self._disarm()
            if self.transport.is_closing():
                return
            address, self._admitted = self._admitted, ""
            super().handle_websocket_upgrade()
            protocol: Any = self.transport.get_protocol()
            protocol.admitted = address  # it releases the connection when it is lost

        def _arm(self, timeout_ms: int) -> None:
            self._disarm()
            self._timer = self.loop.call_later(timeout_ms / 1000, self._too_slow)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            metrics.CONNECTIONS_REFUSED.labels("slow").inc()
            self.transport.abort()

        def _refuse(self, status: int, phrase: bytes, text: str) -> None:
            body = text.encode()
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, phrase, len(body), body)
            )
            self.transport.close()

    return LimitedHttp


def websocket_protocol(gate: Gate) -> type[WebSocketsSansIOProtocol]:
    """A WebSocket protocol class that gives its connection back to `gate`."""
    limits = gate.limits

    class LimitedWebSocket(WebSocketsSansIOProtocol):
        """websockets with limits."""

        admitted = ""
        _timer: asyncio.TimerHandle | None = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            if self.admitted:
                gate.release("" if self.admitted == "-" else self.admitted)
                self.admitted = ""
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._disarm()
            self._timer = self.loop.call_later(limits.write_timeout_ms / 1000, self.transport.abort)

        def resume_writing(self) -> None:
            self._disarm()
            super().resume_writing()

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return LimitedWebSocket
