"""A consortium of real processes, driven through the command line as a user drives it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

UP_SECONDS_MAX = 120
"""A start on a busy machine; a quiet one needs a tenth."""


class RpcFailed(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.data = error.get("data")


def free_port_base(count: int = 800) -> int:
    """A base such that ports BASE .. BASE + count are likely free; `hansa up` replaces those that are not.

    All lie below Linux's ephemeral ports (from 32,768): a client of another test must not get one by chance.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return 12_000 + (port * 7) % (20_000 - count)


@dataclass
class Member:
    """One member as `hansa status --json` shows it, with a JSON-RPC client."""

    name: str
    up: bool
    rpc_url: str
    ws_url: str
    grpc_url: str
    pids: dict[str, int]
    head: int | None
    view: int | None

    def rpc(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        """Call one method. Raises `RpcFailed`, or `httpx.HTTPError` when the member does not answer."""
        answer = httpx.post(
            self.rpc_url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, timeout=timeout
        ).json()
        if "error" in answer:
            raise RpcFailed(answer["error"])
        return answer["result"]

    def rpc_batch(self, calls: list[tuple[str, list[Any]]], timeout: float = 30.0) -> list[dict[str, Any]]:
        """Answers of a batch, in order."""
        body = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
        found: list[dict[str, Any]] = httpx.post(self.rpc_url, json=body, timeout=timeout).json()
        return found

    def height(self) -> int:
        """Number of the newest committed block."""
        return int(self.rpc("eth_blockNumber"), 16)


def members_of(status: dict[str, Any]) -> list[Member]:
    """All members of `hansa status --json`, in order."""
    return [Member(**{key: entry.get(key) for key in Member.__dataclass_fields__}) for entry in status["members"]]


class Consortium:
    """`hansa up` in a folder of its own; every process is a child of the supervisor that it started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options

    def hansa(self, *arguments: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        done = subprocess.run(
            [sys.executable, "-m", "hansa.cli.main", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"hansa {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def up(self) -> "subprocess.CompletedProcess[str]":
        """Start or resume it."""
        return self.hansa("up", "--data", str(self.folder), *self.options, timeout=UP_SECONDS_MAX)

    def down(self, *options: str) -> None:
        """Stop it."""
        self.hansa("down", "--data", str(self.folder), *options)

    def status(self) -> dict[str, Any]:
        """`hansa status --json`."""
        done = self.hansa("status", "--json", "--data", str(self.folder), check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def members(self) -> list[Member]:
        """All members, in order."""
        return members_of(self.status())

    def accounts(self) -> list[dict[str, str]]:
        """Funded test accounts: address and private_key."""
        found: list[dict[str, str]] = self.status()["accounts"]
        return found


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[Consortium]:
    """A consortium that is stopped at the end; its logs stay in the folder."""
    consortium = Consortium(folder, "--ports", str(free_port_base()), *options)
    consortium.up()
    try:
        yield consortium
    finally:
        consortium.down()


def wait_for(what: str, condition: Callable[[], Any], seconds: float, pause: float = 0.1) -> Any:
    """The first true value of `condition`, which may raise while it is not yet so. `AssertionError` after `seconds`."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (httpx.HTTPError, RpcFailed, OSError) as error:
            last = error
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:g} s (last: {last!r})")


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process of a consortium that this test started."""
    os.kill(pid, number)
