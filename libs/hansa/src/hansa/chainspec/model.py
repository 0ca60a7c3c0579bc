"""The chain spec file as a model: geth's `genesis.json`, and everything of Hansa's under `config.hansa`.

Geth's own keys keep their meaning; the kernel reads those (`hansa_kernel.Spec`), so here they are only named and
documented. Unknown keys outside `config.hansa` are left alone, as geth leaves them; unknown keys inside are errors.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from hansa.chainspec.errors import ChainSpecInvalid

DURATION_MS_MAX = 24 * 3600 * 1000
"""A day: no duration of a chain spec makes sense beyond it, and it keeps every sum far from overflow."""

PROOF_WINDOW_MAX = 1 << 32
"""Blocks; whoever wants more wants `archive`."""

LEADER_TERM_MAX = 1 << 20
"""Blocks; beyond it leadership would not rotate in the life of a chain."""

VALIDATORS_MAX = 256
"""Members of one group: votes are all-to-all, and a bitmap of signers travels with every block."""

SCHEMES_MAX = 16
"""Account signature schemes of one chain: more than there are."""

PRECOMPILES_MAX = 256
"""Precompiles of one chain; the kernel's bound."""

GAS_PRICE_MAX = 1 << 40
"""Gas; beyond every block, and far from overflow. The kernel's bound."""

PRICE_PERCENT_MAX = 5_000
"""Multiplier of a price: fifty times Ethereum's. The kernel's bound."""

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000}


def _duration_ms(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError('a duration is a number of milliseconds or a text such as "200ms" or "5s"')
    if isinstance(value, int):
        milliseconds = value
    elif isinstance(value, str) and (match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m)", value)):
        exact = float(match[1]) * _UNITS_MS[match[2]]
        milliseconds = round(exact)
        if abs(exact - milliseconds) > 1e-6:
            raise ValueError("a duration is a whole number of milliseconds")
    else:
        raise ValueError('a duration is a number of milliseconds or a text such as "200ms" or "5s"')
    if not 0 <= milliseconds <= DURATION_MS_MAX:
        raise ValueError(f"a duration is at least 0 and at most {DURATION_MS_MAX} ms")
    return milliseconds


Duration = Annotated[
    int,
    BeforeValidator(_duration_ms),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": DURATION_MS_MAX},
                {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,3})? ?(ms|s|m)$"},
            ]
        }
    ),
]


def _hex_of(width: int) -> Any:
    def parse(value: Any) -> bytes:
        if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]*", value):
            raise ValueError("hex text beginning with 0x was expected")
        if len(value) != 2 + 2 * width:
            raise ValueError(f"{width} bytes were expected, there are {(len(value) - 2) / 2:g}")
        return bytes.fromhex(value[2:])

    return Annotated[
        bytes,
        BeforeValidator(parse),
        WithJsonSchema({"type": "string", "pattern": f"^0x[0-9a-fA-F]{{{2 * width}}}$"}),
    ]


Bytes20 = _hex_of(20)
Bytes32 = _hex_of(32)
Bytes48 = _hex_of(48)
Bytes96 = _hex_of(96)


def _window(value: Any) -> int | None:
    if value == "archive":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= PROOF_WINDOW_MAX:
        raise ValueError(f'a number of blocks from 1 to {PROOF_WINDOW_MAX}, or "archive", was expected')
    return value


ProofWindow = Annotated[
    int | None,
    BeforeValidator(_window),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": PROOF_WINDOW_MAX}, {"const": "archive"}]}),
]


class _HansaPart(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_alias=True, strict=True
    )


class ConsensusPart(_HansaPart):
    """How members agree."""

    engine: Literal["poa", "pbft"] = Field(
        description="poa: one signer (the first validator); pbft: all validators vote."
    )
    block_time: Duration = Field(200, description="Least time between two proposals.")
    empty_block_time: Duration = Field(5_000, description="An empty block is made after this long; 0: never.")
    request_timeout: Duration = Field(2_000, description="Wait for a leader before its view is given up; doubles.")
    leader_term: int = Field(64, ge=1, le=LEADER_TERM_MAX, description="Blocks for which a leader stays.")


