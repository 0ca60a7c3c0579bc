"""Recorded JSON-RPC exchanges of other clients: read from the public test data, sent to a chain that `hansa serve` serves."""

import contextlib
import fnmatch
import json
import os
import re
import signal
import subprocess
import tarfile
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator

from support.chains import HANSA, hansa
from support.sources import ROOT
from support.vectors import VECTORS

SKIPS = ROOT / "tests" / "conformance" / "rpc_skips.toml"
"""Cases that are not run, each with its reason."""

long_run = pytest.mark.skipif(
    not os.environ.get("HANSA_CONFORMANCE"), reason="takes a minute: `make conformance` runs it"
)

START_SECONDS = 60
STOP_SECONDS = 15
CALL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Case:
    """Exchanges of one file, in order."""

    name: str  # path below the suite's folder, without suffix
    exchanges: tuple[tuple[bytes, Any], ...]  # request as it is sent, the recorded answer
    shape_only: bool = False

    @property
    def group(self) -> str:
        """What it is counted under: its folder, or the method in its name."""
        folder = self.name.rpartition("/")[0]
        return folder or "_".join(self.name.split("_")[:2])


@dataclass(slots=True)
class Outcomes:
    """What became of the cases of a suite."""

    passed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # on the list of skipped ones, and right

    def lines(self) -> list[str]:
        """One line a group."""
        groups = sorted({*self.passed, *self.skipped})
        return [f"{group}: {self.passed[group]} passed, {self.skipped[group]} skipped" for group in groups]


