"""Reads a chain spec, checks it as a whole and computes its genesis block."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import hansa_kernel
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic.alias_generators import to_camel

from hansa.chainspec.commitment import commitment, transitions_digest
from hansa.chainspec.errors import ChainSpecInvalid
from hansa.chainspec.model import HansaPart, ValidatorPart, parse_file
from hansa.chainspec.system_contracts import REQUIRED, system_contracts
from hansa.test_accounts import TEST_ADDRESSES

FILE_BYTES_MAX: Final = 256 << 20
"""Largest chain spec: genesis files of public networks with large allocations stay below."""

GAS_LIMIT_MIN: Final = 5_000
"""Smallest block gas limit (Yellow Paper 4.4.4)."""

NEWEST_FORK: Final = "Osaka"
EXPERIMENTAL_FORK: Final = "Amsterdam"  # where a file says so: not released

_ACCOUNT_BYTES: Final = 105
_ENDPOINT = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?):(?P<port>\d{1,5})$")


@dataclass(frozen=True, slots=True)
class Validator:
    """One member, as all members know it."""

    name: str
    account: bytes  # 20
    vote_key: bytes  # 96, G2 compressed; possession was verified
    proof_of_possession: bytes  # 48
    node_key: bytes  # 32: SHA-256 of the TLS key's SubjectPublicKeyInfo
    endpoint: str  # host:port
    certificate: str  # PEM


@dataclass(frozen=True, slots=True)
class ConsensusRules:
    """How members agree. Times in milliseconds."""

    engine: Literal["poa", "pbft"]
    block_time_ms: int = 200
    empty_block_time_ms: int = 5_000  # 0: never
    request_timeout_ms: int = 2_000
    leader_term: int = 64  # blocks, at least 1
    strict_timestamps: bool = False  # True on chains that follow a public network's rules


@dataclass(frozen=True, slots=True, eq=False)
class ChainSpec:
    """One chain: its rules, its first block and its members."""

    raw: bytes
    chain_id: int
    kernel: hansa_kernel.Spec
    genesis_header: bytes  # RLP
    genesis_hash: bytes  # 32; the chain's name in every signature
    gas_limit: int
    beneficiary: bytes | None  # None: each block's proposer
    proof_window: int | None  # blocks; None: archive
    zero_base_fee: bool
    hansa: bool  # whether the file has config.hansa
    consensus: ConsensusRules
    transitions_digest: bytes  # 32
    validators: tuple[Validator, ...]
    allocates_test_accounts: bool = field(default=False)

    def index_of(self, name: str) -> int:
        """Number of the member called `name`. Raises `ChainSpecInvalid` when there is none."""
        for index, validator in enumerate(self.validators):
            if validator.name == name:
                return index
        known = ", ".join(validator.name for validator in self.validators) or "nobody"
        raise ChainSpecInvalid("config.hansa.validators", f"no member is called {name!r}; there are: {known}")


def load_chain_spec(path: Path | str) -> ChainSpec:
    """Read and check a chain spec file. Raises `ChainSpecInvalid`."""
    try:
        size = Path(path).stat().st_size
        if size > FILE_BYTES_MAX:
            raise ChainSpecInvalid("", f"{path} has {size} bytes, at most {FILE_BYTES_MAX} are read")
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ChainSpecInvalid("", f"{path} cannot be read: {error.strerror}") from error
    return parse_chain_spec(raw)


def parse_chain_spec(raw: bytes) -> ChainSpec:
    """Check the bytes of a chain spec and compute its genesis block. Raises `ChainSpecInvalid`."""
    document = parse_json(raw)
    config = _config_of(document)
    # Files of other networks have the keys and spellings of their clients; the kernel alone reads those.
    model = parse_file(document) if "hansa" in config else None
    try:
        kernel = hansa_kernel.Spec(raw)
        root = _root_of(kernel.genesis_write_set())
        header = kernel.genesis_header(root)
        genesis_hash = kernel.genesis_hash(root)
    except hansa_kernel.KernelInputError as error:
        raise ChainSpecInvalid(error.field, f"expected {error.expected}, got {error.got}") from error
    hansa = model.config.hansa if model else None
    if model is None or hansa is None:
        rules = ConsensusRules(engine="poa", strict_timestamps=True)
        validators: tuple[Validator, ...] = ()
    else:
        validators = _validators(hansa)
        rules = _consensus_rules(hansa)
        _check_consortium(document, kernel, hansa_kernel.Header.decode(header))
    return ChainSpec(
        raw=raw,
        chain_id=kernel.chain_id,
        kernel=kernel,
        genesis_header=header,
        genesis_hash=genesis_hash,
        gas_limit=kernel.genesis_gas_limit,
        beneficiary=hansa.beneficiary if hansa else None,
        proof_window=hansa.state.proof_window if hansa else None,
        zero_base_fee=kernel.zero_base_fee,
        hansa=hansa is not None,
        consensus=rules,
        transitions_digest=transitions_digest(config, kernel.genesis_timestamp),
        validators=validators,
        allocates_test_accounts=not _allocated(document).keys().isdisjoint(TEST_ADDRESSES),
    )


def _config_of(document: Any) -> dict[str, Any]:
    """`config`, or what OpenEthereum's files have instead. The kernel refuses what is no chain spec."""
    if not isinstance(document, dict):
        raise ChainSpecInvalid("", "the file holds no JSON object")
    for key in ("config", "params"):
        if isinstance(document.get(key), dict):
            found: dict[str, Any] = document[key]
            return found
    return {}


