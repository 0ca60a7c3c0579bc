"""`keys new`, `keys show`: the keys of a member; `keys schemes`: how accounts may sign."""

from pathlib import Path
from typing import Annotated

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed

app = typer.Typer(no_args_is_help=True)

KeysFolder = Annotated[Path, typer.Argument(help="Folder of the keys.")]


@app.command()
def new(
    folder: KeysFolder,
    name: Annotated[str, typer.Option(help="Name of the member, as the chain spec will list it.")],
    light: Annotated[bool, typer.Option("--light", help="Cheap protection, refused in profile production.")] = False,
) -> None:
    """Make vote key, account key, TLS key and certificate, and a password file; nothing is overwritten."""
    from hansa.keys import new_member_keys

    new_member_keys(folder, name, light=light)
    output.plain(
        f"keys of {name} are in {folder}; keep a copy of it apart, and give nobody anything but `hansa keys show`"
    )


@app.command()
def show(
    folder: KeysFolder,
    name: Annotated[str | None, typer.Option(help="Name of the member; default: that in its certificate.")] = None,
    endpoint: Annotated[str, typer.Option(help="host:port at which other members reach it.")] = "127.0.0.1:30303",
    reveal: Annotated[bool, typer.Option("--reveal", help="Also print the account's private key.")] = False,
    json: AsJson = False,
) -> None:
    """Print the public side: the member's entry for the chain spec."""
    from cryptography import x509

    from hansa.chainspec.new import validator_entry
    from hansa.keys import load_member_keys, validator_of

    keys = load_member_keys(folder, "local")
    if name is None:
        certificate = x509.load_pem_x509_certificate(keys.tls_certificate_pem)
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if not names:
            raise CommandFailed("the certificate names nobody: say who it is with --name")
        name = str(names[0].value)
    entry = validator_entry(validator_of(keys, name, endpoint))
    if reveal:
        entry["privateKey"] = "0x" + keys.account_secret.hex()
    if json:
        output.as_json(entry)
    else:
        output.pairs([(key, value.strip()) for key, value in entry.items()])


@app.command()
def schemes(json: AsJson = False) -> None:
    """List the account signature schemes that a chain spec may turn on, with their default prices."""
    import hansa_kernel

    found = hansa_kernel.signature_schemes()
    if json:
        output.as_json([{"name": name, "gas": gas} for name, gas in found])
    else:
        output.table("", ("scheme", "gas beside 21,000"), [(name, str(gas)) for name, gas in found])