class FeesPart(_HansaPart):
    """What transactions pay."""

    zero_base_fee: bool = Field(False, description="The base fee is always 0: any gas price, also 0, is taken.")
    ether: bool = Field(
        True, description="false: nobody holds ether and no transaction sends any; needs zeroBaseFee, empty balances."
    )


class StatePart(_HansaPart):
    """What is kept of old states."""

    proof_window: ProofWindow = Field(
        1_024, description="Blocks back for which proofs can be made, or `archive` for all."
    )


class PrecompileGasPart(_HansaPart):
    """Price of a precompile, gas; what is absent is as the registry has it."""

    base: int | None = Field(None, ge=0, le=GAS_PRICE_MAX, description="Per call.")
    per_word: int | None = Field(None, ge=0, le=GAS_PRICE_MAX, description="Per 32 bytes of input.")
    per_item: int | None = Field(
        None, ge=0, le=GAS_PRICE_MAX, description="Per item that it counts: keys of a certificate, words of output."
    )


class PrecompilePart(_HansaPart):
    """A function of the kernel at an address."""

    address: str | int = Field(description="0x400 to 0xfffff.")
    name: str = Field(description="Name in the kernel's registry (docs/internals/precompiles.md).")
    gas: PrecompileGasPart | None = None


class SignatureSchemePart(_HansaPart):
    """An account signature scheme that the chain takes beside secp256k1."""

    name: str = Field(description="Name in the kernel's list (docs/internals/account-schemes.md).")
    gas: int | None = Field(None, ge=0, le=GAS_PRICE_MAX, description="Gas of one verification.")
    gas_per_byte: int | None = Field(None, ge=0, le=GAS_PRICE_MAX, description="Gas per byte of key and signature.")


class GasPart(_HansaPart):
    """Multipliers of Ethereum's prices, percent."""

    state_read_percent: int = Field(
        100, ge=100, le=PRICE_PERCENT_MAX, description="Cold accounts and slots, and entries of access lists."
    )
    state_growth_percent: int = Field(
        100, ge=100, le=PRICE_PERCENT_MAX, description="New accounts, slots from zero, creations and bytes of code."
    )


class StateGrowthPart(_HansaPart):
    """Most items of new state: accounts that were not there, slots from zero, 32 bytes of code."""

    block_items_max: int | None = Field(None, ge=1, le=(1 << 64) - 1, description="Of all transactions of a block.")
    sender_items_max: int | None = Field(
        None, ge=1, le=(1 << 64) - 1, description="Of one sender in a block; at most `blockItemsMax`."
    )


class VmPart(_HansaPart):
    """What the chain adds to Ethereum's execution; nothing of it is on by itself."""

    precompiles: tuple[PrecompilePart, ...] = Field(
        (), max_length=PRECOMPILES_MAX, strict=False, description="The chain's own precompiles."
    )
    tx_gas_limit: int | None = Field(
        None, ge=21_000, le=(1 << 64) - 1, description="Most gas of one transaction, in place of EIP-7825's."
    )
    privileged_opcodes: bool = Field(
        False, description="0xed SSTORE_EXT, 0xee WITHDRAW and 0xef SET_CODE for the contract at 0x00…00fe."
    )
    address_ranges: bool = Field(
        False, description="Transactions of type 0x48 may declare ranges of addresses that they stay in."
    )
    signature_schemes: tuple[SignatureSchemePart, ...] = Field(
        (), max_length=SCHEMES_MAX, strict=False, description="Account signatures of transactions of type 0x48."
    )
    gas: GasPart = Field(GasPart(), description="Dearer reads and growth of the state.")
    state_growth: StateGrowthPart = Field(StateGrowthPart(), description="How much may be added to the state.")


