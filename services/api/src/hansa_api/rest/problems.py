"""Errors as problem JSON (RFC 9457)."""

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hansa_api.errors import (
    HeaderNotFound,
    InvalidParams,
    LimitExceeded,
    Pruned,
    RateLimited,
    RpcError,
    SyncNonceGap,
    SyncNotReady,
    SyncTimeout,
    TransactionRefused,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"

_STATUSES: tuple[tuple[type[RpcError], int, str], ...] = (
    (RateLimited, 429, "rate limit exceeded"),
    (InvalidParams, 400, "invalid parameter"),
    (TransactionRefused, 422, "transaction refused"),
    (SyncNonceGap, 409, "nonce gap"),
    (SyncNotReady, 409, "transaction is not ready"),
    (SyncTimeout, 504, "not committed in time"),
    (LimitExceeded, 413, "limit exceeded"),
    (HeaderNotFound, 404, "block not found"),
    (Pruned, 410, "pruned"),
    (Unavailable, 503, "service unavailable"),
)


class NotFound(RpcError):
    """The resource does not exist."""

    code = 404


def install(app: FastAPI) -> None:
    """Turn every error of `app` into a problem."""

    @app.exception_handler(RpcError)
    async def on_rpc_error(_request: Request, error: RpcError) -> Response:
        if isinstance(error, NotFound):
            return problem(404, "not found", error.message)
        for kind, status, title in _STATUSES:
            if isinstance(error, kind):
                return problem(
                    status, title, error.message, data=error.data, retry_after=getattr(error, "retry_after", None)
                )
        return problem(500, "internal error", error.message)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(400, "invalid parameter", f"{where}: {first['msg']}")

    @app.exception_handler(Exception)
    async def on_bug(_request: Request, _error: Exception) -> Response:
        return problem(500, "internal error", "the log of the api says more")

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail).lower(), str(error.detail))


def problem(status: int, title: str, detail: str, *, data: Any = None, retry_after: int | None = None) -> Response:
    """A problem response; `data` goes with it as `data`."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if data is not None:
        body["data"] = data
    headers = {"retry-after": str(retry_after)} if retry_after else None
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)
