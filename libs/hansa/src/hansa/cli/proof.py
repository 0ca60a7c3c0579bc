"""`proof witness`, `proof verify-block`: check a block without a node, from its hash alone."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage
from hansa.cli.target import DataFolder, RpcUrl, block_id, client
from hansa.consortium.folder import DEFAULT, ConsortiumFolder

app = typer.Typer(no_args_is_help=True)

TIMEOUT_SECONDS: Final = 60.0
"""The node executes the block again; old trie nodes take their time."""

_HASH = "0x and 64 hex digits"


@app.command()
def witness(
    block: Annotated[str, typer.Argument(help="Number, hash or tag.")] = "latest",
    out: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: HASH.witness.")] = None,
    rpc: RpcUrl = None,
    json: AsJson = False,
) -> None:
    """Fetch a block with everything that it takes to execute it again."""
    answer = client(rpc, TIMEOUT_SECONDS).call("hansa_getBlockWitness", block_id(block))
    if answer is None:
        raise CommandFailed(f"there is no block {block}")
    data = bytes.fromhex(answer["witness"][2:])
    path = out or Path(f"{answer['blockHash'][2:18]}.witness")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}") from error
    if json:
        output.as_json({"file": str(path), "bytes": len(data), "block_hash": answer["blockHash"]})
        return
    output.plain(f"{path}: {len(data):,} bytes, block {answer['blockHash']}")
    output.plain(f"check it: hansa proof verify-block {path} --trusted-header-hash HASH")


@app.command("verify-block")
def verify_block(
    file: Annotated[Path, typer.Argument(help="What `hansa proof witness` wrote.")],
    trusted_header_hash: Annotated[
        str | None, typer.Option("--trusted-header-hash", help="Hash that the block must have.")
    ] = None,
    trusted_parent_hash: Annotated[
        str | None, typer.Option("--trusted-parent-hash", "--parent", help="Hash that the block's parent must have.")
    ] = None,
    chain_spec: Annotated[
        Path | None, typer.Option("--chain-spec", help="Rules of the chain; default: of the consortium in --data.")
    ] = None,
    data: DataFolder = DEFAULT,
    json: AsJson = False,
) -> None:
    """Execute a block on its witness and compare everything that its header says. Needs no node."""
    from hansa.chainspec import load_chain_spec

    if trusted_header_hash is None and trusted_parent_hash is None:
        raise usage("what do you trust? --trusted-header-hash HASH of the block, or --trusted-parent-hash HASH")
    trusted = {
        name: None if text is None else _hash(name, text)
        for name, text in (("trusted_header_hash", trusted_header_hash), ("trusted_parent_hash", trusted_parent_hash))
    }
    chain = load_chain_spec(chain_spec or _chain_spec_of(data))
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}") from error
    started = time.perf_counter()
    verified = _verify(chain, raw, trusted)
    took_ms = (time.perf_counter() - started) * 1000
    header, parent = verified.header, verified.parent
    found: dict[str, Any] = {
        "number": header.number,
        "block_hash": "0x" + header.hash.hex(),
        "parent_hash": "0x" + parent.hash.hex(),
        "state_root_before": "0x" + parent.state_root.hex(),
        "state_root_after": "0x" + header.state_root.hex(),
        "receipts_root": "0x" + header.receipts_root.hex(),
        "transactions": verified.transactions,
        "gas_used": header.gas_used,
        "witness_nodes": verified.nodes,
        "witness_codes": verified.codes,
        "witness_headers": verified.headers,
        "witness_bytes": len(raw),
    }
    if json:
        output.as_json(found)
        return
    output.plain(f"✓ block {header.number} is what its header says ({took_ms:.0f} ms)")
    output.pairs([(name.replace("_", " "), value) for name, value in found.items()])
    believed = " and ".join(name.removeprefix("trusted_").replace("_", " ") for name, value in trusted.items() if value)
    output.plain(f"believed without proof: {believed}")


def _verify(chain: Any, raw: bytes, trusted: dict[str, bytes | None]) -> Any:
    from hansa_kernel import (
        BlockInvalid,
        KernelInputError,
        WitnessDiffers,
        WitnessIncomplete,
        verify_block,
    )

    try:
        return verify_block(chain.kernel, raw, genesis_hash=chain.genesis_hash, **trusted)
    except (KernelInputError, BlockInvalid, WitnessDiffers, WitnessIncomplete) as error:
        raise CommandFailed(f"not proven: {error}") from error


def _chain_spec_of(data: Path) -> Path:
    folder = ConsortiumFolder(data)
    if not folder.exists():
        raise usage(f"which chain? --chain-spec FILE (there is no consortium in {data})")
    return folder.chain_spec


def _hash(name: str, text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise usage(f"--{name.replace('_', '-')}: {text!r} is not a hash: {_HASH} were expected")
    return found
