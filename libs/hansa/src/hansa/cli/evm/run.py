"""`evm run`: code alone, with geth's flags and EIP-3155 traces."""

from pathlib import Path
from typing import Annotated, Final

import typer

from hansa.cli import output
from hansa.cli.evm import trace
from hansa.cli.evm.t8n import EXIT_CONFIG, EXIT_IO, EXIT_JSON
from hansa.cli.output import CommandFailed
from hansa.errors import EXIT_FAILED

GAS: Final = 10_000_000_000
SENDER: Final = "0x" + b"sender".rjust(20, b"\0").hex()
RECEIVER: Final = "0x" + b"receiver".rjust(20, b"\0").hex()


def run(
    code: Annotated[str, typer.Option("--code", help="Code as hex.")] = "",
    codefile: Annotated[Path | None, typer.Option("--codefile", help="File of code as hex.")] = None,
    input: Annotated[str, typer.Option("--input", help="Call data as hex.")] = "",
    inputfile: Annotated[Path | None, typer.Option("--inputfile", help="File of call data as hex.")] = None,
    gas: Annotated[int, typer.Option("--gas", min=0, help="Gas for the code.")] = GAS,
    price: Annotated[int, typer.Option("--price", min=0, help="Wei per gas; the sender must hold it.")] = 0,
    value: Annotated[str, typer.Option("--value", help="Wei sent along.")] = "0",
    sender: Annotated[str, typer.Option("--sender", help="Who calls.")] = SENDER,
    receiver: Annotated[str, typer.Option("--receiver", help="Who is called.")] = RECEIVER,
    create: Annotated[bool, typer.Option("--create", help="Create a contract with the code.")] = False,
    prestate: Annotated[Path | None, typer.Option("--prestate", help="Genesis file: block and accounts.")] = None,
    state_fork: Annotated[str, typer.Option("--state.fork", "--fork", help="Rules, such as Prague.")] = "Osaka",
    json: Annotated[bool, typer.Option("--json", help="Trace each step as a line of JSON (EIP-3155).")] = False,
    trace_memory: trace.Memory = False,
    trace_nostack: trace.NoStack = False,
    trace_returndata: trace.ReturnData = False,
    trace_callframes: trace.CallFrames = False,
    dump: Annotated[bool, typer.Option("--dump", help="Print the accounts after it.")] = False,
) -> None:
    """Run code. Ends with 1 when it fails, 3 for a bad configuration, 10 and 11 for bad JSON and files."""
    import hansa_kernel

    try:
        ran = hansa_kernel.run_code(
            _read(prestate) if prestate else b"",
            state_fork,
            _hex("--code", _read(codefile).decode("latin-1") if codefile else code),
            _hex("--input", _read(inputfile).decode("latin-1") if inputfile else input),
            gas,
            price,
            _number("--value", value),
            _address("--sender", sender),
            _address("--receiver", receiver),
            create=create,
            trace=trace.parts(
                wanted=json,
                memory=trace_memory,
                no_stack=trace_nostack,
                return_data=trace_returndata,
                call_frames=trace_callframes,
            ),
        )
    except hansa_kernel.KernelInputError as error:
        raise CommandFailed(str(error), EXIT_JSON if error.field.startswith("json.") else EXIT_CONFIG) from error
    if json:
        output.plain(ran.trace + ran.summary)
    else:
        output.plain(f"0x{ran.output.hex()}")
        if ran.error:
            output.warn(f" error: {ran.error}")
    if dump:
        output.plain(ran.dump)
    if ran.error:
        raise typer.Exit(EXIT_FAILED)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error}", EXIT_IO) from error


def _hex(flag: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError as error:
        raise CommandFailed(f"{flag} is not hex", EXIT_CONFIG) from error


def _number(flag: str, text: str) -> bytes:
    try:
        return int(text, 0).to_bytes(32, "big")
    except (ValueError, OverflowError) as error:
        raise CommandFailed(f"{flag} is a number of wei, not {text!r}", EXIT_CONFIG) from error


def _address(flag: str, text: str) -> bytes:
    """As geth reads it: short ones are padded on the left."""
    digits = text.removeprefix("0x")
    data = _hex(flag, digits.rjust(40, "0"))
    if len(data) != 20:
        raise CommandFailed(f"{flag} is an address of 20 bytes", EXIT_CONFIG)
    return data
