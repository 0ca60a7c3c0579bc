"""Encrypted key files: EIP-2335 for vote keys, Web3 Secret Storage version 3 for accounts.

Both are scrypt over a password, AES-128-CTR, and a checksum over the second half of the derived key and the
ciphertext (SHA-256 in EIP-2335, Keccak-256 in version 3).
"""

import hashlib
import hmac
import json
import os
import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import hansa_kernel
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SCRYPT_N: Final = 1 << 18
"""Cost of a new key file, as both standards propose it: about a second and 256 MiB."""

SCRYPT_N_LIGHT: Final = 1 << 12
"""Cost in test profiles, so that a local consortium starts at once."""

SCRYPT_R: Final = 8
SCRYPT_P: Final = 1

SCRYPT_BYTES_MAX: Final = 1 << 30
"""Memory that a key file may make us use: its parameters are input."""

PBKDF2_ROUNDS_MAX: Final = 1 << 24
"""Rounds that a key file may make us compute."""

SECP256K1: Final = "secp256k1"
"""Ethereum's own signature scheme: files that name none are of it."""

_AES_KEY_BYTES: Final = 16


class KeystoreInvalid(ValueError):
    """A key file cannot be opened: wrong password, damaged, or of a kind we do not read."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A decrypted key file."""

    secret: bytes
    scrypt_n: int | None  # None: not scrypt
    public: str  # `pubkey` or `address` as it stands in the file, lower-case hex without 0x, empty when absent
    scheme: str = SECP256K1  # of an account's signatures


