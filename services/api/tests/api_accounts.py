"""Test accounts and signed transactions."""

import itertools
from collections.abc import Sequence

from hansa.chainspec import TEST_ADDRESSES, TEST_KEYS
from hansa.packing import pack, unpack
from hansa_kernel import keccak, sign_transactions

CHAIN_ID = 1337


class Sender:
    """A funded account that counts its nonces; each test file takes its own."""

    def __init__(self, number: int) -> None:
        self.key = TEST_KEYS[number]
        self.address = TEST_ADDRESSES[number]
        self.hex = "0x" + self.address.hex()
        self._nonces = itertools.count()

    def next_nonce(self) -> int:
        """The nonce after the one given last."""
        return next(self._nonces)

    def transfer(
        self, to: bytes, value: int = 1, *, nonce: int | None = None, data: bytes = b"", gas: int = 100_000
    ) -> bytes:
        """A signed transfer or call."""
        return sign(self.key, self.next_nonce() if nonce is None else nonce, to, value, data=data, gas=gas)


def sign(
    key: bytes,
    nonce: int,
    to: bytes,
    value: int = 1,
    *,
    data: bytes = b"",
    gas: int = 100_000,
    chain_id: int = CHAIN_ID,
    fee: int = 0,
) -> bytes:
    """A signed EIP-1559 transaction."""
    packed = sign_transactions(
        chain_id=chain_id,
        secret_keys=key,
        nonces=nonce.to_bytes(8, "big"),
        to=to,
        values_wei=value.to_bytes(32, "big"),
        data=pack([data]),
        gas_limit=gas,
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee,
    )
    return unpack(packed)[0]


def hash_of(raw: bytes) -> str:
    """Transaction hash as 0x text."""
    return "0x" + keccak(raw).hex()


def hexes(raws: Sequence[bytes]) -> list[str]:
    """0x texts."""
    return ["0x" + raw.hex() for raw in raws]
