"""`genesis new`, `genesis check`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hansa.cli import output
from hansa.cli.output import AsJson, CommandFailed, usage

if TYPE_CHECKING:
    from hansa.chainspec import ChainSpec

app = typer.Typer(no_args_is_help=True)


@app.command()
def new(
    member: Annotated[
        list[Path], typer.Option("--member", help="A member's entry, as `hansa keys show --json` prints it.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write; never overwritten.")] = Path("chain.json"),
    chain_id: Annotated[int, typer.Option(min=1)] = 1337,
    engine: str = "pbft",
    block_time: str = "200ms",
    empty_block_time: str = "5s",
    request_timeout: str = "2s",
    leader_term: Annotated[int, typer.Option(min=1)] = 64,
    gas_limit: Annotated[int, typer.Option(min=5_000)] = 60_000_000,
    fees: Annotated[
        bool, typer.Option("--fees/--no-fees", help="EIP-1559 base fee; without it any price is taken.")
    ] = False,
    proof_window: Annotated[str, typer.Option(help="Blocks, or archive.")] = "1024",
    beneficiary: Annotated[str | None, typer.Option(help="Account that gets all fees; else each proposer.")] = None,
    test_accounts: Annotated[
        bool, typer.Option("--test-accounts", help="Fund ten accounts whose keys everybody knows.")
    ] = False,
) -> None:
    """Make the chain spec of a new consortium from its members' entries."""
    from hansa.chainspec import GenesisChoices, new_chain_spec
    from hansa.chainspec.load import Validator
    from hansa.chainspec.model import ValidatorPart
    from hansa.cli.target import address

    validators = []
    for path in member:
        part = ValidatorPart.model_validate(_entry(path))
        validators.append(Validator(**{name: getattr(part, name) for name in Validator.__dataclass_fields__}))
    if proof_window != "archive" and not proof_window.isdigit():
        raise usage(f"--proof-window is a number of blocks or archive, not {proof_window!r}")
    if engine not in ("pbft", "poa"):
        raise usage(f"--engine is pbft or poa, not {engine!r}")
    raw, chain = new_chain_spec(
        GenesisChoices(
            validators=validators,
            chain_id=chain_id,
            engine=engine,
            block_time=block_time,
            empty_block_time=empty_block_time,
            request_timeout=request_timeout,
            leader_term=leader_term,
            gas_limit=gas_limit,
            zero_base_fee=not fees,
            proof_window=proof_window if proof_window == "archive" else int(proof_window),
            beneficiary=bytes.fromhex(address(beneficiary)[2:]) if beneficiary else None,
            test_accounts=test_accounts,
            timestamp=int(time.time()),
        )
    )
    try:
        with out.open("xb") as file:
            file.write(raw)
    except FileExistsError as error:
        raise CommandFailed(f"{out} exists already and is left as it is; choose another --out") from error
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written: {error.strerror}") from error
    _warn_of_gas_limit(chain)
    output.plain(
        f"{out}: chain id {chain.chain_id}, {len(chain.validators)} members, genesis 0x{chain.genesis_hash.hex()}"
    )


def _entry(path: Path) -> dict[str, object]:
    from hansa.chainspec.load import parse_json
    from hansa.chainspec.model import ValidatorPart

    try:
        found = parse_json(path.read_bytes())
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}") from error
    known = {field.alias or name for name, field in ValidatorPart.model_fields.items()}
    if not isinstance(found, dict) or not known <= found.keys():
        raise CommandFailed(f"{path} is no member's entry; `hansa keys show --json` prints one")
    return {key: found[key] for key in known}


@app.command()
def check(file: Path, json: AsJson = False) -> None:
    """Check a chain spec as a node would at its start, and say what it means."""
    from hansa.chainspec import load_chain_spec

    chain = load_chain_spec(file)
    found = {
        "chain_id": chain.chain_id,
        "genesis_hash": "0x" + chain.genesis_hash.hex(),
        "fork": chain.kernel.fork(0, 0),
        "gas_limit": chain.gas_limit,
        "zero_base_fee": chain.zero_base_fee,
        "consortium": chain.hansa,
        "engine": chain.consensus.engine if chain.hansa else None,
        "members": [validator.name for validator in chain.validators],
        "test_accounts": chain.allocates_test_accounts,
    }
    if json:
        output.as_json(found)
        return
    output.pairs(
        [
            (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
            for name, value in found.items()
        ]
    )
    _warn_of_gas_limit(chain)
    if chain.consensus.engine == "pbft" and 0 < len(chain.validators) < 4:
        output.plain("note: fewer than 4 members tolerate no faulty one")


def _warn_of_gas_limit(chain: "ChainSpec") -> None:
    """Say on standard error if this machine would be too slow for the chain's blocks."""
    from hansa.worst.startup import check

    if (found := check(chain)) is not None:
        output.warn(f"warning: {found.text}")