class ValidatorPart(_HansaPart):
    """One member of the consortium."""

    name: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="Name; also the DNS name in its certificate."
    )
    account: Bytes20 = Field(description="Ethereum account that gets the fees of its blocks.")  # type: ignore[valid-type]
    vote_key: Bytes96 = Field(description="BLS12-381 public key (G2, compressed) of its votes.")  # type: ignore[valid-type]
    proof_of_possession: Bytes48 = Field(  # type: ignore[valid-type]
        description="Signature by the vote key over itself: shows that somebody holds it."
    )
    node_key: Bytes32 = Field(description="SHA-256 of the SubjectPublicKeyInfo of its TLS key.")  # type: ignore[valid-type]
    endpoint: str = Field(description="host:port at which other members reach it; not part of the chain's name.")
    certificate: str = Field(description="Its TLS certificate, PEM; not part of the chain's name.")


class HansaPart(_HansaPart):
    """Everything of Hansa's: what all members must agree on."""

    consensus: ConsensusPart
    fees: FeesPart = FeesPart()
    state: StatePart = StatePart()
    vm: VmPart = VmPart()
    beneficiary: Bytes20 | None = Field(  # type: ignore[valid-type]
        None, description="Account that gets all fees; without it, the account of each block's proposer."
    )
    validators: tuple[ValidatorPart, ...] = Field(
        min_length=1, max_length=VALIDATORS_MAX, strict=False, description="The members, in the order of their numbers."
    )


class ConfigPart(BaseModel):
    """Geth's `config`: chain id and fork schedule, and `hansa`."""

    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, validate_by_alias=True)

    chain_id: int = Field(ge=1, description="Chain id of EIP-155.")
    hansa: HansaPart | None = None


class GenesisFile(BaseModel):
    """A chain spec: geth's `genesis.json` with `config.hansa`."""

    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, validate_by_alias=True)

    config: ConfigPart
    alloc: dict[str, Any] = Field(description="Accounts of block 0: balance, nonce, code, storage.")
    gas_limit: str | int = Field(description="Gas limit of blocks.")
    timestamp: str | int = Field("0x0", description="Time of block 0, Unix seconds.")
    extra_data: str = Field(
        "0x",
        description="With `config.hansa`: Keccak of the canonical JSON of `config` (`hansa genesis new` fills it in).",
    )
    difficulty: str | int = "0x0"
    nonce: str | int = "0x0"
    mix_hash: str = "0x" + "00" * 32
    coinbase: str = "0x" + "00" * 20
    base_fee_per_gas: str | int | None = None


def parse_file(document: Any) -> GenesisFile:
    """Check a parsed chain spec against the model. Raises `ChainSpecInvalid` for its first mistake."""
    if not isinstance(document, dict):
        raise ChainSpecInvalid("", "the file holds no JSON object")
    try:
        return GenesisFile.model_validate(document)
    except ValidationError as error:
        # An unknown key says more than the key that is missing because of it.
        mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
        mistake = mistakes[0]
        where = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(mistake["loc"][-1]), sorted(set(_hansa_keys(HansaPart))), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ChainSpecInvalid(where, f"unknown key{hint}") from error
        problem = mistake["msg"].removeprefix("Value error, ")
        got = mistake.get("input")
        shown = "" if mistake["type"] == "missing" else f" (got {str(got)[:80]!r})"
        raise ChainSpecInvalid(where, problem + shown) from error


def chain_spec_schema() -> dict[str, Any]:
    """JSON Schema of the chain spec file."""
    schema = GenesisFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Hansa chain spec"
    return schema


def _hansa_keys(model: type[BaseModel]) -> Iterator[str]:
    parts = (
        (
            ConsensusPart,
            FeesPart,
            StatePart,
            VmPart,
            PrecompilePart,
            SignatureSchemePart,
            GasPart,
            StateGrowthPart,
            ValidatorPart,
        )
        if model is HansaPart
        else ()
    )
    for name, field in model.model_fields.items():
        yield field.alias or name
    for part in parts:
        yield from _hansa_keys(part)
