"""Which node and which account a command speaks to and for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hansa.cli.output import CommandFailed, usage
from hansa.jsonrpc import RpcClient

if TYPE_CHECKING:
    from hansa.keys.keystore import Opened

DEFAULT_URL: Final = "http://127.0.0.1:8545"

RpcUrl = Annotated[
    str | None,
    typer.Option("--rpc", help="JSON-RPC URL; default HANSA_RPC_URL, the consortium in this folder, or port 8545."),
]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder of the local consortium.")]


def client(url: str | None, timeout_seconds: float = 15.0) -> RpcClient:
    """A client of the node that `--rpc`, the environment or the local consortium names."""
    return RpcClient(url_of(url), timeout_seconds)


def url_of(url: str | None) -> str:
    """The node to speak to."""
    if url or (url := os.environ.get("HANSA_RPC_URL")):
        return url if "://" in url else f"http://{url}"
    from hansa.consortium.folder import DEFAULT, ConsortiumFolder

    folder = ConsortiumFolder(DEFAULT)
    if folder.exists():
        shape = folder.read()
        return f"http://127.0.0.1:{shape.ports[shape.members[0]]['http']}"
    return DEFAULT_URL


def secret_key(private_key: str | None, keystore: Path | None, password_file: Path | None, *, chain_id: int) -> bytes:
    """The signing key: a number 0 to 9 (test account of a test chain), hex, a keystore file, or HANSA_PRIVATE_KEY."""
    return signing_key(private_key, keystore, password_file, chain_id=chain_id)[0]


def signing_key(
    private_key: str | None,
    keystore: Path | None,
    password_file: Path | None,
    *,
    chain_id: int,
    scheme: str | None = None,
) -> tuple[bytes, str]:
    """As `secret_key`, with the signature scheme: that of the key file, else `scheme`, else secp256k1."""
    if keystore is not None:
        opened = _from_keystore(keystore, password_file)
        if scheme not in (None, opened.scheme):
            raise usage(f"the key of {keystore} is one of {opened.scheme}, not of {scheme}")
        return opened.secret, opened.scheme
    return _from_text(private_key, chain_id), scheme or "secp256k1"


def _from_text(private_key: str | None, chain_id: int) -> bytes:
    text = private_key or os.environ.get("HANSA_PRIVATE_KEY")
    if text is None:
        raise usage("who signs? --from 0..9 (test account), --private-key, --keystore FILE, or HANSA_PRIVATE_KEY")
    if text.isdigit() and len(text) == 1:
        from hansa.test_accounts import TEST_KEYS

        if chain_id == 1:
            raise usage("test accounts are for test chains: everybody knows their keys")
        return TEST_KEYS[int(text)]
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise usage("the private key is not hex") from None
    if len(key) != 32:
        raise usage(f"a private key has 32 bytes, this one has {len(key)}")
    return key


def _from_keystore(path: Path, password_file: Path | None) -> "Opened":
    from hansa.keys.keystore import KeystoreInvalid, open_account

    if password_file is not None:
        from hansa.keys.secret_files import read_secret

        password = read_secret(password_file).decode().rstrip("\r\n")
    else:
        password = typer.prompt(f"password of {path}", hide_input=True, err=True)
    try:
        return open_account(path.read_bytes(), password)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}") from error
    except KeystoreInvalid as error:
        raise CommandFailed(f"{path}: {error}") from error


def address(text: str) -> str:
    """A checked address: 0x and 40 hex digits, or 0..9 for a test account."""
    if text.isdigit() and len(text) == 1:
        from hansa.test_accounts import TEST_ADDRESSES

        return "0x" + TEST_ADDRESSES[int(text)].hex()
    digits = text.removeprefix("0x")
    try:
        if len(bytes.fromhex(digits)) == 20:
            return "0x" + digits.lower()
    except ValueError:
        pass
    raise usage(f"{text!r} is not an address: 0x and 40 hex digits were expected")


def block_id(text: str) -> Any:
    """A block tag, number or hash as JSON-RPC writes it."""
    if text in ("latest", "earliest", "pending", "safe", "finalized"):
        return text
    if text.isdigit():
        return hex(int(text))
    if text.startswith("0x"):
        return text
    raise usage(f"{text!r} is no block: a number, a hash, or latest, safe, finalized, earliest, pending")


_UNITS: Final = {"wei": 0, "gwei": 9, "ether": 18, "eth": 18, "han": 18}


def amount_wei(text: str) -> int:
    """Wei from `5`, `0x5`, `1ether`, `0.5 ether`, `3gwei`."""
    from decimal import Decimal, InvalidOperation

    stripped = text.strip().lower()
    try:
        if stripped.startswith("0x"):
            return int(stripped, 16)
        unit = next((name for name in sorted(_UNITS, key=len, reverse=True) if stripped.endswith(name)), None)
        number = Decimal(stripped.removesuffix(unit).strip() if unit else stripped)
    except (InvalidOperation, ValueError):
        raise usage(f"{text!r} is not an amount: 5, 0x5, 0.5ether or 3gwei were expected") from None
    wei = number.scaleb(_UNITS[unit] if unit else 0)
    if wei != wei.to_integral_value() or wei < 0 or wei >= 2**256:
        raise usage(f"{text!r} is not a whole number of wei of 0 to 2^256 - 1")
    return int(wei)


def shown_amount(wei: int) -> str:
    """Wei as a decimal number of whole coins (18 decimals)."""
    whole, rest = divmod(wei, 10**18)
    return str(whole) if rest == 0 else f"{whole}.{rest:018d}".rstrip("0")
