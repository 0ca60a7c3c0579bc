"""`evm t8n`: one block's transactions on a given state, with geth's flags, files and exit statuses."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from hansa.cli import output
from hansa.cli.evm import trace
from hansa.cli.output import CommandFailed

EXIT_CONFIG: Final = 3
EXIT_MISSING_HASH: Final = 4
EXIT_JSON: Final = 10
EXIT_IO: Final = 11
EXIT_RLP: Final = 12

STDIN: Final = "stdin"

InputAlloc = Annotated[str, typer.Option("--input.alloc", help="File of accounts, or stdin.")]
InputEnv = Annotated[str, typer.Option("--input.env", help="File of the block's environment, or stdin.")]
InputTxs = Annotated[str, typer.Option("--input.txs", help="Transactions: JSON, or .rlp with hex; or stdin.")]
StateFork = Annotated[str, typer.Option("--state.fork", help="Rules, such as Prague.")]
StateChainId = Annotated[int, typer.Option("--state.chainid", min=0, help="Chain id.")]
StateReward = Annotated[
    str, typer.Option("--state.reward", help="Wei of the block's reward; -1: the beneficiary is not touched.")
]
OutputBasedir = Annotated[Path, typer.Option("--output.basedir", help="Folder of the output files.")]
OutputResult = Annotated[str, typer.Option("--output.result", help="File, stdout, stderr, or nothing.")]
OutputAlloc = Annotated[str, typer.Option("--output.alloc", help="File, stdout, stderr, or nothing.")]
OutputBody = Annotated[str, typer.Option("--output.body", help="File for the RLP of included transactions.")]


def t8n(
    input_alloc: InputAlloc = "alloc.json",
    input_env: InputEnv = "env.json",
    input_txs: InputTxs = "txs.json",
    state_fork: StateFork = "Prague",
    state_chainid: StateChainId = 1,
    state_reward: StateReward = "0",
    output_basedir: OutputBasedir = Path(),
    output_result: OutputResult = "result.json",
    output_alloc: OutputAlloc = "alloc.json",
    output_body: OutputBody = "",
    traced: trace.Trace = False,
    trace_memory: trace.Memory = False,
    trace_nostack: trace.NoStack = False,
    trace_returndata: trace.ReturnData = False,
    trace_callframes: trace.CallFrames = False,
) -> None:
    """Run transactions on a state; traces go to trace-INDEX-HASH.jsonl. Ends with 3 for a bad configuration, 4 for a missing block hash, 10 to 12 for bad
    JSON, files, RLP."""
    import hansa_kernel

    piped = _piped() if STDIN in (input_alloc, input_env, input_txs) else {}
    alloc = _read("alloc", input_alloc, piped)
    env = _read("env", input_env, piped)
    txs = _read("txs", input_txs, piped)
    parts = trace.parts(
        wanted=traced,
        memory=trace_memory,
        no_stack=trace_nostack,
        return_data=trace_returndata,
        call_frames=trace_callframes,
    )
    reward = _reward(state_reward)
    try:
        made = orjson.loads(
            hansa_kernel.state_transition(alloc, env, txs, state_fork, state_chainid, reward, trace=parts)
        )
    except hansa_kernel.KernelInputError as error:
        raise CommandFailed(str(error), _status(error.field)) from error
    for index, one in enumerate(made.get("traces", [])):
        _save(output_basedir / f"trace-{index}-{one['hash']}.jsonl", one["lines"].encode())
    _write(made, output_basedir, {"result": output_result, "alloc": output_alloc, "body": output_body})


def _piped() -> dict[str, Any]:
    try:
        value = orjson.loads(sys.stdin.buffer.read())
    except orjson.JSONDecodeError as error:
        raise CommandFailed(f"standard input is no JSON: {error}", EXIT_JSON) from error
    if not isinstance(value, dict):
        raise CommandFailed("standard input is no JSON object with alloc, env and txs", EXIT_JSON)
    return value


def _read(name: str, source: str, piped: dict[str, Any]) -> bytes:
    """The input as JSON. An RLP file holds a JSON text already."""
    if source == STDIN:
        value = piped.get("txsRlp") if name == "txs" and "txsRlp" in piped else piped.get(name)
        return orjson.dumps(value)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise CommandFailed(f"{source} cannot be read: {error}", EXIT_IO) from error


def _reward(text: str) -> int | None:
    try:
        wei = int(text, 0)
    except ValueError as error:
        raise CommandFailed(f"--state.reward is a number of wei, not {text!r}", EXIT_CONFIG) from error
    return None if wei < 0 else wei


def _status(field: str) -> int:
    if field.startswith("json."):
        return EXIT_JSON
    return {"txs.rlp": EXIT_RLP, "env.blockHashes": EXIT_MISSING_HASH}.get(field, EXIT_CONFIG)


def _write(made: dict[str, Any], basedir: Path, places: dict[str, str]) -> None:
    """Each part to its place; parts on the same stream are members of one object, as geth does it."""
    streams: dict[str, dict[str, Any]] = {"stdout": {}, "stderr": {}}
    for name, place in places.items():
        if place in streams:
            streams[place][name] = made[name]
        elif place:
            _save(basedir / place, _json(made[name]))
    if streams["stdout"]:
        output.plain(_json(streams["stdout"]).decode().rstrip("\n"))
    if streams["stderr"]:
        output.warn(_json(streams["stderr"]).decode().rstrip("\n"))


def _save(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error}", EXIT_IO) from error


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
