"""The kernel's pure functions behind `engine.Crypto`."""

from collections.abc import Sequence
from dataclasses import dataclass

import hansa_kernel

from .engine import HeaderFields
from .types import Vote


@dataclass(frozen=True, slots=True)
class KernelCrypto:
    """`engine.Crypto` of one chain."""

    genesis_hash: bytes

    def quorum(self, validators: int) -> int:
        return hansa_kernel.quorum(validators)

    def keccak(self, data: bytes) -> bytes:
        return hansa_kernel.keccak(data)

    def vote_message(self, vote: Vote) -> bytes:
        return hansa_kernel.vote_message(
            genesis_hash=self.genesis_hash,
            shard=vote.shard,
            epoch=vote.epoch,
            level=vote.level,
            phase=str(vote.phase),
            from_hash=vote.from_hash,
            from_height=vote.from_height,
            to_hash=vote.to_hash,
            to_height=vote.to_height,
            view=vote.view,
            next_set_hash=vote.next_set_hash,
        )

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        return hansa_kernel.bls_aggregate(signatures)

    def bitmap_of(self, signers: Sequence[int], validators: int) -> bytes:
        return hansa_kernel.bitmap_of(signers, validators)

    def signers_of(self, bitmap: bytes, validators: int) -> list[int] | None:
        try:
            return hansa_kernel.signers_of(bitmap, validators)
        except hansa_kernel.KernelInputError:
            return None

    def header(self, rlp: bytes) -> HeaderFields | None:
        try:
            header = hansa_kernel.Header.decode(rlp)
        except hansa_kernel.KernelInputError:
            return None
        return HeaderFields(hash=header.hash, parent_hash=header.parent_hash, number=header.number)
