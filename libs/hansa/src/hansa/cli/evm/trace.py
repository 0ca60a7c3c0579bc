"""What a trace of steps (EIP-3155) holds: geth's flags, the same for every command."""

from typing import Annotated

import typer

Trace = Annotated[bool, typer.Option("--trace", help="Trace each step as a line of JSON (EIP-3155).")]
Memory = Annotated[bool, typer.Option("--trace.memory", help="Memory in traces.")]
NoStack = Annotated[bool, typer.Option("--trace.nostack", help="No stack in traces.")]
ReturnData = Annotated[bool, typer.Option("--trace.returndata", help="Return data in traces.")]
CallFrames = Annotated[bool, typer.Option("--trace.callframes", help="Lines where a frame begins and ends in traces.")]


def parts(
    *, wanted: bool, memory: bool, no_stack: bool, return_data: bool, call_frames: bool = False
) -> list[str] | None:
    """The flags as the kernel takes them; None: no trace."""
    if not wanted:
        return None
    names = {"memory": memory, "no-stack": no_stack, "return-data": return_data, "call-frames": call_frames}
    return [name for name, on in names.items() if on]
