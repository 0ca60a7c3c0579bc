"""Signs one transaction, a creation too: EIP-1559, or the chain's envelope. Load generators sign batches in the kernel."""

from dataclasses import dataclass

import coincurve
import hansa_kernel

from hansa.cli.output import CommandFailed, usage
from hansa.cli.target import address


@dataclass(frozen=True, slots=True)
class Transaction:
    """Fields of an EIP-1559 transaction; amounts in wei."""

    chain_id: int
    nonce: int
    to: bytes | None  # 20; None creates a contract
    value: int
    data: bytes
    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int


def sign(transaction: Transaction, secret_key: bytes) -> bytes:
    """Raw signed transaction (type 2). Raises `CommandFailed` when the key is none."""
    fields = [
        _integer(transaction.chain_id),
        _integer(transaction.nonce),
        _integer(transaction.max_priority_fee_per_gas),
        _integer(transaction.max_fee_per_gas),
        _integer(transaction.gas_limit),
        _text(transaction.to or b""),
        _integer(transaction.value),
        _text(transaction.data),
        _list([]),  # access list
    ]
    digest = hansa_kernel.keccak(b"\x02" + _list(fields))
    try:
        signature = coincurve.PrivateKey(secret_key).sign_recoverable(digest, hasher=None)
    except ValueError as error:
        raise CommandFailed("the private key is not one of secp256k1") from error
    r, s, parity = signature[:32], signature[32:64], signature[64]
    return b"\x02" + _list(
        [*fields, _integer(parity), _integer(int.from_bytes(r, "big")), _integer(int.from_bytes(s, "big"))]
    )


def sign_envelope(transaction: Transaction, secret_key: bytes, scheme: str, ranges: bytes) -> bytes:
    """Raw signed transaction of type 0x48. Raises `CommandFailed` for an unknown scheme, or a key that is none of it."""
    try:
        return hansa_kernel.sign_account_transaction(
            scheme=scheme,
            secret_key=secret_key,
            chain_id=transaction.chain_id,
            nonce=transaction.nonce,
            to=transaction.to or b"",
            value_wei=transaction.value.to_bytes(32, "big"),
            data=transaction.data,
            gas_limit=transaction.gas_limit,
            max_fee_per_gas=transaction.max_fee_per_gas,
            max_priority_fee_per_gas=transaction.max_priority_fee_per_gas,
            address_ranges=ranges,
        )
    except hansa_kernel.KernelInputError as error:
        raise CommandFailed(f"{error.field}: {error.expected} was expected, not {error.got}") from error


def ranges_of(texts: list[str]) -> bytes:
    """First and last address of each `FIRST-LAST` (or single address), 40 bytes each, ascending."""
    ranges = []
    for text in texts:
        first, _, last = text.partition("-")
        ends = [bytes.fromhex(address(end)[2:]) for end in (first, last or first)]
        if ends[0] > ends[1]:
            raise usage(f"the range {text} ends before it begins")
        ranges.append(b"".join(ends))
    return b"".join(sorted(ranges))


def range_objects(ranges: bytes) -> list[dict[str, str]]:
    """Packed ranges as JSON-RPC writes them."""
    ends = ["0x" + ranges[at : at + 20].hex() for at in range(0, len(ranges), 20)]
    return [{"first": first, "last": last} for first, last in zip(ends[::2], ends[1::2], strict=True)]


def _integer(value: int) -> bytes:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _text(value: bytes) -> bytes:
    """RLP of a byte string (Yellow Paper, appendix B)."""
    if len(value) == 1 and value[0] < 0x80:
        return value
    return _head(0x80, len(value)) + value


def _list(items: list[bytes]) -> bytes:
    payload = b"".join(items)
    return _head(0xC0, len(payload)) + payload


def _head(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size
