"""Traces of steps (EIP-3155) as geth's and Besu's own tests have them, against `hansa evm`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hansa.conformance import Case, Job, Setting
from hansa.conformance.pool import decide

from support.transitions import failed, run_evm
from support.vectors import unpacked

COMPARED = ("pc", "op", "gas", "gasCost", "memSize", "depth", "refund", "stack", "gasUsed", "stateRoot")
"""Of a line. Besu's names of opcodes and words for errors are its own."""

NUMBERS = frozenset({"op", "gas", "gasCost", "gasUsed"})
"""Hex or decimal, as the flags of the case have it."""

STOP = 0
SAME_FLAGS = ("--code", "--gas", "--receiver")


def trace_cases() -> Iterator[Case]:
    """Run all of them."""
    folder = unpacked("t8n")
    yield _call_frames(folder / "geth" / "32")
    for path in sorted((folder / "besu" / "state-test").glob("*.json")):
        yield from _state_test(path)
    for path in sorted((folder / "besu" / "trace").glob("*.json")):
        yield _code(path)


def _call_frames(folder: Path) -> Case:
    """A transition with steps and frames: geth's file, line by line."""
    wanted_file = next(folder.glob("trace-*.jsonl"))
    with tempfile.TemporaryDirectory() as out:
        inputs = [f"--input.{name}={folder / name}.json" for name in ("alloc", "env", "txs")]
        outputs = [f"--output.basedir={out}", "--trace", "--trace.callframes", "--state.fork=Merge"]
        done = run_evm(["t8n", *inputs, *outputs])
        if done.returncode:
            return failed("geth/32", "Merge", done.stderr.decode())
        path = Path(out) / wanted_file.name
        lines = path.read_text().splitlines() if path.exists() else []
    wanted = [json.loads(line) for line in wanted_file.read_text().splitlines()]
    return _decided("geth/32", "Merge", [json.loads(line) for line in lines], wanted)


def _state_test(path: Path) -> Iterator[Case]:
    case = json.loads(path.read_bytes())
    wanted = _split(case["stdout"])
    parts = [name for name in ("memory", "nostack", "returndata") if f"--trace.{name}" in case["cli"]]
    names = {"memory": "memory", "nostack": "no-stack", "returndata": "return-data"}
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test.json"
        test.write_text(json.dumps(case["stdin"]))
        result = decide(Job("state", test, Setting(trace=tuple(names[part] for part in parts))))
    got = {case.fork: [json.loads(line) for line in case.trace.splitlines()] for case in result.cases}
    for fork, lines in wanted.items():
        yield _decided(f"besu/state-test/{path.stem}", fork, _compared(got.get(fork, [])), _compared(lines))


def _code(path: Path) -> Case:
    case = json.loads(path.read_bytes())
    given = dict(zip(case["cli"], case["cli"][1:], strict=False))
    arguments = [f"{flag}={given[flag]}" for flag in SAME_FLAGS if flag in given]
    name, fork = f"besu/trace/{path.stem}", given.get("--fork", "Osaka").capitalize()
    with tempfile.TemporaryDirectory() as folder:
        genesis = Path(folder) / "genesis.json"
        # Besu's sender and receiver, and the block that it runs code in.
        genesis.write_text(json.dumps({"coinbase": given.get("--coinbase", "0x" + "00" * 20), "alloc": {}}))
        gas = [] if "--gas" in given else ["--gas=10000000000"]
        done = run_evm(["run", "--json", f"--fork={fork}", f"--prestate={genesis}", *gas, *arguments])
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    # What lies in Besu's genesis is not in ours: roots tell nothing.
    steps = [line for line in _compared(lines) if "pc" in line]
    return _decided(name, fork, steps, [line for line in _compared(case["stdout"]) if "pc" in line])


def _split(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Lines by fork: the last line of a run names it."""
    runs: dict[str, list[dict[str, Any]]] = {}
    run: list[dict[str, Any]] = []
    for line in lines:
        run.append(line)
        if "fork" in line:
            runs[line["fork"]] = run
            run = []
    return runs


def _compared(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is compared. Besu shows no STOP behind the end of the code, and no price for a step that fails; geth shows a
    step that fails twice, where it finds that out late."""
    kept = []
    for line in lines:
        shown = {key: line[key] for key in COMPARED if key in line}
        shown |= {key: int(str(shown[key]), 0) for key in NUMBERS & shown.keys()}
        if "pc" in line and "error" in line:
            del shown["gasCost"]
        if "error" in line and kept and kept[-1].get("gas") == shown.get("gas", -1):
            shown["stack"] = kept.pop()["stack"]  # shown before it failed: Besu shows it once
        if shown.get("op") != STOP:
            kept.append(shown)
    return kept


def _decided(name: str, fork: str, got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Case:
    for index, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if one != other:
            return failed(name, fork, f"line {index} is {one}, expected {other}")
    if len(got) != len(wanted):
        return failed(name, fork, f"{len(got)} lines, expected {len(wanted)}")
    return Case(name, fork, passed=True, skipped=None, error="")
