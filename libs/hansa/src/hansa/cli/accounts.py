"""`account new`, `account list`: Ethereum accounts in Web3 Secret Storage files."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage
from hansa.cli.target import RpcUrl, client, shown_amount
from hansa.jsonrpc import NodeUnreachable, RpcError

app = typer.Typer(no_args_is_help=True)

DEFAULT: Final = Path(".hansa/accounts")

Folder = Annotated[Path, typer.Option("--keystore", help="Folder of key files.")]


@app.command()
def new(
    keystore: Folder = DEFAULT,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; else it is asked for.")] = None,
    light: Annotated[bool, typer.Option("--light", help="Cheap protection, for tests.")] = False,
    scheme: Annotated[str, typer.Option(help="How it signs: secp256k1, or one of `hansa keys schemes`.")] = "secp256k1",
    reveal: Annotated[bool, typer.Option("--reveal", help="Also print the private key.")] = False,
    json: AsJson = False,
) -> None:
    """Make an account."""
    import hansa_kernel

    from hansa.keys.keystore import SCRYPT_N, SCRYPT_N_LIGHT, account_address, encrypt_account
    from hansa.keys.member import new_account_secret
    from hansa.keys.secret_files import read_secret, write_secret

    if password_file is not None:
        password = read_secret(password_file).decode().rstrip("\r\n")
    else:
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise CommandFailed("an empty password protects nothing")
    secret = new_account_secret()
    try:
        address = account_address(secret, scheme).hex()
    except hansa_kernel.KernelInputError as error:
        raise usage(f"--scheme {scheme}: {error.expected} was expected") from error
    keystore.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    path = keystore / f"UTC--{stamp}--{address}"
    write_secret(path, encrypt_account(secret, password, n=SCRYPT_N_LIGHT if light else SCRYPT_N, scheme=scheme))
    found: dict[str, str] = {"address": "0x" + address, "file": os.fspath(path)}
    if scheme != "secp256k1":
        found |= {"scheme": scheme, "public_key": "0x" + hansa_kernel.scheme_public_key(scheme, secret).hex()}
    if reveal:
        found["private_key"] = "0x" + secret.hex()
    if json:
        output.as_json(found)
    else:
        output.pairs(list(found.items()))


@app.command(name="list")
def list_accounts(keystore: Folder = DEFAULT, rpc: RpcUrl = None, json: AsJson = False) -> None:
    """List the accounts of a folder, with balances where a node answers."""
    found: list[dict[str, Any]] = []
    for path in sorted(keystore.glob("*")) if keystore.is_dir() else ():
        try:
            document = orjson.loads(path.read_bytes())
            address = "0x" + str(document["address"]).lower().removeprefix("0x")
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            continue
        found.append({"address": address, "file": os.fspath(path), "balance_wei": None})
    try:
        node = client(rpc, 2.0)
        for entry in found:
            entry["balance_wei"] = int(node.call("eth_getBalance", entry["address"], "latest"), 16)
    except (NodeUnreachable, RpcError):
        pass  # the list is useful without balances
    if json:
        output.as_json(
            [
                {**entry, "balance_wei": None if entry["balance_wei"] is None else str(entry["balance_wei"])}
                for entry in found
            ]
        )
        return
    rows = [
        (entry["address"], "-" if entry["balance_wei"] is None else shown_amount(entry["balance_wei"]), entry["file"])
        for entry in found
    ]
    output.table("", ("address", "balance", "file"), rows)
