"""Planted bugs, one at a time: the checkers are good for something only if every one of them is found.

Each bug replaces a piece of the engine, the signer or the vote log, as somebody could have written it. What counts is how
many seeds it takes until a run breaks a promise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from hansa_consensus.core import admission, base, catchup, chain, logstate, poa, signer
from hansa_consensus.core.engine import Crypto
from hansa_consensus.core.pbft import agreement, engine, view_changes, votes
from hansa_consensus.core.types import Phase
from hansa_consensus.votelog import VoteLog

from .oracles import OracleCrypto, OracleRules
from .seeds import run_seed

SEEDS_MAX: Final = 200
"""After so many seeds a bug counts as not found."""


class Patch:
    """Attributes that are replaced, and put back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Replace `owner.name`; returns what was there."""
        before = owner.__dict__[name]
        self._before.append((owner, name, before))
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        """As it was."""
        for owner, name, before in reversed(self._before):
            setattr(owner, name, before)
        self._before.clear()


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug."""

    name: str
    plant: Callable[[Patch], None]
    engine: str = "pbft"
    members: int = 4
    minutes: float = 3.0


@dataclass(frozen=True, slots=True)
class Caught:
    """How a bug was found; `seeds` 0: it was not."""

    name: str
    seeds: int
    seed: int = -1
    violation: str = ""


def hunt(mutant: Mutant, first: int = 0, most: int = SEEDS_MAX) -> Caught:
    """Run seeds until one breaks a promise."""
    patch = Patch()
    mutant.plant(patch)
    try:
        for count in range(most):
            outcome = run_seed(mutant.engine, mutant.members, mutant.minutes, first + count)
            if outcome.violation:
                return Caught(mutant.name, count + 1, first + count, outcome.violation)
    finally:
        patch.undo()
    return Caught(mutant.name, 0)


def hunt_by_name(job: tuple[str, int]) -> Caught:
    """For worker processes: (name, first seed)."""
    name, first = job
    return hunt(next(mutant for mutant in MUTANTS if mutant.name == name), first)


# --- quorums and certificates -----------------------------------------------------------------------------------------


