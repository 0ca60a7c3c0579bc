"""`tx`, `block`, `receipt`, `balance`, `nonce`, `rpc`: reading from a node."""

from typing import Annotated, Any

import orjson
import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage
from hansa.cli.target import RpcUrl, address, block_id, client, shown_amount

app = typer.Typer()

At = Annotated[str, typer.Option("--block", help="Number, hash, or latest, safe, finalized, earliest, pending.")]


def _show(value: dict[str, Any], *, json: bool) -> None:
    """An answer of the node: as it came, or with decimal numbers for people."""
    if json:
        output.as_json(value)
        return
    output.pairs([(key, _readable(key, entry)) for key, entry in value.items()])


_QUANTITIES = {
    "number", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas", "size", "difficulty", "blockNumber",
    "transactionIndex", "nonce", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value",
    "cumulativeGasUsed", "effectiveGasPrice", "status", "chainId", "type", "blobGasUsed", "excessBlobGas",
}  # fmt: skip


def _readable(key: str, value: Any) -> str:
    if (
        key in _QUANTITIES
        and isinstance(value, str)
        and 2 < len(value) < 68
        and value.startswith("0x")
        and len(value) != 18
    ):
        return str(int(value, 16))
    if isinstance(value, list):
        return f"{len(value)}" + "".join(
            f"\n    {item if isinstance(item, str) else orjson.dumps(item).decode()}" for item in value[:20]
        )
    if isinstance(value, str) and len(value) > 140:
        return f"{value[:130]}… ({len(value) // 2 - 1} bytes)"
    return str(value)


@app.command()
def block(
    which: Annotated[str, typer.Argument(help="Number, hash or tag.")] = "latest",
    full: Annotated[bool, typer.Option("--full", help="Transactions as objects.")] = False,
    rpc: RpcUrl = None,
    json: AsJson = False,
) -> None:
    """Show a block."""
    chosen = block_id(which)
    method = "eth_getBlockByHash" if len(str(chosen)) == 66 else "eth_getBlockByNumber"
    found = client(rpc).call(method, chosen, full)
    if found is None:
        raise CommandFailed(f"there is no block {which}")
    _show(found, json=json)


@app.command()
def tx(
    hash: Annotated[str, typer.Argument(help="Transaction hash.")], rpc: RpcUrl = None, json: AsJson = False
) -> None:
    """Show a transaction."""
    found = client(rpc).call("eth_getTransactionByHash", hash)
    if found is None:
        raise CommandFailed(f"the node knows no transaction {hash}")
    _show(found, json=json)


@app.command()
def receipt(
    hash: Annotated[str, typer.Argument(help="Transaction hash.")], rpc: RpcUrl = None, json: AsJson = False
) -> None:
    """Show a committed transaction's receipt."""
    found = client(rpc).call("eth_getTransactionReceipt", hash)
    if found is None:
        raise CommandFailed(f"transaction {hash} is not committed, or not known")
    _show(found, json=json)


@app.command()
def balance(account: str, at: At = "latest", rpc: RpcUrl = None, json: AsJson = False) -> None:
    """Show an account's balance in whole coins (wei with --json)."""
    chosen = address(account)
    wei = int(client(rpc).call("eth_getBalance", chosen, block_id(at)), 16)
    if json:
        output.as_json({"address": chosen, "block": at, "balance_wei": str(wei)})
    else:
        output.plain(shown_amount(wei))


@app.command()
def nonce(account: str, at: At = "latest", rpc: RpcUrl = None, json: AsJson = False) -> None:
    """Show an account's transaction count."""
    chosen = address(account)
    count = int(client(rpc).call("eth_getTransactionCount", chosen, block_id(at)), 16)
    if json:
        output.as_json({"address": chosen, "block": at, "nonce": count})
    else:
        output.plain(str(count))


@app.command()
def rpc(
    method: Annotated[str, typer.Argument(help="Such as eth_blockNumber.")],
    params: Annotated[list[str] | None, typer.Argument(help="Each as JSON; what is no JSON is a text.")] = None,
    url: RpcUrl = None,
) -> None:
    """Call any JSON-RPC method and print its result as JSON."""
    if not method:
        raise usage("which method?")
    output.as_json(client(url, 60.0).call(method, *[_parameter(text) for text in params or ()]))


def _parameter(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