def check_profile(chain: ChainSpec, profile: str) -> None:
    """Refuse a chain that gives money to keys everybody knows, outside test profiles (rule K7).

    Raises `ChainSpecInvalid`.
    """
    if profile == "production" and chain.allocates_test_accounts:
        raise ChainSpecInvalid(
            "alloc",
            "it allocates to test accounts whose private keys are public; this is refused in profile production. "
            "Make a genesis without them (`hansa genesis new` without --test-accounts), or use profile local or dev",
        )


def parse_json(raw: bytes) -> Any:
    """JSON without repeated keys, whose meaning readers disagree on. Raises `ChainSpecInvalid`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ChainSpecInvalid(twice, "this key stands there twice")
        return found

    try:
        return json.loads(raw, object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChainSpecInvalid("", f"it is not JSON: {error}") from error


def _root_of(write_set: bytes) -> bytes:
    """State root of a write set on the empty state."""
    count = int.from_bytes(write_set[:4], "big")
    job = hansa_kernel.TrieJob(hansa_kernel.EMPTY_ROOT, write_set, bytes(_ACCOUNT_BYTES * count))
    answer: list[bytes | None] | None = None
    while True:
        step = job.step(answer)
        if isinstance(step, hansa_kernel.TrieResult):
            return step.root
        answer = [None] * _packed_count(step.paths)


def _packed_count(packed: bytes) -> int:
    count = offset = 0
    while offset < len(packed):
        offset += 4 + int.from_bytes(packed[offset : offset + 4], "big")
        count += 1
    return count


def _consensus_rules(hansa: HansaPart) -> ConsensusRules:
    part = hansa.consensus
    where = "config.hansa.consensus"
    if part.request_timeout < 1:
        raise ChainSpecInvalid(f"{where}.requestTimeout", "must be above 0: a leader needs time to answer")
    if part.request_timeout <= part.block_time:
        raise ChainSpecInvalid(
            f"{where}.requestTimeout",
            f"must be above blockTime ({part.request_timeout} ms is not above {part.block_time} ms): "
            "leaders would be given up before they may propose",
        )
    if 0 < part.empty_block_time < part.block_time:
        raise ChainSpecInvalid(
            f"{where}.emptyBlockTime",
            f"is 0 (never) or at least blockTime ({part.empty_block_time} ms is below {part.block_time} ms)",
        )
    return ConsensusRules(
        engine=part.engine,
        block_time_ms=part.block_time,
        empty_block_time_ms=part.empty_block_time,
        request_timeout_ms=part.request_timeout,
        leader_term=part.leader_term,
    )


def _validators(hansa: HansaPart) -> tuple[Validator, ...]:
    found = []
    for index, part in enumerate(hansa.validators):
        where = f"config.hansa.validators.{index}"
        for what in ("name", "account", "vote_key", "node_key", "endpoint"):
            for other in hansa.validators[:index]:
                if getattr(other, what) == getattr(part, what):
                    raise ChainSpecInvalid(
                        f"{where}.{to_camel(what)}", f"is also {other.name}'s; each member has its own"
                    )
        _check_endpoint(where, part.endpoint)
        _check_certificate(where, part)
        if not hansa_kernel.bls_verify_possession(part.vote_key, part.proof_of_possession):
            raise ChainSpecInvalid(
                f"{where}.proofOfPossession",
                f"does not show that {part.name} holds its vote key; `hansa keys show` prints the right one",
            )
        found.append(
            Validator(
                name=part.name,
                account=part.account,
                vote_key=part.vote_key,
                proof_of_possession=part.proof_of_possession,
                node_key=part.node_key,
                endpoint=part.endpoint,
                certificate=part.certificate,
            )
        )
    return tuple(found)


def _check_endpoint(where: str, endpoint: str) -> None:
    match = _ENDPOINT.match(endpoint)
    if match is None or not 0 < int(match["port"]) <= 65_535:
        raise ChainSpecInvalid(
            f"{where}.endpoint", f"host:port was expected, such as node1.example.org:30303, not {endpoint!r}"
        )


def _check_certificate(where: str, part: ValidatorPart) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(part.certificate.encode())
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError as error:
        raise ChainSpecInvalid(f"{where}.certificate", "not a PEM certificate; `hansa keys show` prints it") from error
    if hashlib.sha256(key).digest() != part.node_key:
        raise ChainSpecInvalid(f"{where}.nodeKey", f"is not the SHA-256 of the key in {part.name}'s certificate")


def _check_consortium(document: dict[str, Any], kernel: hansa_kernel.Spec, genesis: hansa_kernel.Header) -> None:
    """Rules for files with `config.hansa` that go beyond single keys."""
    fork = kernel.fork(0, genesis.timestamp)
    if fork not in (NEWEST_FORK, EXPERIMENTAL_FORK):
        raise ChainSpecInvalid(
            "config", f"a consortium starts at {NEWEST_FORK}, this one at {fork}; set osakaTime to 0"
        )
    if genesis.difficulty != 0 or genesis.nonce != bytes(8) or genesis.number != 0:
        raise ChainSpecInvalid("difficulty", "difficulty, nonce and number of a consortium's genesis are 0")
    if genesis.gas_limit < GAS_LIMIT_MIN:
        raise ChainSpecInvalid("gasLimit", f"at least {GAS_LIMIT_MIN} was expected, got {genesis.gas_limit}")
    allocated = _allocated(document)
    for contract in system_contracts():
        if contract.source not in REQUIRED:
            continue
        account = allocated.get(contract.address)
        code = account.get("code") if isinstance(account, dict) else None
        if not isinstance(code, str) or code.lower().removeprefix("0x") != contract.code.hex():
            raise ChainSpecInvalid(
                f"alloc.0x{contract.address.hex()}",
                f"the {contract.what} contract of {contract.source} with its code is missing; "
                "`hansa genesis new` allocates it",
            )
    expected = commitment(document["config"], genesis.timestamp)
    if genesis.extra_data != expected:
        raise ChainSpecInvalid(
            "extraData",
            f"does not commit to this config: 0x{expected.hex()} was expected, got 0x{genesis.extra_data.hex()[:80]}",
        )


def _allocated(document: dict[str, Any]) -> dict[bytes, Any]:
    """Accounts by address; keys that are no address are left to the kernel, which has refused them."""
    found: dict[bytes, Any] = {}
    accounts = document.get("alloc", document.get("accounts"))
    for key, account in (accounts if isinstance(accounts, dict) else {}).items():
        try:
            found[bytes.fromhex(key.removeprefix("0x").removeprefix("0X"))] = account
        except ValueError:
            continue
    return found
