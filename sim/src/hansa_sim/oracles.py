"""Cheap stand-ins: signatures, headers and execution as keyed or plain hashes, and header rules without a kernel.

A signature is a keyed hash; the key of each member is known here alone, so an engine, or a liar without the key, cannot
make another member's. Execution is a hash of what is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final

import hansa_kernel
from hansa_consensus.core.engine import Crypto, HeaderFields, ValidatorSet
from hansa_consensus.core.kernel_crypto import KernelCrypto
from hansa_consensus.core.limits import TIMESTAMP_AHEAD_MS_MAX
from hansa_consensus.core.types import NO_HASH, Candidate, Head, Vote

HEADER_BYTES: Final = 8 + 32 + 8 + 1 + 1 + 32 + 32 + 8


def digest(*parts: bytes) -> bytes:
    """SHA-256 of the parts, each with its length."""
    return sha256(b"".join([len(part).to_bytes(4, "big") + part for part in parts])).digest()


# --- signatures -------------------------------------------------------------------------------------------------------


def oracle_signature(member: int, message: bytes) -> bytes:
    """48 bytes that only this module can make."""
    return blake2b(message, digest_size=48, key=b"vote key of member %d" % member).digest()


def oracle_aggregate(signatures: Sequence[bytes]) -> bytes:
    """As an aggregate: of one signature it is the signature."""
    if len(signatures) == 1:
        return signatures[0]
    return blake2b(b"".join(sorted(signatures)), digest_size=48).digest()


def bitmap_of(signers: Sequence[int], validators: int) -> bytes:
    """Little-endian bits."""
    bits = 0
    for signer in signers:
        bits |= 1 << signer
    return bits.to_bytes((validators + 7) // 8, "little")


@lru_cache(maxsize=4096)
def _signers(bitmap: bytes, validators: int) -> tuple[int, ...] | None:
    bits = int.from_bytes(bitmap, "little")
    if len(bitmap) != (validators + 7) // 8 or bits >> validators:
        return None
    return tuple(member for member in range(validators) if bits >> member & 1)


class OracleValidators:
    """Knows everybody's signatures; forging one means guessing a hash."""

    def __init__(self, members: int) -> None:
        self.members = members

    def __len__(self) -> int:
        return self.members

    def verify_votes(self, signers: Sequence[int], message: bytes, signatures: Sequence[bytes]) -> list[bool]:
        return [
            signature == oracle_signature(signer, message)
            for signer, signature in zip(signers, signatures, strict=True)
        ]

    def verify_certificate(self, bitmap: bytes, message: bytes, signature: bytes) -> bool:
        signers = _signers(bitmap, self.members)
        return bool(signers) and signature == oracle_aggregate(
            [oracle_signature(signer, message) for signer in signers or ()]
        )


@dataclass(frozen=True)
class OracleCrypto:
    """`engine.Crypto` of hashes."""

    genesis_hash: bytes

    def quorum(self, validators: int) -> int:
        return validators - (validators - 1) // 3

    def keccak(self, data: bytes) -> bytes:
        return digest(b"keccak", data)

    def vote_message(self, vote: Vote) -> bytes:
        return b"%b|%b|%d|%b|%d|%d|%d|%d|%d|%b|%b" % (
            vote.phase.encode(),
            vote.from_hash,
            vote.from_height,
            vote.to_hash,
            vote.to_height,
            vote.view,
            vote.shard,
            vote.epoch,
            vote.level,
            vote.next_set_hash,
            self.genesis_hash,
        )

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        return oracle_aggregate(signatures)

    def bitmap_of(self, signers: Sequence[int], validators: int) -> bytes:
        return bitmap_of(signers, validators)

    def signers_of(self, bitmap: bytes, validators: int) -> list[int] | None:
        signers = _signers(bitmap, validators)
        return None if signers is None else list(signers)

    def header(self, rlp: bytes) -> HeaderFields | None:
        if len(rlp) != HEADER_BYTES:
            return None
        return HeaderFields(hash=block_hash(rlp), parent_hash=rlp[8:40], number=int.from_bytes(rlp[:8], "big"))


