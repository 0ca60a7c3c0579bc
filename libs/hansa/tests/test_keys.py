"""Key files: what protects them, and what is refused when they are read."""

import json
import os
import stat
from pathlib import Path

import hansa_kernel
import pytest
from eth_account import Account
from hansa.chainspec import TEST_KEYS
from hansa.keys import KeysInvalid, check_against, load_member_keys, new_member_keys, validator_of
from hansa.keys.keystore import (
    SCRYPT_N_LIGHT,
    KeystoreInvalid,
    encrypt_account,
    encrypt_vote_key,
    open_account,
    open_vote_key,
)

# EIP-2335, "Test Cases": scrypt and pbkdf2 over the same secret and password.
EIP_2335_SECRET = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
EIP_2335_PASSWORD = "\U0001d531\U0001d522\U0001d530\U0001d531\U0001d52d\U0001d51e\U0001d530\U0001d530\U0001d534\U0001d52c\U0001d52f\U0001d521\U0001f511"
EIP_2335_PBKDF2 = """{"crypto": {"kdf": {"function": "pbkdf2", "params": {"dklen": 32, "c": 262144, "prf": "hmac-sha256",
"salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"}, "message": ""},
"checksum": {"function": "sha256", "params": {}, "message": "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"},
"cipher": {"function": "aes-128-ctr", "params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
"message": "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"}},
"pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
"path": "m/12381/60/0/0", "uuid": "64625def-3331-4eea-ab6f-782f3ed16a83", "version": 4}"""


def test_new_keys_are_read_back(keys_folder: Path) -> None:
    keys = load_member_keys(keys_folder, "local")
    member = validator_of(keys, "member1", "127.0.0.1:30303")
    assert hansa_kernel.bls_verify_possession(member.vote_key, member.proof_of_possession)
    check_against(keys, member, keys_folder)


def test_secrets_are_closed_to_others(keys_folder: Path) -> None:
    for name in ("password", "vote.json", "account.json", "tls.key"):
        assert stat.S_IMODE((keys_folder / name).stat().st_mode) == 0o600


def test_secrets_are_not_shown(keys_folder: Path) -> None:
    keys = load_member_keys(keys_folder, "local")
    assert repr(keys) == "MemberKeys()"


@pytest.mark.parametrize("name", ["password", "vote.json", "account.json", "tls.key"])
def test_file_that_others_may_read_is_refused(keys_folder: Path, name: str) -> None:
    (keys_folder / name).chmod(0o640)
    with pytest.raises(KeysInvalid, match=f"chmod 600 .*{name}"):
        load_member_keys(keys_folder, "local")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_somebody_else_is_refused(keys_folder: Path) -> None:
    os.chown(keys_folder / "tls.key", 12345, -1)
    with pytest.raises(KeysInvalid, match="belongs to user 12345"):
        load_member_keys(keys_folder, "local")


@pytest.mark.parametrize("name", ["password", "vote.json", "account.json", "tls.key", "tls.crt"])
def test_missing_file_is_named(keys_folder: Path, name: str) -> None:
    (keys_folder / name).unlink()
    with pytest.raises(KeysInvalid, match=name):
        load_member_keys(keys_folder, "local")


def test_keys_are_never_overwritten(keys_folder: Path) -> None:
    with pytest.raises(KeysInvalid, match="exists already"):
        new_member_keys(keys_folder, "member1", light=True)


def test_cheap_protection_is_refused_in_production(keys_folder: Path) -> None:
    with pytest.raises(KeysInvalid, match="weakly protected"):
        load_member_keys(keys_folder, "production")


def test_known_test_key_is_refused_in_production(tmp_path: Path) -> None:
    new_member_keys(tmp_path, "member1")
    password = (tmp_path / "password").read_text()
    (tmp_path / "account.json").write_bytes(encrypt_account(TEST_KEYS[0], password))
    load_member_keys(tmp_path, "local")
    with pytest.raises(KeysInvalid, match="everybody knows"):
        load_member_keys(tmp_path, "production")


def test_wrong_password_is_refused(keys_folder: Path) -> None:
    (keys_folder / "password").write_text("wrong")
    with pytest.raises(KeysInvalid, match="wrong password"):
        load_member_keys(keys_folder, "local")


def test_secret_that_does_not_fit_its_public_key_is_refused(keys_folder: Path) -> None:
    document = json.loads((keys_folder / "vote.json").read_text())
    document["pubkey"] = "00" * 96
    (keys_folder / "vote.json").write_text(json.dumps(document))
    with pytest.raises(KeysInvalid, match="does not belong to the public key"):
        load_member_keys(keys_folder, "local")


def test_certificate_of_another_key_is_refused(keys_folder: Path, tmp_path: Path) -> None:
    new_member_keys(tmp_path / "other", "member2", light=True)
    (keys_folder / "tls.crt").write_bytes((tmp_path / "other" / "tls.crt").read_bytes())
    with pytest.raises(KeysInvalid, match=r"tls\.crt: is not over the key"):
        load_member_keys(keys_folder, "local")


def test_keys_of_another_member_are_refused(keys_folder: Path, tmp_path: Path) -> None:
    other = new_member_keys(tmp_path / "other", "member2", light=True)
    with pytest.raises(KeysInvalid, match="not voteKey in the chain spec"):
        check_against(load_member_keys(keys_folder, "local"), validator_of(other, "member2", "h:1"), keys_folder)


def test_account_file_opens_in_other_tools() -> None:
    data = encrypt_account(TEST_KEYS[1], "a password", n=SCRYPT_N_LIGHT)
    assert bytes(Account.decrypt(json.loads(data), "a password")) == TEST_KEYS[1]


def test_account_file_of_other_tools_opens() -> None:
    document = Account.encrypt(TEST_KEYS[2], "a password", kdf="pbkdf2", iterations=1000)
    assert open_account(json.dumps(document).encode(), "a password").secret == TEST_KEYS[2]


def test_vote_file_of_the_standard_opens() -> None:
    assert open_vote_key(EIP_2335_PBKDF2.encode(), EIP_2335_PASSWORD).secret.hex() == EIP_2335_SECRET


def test_vote_file_is_read_back_with_control_codes_ignored() -> None:
    data = encrypt_vote_key(bytes(range(32)), bytes(96), "pass\u0007word", n=SCRYPT_N_LIGHT)
    assert open_vote_key(data, "password").secret == bytes(range(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 3}',
        b'{"version": 3, "crypto": {"cipher": "aes-128-ctr", "kdf": "scrypt", "kdfparams": {"dklen": 32, "n": 1073741824, "r": 8, "p": 1, "salt": ""}}}',
        b'{"version": 3, "crypto": {"cipher": "aes-128-ctr", "kdf": "md5", "kdfparams": {"dklen": 32, "salt": ""}}}',
        b'{"version": 3, "crypto": {"cipher": "des", "kdf": "scrypt"}}',
    ],
)
def test_damaged_or_hostile_key_file_is_refused(data: bytes) -> None:
    with pytest.raises(KeystoreInvalid):
        open_account(data, "x")
    with pytest.raises(KeystoreInvalid):
        open_vote_key(data, "x")
