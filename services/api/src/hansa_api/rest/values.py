"""How values look in REST, and how path and query values are read."""

from datetime import UTC, datetime
from typing import Any

from hansa_kernel import keccak

from hansa_api.errors import InvalidParams
from hansa_api.params import LATEST, At, Invalid, address, block, data, hash32


def checksummed(value: bytes) -> str:
    """An address with EIP-55's checksum."""
    digits = value.hex()
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(h, 16) >= 8 else c for c, h in zip(digits, digest, strict=False))


def checksummed_hex(value: str | None) -> str | None:
    """The same from 0x text; None stays."""
    return None if value is None else checksummed(bytes.fromhex(value[2:]))


def decimal(value: str) -> str:
    """A quantity as a decimal string."""
    return str(int(value, 16))


def number(value: str) -> int:
    """A quantity that fits JSON numbers of every client."""
    return int(value, 16)


def rfc3339(seconds: int) -> str:
    """Unix seconds as a UTC time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hex_of(value: bytes) -> str:
    """0x text."""
    return "0x" + value.hex()


def read_at(value: str | None) -> At:
    """A block by decimal height, hash or tag. Raises `InvalidParams`."""
    if value is None:
        return LATEST
    if value.isdecimal() and value.isascii():
        found = int(value)
        if found >= 1 << 64:
            raise InvalidParams(f"block {value[:30]} is not within 0 and 2^64 - 1")
        return At(number=found)
    parsed: At = _read(block, value, "block")
    return parsed


def read_hash(value: str) -> bytes:
    """A 32-byte hash. Raises `InvalidParams`."""
    found: bytes = _read(hash32, value, "hash")
    return found


def read_address(value: str) -> bytes:
    """An address; a mixed-case one must have the right checksum. Raises `InvalidParams`."""
    found: bytes = _read(address, value, "address")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and checksummed(found) != value:
        raise InvalidParams(f"address {value}: wrong checksum, expected {checksummed(found)}")
    return found


def read_data(value: str) -> bytes:
    """Bytes as 0x text. Raises `InvalidParams`."""
    found: bytes = _read(data, value, "raw")
    return found


def _read(parse: Any, value: str, what: str) -> Any:
    try:
        return parse(value)
    except Invalid as error:
        raise InvalidParams(f"{what}: {error}") from None
