"""Transactions through the border, against two independent implementations: coincurve and eth-account."""

import json
import os
import random
import sys
from typing import Any

import coincurve
import hansa_kernel as kernel
import pytest
import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_utils.crypto import keccak

# The public figure for a release is 100,000 (`HANSA_RECOVERY_CASES`); each case costs coincurve 30 us and rlp as much.
CASES = int(os.environ.get("HANSA_RECOVERY_CASES", "4000"))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FORKS = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin"]
SPEC = kernel.Spec(
    json.dumps(
        {
            "config": {
                "chainId": 1337,
                **{f"{name}Block": 0 for name in [*FORKS, "london"]},
                "terminalTotalDifficulty": 0,
                **{f"{name}Time": 0 for name in ["shanghai", "cancun", "prague", "osaka"]},
                "hansa": {},
            },
            "alloc": {},
            "gasLimit": "0x1c9c380",
            "difficulty": "0x0",
        }
    ).encode()
)


def pack(items: list[bytes]) -> bytes:
    """The border's packed list."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def decode(raws: list[bytes]) -> kernel.TxBatch:
    """Decode under the rules of block 1."""
    return kernel.decode_transactions(pack(raws), spec=SPEC, number=1, timestamp=1)


def code(raw: bytes) -> str:
    """Name of the refusal, empty when accepted."""
    error = decode([raw]).errors()[0]
    return error.code if error else ""


def test_recovery_agrees_with_coincurve() -> None:
    """Half of the signatures are true, half are random numbers, of which about half recover to some key."""
    rng = random.Random(f"recovery {CASES}")
    raws, expected = [], []
    for index in range(CASES):
        fields: list[Any] = [1337, index, 1, 2, 30_000, rng.randbytes(20), rng.getrandbits(90), b"", []]
        digest = keccak(b"\x02" + rlp.encode(fields))
        if index % 2:
            compact = coincurve.PrivateKey(rng.randbytes(32)).sign_recoverable(digest, hasher=None)
        else:
            low_s = rng.randrange(1, ORDER // 2)
            compact = rng.randrange(1, ORDER).to_bytes(32, "big") + low_s.to_bytes(32, "big") + bytes([index // 2 % 2])
        try:
            key = coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None)
            expected.append(keccak(key.format(compressed=False)[1:])[12:])
        except Exception:  # noqa: BLE001 - coincurve raises bare Exceptions
            expected.append(bytes(20))
        r, s = int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")
        raws.append(b"\x02" + rlp.encode([*fields, compact[64], r, s]))
    recovered = b""
    for start in range(0, CASES, 10_000):
        batch = decode(raws[start : start + 10_000])
        recovered += batch.senders()
        assert all(error is None or error.code == "invalid_sender" for error in batch.errors())
    for index, sender in enumerate(expected):
        assert recovered[20 * index : 20 * index + 20] == sender, f"case {index}"
    assert CASES // 5 < expected.count(bytes(20)) < CASES // 3


@pytest.mark.parametrize(
    "fields",
    [
        {"gasPrice": 7},
        {"gasPrice": 7, "chainId": 1337},
        {"gasPrice": 7, "chainId": 1337, "type": 1, "accessList": [{"address": "0x" + "22" * 20, "storageKeys": []}]},
        {"maxFeePerGas": 9, "maxPriorityFeePerGas": 3, "chainId": 1337},
    ],
    ids=["unprotected", "eip155", "eip2930", "eip1559"],
)
def test_what_eth_account_signs_is_accepted_with_its_sender_and_hash(fields: dict[str, Any]) -> None:
    account = Account.from_key(b"\x01" * 32)
    signed = account.sign_transaction(
        {"nonce": 5, "to": "0x" + "11" * 20, "value": 10**18, "gas": 60_000, "data": b"\x00\x01", **fields}
    )
    batch = decode([bytes(signed.raw_transaction)])
    assert batch.errors() == [None]
    assert batch.senders() == bytes.fromhex(account.address[2:])
    assert batch.hashes() == bytes(signed.hash)
    assert batch.nonces() == (5).to_bytes(8, "big")
    assert batch.packed() == pack([bytes(signed.raw_transaction)])


def test_a_set_code_transaction_of_eth_account_is_accepted() -> None:
    account = Account.from_key(b"\x01" * 32)
    authorization = account.sign_authorization({"chainId": 1337, "address": "0x" + "33" * 20, "nonce": 1})
    signed = account.sign_transaction(
        {"nonce": 0, "to": "0x" + "11" * 20, "value": 0, "gas": 100_000, "chainId": 1337, "type": 4, "data": b"",
         "maxFeePerGas": 9, "maxPriorityFeePerGas": 3, "authorizationList": [authorization]}
    )  # fmt: skip
    batch = decode([bytes(signed.raw_transaction)])
    assert batch.errors() == [None]
    assert batch.senders() == bytes.fromhex(account.address[2:])


def test_what_the_kernel_signs_eth_account_recovers() -> None:
    keys = b"\x01" * 32 + b"\x02" * 32
    raws = kernel.sign_transactions(
        chain_id=1337, secret_keys=keys, nonces=bytes(8) + (1).to_bytes(8, "big"), to=b"\x11" * 40, data=pack([b"", b"x"]),
        values_wei=(1).to_bytes(32, "big") * 2, gas_limit=50_000, max_fee_per_gas=2**70, max_priority_fee_per_gas=0,
    )  # fmt: skip
    batch = kernel.decode_transactions(raws, spec=SPEC, number=1, timestamp=1)
    assert batch.all_valid()
    assert batch.senders() == kernel.address_of_secret_keys(keys)
    first = raws[4 : 4 + int.from_bytes(raws[:4], "big")]
    assert bytes.fromhex(Account.recover_transaction(first)[2:]) == batch.senders()[:20]


def test_an_error_carries_code_message_and_numbers() -> None:
    signed = Account.from_key(b"\x01" * 32).sign_transaction(
        {"nonce": 0, "to": "0x" + "11" * 20, "value": 0, "gas": 20_999, "gasPrice": 1, "chainId": 1337}
    )
    error = decode([bytes(signed.raw_transaction)]).errors()[0]
    assert error is not None
    assert (error.code, error.expected, error.got) == ("intrinsic_gas_too_low", 21_000, 20_999)
    assert error.message == "intrinsic gas too low: gas 20999, minimum needed 21000"


def test_blob_transactions_do_not_exist_on_hansa_chains() -> None:
    fields: list[Any] = [1337, 0, 1, 1, 21_000, b"\x11" * 20, 0, b"", [], 1, [b"\x01" + bytes(31)], 0, 1, 1]
    error = decode([b"\x03" + rlp.encode(fields)]).errors()[0]
    assert error is not None
    assert error.message.startswith("transaction type not supported")


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\xc0", b"\x80", b"\x7f\x00", b"\x02\xc0", b"\xff" * 40, b"\xbf" * 9])
def test_bytes_that_are_no_transaction_are_refused_in_their_place(raw: bytes) -> None:
    assert code(raw) in {"malformed_transaction", "transaction_type_not_supported"}


def test_a_broken_list_is_an_input_error() -> None:
    with pytest.raises(kernel.KernelInputError) as raised:
        kernel.decode_transactions(b"\x00\x00\x00\x09abc", spec=SPEC, number=1, timestamp=1)
    assert raised.value.field == "packed"
    with pytest.raises(kernel.KernelInputError) as raised:
        kernel.decode_transactions(bytes(4 * 10_001), spec=SPEC, number=1, timestamp=1)
    assert (raised.value.expected, raised.value.got) == ("at most 10000 transactions", "10001")
    with pytest.raises(kernel.KernelInputError) as raised:
        kernel.attach_senders(pack([b"\xc0"]), b"", spec=SPEC, number=1, timestamp=1)
    assert raised.value.field == "senders"


def test_decoding_many_batches_does_not_grow_memory() -> None:
    raw = pack([b"\x02" + bytes(200)] * 100)
    statm = "/proc/self/statm"
    if not os.path.exists(statm):
        pytest.skip(f"no resident size to read on {sys.platform}")

    def resident() -> int:
        with open(statm, encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    for _ in range(200):
        kernel.decode_transactions(raw, spec=SPEC, number=1, timestamp=1)
    before = resident()
    for _ in range(2_000):
        kernel.decode_transactions(raw, spec=SPEC, number=1, timestamp=1).errors()
    assert resident() - before < 8 << 20