def _quorum_of_one_less(patch: Patch) -> None:
    patch.set(OracleCrypto, "quorum", lambda self, n: n - (n - 1) // 3 - 1)


def _commit_without_prepares(patch: Patch) -> None:
    class Weak:
        def __init__(self, crypto: Crypto) -> None:
            self._crypto = crypto

        def __getattr__(self, name: str) -> Any:
            return getattr(self._crypto, name)

        def quorum(self, validators: int) -> int:
            return 2

    def certificate(self: Any, statement: Any) -> Any:
        if statement.phase is not Phase.PREPARE:
            return before(self, statement)
        kept, self.crypto = self.crypto, Weak(self.crypto)
        try:
            return before(self, statement)
        finally:
            self.crypto = kept

    before = patch.set(votes.VoteBook, "certificate", certificate)


def _certificates_not_checked(patch: Patch) -> None:
    patch.set(chain.Chain, "is_valid", lambda self, certificate, phase: True)
    patch.set(view_changes.ViewChangeBook, "new_view_fault", lambda self, new_view: None)


def _synced_certificates_not_checked(patch: Patch) -> None:
    def learn(self: Any, certificate: Any, *, sender: Any, verified: bool = False) -> Any:
        return before(self, certificate, sender=sender, verified=verified or sender is None)

    before = patch.set(chain.Chain, "learn", learn)


# --- views and locks --------------------------------------------------------------------------------------------------


def _lock_forgotten_in_view_changes(patch: Patch) -> None:
    def forget(self: Any, view: int) -> Any:
        self.lock = None
        return before(self, view)

    before = patch.set(engine.PbftEngine, "_make_change", forget)


def _new_view_does_not_bind(patch: Patch) -> None:
    patch.set(view_changes.Choice, "hash_at", lambda self, height: None)


def _lowest_view_is_chosen(patch: Patch) -> None:
    """P5 the wrong way round: of several prepared blocks the oldest."""

    def choose(changes: Any, genesis_hash: bytes) -> Any:
        listed = list(changes)
        lowest: dict[int, Any] = {}
        for change in listed:
            for block in change.prepared:
                height = block.certificate.to_height
                if height not in lowest or block.certificate.view < lowest[height].certificate.view:
                    lowest[height] = block
        kept = [
            replace(change, prepared=tuple(lowest[block.certificate.to_height] for block in change.prepared))
            for change in listed
        ]
        return before(kept, genesis_hash)

    before = patch.set(engine, "choose", choose)


def _votes_go_on_in_a_view_that_was_left(patch: Patch) -> None:
    patch.set(agreement.Agreement, "changing", property(lambda self: False))
    patch.set(signer.WatermarkSigner, "may_sign", lambda self, vote: self.sign(self.message(vote)))


def _lock_not_restored(patch: Patch) -> None:
    patch.set(engine.PbftEngine, "_restore_lock", lambda self: None)


def _view_change_not_recovered(patch: Patch) -> None:
    def recovered(self: Any) -> Any:
        found = before(self)
        kept = tuple(vote for vote in found.votes if vote.phase is not Phase.VIEW_CHANGE)
        return replace(found, view_change=None, votes=kept)

    before = patch.set(logstate.LogState, "recovered", recovered)


def _leader_waits_for_no_blocks(patch: Patch) -> None:
    """P8: a new-view from view changes whose blocks the leader does not hold."""
    patch.set(engine.PbftEngine, "_holds_blocks_of", lambda self, change: True)
    patch.set(agreement.Agreement, "_propose_bound", lambda self, bound: None)


# --- the vote log -----------------------------------------------------------------------------------------------------


def _votes_not_logged(patch: Patch) -> None:
    patch.set(base.ChainEngine, "_persist", lambda self, vote: None)


def _no_sync_before_votes(patch: Patch) -> None:
    def append(self: Any, records: Any) -> None:
        sync, self._folder.sync_data = self._folder.sync_data, lambda file: None
        try:
            before(self, records)
        finally:
            self._folder.sync_data = sync

    before = patch.set(VoteLog, "append", append)


def _votes_lost_in_recovery(patch: Patch) -> None:
    patch.set(logstate.LogState, "_vote", lambda self, vote: None)


def _log_begun_anew_at_each_start(patch: Patch) -> None:
    patch.set(VoteLog, "_recover", lambda self: self._rotate())


def _recovered_log_believed_durable(patch: Patch) -> None:
    """The bug that the first campaign found: no new file at a start."""

    def recover(self: Any) -> None:
        rotate, self._rotate = self._rotate, lambda: None
        names = [name for name in self._folder.names() if name.endswith(".log")]
        if not names:
            rotate()
            del self._rotate
            return
        remove, self._folder.remove = self._folder.remove, lambda name: None
        before(self)
        self._folder.remove = remove
        del self._rotate
        self._name = names[-1]
        self._folder._handles.append(self._folder._names[self._name])
        self._file = len(self._folder._handles) - 1
        self._folder.sync_file(self._file)

    before = patch.set(VoteLog, "_recover", recover)


# --- progress ---------------------------------------------------------------------------------------------------------


def _no_view_change_is_repeated(patch: Patch) -> None:
    patch.set(engine.PbftEngine, "_resend_change", lambda self: None)
    patch.set(engine.PbftEngine, "_join", lambda self: None)


def _statuses_say_nothing(patch: Patch) -> None:
    patch.set(agreement.Agreement, "_repeat_to", lambda self, member: None)
    patch.set(engine.PbftEngine, "_new_view_for", lambda self, view: None)
    patch.set(engine.PbftEngine, "_resend_change", lambda self: None)


def _timer_never_runs(patch: Patch) -> None:
    patch.set(engine.PbftEngine, "_watch_leader", lambda self: None)


def _timeout_not_reset_by_a_commit(patch: Patch) -> None:
    def on_head(self: Any) -> None:
        base_view = self.base_view
        before(self)
        self.base_view = base_view

    before = patch.set(engine.PbftEngine, "_on_head", on_head)


def _nothing_is_fetched(patch: Patch) -> None:
    patch.set(catchup.CatchUp, "_ask", lambda self, from_height, now_ms: None)


def _observes_for_ever(patch: Patch) -> None:
    patch.set(admission.Admission, "_start", lambda self, head: False)


# --- rules of blocks, bounds, evidence --------------------------------------------------------------------------------


def _unexecuted_blocks_are_voted_for(patch: Patch) -> None:
    patch.set(chain.Chain, "is_executed", lambda self, block_hash: True)


def _header_rules_not_asked(patch: Patch) -> None:
    patch.set(OracleRules, "refusal", lambda self, candidate, parent_header, *, proposer, wall_ms: None)


def _votes_of_any_height_kept(patch: Patch) -> None:
    patch.set(votes.VoteBook, "takes", staticmethod(lambda height, head: height > head))


def _double_votes_not_told(patch: Patch) -> None:
    patch.set(votes.VoteBook, "_conflict", lambda self, slots, known, vote: False)


def _double_vote_takes_the_place_of_the_first(patch: Patch) -> None:
    def conflict(self: Any, slots: Any, known: Any, vote: Any) -> bool:
        slots[vote.signer] = votes._Slot(vote)
        return True

    patch.set(votes.VoteBook, "_conflict", conflict)


# --- poa --------------------------------------------------------------------------------------------------------------


def _poa_block_not_recovered(patch: Patch) -> None:
    patch.set(logstate.LogState, "_prepared", lambda self, prepared, record: None)


def _poa_signs_anything(patch: Patch) -> None:
    patch.set(signer.WatermarkSigner, "may_sign", lambda self, vote: self.sign(self.message(vote)))
    patch.set(logstate.LogState, "_prepared", lambda self, prepared, record: None)


def _poa_takes_any_signer(patch: Patch) -> None:
    patch.set(poa.PoaEngine, "_is_enough", lambda self, signers, validators: len(signers) >= 1)


MUTANTS: Final = (
    Mutant("quorum of one less", _quorum_of_one_less),
    Mutant("commit votes without a quorum of prepares", _commit_without_prepares),
    Mutant("certificates not checked", _certificates_not_checked),
    Mutant("synced certificates not checked", _synced_certificates_not_checked),
    Mutant("lock forgotten in view changes", _lock_forgotten_in_view_changes),
    Mutant("new-view does not bind", _new_view_does_not_bind),
    Mutant("lowest view is chosen", _lowest_view_is_chosen),
    Mutant("votes go on in a view that was left", _votes_go_on_in_a_view_that_was_left),
    Mutant("lock not restored", _lock_not_restored),
    Mutant("view change not recovered", _view_change_not_recovered),
    Mutant("bound block not proposed again", _leader_waits_for_no_blocks),
    Mutant("votes not logged", _votes_not_logged),
    Mutant("no sync before votes", _no_sync_before_votes),
    Mutant("votes lost in recovery", _votes_lost_in_recovery),
    Mutant("log begun anew at each start", _log_begun_anew_at_each_start),
    Mutant("recovered log believed durable", _recovered_log_believed_durable),
    Mutant("no view change is repeated", _no_view_change_is_repeated),
    Mutant("statuses say nothing", _statuses_say_nothing),
    Mutant("timer never runs", _timer_never_runs),
    Mutant("time-out not reset by a commit", _timeout_not_reset_by_a_commit),
    Mutant("nothing is fetched", _nothing_is_fetched),
    Mutant("never votes", _observes_for_ever),
    Mutant("unexecuted blocks are voted for", _unexecuted_blocks_are_voted_for),
    Mutant("header rules not asked", _header_rules_not_asked),
    Mutant("votes of any height kept", _votes_of_any_height_kept),
    Mutant("double votes not told", _double_votes_not_told),
    Mutant("double vote takes the place of the first", _double_vote_takes_the_place_of_the_first),
    Mutant("poa: signed block not recovered", _poa_block_not_recovered, "poa"),
    Mutant("poa: signs anything", _poa_signs_anything, "poa"),
    Mutant("poa: takes any signer", _poa_takes_any_signer, "poa"),
)
