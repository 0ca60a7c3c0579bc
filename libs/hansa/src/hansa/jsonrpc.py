"""A small blocking JSON-RPC client for the command line: one kept connection, no dependency beyond the library."""

import http.client
import itertools
import socket
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from hansa.errors import EXIT_UNREACHABLE, Explained

ANSWER_BYTES_MAX: Final = 256 << 20
"""Largest answer that is read: debug methods answer with tens of megabytes."""


class NodeUnreachable(Explained):
    """Nothing answers at the URL, or not with JSON-RPC."""

    status = EXIT_UNREACHABLE

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url} does not answer ({problem})")
        self.url = url
        self.problem = problem


class RpcError(Explained):
    """The node answered with an error: its `code`, `message` and `data`."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} (code {code})" + (f", data {data}" if data else ""))
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class RpcClient:
    """Calls of one node. Not for several threads at once."""

    def __init__(self, url: str, timeout_seconds: float = 15.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NodeUnreachable(url, "not an http URL")
        try:
            port = parts.port
        except ValueError as error:
            raise NodeUnreachable(url, str(error)) from error
        self.url = url
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._ids = itertools.count(1)
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connection(parts.hostname, port, timeout=timeout_seconds)

    def call(self, method: str, *params: Any) -> Any:
        """Result of one call. Raises `NodeUnreachable`, `RpcError`."""
        answer = self._post({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)})
        if not isinstance(answer, dict):
            raise NodeUnreachable(self.url, "it does not speak JSON-RPC")
        return self._result(method, answer)

    def batch(self, calls: list[tuple[str, list[Any]]]) -> list[Any]:
        """Results in order; an error stands as the `RpcError` itself. Raises `NodeUnreachable`."""
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(calls)
        ]
        answers = self._post(body)
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise NodeUnreachable(self.url, "it does not answer batches")
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        results: list[Any] = []
        for index, (method, _) in enumerate(calls):
            try:
                results.append(self._result(method, by_id.get(index, {})))
            except RpcError as error:
                results.append(error)
        return results

    def get(self, path: str, accept: str = "*/*") -> int:
        """HTTP status of a GET. Raises `NodeUnreachable`."""
        try:
            self._connection.request("GET", path, headers={"accept": accept})
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NodeUnreachable(self.url, _text(error)) from error
        return response.status

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _result(self, method: str, answer: dict[str, Any]) -> Any:
        if (error := answer.get("error")) is not None:
            raise RpcError(method, error.get("code", 0), str(error.get("message", "")), error.get("data"))
        if "result" not in answer:
            raise NodeUnreachable(self.url, "its answer has neither result nor error")
        return answer["result"]

    def _post(self, body: Any) -> Any:
        data = orjson.dumps(body)
        try:
            try:
                payload = self._exchange(data)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # The kept connection has gone stale; a call that was answered is not repeated.
                self._connection.close()
                payload = self._exchange(data)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NodeUnreachable(self.url, _text(error)) from error
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise NodeUnreachable(self.url, "it does not answer with JSON") from error

    def _exchange(self, data: bytes) -> bytes:
        self._connection.request("POST", self._path, body=data, headers={"content-type": "application/json"})
        return self._connection.getresponse().read(ANSWER_BYTES_MAX)


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError | socket.timeout):
        return "timed out"
    return str(error) or type(error).__name__
