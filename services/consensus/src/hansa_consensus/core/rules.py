"""What the header of a block on a consortium chain says (design, "Fields of a block").

One place for both sides: `context` gives the builder its fields, `refusal` checks a header against the same rules.
Roots, gas used, bloom and requests are checked by execution; everything that execution takes from the header as given
is checked here.
"""

from dataclasses import dataclass

import hansa_kernel

from .limits import TIMESTAMP_AHEAD_MS_MAX
from .types import NO_HASH, Candidate


@dataclass(frozen=True, slots=True)
class BlockContext:
    """Fields of a freely chosen block that the proposer sets; as `hansa.v1.BlockContext`."""

    number: int
    timestamp: int  # whole seconds
    gas_limit: int
    beneficiary: bytes
    prev_randao: bytes
    base_fee_per_gas: int
    parent_beacon_block_root: bytes = NO_HASH
    extra_data: bytes = b""


@dataclass(frozen=True, slots=True)
class TooEarly:
    """A block made now would break a timestamp rule; try again after this many milliseconds."""

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class ConsortiumRules:
    """Rules of one chain; `engine.BlockRules`."""

    spec: hansa_kernel.Spec
    genesis_hash: bytes
    gas_limit: int
    beneficiary: bytes | None  # None: the proposer's account
    accounts: tuple[bytes, ...]  # of the validators, by index
    strict_timestamps: bool = False  # chains that follow a public network: strictly increasing

    def prev_randao(self, number: int) -> bytes:
        """Before there are epochs: Keccak of genesis hash and height (u64, big-endian). Public, predictable, no
        source of randomness: contracts of a consortium are told so in the documentation."""
        return hansa_kernel.keccak(self.genesis_hash + number.to_bytes(8, "big"))

    def context(self, parent_header: bytes, *, height: int, proposer: int, wall_ms: int) -> BlockContext | TooEarly:
        """Fields for a block at `height` on `parent_header`; `wall_ms` is Unix time. The timestamp is the clock's
        second, or the parent's where the clock is behind it."""
        parent = hansa_kernel.Header.decode(parent_header)
        lowest = parent.timestamp + (1 if self.strict_timestamps else 0)
        timestamp = max(wall_ms // 1000, lowest)
        # A clock behind the parent by more than others tolerate, or a public chain's second that has not come yet.
        ahead_ms = timestamp * 1000 - wall_ms
        if ahead_ms > (0 if self.strict_timestamps else TIMESTAMP_AHEAD_MS_MAX):
            return TooEarly(ahead_ms)
        return BlockContext(
            number=height,
            timestamp=timestamp,
            gas_limit=self.gas_limit,
            beneficiary=self.accounts[proposer] if self.beneficiary is None else self.beneficiary,
            prev_randao=self.prev_randao(height),
            base_fee_per_gas=self.spec.next_base_fee(parent_header),
        )

    def refusal(
        self, candidate: Candidate, parent_header: bytes, *, proposer: int | None, wall_ms: int | None
    ) -> str | None:
        try:
            header = hansa_kernel.Header.decode(candidate.header)
        except hansa_kernel.KernelInputError:
            return "malformed_header"
        parent = hansa_kernel.Header.decode(parent_header)
        checks = {
            "wrong_number": header.number == parent.number + 1,
            "wrong_parent": header.parent_hash == parent.hash,
            "timestamp_not_rising": header.timestamp >= parent.timestamp + (1 if self.strict_timestamps else 0),
            "wrong_gas_limit": header.gas_limit == self.gas_limit,
            "wrong_base_fee": (header.base_fee_per_gas or 0) == self.spec.next_base_fee(parent_header),
            "wrong_prev_randao": header.mix_hash == self.prev_randao(header.number),
            "wrong_difficulty": header.difficulty == 0,
            "wrong_nonce": header.nonce == bytes(8),
            "wrong_extra_data": header.extra_data == b"",
            "wrong_blob_gas": not header.excess_blob_gas and not header.blob_gas_used,
            "wrong_beacon_root": header.parent_beacon_block_root in (None, NO_HASH),
        }
        for reason, holds in checks.items():
            if not holds:
                return reason
        if self.beneficiary is not None and header.beneficiary != self.beneficiary:
            return "wrong_beneficiary"
        if proposer is not None and self.beneficiary is None and header.beneficiary != self.accounts[proposer]:
            return "wrong_beneficiary"
        if wall_ms is not None and header.timestamp * 1000 > wall_ms + TIMESTAMP_AHEAD_MS_MAX:
            return "timestamp_too_far_ahead"
        return None
