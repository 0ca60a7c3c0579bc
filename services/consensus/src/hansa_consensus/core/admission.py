"""When this member may vote: start-up order and observe mode (reliability, section 5 and rule K4)."""

from dataclasses import dataclass, field

from .effects import Effect, PersistReleased
from .engine import Crypto, Mode
from .limits import OBSERVE_HEIGHTS
from .types import Certificate, Phase, Recovered, Vote


@dataclass(frozen=True, slots=True)
class _Answer:
    head: int
    vote: tuple[int, int]  # (view, height) of the highest vote by our key that the member says it has seen


@dataclass(slots=True)
class Admission:
    """Starts in `STARTING`: nothing is voted before a quorum, ourselves counted, has said where it is.

    A vote log that is empty or older than what others have seen of us puts the member into `OBSERVING`. A
    certificate with our bit above our watermark is proof of an old log; the number a peer merely claims counts once
    f + 1 claim it, so that one liar cannot silence us. (An empty log is stricter: a single claim ends the exemption
    of a new chain.)
    """

    crypto: Crypto
    self_index: int | None
    members: int
    recovered: Recovered
    out: list[Effect]
    answers_needed: int  # from others, before anything is voted; an empty log needs min(q, n - 1) at least
    mode: Mode = Mode.STARTING
    observe_until: int = 0  # height at which observe mode ends
    floor_view: int = 0  # no vote below: f + 1 members have seen a vote of ours in that view
    _answers: dict[int, _Answer] = field(default_factory=dict)
    _commit_mark: tuple[int, int] = (0, 0)  # (view, height) of our highest commit vote
    _mark: tuple[int, int] = (0, 0)  # of our highest vote of any phase
    _released: int = -1
    _exempt: bool = False
    _claims: tuple[int, int] = (0, 0)  # see `_claimed`

    def __post_init__(self) -> None:
        if self.self_index is None:
            self.mode = Mode.FOLLOWING
        if self.recovered.released_height is not None:
            self._released = self.recovered.released_height
        for vote in self.recovered.votes:
            self.signed(vote)
        if self.recovered.view_change is not None:
            self.signed(self.recovered.view_change.vote)

    @property
    def may_vote(self) -> bool:
        return self.mode is Mode.VOTING

    def signed(self, vote: Vote) -> None:
        """We have signed this."""
        mark = (vote.view, vote.to_height)
        self._mark = max(self._mark, mark)
        if vote.phase is Phase.COMMIT:
            self._commit_mark = max(self._commit_mark, mark)

    def answered(self, member: int, head: int, vote: tuple[int, int]) -> None:
        """A member has told its certified head and the highest (view, height) that it has seen us vote for."""
        self._answers[member] = _Answer(head, vote)
        claims = sorted((answer.vote for answer in self._answers.values()), reverse=True)
        faulty = self.members - self.crypto.quorum(self.members)
        self._claims = claims[faulty] if len(claims) > faulty else (0, 0)

    def saw_certificate(self, certificate: Certificate) -> None:
        """A valid commit certificate: does it prove that our log is an old one?"""
        if self.self_index is None or self.mode is Mode.HALTED or certificate.to_height <= self._released:
            return
        mark = (certificate.view, certificate.to_height)
        signers = self.crypto.signers_of(certificate.signers, self.members) or []
        if mark > self._commit_mark and self.self_index in signers:
            self._observe(certificate.to_height)

    def step(self, head: int, highest_known: int) -> bool:
        """Decide the mode anew; True when it has become `VOTING` just now."""
        if self._released >= 0 and self._claimed()[1] <= self._released:
            # A view change of the life before may still count somewhere: rule P7 binds this life, too.
            self.floor_view = max(self.floor_view, self._claimed()[0])
        match self.mode:
            case Mode.STARTING:
                return self._start(head)
            case Mode.OBSERVING if head >= self.observe_until:
                self._release(head)
                return True
            case Mode.VOTING:
                claimed = self._claimed()
                if claimed > self._mark and claimed[1] > self._released and not self._exempt:
                    self._observe(max([head, highest_known, *(answer.head for answer in self._answers.values())]))
        return False

    def release(self, highest_known: int) -> bool:
        """The operator vouches for us."""
        if self.mode not in (Mode.STARTING, Mode.OBSERVING):
            return False
        self._release(highest_known + OBSERVE_HEIGHTS)
        return True

    def _start(self, head: int) -> bool:
        needed = self.answers_needed
        if self.recovered.is_empty and self._released < 0:
            needed = max(needed, min(self.crypto.quorum(self.members), self.members - 1))
        if len(self._answers) < needed:
            return False
        heads = [head, *(answer.head for answer in self._answers.values())]
        if self.recovered.is_empty and self._released < 0:
            seen = any(answer.vote > (0, 0) for answer in self._answers.values())
            if max(heads) > 0 or seen:
                self._observe(max(heads))
                return False
            # A new chain. From now on this log is known to hold all our votes, even while there are none.
            self._released = 0
            self.out.append(PersistReleased(0))
        elif self._claimed() > self._mark and self._claimed()[1] > self._released:
            self._observe(max(heads))
            return False
        self.mode = Mode.VOTING
        return True

    def _claimed(self) -> tuple[int, int]:
        """The highest (view, height) that f + 1 members, so at least one honest one, have seen us vote for."""
        return self._claims

    def _observe(self, height: int) -> None:
        self.mode = Mode.OBSERVING
        self.observe_until = max(self.observe_until, height + OBSERVE_HEIGHTS)

    def _release(self, height: int) -> None:
        self.mode = Mode.VOTING
        self._released = height
        self.floor_view = max(self.floor_view, self._claimed()[0])
        # What peers saw of the life before stays higher than our new watermark for a while; it has been dealt with.
        self._exempt = True
        self.out.append(PersistReleased(height))