class RealSignatures(KernelCrypto):
    """The kernel's signatures over oracle headers."""

    def header(self, rlp: bytes) -> HeaderFields | None:
        return OracleCrypto(self.genesis_hash).header(rlp)


@dataclass(frozen=True)
class Keys:
    """Signing and checking for one run."""

    crypto: Crypto
    validators: ValidatorSet
    sign: Callable[[int, bytes], bytes]  # member, message


def oracle_keys(members: int, genesis_hash: bytes) -> Keys:
    """Signatures as hashes."""
    return Keys(OracleCrypto(genesis_hash), OracleValidators(members), oracle_signature)


def real_keys(members: int, genesis_hash: bytes) -> Keys:
    """BLS signatures of the kernel with fixed keys."""
    secrets = [hansa_kernel.bls_secret_key(digest(b"simulated member", bytes([member]))) for member in range(members)]
    validators = hansa_kernel.ValidatorKeys([hansa_kernel.bls_public_key(secret) for secret in secrets])
    return Keys(
        RealSignatures(genesis_hash),
        validators,
        lambda member, message: hansa_kernel.bls_sign(secrets[member], message),
    )


# --- blocks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """What a simulated block says; `encode` fixes its bytes."""

    number: int
    parent: bytes
    timestamp: int  # whole seconds
    proposer: int
    gas_fits: bool
    transactions_root: bytes
    state_root: bytes
    nonce: int  # makes headers differ

    def encode(self) -> bytes:
        """`HEADER_BYTES` bytes."""
        return b"".join(
            (
                self.number.to_bytes(8, "big"),
                self.parent,
                self.timestamp.to_bytes(8, "big"),
                bytes((self.proposer, self.gas_fits)),
                self.transactions_root,
                self.state_root,
                self.nonce.to_bytes(8, "big"),
            )
        )


def decode_header(data: bytes) -> Header:
    """Of bytes that `OracleCrypto.header` accepts."""
    return Header(
        number=int.from_bytes(data[:8], "big"),
        parent=data[8:40],
        timestamp=int.from_bytes(data[40:48], "big"),
        proposer=data[48],
        gas_fits=data[49] == 1,
        transactions_root=data[50:82],
        state_root=data[82:114],
        nonce=int.from_bytes(data[114:122], "big"),
    )


def block_hash(header: bytes) -> bytes:
    """What names a block."""
    return sha256(header).digest()


def transactions_root(hashes: bytes) -> bytes:
    """Of the 32-byte hashes, in order; a transaction's bytes are its hash here."""
    return digest(b"transactions", hashes)


def state_root(parent_root: bytes, root_of_transactions: bytes) -> bytes:
    """Execution: what the state is after these transactions."""
    return digest(b"state", parent_root, root_of_transactions)


def candidate_of(header: bytes, hashes: bytes) -> Candidate:
    """The block as engines see it."""
    return Candidate(block_hash(header), int.from_bytes(header[:8], "big"), header[8:40], header, hashes, b"")


def genesis_head() -> Head:
    """Height 0."""
    header = Header(0, NO_HASH, 0, 0, True, transactions_root(b""), NO_HASH, 0).encode()
    return Head(0, block_hash(header), header, None)


@dataclass(frozen=True)
class OracleRules:
    """`engine.BlockRules` as `rules.ConsortiumRules` has them, over these headers."""

    def refusal(
        self, candidate: Candidate, parent_header: bytes, *, proposer: int | None, wall_ms: int | None
    ) -> str | None:
        header, parent = decode_header(candidate.header), decode_header(parent_header)
        if header.number != parent.number + 1:
            return "wrong_number"
        if header.timestamp < parent.timestamp:
            return "timestamp_not_rising"
        if not header.gas_fits:
            return "wrong_gas_limit"
        if proposer is not None and header.proposer != proposer:
            return "wrong_beneficiary"
        if wall_ms is not None and header.timestamp * 1000 > wall_ms + TIMESTAMP_AHEAD_MS_MAX:
            return "timestamp_too_far_ahead"
        return None
