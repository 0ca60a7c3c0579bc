"""Prepare and commit votes of all members, and the certificates that they add up to (PBFT 4.2)."""

from dataclasses import dataclass, field

from hansa_consensus.core.effects import Effect, ReportEvidence, ReportPeer
from hansa_consensus.core.engine import Crypto, EngineConfig
from hansa_consensus.core.limits import HEIGHTS_AHEAD_MAX
from hansa_consensus.core.types import Certificate, Phase, Vote


@dataclass(slots=True)
class _Slot:
    """A signer's vote of one phase at one height."""

    vote: Vote
    verified: bool = False
    accused: bool = False


@dataclass(slots=True)
class VoteBook:
    """One slot per (height, phase, signer) for the heights last+1 .. last+4 (rule P17).

    A slot holds the vote of the highest view: whoever votes in a view has left the ones below. Signatures are checked
    when a quorum seems reached, as one aggregate, singly only when that fails.
    """

    config: EngineConfig
    crypto: Crypto
    out: list[Effect]
    slots: dict[tuple[int, Phase], dict[int, _Slot]] = field(default_factory=dict)

    def add(self, vote: Vote) -> bool:
        """Note a vote whose signer is authenticated (the sender, or ourselves); True when it is news.

        The caller has checked shape and height. A second, different vote of one view is evidence if both signatures
        hold (rule P26: never from unsigned data); if the first does not hold, the second takes its place.
        """
        slots = self.slots.setdefault((vote.to_height, vote.phase), {})
        known = slots.get(vote.signer)
        if known is None or vote.view > known.vote.view:
            slots[vote.signer] = _Slot(vote)
            return True
        if vote.view < known.vote.view or vote == known.vote:
            return False
        return self._conflict(slots, known, vote)

    def _conflict(self, slots: dict[int, _Slot], known: _Slot, vote: Vote) -> bool:
        if known.accused:
            return False
        if vote.same_statement(known.vote):
            # BLS signatures are unique, so one of the two is no signature.
            if known.verified or self._holds(known.vote) or not self._holds(vote):
                return False
            slots[vote.signer] = _Slot(vote, verified=True)
            return True
        if not self._holds(vote):
            self.out.append(ReportPeer(vote.signer, "invalid_signature"))
            return False
        if not known.verified and not self._holds(known.vote):
            slots[vote.signer] = _Slot(vote, verified=True)
            return True
        known.verified = known.accused = True
        self.out += [ReportEvidence(known.vote, vote), ReportPeer(vote.signer, "double_vote")]
        return False

    def _holds(self, vote: Vote) -> bool:
        validators = self.config.validator_set(vote.to_height)
        return validators.verify_votes([vote.signer], self.crypto.vote_message(vote), [vote.signature])[0]

    def certificate(self, statement: Vote) -> Certificate | None:
        """The certificate of everybody who signed `statement`, if they are a quorum (rules P1, P21)."""
        slots = self.slots.get((statement.to_height, statement.phase), {})
        validators = self.config.validator_set(statement.to_height)
        quorum = self.crypto.quorum(len(validators))
        if len(slots) < quorum:
            return None
        agreeing = [slot for slot in slots.values() if slot.vote.same_statement(statement)]
        if len(agreeing) < quorum:
            return None
        unverified = [slot for slot in agreeing if not slot.verified]
        if unverified:
            held = validators.verify_votes(
                [slot.vote.signer for slot in unverified],
                self.crypto.vote_message(statement),
                [slot.vote.signature for slot in unverified],
            )
            for slot, holds in zip(unverified, held, strict=True):
                slot.verified = holds
                if not holds:
                    del slots[slot.vote.signer]
                    self.out.append(ReportPeer(slot.vote.signer, "invalid_signature"))
        signed = sorted((slot.vote for slot in agreeing if slot.verified), key=lambda vote: vote.signer)
        if len(signed) < quorum:
            return None
        return Certificate(
            phase=statement.phase,
            from_hash=statement.from_hash,
            from_height=statement.from_height,
            to_hash=statement.to_hash,
            to_height=statement.to_height,
            view=statement.view,
            signers=self.crypto.bitmap_of([vote.signer for vote in signed], len(validators)),
            signature=self.crypto.aggregate([vote.signature for vote in signed]),
            shard=statement.shard,
            epoch=statement.epoch,
        )

    def signers_for(self, height: int, phase: Phase, block_hash: bytes) -> list[int]:
        """Who voted for that block, in order of arrival; unverified."""
        slots = self.slots.get((height, phase), {})
        return [signer for signer, slot in slots.items() if slot.vote.to_hash == block_hash]

    def of(self, signer: int, height: int, phase: Phase) -> Vote | None:
        """That signer's vote."""
        slot = self.slots.get((height, phase), {}).get(signer)
        return None if slot is None else slot.vote

    def forget(self, head: int) -> None:
        """Heights up to `head` are committed."""
        for height, phase in list(self.slots):
            if height <= head:
                del self.slots[height, phase]

    @staticmethod
    def takes(height: int, head: int) -> bool:
        """Whether votes of that height are kept."""
        return head < height <= head + HEIGHTS_AHEAD_MAX
