"""The state transition cases (`t8n`): commands as geth's and Besu's own tests have them, run with `hansa evm t8n`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hansa.conformance import Case

from support.vectors import unpacked

SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class GethCase:
    """Inputs and output of one run in a folder of geth's."""

    folder: str
    fork: str
    expected: str  # file; empty: only the exit status
    shown: tuple[str, ...] = ("alloc", "result")
    txs: str = "txs.json"
    env: str = "env.json"
    reward: str = ""
    status: int = 0
    state_root: str = ""  # where only the folder's text says what comes out


GETH = (
    GethCase("1", "Frontier+1346", "", status=3),
    GethCase("1", "Byzantium", "exp.json"),
    GethCase("3", "Berlin", "exp.json"),
    GethCase("5", "Byzantium", "exp.json", reward="0x80"),
    GethCase("8", "Berlin", ""),
    GethCase("9", "London", ""),
    GethCase("10", "London", "", state_root="0xf91a7ec08e4bfea88719aab34deabb000c86902360532b52afa9599d41f2bb8b"),
    GethCase("12", "London", "", state_root="0xe05f81f8244a76503ceec6f88abfcd03047a612a1001217f37d30984536597a5"),
    GethCase("13", "London", "exp.json", ("body",)),
    GethCase("13", "London", "exp2.json", ("result",), txs="signed_txs.rlp"),
    GethCase("14", "London", "exp.json", ("result",)),
    GethCase("14", "London", "exp2.json", ("result",), env="env.uncles.json"),
    GethCase("14", "Berlin", "exp_berlin.json", ("result",), env="env.uncles.json"),
    GethCase("24", "Merge", "exp.json"),
    GethCase("24", "Merge", "", (), env="env-missingrandom.json", status=3),
    GethCase("25", "Merge", "exp.json"),
    GethCase("26", "Shanghai", "exp.json"),
    GethCase("28", "Cancun", "exp.json", txs="txs.rlp"),
    GethCase("33", "Prague", "exp.json"),
    GethCase("34", "Osaka", "exp.json"),
)


def transition_cases() -> Iterator[Case]:
    """Run all of them."""
    folder = unpacked("t8n")
    for case in GETH:
        yield _geth(folder / "geth" / case.folder, case)
    for path in sorted((folder / "besu" / "t8n").glob("*.json")):
        yield _besu(path)


def run_evm(arguments: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One `hansa evm`."""
    command = [sys.executable, "-m", "hansa.cli.main", "evm", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=SECONDS_MAX, check=False)


def _geth(folder: Path, case: GethCase) -> Case:
    name = f"geth/{case.folder}/{case.expected or f'status {case.status}'}"
    inputs = {"alloc": "alloc.json", "txs": case.txs, "env": case.env}
    arguments = [f"--input.{key}={folder / file}" for key, file in inputs.items()]
    arguments += [f"--output.{key}={'stdout' if key in case.shown else ''}" for key in ("alloc", "result", "body")]
    arguments.append(f"--state.fork={case.fork}")
    if case.reward:
        arguments.append(f"--state.reward={case.reward}")
    done = run_evm(["t8n", *arguments])
    if done.returncode != case.status:
        return failed(name, case.fork, f"status {done.returncode}, expected {case.status}: {done.stderr.decode()}")
    if case.expected:
        wanted = json.loads((folder / case.expected).read_bytes())
        if text := _difference("", json.loads(done.stdout), wanted):
            return failed(name, case.fork, text)
    if case.state_root and (root := json.loads(done.stdout)["result"]["stateRoot"]) != case.state_root:
        return failed(name, case.fork, f"state root {root}, expected {case.state_root}")
    return Case(name, case.fork, passed=True, skipped=None, error="")


def _besu(path: Path) -> Case:
    case = json.loads(path.read_bytes())
    name = f"besu/{path.stem}"
    fork = next(flag.partition("=")[2] for flag in case["cli"] if flag.startswith("--state.fork="))
    # The file for the body is none that a test should leave behind.
    arguments = [flag if not flag.startswith("--output.body=") else "--output.body=stdout" for flag in case["cli"][1:]]
    for account in case["stdin"]["alloc"].values():
        # Besu reads numbers without 0x as hex, geth and Hansa as decimal.
        account["balance"] = "0x" + account["balance"].removeprefix("0x")
    done = run_evm(["t8n", *arguments], json.dumps(case["stdin"]).encode())
    if done.returncode != 0:
        return failed(name, fork, f"status {done.returncode}: {done.stderr.decode()}")
    if case["stdout"]["result"].get("rejected"):
        case["stdout"].pop("body", None)  # Besu lists rejected transactions there, geth does not
    text = _difference("", _comparable(json.loads(done.stdout)), _comparable(case["stdout"]), open_objects=True)
    return failed(name, fork, text) if text else Case(name, fork, passed=True, skipped=None, error="")


def _comparable(value: Any) -> Any:
    """Without what Besu words, counts or fills in its own way."""
    if isinstance(value, dict):
        unlike = {"error", "exception", "blockHash", "blockNumber", "logIndex", "removed"}
        return {key: _comparable(item) for key, item in value.items() if key not in unlike and item is not None}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    return value


def _difference(place: str, got: Any, wanted: Any, *, open_objects: bool = False) -> str:
    """Where two values differ first; empty when nowhere. `open_objects`: what only `got` has is no difference."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in sorted(wanted if open_objects else got.keys() | wanted.keys()):
            here = f"{place}.{key}"
            if key not in got or key not in wanted:
                return f"{here} is {'missing' if key in wanted else 'too much'}"
            if text := _difference(here, got[key], wanted[key], open_objects=open_objects):
                return text
        return ""
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        texts = (
            _difference(f"{place}[{index}]", one, other, open_objects=open_objects)
            for index, (one, other) in enumerate(zip(got, wanted, strict=True))
        )
        return next((text for text in texts if text), "")
    return "" if got == wanted else f"{place} is {str(got)[:200]}, expected {str(wanted)[:200]}"


def failed(name: str, fork: str, error: str) -> Case:
    """A case that did not come to what it should."""
    return Case(name, fork, passed=False, skipped=None, error=error)
