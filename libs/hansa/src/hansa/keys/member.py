"""The keys of one member: made once, read at every start.

A key folder holds `vote.json` (EIP-2335), `account.json` (Web3 Secret Storage 3), `tls.key`, `tls.crt` and the
`password` of the two encrypted files. Everything but the certificate has mode 600. One key has one purpose (K2).
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import hansa_kernel

from hansa.chainspec import TEST_KEYS, Validator
from hansa.keys import keystore, tls
from hansa.keys.errors import KeysInvalid
from hansa.keys.keystore import KeystoreInvalid
from hansa.keys.secret_files import read_secret, write_secret

VOTE_FILE: Final = "vote.json"
ACCOUNT_FILE: Final = "account.json"
PASSWORD_FILE: Final = "password"
TLS_KEY_FILE: Final = "tls.key"
TLS_CERTIFICATE_FILE: Final = "tls.crt"

PASSWORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """Secrets of one member; never printed."""

    vote_secret: bytes = field(repr=False)  # 32, BLS12-381 scalar
    account_secret: bytes = field(repr=False)  # 32, secp256k1
    tls_key_pem: bytes = field(repr=False)
    tls_certificate_pem: bytes = field(repr=False)


def new_member_keys(folder: Path, name: str, *, light: bool = False) -> MemberKeys:
    """Make and write the keys of a member. `light`: cheap key derivation, for test profiles only.

    Raises `KeysInvalid` when one of the files exists: keys are never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in (PASSWORD_FILE, VOTE_FILE, ACCOUNT_FILE, TLS_KEY_FILE, TLS_CERTIFICATE_FILE):
        if (folder / file).exists():
            raise KeysInvalid(folder / file, "exists already", "keys are never overwritten: choose another folder")
    cost = keystore.SCRYPT_N_LIGHT if light else keystore.SCRYPT_N
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    vote_secret = hansa_kernel.bls_secret_key(secrets.token_bytes(32))
    account_secret = new_account_secret()
    tls_key = tls.new_tls_key()
    certificate = tls.self_signed(tls_key, name)
    write_secret(folder / PASSWORD_FILE, password.encode())
    public = hansa_kernel.bls_public_key(vote_secret)
    write_secret(folder / VOTE_FILE, keystore.encrypt_vote_key(vote_secret, public, password, n=cost))
    write_secret(folder / ACCOUNT_FILE, keystore.encrypt_account(account_secret, password, n=cost))
    write_secret(folder / TLS_KEY_FILE, tls_key)
    (folder / TLS_CERTIFICATE_FILE).write_bytes(certificate)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return MemberKeys(vote_secret, account_secret, tls_key, certificate)


def new_account_secret() -> bytes:
    """A random secp256k1 secret key, 32 bytes."""
    while True:
        secret = secrets.token_bytes(32)
        try:
            hansa_kernel.address_of_secret_keys(secret)
        except hansa_kernel.KernelInputError:  # zero or not below the group order: practically never
            continue
        return secret


def load_member_keys(keys_path: Path, profile: str) -> MemberKeys:
    """Read and check the keys of a member. Raises `KeysInvalid` naming the file and what to do.

    In profile `production` cheaply protected files and publicly known keys are refused (rules K1, K7).
    """
    password = read_secret(keys_path / PASSWORD_FILE).decode(errors="replace").strip()
    vote = _open(keys_path / VOTE_FILE, password, profile, vote=True)
    account = _open(keys_path / ACCOUNT_FILE, password, profile, vote=False)
    if len(account) != 32 or len(vote) != 32:
        raise KeysInvalid(keys_path, "a secret key of 32 bytes was expected")
    if profile == "production" and account in TEST_KEYS:
        raise KeysInvalid(
            keys_path / ACCOUNT_FILE, "is a test key that everybody knows", "make keys with `hansa keys new`"
        )
    key_path, certificate_path = keys_path / TLS_KEY_FILE, keys_path / TLS_CERTIFICATE_FILE
    tls_key = read_secret(key_path)
    try:
        certificate = certificate_path.read_bytes()
        matching = tls.key_matches(tls_key, certificate)
    except OSError as error:
        raise KeysInvalid(
            certificate_path, f"cannot be read ({error.strerror})", "`hansa keys new` makes it"
        ) from error
    except (ValueError, TypeError) as error:
        raise KeysInvalid(key_path, f"key or certificate is not PEM ({error})") from error
    if not matching:
        raise KeysInvalid(
            certificate_path, f"is not over the key in {TLS_KEY_FILE}", "put back the one that belongs to it"
        )
    return MemberKeys(vote, account, tls_key, certificate)


def check_against(keys: MemberKeys, member: Validator, keys_path: Path) -> None:
    """Refuse keys that are not those of `member` in the chain spec. Raises `KeysInvalid`."""
    remedy = f"these are not the keys of {member.name}, or the chain spec is another consortium's"
    if hansa_kernel.bls_public_key(keys.vote_secret) != member.vote_key:
        raise KeysInvalid(keys_path / VOTE_FILE, "its public key is not voteKey in the chain spec", remedy)
    if hansa_kernel.address_of_secret_keys(keys.account_secret) != member.account:
        raise KeysInvalid(keys_path / ACCOUNT_FILE, "its address is not account in the chain spec", remedy)
    if tls.node_key(keys.tls_certificate_pem) != member.node_key:
        raise KeysInvalid(keys_path / TLS_CERTIFICATE_FILE, "its key is not nodeKey in the chain spec", remedy)


def validator_of(keys: MemberKeys, name: str, endpoint: str) -> Validator:
    """The public side of a member's keys, as the chain spec lists it."""
    return Validator(
        name=name,
        account=hansa_kernel.address_of_secret_keys(keys.account_secret),
        vote_key=hansa_kernel.bls_public_key(keys.vote_secret),
        proof_of_possession=hansa_kernel.bls_prove_possession(keys.vote_secret),
        node_key=tls.node_key(keys.tls_certificate_pem),
        endpoint=endpoint,
        certificate=keys.tls_certificate_pem.decode(),
    )


def _open(path: Path, password: str, profile: str, *, vote: bool) -> bytes:
    data = read_secret(path)
    try:
        opened = keystore.open_vote_key(data, password) if vote else keystore.open_account(data, password)
        public = (
            hansa_kernel.bls_public_key(opened.secret) if vote else hansa_kernel.address_of_secret_keys(opened.secret)
        ).hex()
    except (KeystoreInvalid, hansa_kernel.KernelInputError) as error:
        raise KeysInvalid(path, str(error), f"the password stands in {path.parent / PASSWORD_FILE}") from error
    if opened.public and opened.public != public:
        raise KeysInvalid(path, "its secret key does not belong to the public key it states", "use the original file")
    if profile == "production" and opened.scrypt_n is not None and opened.scrypt_n < keystore.SCRYPT_N:
        raise KeysInvalid(
            path,
            f"is weakly protected (scrypt n={opened.scrypt_n}), which only test profiles take",
            "make keys with `hansa keys new`",
        )
    return opened.secret
