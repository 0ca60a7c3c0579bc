"""The FastAPI application of `/api/v1`."""

import importlib.util
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from hansa import __version__
from starlette.staticfiles import StaticFiles

from hansa_api.api import Api
from hansa_api.errors import RateLimited
from hansa_api.http_body import BodyRefused, Receive, Scope, Send, headers_of, read_body
from hansa_api.rest import models, problems, routes_blocks, routes_chain, routes_transactions

PREFIX = "/api/v1"
REST_COST = 2
"""Cost units of a REST request: one or two reads, and JSON made by models."""

_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Hansa REST</title>
<link rel="stylesheet" href="{prefix}/docs/files/swagger-ui.css"></head><body><div id="ui"></div>
<script src="{prefix}/docs/files/swagger-ui-bundle.js"></script>
<script src="{prefix}/docs/start.js"></script></body></html>"""
_START = 'SwaggerUIBundle({{url: "{prefix}/openapi.json", dom_id: "#ui", deepLinking: true}});'
_NO_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Hansa REST</title></head><body>
<h1>Hansa REST</h1><p>The description of this interface is <a href="{prefix}/openapi.json">openapi.json</a>
(OpenAPI 3.1).</p><ul>{rows}</ul></body></html>"""


def rest_app(api: Api) -> Any:
    """An ASGI application for paths below `PREFIX`."""

    async def charge(request: Request) -> None:
        if api.rates is not None:
            address = request.client.host if request.client else ""
            if wait := await api.rates.take(address, REST_COST):
                raise RateLimited(api.limits.rate_per_second, wait)

    app = FastAPI(
        title="Hansa",
        version=__version__,
        description="REST interface of a member of a Hansa chain. Amounts are decimal strings of wei.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(charge)],
    )
    problems.install(app)
    for group in (routes_chain, routes_blocks, routes_transactions):
        app.include_router(group.routes(api), prefix=PREFIX, responses=_PROBLEMS)
    _install_docs(app)
    return _with_whole_bodies(app, api)


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem (RFC 9457)",
        "content": {problems.MEDIA_TYPE: {"schema": models.Problem.model_json_schema()}},
    }
}


def _install_docs(app: FastAPI) -> None:
    files = swagger_files()
    if files is not None:
        app.mount(f"{PREFIX}/docs/files", StaticFiles(directory=files))

        @app.get(f"{PREFIX}/docs/start.js", include_in_schema=False)
        async def start() -> HTMLResponse:
            return HTMLResponse(_START.format(prefix=PREFIX), media_type="text/javascript")

    @app.get(f"{PREFIX}/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        if files is not None:
            return HTMLResponse(_DOCS.format(prefix=PREFIX))
        rows = "".join(
            f"<li><code>{method.upper()} {path}</code> {operation.get('summary', '')}</li>"
            for path, operations in app.openapi()["paths"].items()
            for method, operation in operations.items()
        )
        return HTMLResponse(_NO_DOCS.format(prefix=PREFIX, rows=rows))


def swagger_files() -> Path | None:
    """Folder of Swagger UI's files in the installed wheel (never from a network), None without it."""
    spec = importlib.util.find_spec("fastapi_swagger")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "resources"
    return folder if (folder / "swagger-ui-bundle.js").exists() else None


def _with_whole_bodies(app: FastAPI, api: Api) -> Any:
    """Read bodies with the limits of JSON-RPC before FastAPI sees them."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await app(scope, receive, send)  # type: ignore[arg-type]
            return
        headers = headers_of(scope)
        try:
            body = await read_body(receive, headers, api.limits)
        except BodyRefused as refused:
            answer = problems.problem(refused.status, "request refused", refused.message)
            await answer(scope, receive, send)  # type: ignore[arg-type]
            return
        given = False

        async def replay() -> dict[str, Any]:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)  # type: ignore[arg-type]

    return wrapped
