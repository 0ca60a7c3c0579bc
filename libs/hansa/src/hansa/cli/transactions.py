"""`send`, `call`, `deploy`: transactions and calls."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage
from hansa.cli.target import RpcUrl, address, amount_wei, block_id, client, signing_key
from hansa.jsonrpc import RpcClient

app = typer.Typer()

POLL_SECONDS: Final = 0.05

From = Annotated[
    str | None, typer.Option("--from", "--private-key", help="Signs: 0 to 9 (test account) or a private key in hex.")
]
Keystore = Annotated[Path | None, typer.Option("--keystore", help="Signs: a key file.", exists=True, dir_okay=False)]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="Password of the key file.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the receipt.")]
Scheme = Annotated[
    str | None, typer.Option("--scheme", help="How --private-key signs; see `hansa keys schemes`. A key file knows.")
]
Ranges = Annotated[
    list[str] | None,
    typer.Option("--range", help="FIRST-LAST or one address: the transaction touches no other. May be repeated."),
]
Gas = Annotated[int | None, typer.Option("--gas", min=21_000, help="Gas limit; default: estimated.")]


@app.command()
def send(
    to: Annotated[str, typer.Argument(help="Address, or 0 to 9 for a test account.")],
    value: Annotated[str, typer.Argument(help="Amount: wei, or such as 0.5ether.")] = "0",
    signature: Annotated[
        str | None, typer.Option("--sig", help='Function, such as "transfer(address,uint256)".')
    ] = None,
    arguments: Annotated[list[str] | None, typer.Option("--arg", help="Its arguments, in order.")] = None,
    data: Annotated[str, typer.Option(help="Call data in hex, instead of --sig.")] = "0x",
    signer: From = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    scheme: Scheme = None,
    ranges: Ranges = None,
    gas: Gas = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the receipt.")] = True,
    timeout: Timeout = 30.0,
    rpc: RpcUrl = None,
    json: AsJson = False,
) -> None:
    """Sign a transaction, send it and wait until it is committed."""
    node = client(rpc)
    call = _call_data(signature, arguments or [], data)
    hash_ = _send(
        node,
        to=address(to),
        value=amount_wei(value),
        data=call,
        signer=(signer, keystore, password_file),
        gas=gas,
        scheme=scheme,
        ranges=ranges,
    )
    if not wait:
        _print({"transactionHash": hash_}, json=json)
        return
    _finish(_wait(node, hash_, timeout), json=json)


@app.command()
def call(
    to: str,
    signature: Annotated[str | None, typer.Argument(help='Function, such as "balanceOf(address)(uint256)".')] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments, in order.")] = None,
    data: Annotated[str, typer.Option(help="Call data in hex, instead of a function.")] = "0x",
    sender: Annotated[str | None, typer.Option("--from", help="Caller's address.")] = None,
    at: Annotated[str, typer.Option("--block", help="Number, hash or tag.")] = "latest",
    rpc: RpcUrl = None,
    json: AsJson = False,
) -> None:
    """Call a contract without a transaction and print what it returns."""
    from hansa.cli import abi

    request = {"to": address(to), "data": "0x" + _call_data(signature, arguments or [], data).hex()}
    if sender is not None:
        request["from"] = address(sender)
    answer = client(rpc).call("eth_call", request, block_id(at))
    values = abi.decode_result(signature, bytes.fromhex(answer[2:])) if signature else None
    if json:
        output.as_json({"data": answer, "values": values})
    elif values is None:
        output.plain(answer)
    else:
        for value in values:
            output.plain(str(value))


@app.command()
def deploy(
    source: Annotated[str, typer.Argument(help="File.sol:Name, or a compiled artefact (JSON), or a file of hex.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments of the constructor, in order.")] = None,
    signer: From = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    value: Annotated[str, typer.Option(help="Amount that the contract gets.")] = "0",
    scheme: Scheme = None,
    gas: Gas = None,
    timeout: Timeout = 30.0,
    rpc: RpcUrl = None,
    json: AsJson = False,
) -> None:
    """Compile a contract if need be, deploy it, and print address and gas."""
    from hansa.cli import abi
    from hansa.cli.compile import load_contract

    contract = load_contract(source)
    code = contract.bytecode + abi.encode_arguments(contract.constructor, arguments or [])
    node = client(rpc)
    hash_ = _send(
        node,
        to=None,
        value=amount_wei(value),
        data=code,
        signer=(signer, keystore, password_file),
        gas=gas,
        scheme=scheme,
    )
    _finish(_wait(node, hash_, timeout), json=json)


def _call_data(signature: str | None, arguments: list[str], data: str) -> bytes:
    from hansa.cli import abi

    if signature is None:
        if arguments:
            raise usage("arguments without a function")
        try:
            return bytes.fromhex(data.removeprefix("0x"))
        except ValueError:
            raise usage("--data is not hex") from None
    return abi.encode_call(signature, arguments)


def _send(
    node: RpcClient,
    *,
    to: str | None,
    value: int,
    data: bytes,
    signer: tuple[str | None, Path | None, Path | None],
    gas: int | None,
    scheme: str | None = None,
    ranges: list[str] | None = None,
) -> str:
    """Fill in nonce, gas and fees, sign and send; returns the hash."""
    from hansa.cli.signing import Transaction, range_objects, ranges_of, sign, sign_envelope
    from hansa.keys.keystore import SECP256K1, account_address

    chain_id = int(node.call("eth_chainId"), 16)
    key, scheme = signing_key(*signer, chain_id=chain_id, scheme=scheme)
    packed_ranges = ranges_of(ranges or [])
    sender = "0x" + account_address(key, scheme).hex()
    head = node.call("eth_getBlockByNumber", "latest", False)
    base_fee = int(head.get("baseFeePerGas") or "0x0", 16)
    tip = int(node.call("eth_maxPriorityFeePerGas"), 16) if base_fee else 0
    nonce = int(node.call("eth_getTransactionCount", sender, "pending"), 16)
    if gas is None:
        request: dict[str, Any] = {"from": sender, "value": hex(value), "data": "0x" + data.hex()}
        if to is not None:
            request["to"] = to
        if scheme != SECP256K1:
            request["signatureScheme"] = scheme
        if packed_ranges:
            request["addressRanges"] = range_objects(packed_ranges)
        gas = int(node.call("eth_estimateGas", request), 16)
    transaction = Transaction(
        chain_id=chain_id,
        nonce=nonce,
        to=None if to is None else bytes.fromhex(to[2:]),
        value=value,
        data=data,
        gas_limit=gas,
        max_fee_per_gas=2 * base_fee + tip,
        max_priority_fee_per_gas=tip,
    )
    if scheme == SECP256K1 and not packed_ranges:
        raw = sign(transaction, key)
    else:
        raw = sign_envelope(transaction, key, scheme, packed_ranges)
    return str(node.call("eth_sendRawTransaction", "0x" + raw.hex()))


def _wait(node: RpcClient, hash_: str, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while True:
        receipt: dict[str, Any] | None = node.call("eth_getTransactionReceipt", hash_)
        if receipt is not None:
            return receipt
        if time.monotonic() > deadline:
            raise CommandFailed(f"{hash_} was accepted, but is not committed after {timeout:g} s; see hansa status")
        time.sleep(POLL_SECONDS)


def _finish(receipt: dict[str, Any], *, json: bool) -> None:
    """Print a receipt; a failed transaction is a failed command."""
    if json:
        output.as_json(receipt)
    else:
        shown = [("transaction", receipt["transactionHash"]), ("block", int(receipt["blockNumber"], 16))]
        if receipt.get("contractAddress"):
            shown.append(("contract", receipt["contractAddress"]))
        shown.append(("gas used", int(receipt["gasUsed"], 16)))
        output.pairs(shown)
    if int(receipt["status"], 16) != 1:
        raise CommandFailed(f"{receipt['transactionHash']} is committed, but failed (its changes were undone)")


def _print(value: dict[str, Any], *, json: bool) -> None:
    if json:
        output.as_json(value)
    else:
        output.pairs(list(value.items()))