def unpacked(folder: Path) -> Path:
    """The archive's content in `folder`."""
    with tarfile.open(VECTORS / "jsonrpc.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "jsonrpc"


def io_cases(folder: Path) -> list[Case]:
    """Cases of execution-apis' kind: comments, `>> ` requests and `<< ` answers."""
    found = []
    for path in sorted(folder.rglob("*.io")):
        lines = path.read_text().splitlines()
        requests = [line[3:].encode() for line in lines if line.startswith(">> ")]
        answers = [json.loads(line[3:]) for line in lines if line.startswith("<< ")]
        shape_only = any(line.startswith("//") and "speconly:" in line for line in lines)
        name = str(path.relative_to(folder).with_suffix(""))
        found.append(Case(name, tuple(zip(requests, answers, strict=True)), shape_only))
    return found


@contextlib.contextmanager
def serving(genesis: Path, data: Path) -> Iterator[str]:
    """URL of a process that serves the data folder; ended in the end."""
    command = [HANSA, "serve", "--chain-spec", genesis, "--data-dir", data, "--json"]
    ports = ["--port", "0", "--ws-port", "0", "--grpc-port", "0"]
    process = subprocess.Popen([*map(str, command), *ports], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("}"):
                break
        assert text, f"hansa serve ended with {process.wait(START_SECONDS)}"
        yield json.loads(text)["http"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0


@contextlib.contextmanager
def imported_and_served(genesis: Path, blocks: Path, data: Path) -> Iterator[str]:
    """As `serving`, of a chain that is imported first."""
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", data)
    assert done.status == 0, done.error
    with serving(genesis, data) as url:
        yield url


def skips(suite: str) -> dict[str, str]:
    """Reason by pattern of names."""
    entries = tomllib.loads(SKIPS.read_text()).get(suite, [])
    return {pattern: entry["reason"] for entry in entries for pattern in entry["cases"]}


def run_cases(
    url: str,
    cases: Sequence[Case],
    skipped: Mapping[str, str],
    judge: Callable[[Case, bytes, Any, Any], str | None],
) -> Outcomes:
    """Send every case; `judge(case, request, got, want)` names a difference."""
    found = Outcomes()
    with httpx.Client(timeout=CALL_SECONDS) as client:

        def differs(case: Case) -> str | None:
            for request, want in case.exchanges:
                answer = client.post(url, content=request, headers={"content-type": "application/json"})
                if (difference := judge(case, request, answer.json(), want)) is not None:
                    return difference
            return None

        for case in cases:
            listed = any(fnmatch.fnmatchcase(case.name, pattern) for pattern in skipped)
            difference = differs(case)
            if listed:
                found.skipped[case.group] += 1
                if difference is None:
                    found.stale.append(case.name)
            elif difference is None:
                found.passed[case.group] += 1
            else:
                found.wrong.append(f"{case.name}: {difference}")
    return found


def difference(got: Any, want: Any, path: str = "") -> str | None:
    """The first place where two JSON values are not the same, or None."""
    if isinstance(got, dict) and isinstance(want, dict):
        for key in sorted({*got, *want}):
            if key not in got or key not in want:
                return f"{path}.{key} is {'missing' if key in want else 'not wanted'}"
            if (inner := difference(got[key], want[key], f"{path}.{key}")) is not None:
                return inner
        return None
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        places = (
            difference(mine, theirs, f"{path}[{i}]") for i, (mine, theirs) in enumerate(zip(got, want, strict=True))
        )
        return next((inner for inner in places if inner is not None), None)
    if type(got) is type(want) and got == want:
        return None
    return f"{path}: got {str(got)[:200]}, want {str(want)[:200]}"


class Described:
    """Results as execution-apis' OpenRPC sources describe them."""

    def __init__(self, folder: Path) -> None:
        schemas: dict[str, Any] = {}
        for path in sorted((folder / "schemas").glob("*.yaml")):
            schemas |= yaml.safe_load(path.read_text())
        self._components = {"schemas": schemas}
        self._results = {
            method["name"]: method["result"]["schema"]
            for group in ("eth", "txpool", "debug")
            for path in sorted((folder / group).glob("*.yaml"))
            for method in yaml.safe_load(path.read_text())
        }

    def difference(self, method: str, got: Mapping[str, Any], want: Mapping[str, Any]) -> str | None:
        """What of an answer is not as described; an error where a result is wanted, and the other way round."""
        if ("result" in got) != ("result" in want):
            return difference(got, want)
        if "result" not in got:
            return None
        schema = {**self._results[method], "components": self._components}
        error = next(Draft202012Validator(schema).iter_errors(got["result"]), None)
        return None if error is None else f"{error.json_path}: {error.message}"


def besu_cases(folder: Path, pattern: str = "**/*.json") -> list[Case]:
    """Cases of Besu's kind: one JSON file each with `request` and `response`, which may be JSON as a text."""
    found = []
    for path in sorted(folder.glob(pattern)):
        case = json.loads(path.read_bytes())
        if "request" not in case:
            continue  # a chain
        answer = case["response"]
        answer = json.loads(answer) if isinstance(answer, str) else answer
        name = str(path.relative_to(folder).with_suffix(""))
        found.append(Case(name, ((json.dumps(as_geth_reads(case["request"])).encode(), answer),)))
    return found


_BARE_ADDRESS = re.compile(r"[0-9a-fA-F]{40}")
_PADDED = re.compile(r"0x0+[0-9a-fA-F]{1,15}")


def as_geth_reads(request: Any) -> Any:
    """The same request where Besu takes more than geth and we do: addresses and code without 0x, block numbers with
    leading zeros, numbers that are no text in overrides."""

    def text(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {text(key): text(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [text(item) for item in value]
        if isinstance(value, str) and (_BARE_ADDRESS.fullmatch(value) or (name == "code" and value[:2] != "0x")):
            return "0x" + value
        return hex(value) if name == "nonce" and type(value) is int else value

    if isinstance(request, list):
        return [as_geth_reads(item) for item in request]
    params = [
        hex(int(item, 16)) if isinstance(item, str) and _PADDED.fullmatch(item) else text(item)
        for item in request.get("params", [])
    ]
    return {**request, "params": params}


GAS_FIGURES = frozenset({"gasUsed", "cost", "used", "balance"})
"""What Besu's own runner leaves out where its rules of gas differ."""


def besu_difference(got: Any, want: Any, dropped: Collection[str] = ()) -> str | None:
    """As Besu's runner compares: errors by their being there, not by their words; what is null as what is not there;
    `dropped` members not at all."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: worded(key, item) for key, item in value.items() if item is not None and key not in dropped}
        return [plain(item) for item in value] if isinstance(value, list) else value

    def worded(key: str, item: Any) -> Any:
        if key == "error" and isinstance(item, str):
            return "some error"
        if key == "returnValue" and isinstance(item, str):
            return item.removeprefix("0x")
        return plain(item)

    def failed(value: Any) -> bool:
        return isinstance(value, dict) and "error" in value and "jsonrpc" in value

    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        found = (besu_difference(mine, theirs, dropped) for mine, theirs in zip(got, want, strict=True))
        return next((inner for inner in found if inner is not None), None)
    if failed(got) and failed(want):
        return None
    return difference(plain(got), plain(want))
