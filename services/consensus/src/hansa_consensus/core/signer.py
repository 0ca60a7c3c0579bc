"""The vote key with its watermark (rules K3, K4): it never signs two statements that contradict each other.

The same checks stand in the engines; they stand here a second time because a bug there, or a second copy of the
engine with the same key, must not be able to make two signatures. A remote signer would keep this object on its side.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from .engine import Refusal
from .types import Phase, Recovered, Vote


@dataclass(slots=True)
class WatermarkSigner:
    """`engine.Signer` in the same process.

    `sign` makes 48 bytes of a message (for example `partial(hansa_kernel.bls_sign, secret)`); `message` is
    `Crypto.vote_message`. `recovered` gives the watermarks of the life before.
    """

    sign: Callable[[bytes], bytes]
    message: Callable[[Vote], bytes]
    recovered: Recovered
    _signed: dict[Phase, Vote] = field(init=False, default_factory=dict)  # highest (view, height) of each phase
    _older: list[Vote] = field(init=False, default_factory=list)  # recovered votes, to give the same bytes again

    def __post_init__(self) -> None:
        for vote in self.recovered.votes:
            self._older.append(vote)
            self._raise(vote)
        if self.recovered.view_change is not None:
            self._older.append(self.recovered.view_change.vote)
            self._raise(self.recovered.view_change.vote)

    def may_sign(self, vote: Vote) -> bytes | Refusal:
        """The signature, or why not: "level_unknown", "view_left" (rule P7) or "behind_watermark" (rule K4)."""
        if vote.level != 0:
            return Refusal("level_unknown")
        for signed in (*self._signed.values(), *self._older):
            if signed.signature and signed.same_statement(vote):
                return signed.signature
        left = self._signed.get(Phase.VIEW_CHANGE)
        if vote.phase is not Phase.VIEW_CHANGE and left is not None and vote.view < left.view:
            return Refusal("view_left")
        last = self._signed.get(vote.phase)
        if last is not None and (vote.view, vote.to_height) <= (last.view, last.to_height):
            return Refusal("behind_watermark")
        signature = self.sign(self.message(vote))
        self._signed[vote.phase] = vote.signed(signature)
        return signature

    def _raise(self, vote: Vote) -> None:
        last = self._signed.get(vote.phase)
        if last is None or (vote.view, vote.to_height) > (last.view, last.to_height):
            self._signed[vote.phase] = vote
