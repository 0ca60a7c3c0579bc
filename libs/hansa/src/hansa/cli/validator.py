"""`validator status`, `validator release-voting`: whether a member votes, and letting it after its vote log was lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage
from hansa.cli.target import DataFolder
from hansa.consortium.folder import DEFAULT
from hansa.errors import EXIT_UNREACHABLE

if TYPE_CHECKING:
    from hansa.v1.consensus_pb2 import GetStatusResponse
    from hansa.v1.consensus_pb2_grpc import ConsensusStub

app = typer.Typer(no_args_is_help=True)

T = TypeVar("T")

ANSWER_SECONDS_MAX: Final = 5.0
"""For one answer of consensus."""

VOTING_SECONDS_MAX: Final = 10.0
"""From the release until the member says that it votes: one write to its vote log."""

SAFE_WHEN: Final = """\
A member whose vote log is empty or old does not vote until it has seen five blocks go by: votes that it gave before
and no longer knows of could contradict new ones. Releasing it ends that wait. It is safe only when

  1. no other process runs with this member's vote key, on any machine, and none will be started later;
  2. no other copy of its vote log (old disk, snapshot, backup) will ever be used again;
  3. blocks stand still because too many members wait like this one. While blocks go on, just wait: it ends by itself.

Release one member, see whether blocks are made again, and only then the next: the others return by themselves."""

Member = Annotated[str | None, typer.Option("--member", help="Member of the local consortium in --data.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--consensus", help="host:port of the member's consensus; default: addresses.consensus of the settings."
    ),
]


@app.command()
def status(member: Member = None, data: DataFolder = DEFAULT, consensus: Address = None, json: AsJson = False) -> None:
    """Whether a member votes: starting, observing, voting, following, halted."""
    address = _address(member, data, consensus)
    found = _describe(_ask(address, _status))
    if json:
        output.as_json(found)
    else:
        output.pairs([(name, value) for name, value in found.items() if value != ""])


@app.command("release-voting")
def release_voting(
    member: Member = None,
    data: DataFolder = DEFAULT,
    consensus: Address = None,
    vouch: Annotated[
        bool, typer.Option("--yes-no-other-log-exists", help="Vouch that no other log with votes by this key exists.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Let a member vote at once although its vote log is empty or old. Says first when that is safe."""
    address = _address(member, data, consensus)
    before = _ask(address, _status)
    if before.mode in ("voting", "following"):
        _done(before, f"the member is {before.mode}: there is nothing to release", json=json)
        return
    if before.mode == "halted":
        raise CommandFailed(f"the member has halted for good ({before.waiting_for}): a release does not end that")
    if not vouch:
        output.warn(SAFE_WHEN)
        raise usage(f"the member is {before.mode or 'starting'}; it was not released: add --yes-no-other-log-exists")
    after = _ask(address, _release)
    _done(after, f"released: the member votes again (head {after.head})", json=json)


def _done(found: "GetStatusResponse", text: str, *, json: bool) -> None:
    if json:
        output.as_json(_describe(found))
    else:
        output.plain(text)


def _describe(found: "GetStatusResponse") -> dict[str, Any]:
    own = found.members[found.self].name if found.self < len(found.members) else ""
    return {
        "member": own,
        "mode": found.mode,
        "engine": found.engine,
        "head": found.head,
        "view": found.view,
        "waiting_for": found.waiting_for,
        "missing": list(found.missing),
    }


def _address(member: str | None, data: Path, consensus: str | None) -> str:
    if consensus is not None:
        if member is not None:
            raise usage("--member and --consensus both name a member: give one of them")
        return consensus
    if member is None:
        from hansa.config import load_settings

        return load_settings(None).addresses.consensus
    from hansa.consortium.folder import HOST, ConsortiumFolder

    shape = ConsortiumFolder(data).read()
    if member not in shape.ports:
        raise CommandFailed(f"there is no member {member!r}; there are: {', '.join(shape.members)}")
    return f"{HOST}:{shape.ports[member]['consensus']}"


def _ask(address: str, work: Callable[["ConsensusStub"], Awaitable[T]]) -> T:
    import grpc.aio

    from hansa.rpc import channel
    from hansa.v1.consensus_pb2_grpc import ConsensusStub

    async def ask() -> T:
        connection = channel(address)
        try:
            return await work(ConsensusStub(connection))
        except grpc.aio.AioRpcError as error:
            problem = f"{error.code().name.lower()}: {error.details()}"
            raise CommandFailed(f"consensus at {address} does not answer ({problem})", EXIT_UNREACHABLE) from error
        finally:
            await connection.close(None)

    return asyncio.run(ask())


async def _status(stub: "ConsensusStub") -> "GetStatusResponse":
    from hansa.v1.consensus_pb2 import GetStatusRequest

    found: GetStatusResponse = await stub.GetStatus(GetStatusRequest(), timeout=ANSWER_SECONDS_MAX)
    return found


async def _release(stub: "ConsensusStub") -> "GetStatusResponse":
    from hansa.v1.consensus_pb2 import ReleaseVotingRequest

    await stub.ReleaseVoting(ReleaseVotingRequest(), timeout=ANSWER_SECONDS_MAX)
    deadline = time.monotonic() + VOTING_SECONDS_MAX
    while (found := await _status(stub)).mode != "voting":
        if time.monotonic() > deadline:
            raise CommandFailed(f"asked, but the member is still {found.mode} after {VOTING_SECONDS_MAX:g} s")
        await asyncio.sleep(0.1)
    return found
