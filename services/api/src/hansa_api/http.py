"""The ASGI application: JSON-RPC on `/` and `/shards/0`, REST below `/api/v1`, health and metrics.

JSON-RPC takes the shortest way: no framework, one read, one parse, one write.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from hansa.stages import Charged
from hansa.telemetry import readiness
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hansa_api import metrics
from hansa_api.connection import Connection
from hansa_api.dispatcher import Dispatcher, error_bytes
from hansa_api.errors import InternalError, InvalidRequest, LimitExceeded, RpcError, Unavailable
from hansa_api.http_body import (
    BodyRefused,
    Disconnected,
    Receive,
    Scope,
    Send,
    encoding_for,
    headers_of,
    read_body,
    respond,
)
from hansa_api.origins import Origins
from hansa_api.page import status_page
from hansa_api.protocol import Gate
from hansa_api.websocket import serve_websocket

if TYPE_CHECKING:
    from hansa.service import Service

    from hansa_api.api import Api

RPC_PATHS = frozenset(("/", "/shards/0"))
_JSON_TYPES = frozenset((b"application/json", b"application/json-rpc", b"application/jsonrequest", b"text/plain", b""))
_SEND_METHOD = b"eth_sendRawTransaction"

log = structlog.get_logger()

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class HttpApp:
    """One port's application; `websocket_only` for the port that is only for WebSockets."""

    def __init__(
        self,
        api: "Api",
        rest: App,
        origins: Origins,
        gate: Gate,
        services: "Sequence[Service]",
        *,
        websocket_only: bool,
    ) -> None:
        self._api = api
        self._rest = rest
        self._origins = origins
        self._gate = gate
        self._services = services
        self._websocket_only = websocket_only
        self._dispatcher = Dispatcher(api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await Charged("rpc", self._serve(scope, receive, send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await self._http(scope, receive, send)
            except Disconnected:
                pass
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        headers = headers_of(scope)
        # Orchestrators probe by address, so health needs no known Host; it tells nothing worth rebinding for.
        if (answer := self._health(path, scope)) is not None:
            status, kind, body = answer
            await respond(send, status, body, content_type=kind)
            return
        if not self._origins.host_allowed(headers):
            host = headers.get(b"host", b"").decode("latin-1", "replace")[:100]
            await _plain(send, 403, f"host {host!r} is not allowed here; add it to api.allowed_hosts")
            return
        if not self._origins.origin_allowed(headers):
            origin = headers.get(b"origin", b"").decode("latin-1", "replace")[:100]
            await _plain(send, 403, f"origin {origin!r} is not allowed here; add it to api.cors_origins")
            return
        method: str = scope["method"]
        if method == "OPTIONS":
            await respond(send, 204, b"", extra=self._origins.cors(headers, preflight=True))
        elif self._websocket_only:
            await _plain(send, 426, "this port is for WebSockets", [(b"upgrade", b"websocket")])
        elif path.startswith("/api/v1"):
            await self._rest_request(scope, receive, send, headers)
        elif path in RPC_PATHS or path.startswith("/shards/"):
            await self._rpc(scope, receive, send, headers, path)
        else:
            await _plain(send, 404, "there are / (JSON-RPC), /api/v1, /livez, /readyz, /startupz and /metrics")

    async def _rest_request(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]) -> None:
        cors = self._origins.cors(headers)

        async def send_counted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *cors]
                metrics.REST_REQUESTS.labels(str(message["status"])).inc()
            await send(message)

        try:
            await self._rest(scope, receive, send_counted)
        except Disconnected:
            raise
        except Exception:  # the outermost loop of a request, which FastAPI has answered with a problem
            log.exception("rest_request_failed", path=scope["path"])

    async def _rpc(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], path: str) -> None:
        method: str = scope["method"]
        if method in ("GET", "HEAD"):
            if path == "/" and b"text/html" in headers.get(b"accept", b""):
                await respond(send, 200, await status_page(self._api), content_type=b"text/html; charset=utf-8")
            else:
                await _plain(send, 405, "JSON-RPC is answered to POST", [(b"allow", b"POST, OPTIONS")])
            return
        if method != "POST":
            await _plain(send, 405, "JSON-RPC is answered to POST", [(b"allow", b"POST, OPTIONS")])
            return
        cors = self._origins.cors(headers)
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            await _plain(send, 415, "invalid content type, only application/json is supported", cors)
            return
        try:
            body = await read_body(receive, headers, self._api.limits)
        except BodyRefused as refused:
            error: RpcError = (LimitExceeded if refused.status == 413 else InvalidRequest)(refused.message)
            await respond(send, refused.status, error_bytes(None, error), extra=[*cors, (b"connection", b"close")])
            return
        if path not in RPC_PATHS:
            await respond(
                send, 200, error_bytes(None, Unavailable(f"shard {path[8:40]} is not served here")), extra=cors
            )
            return
        connection = Connection((scope.get("client") or ("",))[0])
        try:
            answer = await self._dispatcher.answer(body, connection)
        except Exception:  # the outermost loop of a request
            log.exception("request_failed")
            answer = error_bytes(None, InternalError())
        status = 200
        if connection.items_limited and connection.items_limited == connection.items:
            status = 429
            cors = [*cors, (b"retry-after", b"%d" % connection.rate_limited)]
        encoding = b""
        # Hashes do not compress: answers to sends go as they are.
        if answer is not None and len(answer) >= self._api.limits.gzip_from_bytes and _SEND_METHOD not in body[:200]:
            encoding = encoding_for(headers.get(b"accept-encoding", b""))
        await respond(send, status, answer or b"", extra=cors, encoding=encoding)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        path: str = scope["path"]
        refusal = ""
        if not self._origins.host_allowed(headers) or not self._origins.origin_allowed(headers):
            refusal = "host or origin is not allowed here"
        elif path not in RPC_PATHS and path != "/ws":
            refusal = f"there is no WebSocket at {path[:100]}"
        else:
            refusal = self._gate.enter_websocket()
            if not refusal:
                try:
                    await serve_websocket(self._api, self._dispatcher, scope, receive, send)
                finally:
                    self._gate.leave_websocket()
                return
        metrics.CONNECTIONS_REFUSED.labels("websocket").inc()
        await receive()
        body = refusal.encode()
        await send(
            {
                "type": "websocket.http.response.start",
                "status": 403 if "allowed" in refusal else 404 if "no WebSocket" in refusal else 503,
                "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "websocket.http.response.body", "body": body})

    def _health(self, path: str, scope: Scope) -> tuple[int, bytes, bytes] | None:
        if path in ("/livez", "/liveness"):
            return 200, b"application/json", b'{"live":true}'
        if path == "/startupz":
            started = self._api.heads.started
            return (200 if started else 503), b"application/json", orjson.dumps({"started": started})
        if path in ("/readyz", "/readiness"):
            ready, body = readiness(self._services, started=self._api.heads.started)
            if path == "/readiness":
                ready = self._besu_readiness(scope, body) and ready
            body["ready"] = ready
            return (200 if ready else 503), b"application/json", orjson.dumps(body)
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST.encode(), generate_latest()
        return None

    def _besu_readiness(self, scope: Scope, body: dict[str, Any]) -> bool:
        """`minPeers` and `maxBlocksBehind` of Besu's readiness, judged by the last status heard."""
        asked = dict(
            part.split("=", 1) for part in scope["query_string"].decode("latin-1").split("&") if part.count("=") == 1
        )
        status = self._api.backend.last_status
        peers = sum(1 for i, member in enumerate(status.members) if member.up and i != status.self) if status else 0
        behind = max(0, status.highest_known - status.head) if status else 0
        good = True
        for name, value, bound, at_least in (
            ("peers", peers, asked.get("minPeers"), True),
            ("blocks_behind", behind, asked.get("maxBlocksBehind"), False),
        ):
            if bound is None or not bound.isdigit() or len(bound) > 18:
                continue
            ok = value >= int(bound) if at_least else value <= int(bound)
            good = good and ok
            body["checks"].append({"service": "api", "name": name, "ok": ok, "value": str(value), "bound": bound})
        return good


async def _plain(send: Send, status: int, text: str, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    await respond(send, status, text.encode(), content_type=b"text/plain; charset=utf-8", extra=extra)
