"""Who may call: Host allow-list against DNS rebinding, and CORS for browsers."""

from collections.abc import Mapping, Sequence

_ALLOWED = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"content-type, authorization"),
    (b"access-control-max-age", b"600"),
]


class Origins:
    """Checks of the Host and Origin headers."""

    def __init__(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._any_host = "*" in hosts
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_origin = "*" in origins
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def host_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether requests for this Host are answered; one without Host (HTTP/1.0) is not from a browser."""
        host = headers.get(b"host")
        if self._any_host or host is None:
            return True
        return _name(host.decode("latin-1")) in self._hosts

    def origin_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the page that calls may: none (no browser), our own, or an allowed one."""
        origin = headers.get(b"origin")
        if origin is None or self._any_origin:
            return True
        text = origin.decode("latin-1").rstrip("/").lower()
        if text in self._origins:
            return True
        host = headers.get(b"host", b"").decode("latin-1").lower()
        return bool(host) and text.partition("://")[2] == host

    def cors(self, headers: Mapping[bytes, bytes], *, preflight: bool = False) -> list[tuple[bytes, bytes]]:
        """Response headers for the calling page; empty for programs."""
        origin = headers.get(b"origin")
        if origin is None or not self.origin_allowed(headers):
            return []
        found = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return found + _ALLOWED if preflight else found


def _name(host: str) -> str:
    """Host without its port; IPv6 keeps its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