def encrypt_vote_key(secret: bytes, public_key: bytes, password: str, *, n: int = SCRYPT_N) -> bytes:
    """EIP-2335 keystore (version 4) of a BLS secret key; `public_key` is kept in clear."""
    salt, iv = os.urandom(32), os.urandom(16)
    derived = _scrypt(_normalised(password), salt, n, SCRYPT_R, SCRYPT_P, 32)
    ciphertext = _aes_ctr(derived[:_AES_KEY_BYTES], iv, secret)
    document = {
        "crypto": {
            "kdf": {
                "function": "scrypt",
                "params": {"dklen": 32, "n": n, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
                "message": "",
            },
            "checksum": {
                "function": "sha256",
                "params": {},
                "message": hashlib.sha256(derived[16:32] + ciphertext).hexdigest(),
            },
            "cipher": {"function": "aes-128-ctr", "params": {"iv": iv.hex()}, "message": ciphertext.hex()},
        },
        "description": "Hansa vote key (BLS12-381, public key in G2)",
        "pubkey": public_key.hex(),
        "path": "",
        "uuid": str(uuid.uuid4()),
        "version": 4,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def account_address(secret: bytes, scheme: str = SECP256K1) -> bytes:
    """The 20-byte account of a secret key."""
    if scheme == SECP256K1:
        return hansa_kernel.address_of_secret_keys(secret)
    return hansa_kernel.scheme_address(scheme, hansa_kernel.scheme_public_key(scheme, secret))


def encrypt_account(secret: bytes, password: str, *, n: int = SCRYPT_N, scheme: str = SECP256K1) -> bytes:
    """Web3 Secret Storage (version 3) of a secret key; a `scheme` other than secp256k1 is named in the file."""
    salt, iv = os.urandom(32), os.urandom(16)
    derived = _scrypt(password.encode(), salt, n, SCRYPT_R, SCRYPT_P, 32)
    ciphertext = _aes_ctr(derived[:_AES_KEY_BYTES], iv, secret)
    document: dict[str, Any] = {
        "address": account_address(secret, scheme).hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": n, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
            "mac": hansa_kernel.keccak(derived[16:32] + ciphertext).hex(),
        },
        "id": str(uuid.uuid4()),
        "version": 3,
    }
    if scheme != SECP256K1:
        document["scheme"] = scheme
    return (json.dumps(document, indent=2) + "\n").encode()


def open_vote_key(data: bytes, password: str) -> Opened:
    """Decrypt an EIP-2335 keystore. Raises `KeystoreInvalid`."""

    def opened(document: dict[str, Any]) -> Opened:
        crypto = document["crypto"]
        kdf = crypto["kdf"]
        if document["version"] != 4 or crypto["cipher"]["function"] != "aes-128-ctr":
            raise KeystoreInvalid("not an EIP-2335 keystore with aes-128-ctr")
        derived, n = _derive(kdf["function"], kdf["params"], _normalised(password))
        ciphertext = bytes.fromhex(crypto["cipher"]["message"])
        checksum = hashlib.sha256(derived[16:32] + ciphertext).digest()
        _same(checksum, bytes.fromhex(crypto["checksum"]["message"]))
        iv = bytes.fromhex(crypto["cipher"]["params"]["iv"])
        return Opened(_aes_ctr(derived[:_AES_KEY_BYTES], iv, ciphertext), n, _plain_hex(document.get("pubkey")))

    return _read(data, opened)


def open_account(data: bytes, password: str) -> Opened:
    """Decrypt a Web3 Secret Storage file, version 3. Raises `KeystoreInvalid`."""

    def opened(document: dict[str, Any]) -> Opened:
        crypto = document.get("crypto") or document["Crypto"]
        if document["version"] != 3 or crypto["cipher"] != "aes-128-ctr":
            raise KeystoreInvalid("not a version 3 key file with aes-128-ctr")
        derived, n = _derive(crypto["kdf"], crypto["kdfparams"], password.encode())
        ciphertext = bytes.fromhex(crypto["ciphertext"])
        _same(hansa_kernel.keccak(derived[16:32] + ciphertext), bytes.fromhex(crypto["mac"]))
        iv = bytes.fromhex(crypto["cipherparams"]["iv"])
        secret = _aes_ctr(derived[:_AES_KEY_BYTES], iv, ciphertext)
        scheme = document.get("scheme", SECP256K1)
        if not isinstance(scheme, str):
            raise KeystoreInvalid("the signature scheme is no name")
        return Opened(secret, n, _plain_hex(document.get("address")), scheme)

    return _read(data, opened)


def _read(data: bytes, opened: Callable[[dict[str, Any]], Opened]) -> Opened:
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise KeystoreInvalid("not a JSON object")
        return opened(document)
    except KeystoreInvalid:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise KeystoreInvalid(f"damaged key file ({type(error).__name__}: {error})") from error


def _derive(function: str, parameters: dict[str, Any], password: bytes) -> tuple[bytes, int | None]:
    salt = bytes.fromhex(parameters["salt"])
    length = int(parameters["dklen"])
    if not 32 <= length <= 64:
        raise KeystoreInvalid(f"derived key of {length} bytes")
    if function == "scrypt":
        n, r, p = int(parameters["n"]), int(parameters["r"]), int(parameters["p"])
        if n < 2 or n & (n - 1) or r < 1 or p < 1 or 128 * n * r * p > SCRYPT_BYTES_MAX:
            raise KeystoreInvalid(f"scrypt parameters n={n} r={r} p={p} are invalid or ask for over 1 GiB")
        return _scrypt(password, salt, n, r, p, length), n
    if function == "pbkdf2" and parameters.get("prf") == "hmac-sha256":
        rounds = int(parameters["c"])
        if not 1 <= rounds <= PBKDF2_ROUNDS_MAX:
            raise KeystoreInvalid(f"pbkdf2 with {rounds} rounds")
        return hashlib.pbkdf2_hmac("sha256", password, salt, rounds, length), None
    raise KeystoreInvalid(f"key derivation {function!r} is unknown")


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=SCRYPT_BYTES_MAX + (64 << 20), dklen=length)


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _same(computed: bytes, stated: bytes) -> None:
    if not hmac.compare_digest(computed, stated):
        raise KeystoreInvalid("wrong password, or the file is damaged")


def _plain_hex(value: object) -> str:
    return value.lower().removeprefix("0x") if isinstance(value, str) else ""


def _normalised(password: str) -> bytes:
    """EIP-2335, "Password requirements": NFKD, without C0, C1 and Delete control codes."""
    text = unicodedata.normalize("NFKD", password)
    return "".join(char for char in text if not (ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F)).encode()
