"""`version` and `doctor`."""

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from hansa import __version__
from hansa.cli import output
from hansa.cli.output import AsJson
from hansa.cli.target import DataFolder
from hansa.consortium.folder import DEFAULT, ConsortiumFolder, Shape
from hansa.errors import EXIT_FAILED

app = typer.Typer()

DISK_BYTES_MIN: Final = 2 << 30
"""Below this a database may fail to compact."""

CERTIFICATE_DAYS_MIN: Final = 14
CLOCK_SECONDS_MAX: Final = 2.0
"""Members refuse blocks whose time is further ahead than their clock allows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


@app.command()
def version(json: AsJson = False) -> None:
    """Print versions."""
    import hansa_kernel

    found = {"hansa": __version__, "kernel": hansa_kernel.VERSION, "python": platform.python_version()}
    if json:
        output.as_json(found)
    else:
        output.plain(f"hansa {found['hansa']} (kernel {found['kernel']}, Python {found['python']})")


@app.command()
def doctor(
    data: DataFolder = DEFAULT,
    json: AsJson = False,
    only: Annotated[str | None, typer.Option(help="Only findings whose name holds this text.")] = None,
) -> None:
    """Look at machine and consortium; each trouble with its remedy. Ends with 1 when there is any."""
    findings = [*_machine(data)]
    folder = ConsortiumFolder(data)
    if folder.exists():
        findings += _consortium(folder)
    findings = [finding for finding in findings if only is None or only in finding.name]
    if json:
        output.as_json(findings)
    else:
        for finding in findings:
            output.plain(f"{'✓' if finding.ok else '✗'} {finding.name.ljust(26)} {finding.found}")
            if not finding.ok:
                output.plain(f"    fix: {finding.remedy}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _machine(data: Path) -> list[Finding]:
    existing = data.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    return [
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
        Finding("cores", True, str(os.cpu_count())),
        Finding(
            "disk",
            free >= DISK_BYTES_MIN,
            f"{free / 2**30:.1f} GiB free at {existing}",
            "make room, or use --data elsewhere",
        ),
        _memory(),
    ]


def _memory() -> Finding:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return Finding("memory", True, "unknown")
    return Finding(
        "memory", available >= 1 << 30, f"{available / 2**30:.1f} GiB available", "a member needs some 250 MB"
    )


def _consortium(folder: ConsortiumFolder) -> list[Finding]:
    from hansa.chainspec import load_chain_spec
    from hansa.chainspec.errors import ChainSpecInvalid
    from hansa.consortium.readiness import explain
    from hansa.consortium.status import read_status

    shape = folder.read()
    findings: list[Finding] = []
    try:
        chain = load_chain_spec(folder.chain_spec)
        findings.append(Finding("chain spec", True, f"genesis 0x{chain.genesis_hash.hex()[:16]}…"))
    except ChainSpecInvalid as error:
        findings.append(Finding("chain spec", False, str(error), "put back the file that all members have"))
    status = read_status(folder)
    quorum = len(shape.members) - (len(shape.members) - 1) // 3
    up = [member for member in status.members if member.up]
    for member in status.members:
        if not member.up:
            findings.append(
                Finding(member.name, False, f"away\n{explain(folder, member.name)}", f"hansa logs {member.name}")
            )
    needed = quorum if shape.engine == "pbft" else 1
    findings.append(
        Finding("quorum", len(up) >= needed, f"{len(up)} up, {needed} needed", "bring members back: hansa up")
    )
    heads = [member.head for member in up if member.head is not None]
    if heads:
        behind = max(heads) - min(heads)
        findings.append(
            Finding("heads", behind <= 2, f"{min(heads)} to {max(heads)}", "a member lags: hansa logs MEMBER")
        )
    findings += [_keys(folder, shape, name) for name in shape.members]
    return [*findings, *(_clock(member.rpc_url) for member in up[:1])]


def _keys(folder: ConsortiumFolder, shape: Shape, member: str) -> Finding:
    from datetime import UTC, datetime

    from cryptography import x509

    from hansa.keys import KeysInvalid, load_member_keys

    try:
        keys = load_member_keys(folder.member(member) / "keys", "local")
    except KeysInvalid as error:
        return Finding(f"{member} keys", False, str(error), error.remedy or "restore the files")
    left = x509.load_pem_x509_certificate(keys.tls_certificate_pem).not_valid_after_utc - datetime.now(UTC)
    return Finding(
        f"{member} keys",
        left.days >= CERTIFICATE_DAYS_MIN,
        f"readable, certificate valid for {left.days} days",
        "renew it",
    )


def _clock(url: str) -> Finding:
    from hansa.jsonrpc import NodeUnreachable, RpcClient, RpcError

    try:
        block = RpcClient(url, 2.0).call("eth_getBlockByNumber", "latest", False)
        ahead = int(block["timestamp"], 16) - time.time()
    except (NodeUnreachable, RpcError, TypeError, KeyError) as error:
        return Finding("clock", True, f"not compared: {error}")
    return Finding("clock", ahead <= CLOCK_SECONDS_MAX, f"newest block is {-ahead:.1f} s old", "set the clock (NTP)")
