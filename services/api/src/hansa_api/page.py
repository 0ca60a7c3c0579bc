"""The status page at `/` for people who open the port in a browser."""

from html import escape
from typing import TYPE_CHECKING

from hansa import __version__

from hansa_api.errors import RpcError

if TYPE_CHECKING:
    from hansa_api.api import Api

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hansa: {member}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="5">
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:44rem;padding:0 1rem;color-scheme:light dark}}
table{{border-collapse:collapse}}td,th{{text-align:left;padding:.2rem 1rem .2rem 0;font-weight:normal}}
th{{opacity:.7}}code{{font-size:.9em;overflow-wrap:anywhere}}</style></head>
<body><h1>Hansa, member {member}</h1><table>{rows}</table>
<p>This port answers JSON-RPC (<code>POST /</code>, also by WebSocket) and <a href="/api/v1/docs">REST</a>.
Health: <a href="/readyz">/readyz</a>. Metrics: <a href="/metrics">/metrics</a>.</p></body></html>
"""


async def status_page(api: "Api") -> bytes:
    """HTML of the member's state; says what does not answer instead of failing."""
    rows: list[tuple[str, str]] = [("version", __version__), ("chain id", str(api.chain.chain_id))]
    try:
        head = api.heads.head
        rows += [
            ("newest block", str(head.number)),
            ("hash", "0x" + head.hash.hex()),
            ("transactions in it", str(len(head))),
        ]
    except RpcError as error:
        rows.append(("newest block", error.message))
    try:
        status = await api.backend.status()
        up = sum(1 for index, member in enumerate(status.members) if member.up or index == status.self)
        rows += [
            ("engine", status.engine),
            ("view", str(status.view)),
            ("members heard from", f"{up} of {len(status.members)}, quorum {status.quorum}"),
        ]
        if status.missing:
            rows.append(("missing", ", ".join(status.missing)))
        if status.waiting_for:
            rows.append(("waiting for", status.waiting_for))
    except RpcError as error:
        rows.append(("consensus", error.message))
    cells = "".join(f"<tr><th>{escape(name)}</th><td><code>{escape(value)}</code></td></tr>" for name, value in rows)
    return _PAGE.format(member=escape(api.settings.member), rows=cells).encode()
