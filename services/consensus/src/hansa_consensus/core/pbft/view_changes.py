"""View changes: checking them, counting them, and what a quorum of them implies (PBFT 4.4; rules P4-P6, P8-P10)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hansa_consensus.core.chain import Chain
from hansa_consensus.core.codec import certificate_is_well_formed, prepared_certificates_bytes, vote_is_well_formed
from hansa_consensus.core.engine import Crypto, EngineConfig
from hansa_consensus.core.limits import PREPARED_IN_VIEW_CHANGE_MAX
from hansa_consensus.core.types import Certificate, NewView, Phase, PreparedBlock, ViewChange


@dataclass(frozen=True, slots=True)
class Choice:
    """What q view changes imply: `base` is the last committed block, `bound` what must follow it, height by height.

    Above `base_height + len(bound)` the leader chooses freely.
    """

    base_height: int
    base_hash: bytes
    bound: tuple[PreparedBlock, ...]

    def hash_at(self, height: int) -> bytes | None:
        """The block that must be at `height`; None: free."""
        index = height - self.base_height - 1
        return self.bound[index].certificate.to_hash if 0 <= index < len(self.bound) else None


def choose(view_changes: Iterable[ViewChange], genesis_hash: bytes) -> Choice:
    """Rule P5: from the highest commit certificate upwards, height by height, the prepared block of the highest
    view whose parent is the block below; from the first gap on nothing is bound.

    Deterministic in the set of view changes: two different prepared certificates of one height and view cannot exist.
    """
    changes = list(view_changes)
    base = max(changes, key=lambda change: change.vote.from_height)
    height, parent = base.vote.from_height, base.vote.from_hash
    assert base.last_commit is not None or parent == genesis_hash, "checked on receipt"
    bound: list[PreparedBlock] = []
    while True:
        following = [
            block
            for change in changes
            for block in change.prepared
            if block.certificate.to_height == height + 1 and block.certificate.from_hash == parent
        ]
        if not following:
            return Choice(base.vote.from_height, base.vote.from_hash, tuple(bound))
        best = max(following, key=lambda block: block.certificate.view)
        bound.append(best)
        height, parent = height + 1, best.certificate.to_hash


@dataclass(slots=True)
class ViewChangeBook:
    """The latest valid view change of each member: at most one each, whatever they send."""

    config: EngineConfig
    crypto: Crypto
    chain: Chain
    members: int
    genesis_hash: bytes
    latest: dict[int, ViewChange] = field(default_factory=dict)  # by signer

    def add(self, change: ViewChange) -> None:
        """Keep a checked view change if it is later than the signer's last."""
        known = self.latest.get(change.vote.signer)
        if known is None or _rank(change) > _rank(known):
            self.latest[change.vote.signer] = change

    def is_known(self, change: ViewChange) -> bool:
        """Whether this very one has been checked and kept."""
        return self.latest.get(change.vote.signer) == change

    def is_stale(self, change: ViewChange) -> bool:
        """Whether its signer has sent a later one, or this one."""
        known = self.latest.get(change.vote.signer)
        return known is not None and _rank(change) <= _rank(known)

    def above(self, view: int, *, without: int | None) -> list[int]:
        """Views above `view` that members other than `without` want, ascending, one per member."""
        return sorted(  # no generator: asked after every event
            [
                change.vote.view
                for signer, change in self.latest.items()
                if change.vote.view > view and signer != without
            ]
        )

    def count_from(self, view: int) -> int:
        """Members that want `view` or a higher one."""
        return sum([change.vote.view >= view for change in self.latest.values()])

    def of_view(self, view: int) -> list[ViewChange]:
        """Those for exactly this view, ascending by signer."""
        return [self.latest[signer] for signer in sorted(self.latest) if self.latest[signer].vote.view == view]

    # --- checks ---------------------------------------------------------------------------------------------------

    def fault(self, change: ViewChange) -> str | None:
        """Why a view change is not valid (rule P6), or None. Does not look at the sender; costs about 2 pairings per
        certificate, so the cheap checks come first."""
        vote = change.vote
        if (
            vote.phase is not Phase.VIEW_CHANGE
            or not vote_is_well_formed(vote)
            or vote.to_height != vote.from_height + 1
            or vote.level != 0
            or vote.next_set_hash
            or (vote.shard, vote.epoch) != (self.config.shard, self.config.epoch)
            or not 0 <= vote.signer < self.members
            or vote.view < 1
            or len(change.prepared) > PREPARED_IN_VIEW_CHANGE_MAX
        ):
            return "malformed_view_change"
        if not self._last_commit_matches(change):
            return "view_change_contradicts_its_last_block"
        parent, height = vote.from_hash, vote.from_height
        for block in change.prepared:
            certificate = block.certificate
            if not certificate_is_well_formed(certificate):
                return "malformed_view_change"
            fields = self.crypto.header(block.header)
            if (
                certificate.to_height != height + 1
                or certificate.from_hash != parent
                or certificate.view >= vote.view
                or fields is None
                or (fields.hash, fields.number, fields.parent_hash) != (certificate.to_hash, height + 1, parent)
                or len(block.transaction_hashes) % 32
            ):
                return "stale_or_foreign_prepared_certificate"
            parent, height = certificate.to_hash, height + 1
        if vote.to_hash != self.crypto.keccak(prepared_certificates_bytes(change.prepared)):
            return "view_change_signs_other_certificates"
        validators = self.config.validator_set(vote.to_height)
        if not validators.verify_votes([vote.signer], self.crypto.vote_message(vote), [vote.signature])[0]:
            return "invalid_signature"
        if change.last_commit is not None and not self._is_valid_commit(change.last_commit):
            return "invalid_certificate"
        if not all(self.chain.is_valid(block.certificate, Phase.PREPARE) for block in change.prepared):
            return "invalid_certificate"
        return None

    def _last_commit_matches(self, change: ViewChange) -> bool:
        certificate, vote = change.last_commit, change.vote
        if certificate is None:
            return vote.from_height == 0 and vote.from_hash == self.genesis_hash
        return certificate_is_well_formed(certificate) and (certificate.to_height, certificate.to_hash) == (
            vote.from_height,
            vote.from_hash,
        )

    def _is_valid_commit(self, certificate: Certificate) -> bool:
        # Equal, not just of a block we have committed: others must be able to check what we pass on in a new-view.
        known = (self.chain.head.certificate, self.chain.certificates.get(certificate.to_height))
        return certificate in known or self.chain.is_valid(certificate, Phase.COMMIT)

    def new_view_fault(self, new_view: NewView) -> str | None:
        """Why a new-view is not valid, or None: q different members' valid view changes for exactly this view."""
        signers = [change.vote.signer for change in new_view.view_changes]
        if len(signers) != len(set(signers)) or not self.crypto.quorum(self.members) <= len(signers) <= self.members:
            return "new_view_without_quorum"
        for change in new_view.view_changes:
            if change.vote.view != new_view.view:
                return "new_view_of_another_view"
            if not self.is_known(change):
                fault = self.fault(change)
                if fault is not None:
                    return fault
        return None


def _rank(change: ViewChange) -> tuple[int, int]:
    return (change.vote.view, change.vote.from_height)
