"""How long a peer is trusted: faults within a minute cost a connection for ten, never for good."""

from collections import deque
from dataclasses import dataclass, field

from hansa_p2p.limits import AWAY_SECONDS, FAULT_WINDOW_SECONDS, FAULTS_KEPT_MAX, FAULTS_MAX, SCORE_WINDOW_SECONDS


@dataclass(slots=True)
class PeerScore:
    """Faults of one member (spec reliability 6.2). Times are seconds of any clock that never goes back."""

    away_until: float = 0.0
    _faults: deque[float] = field(default_factory=lambda: deque(maxlen=FAULTS_KEPT_MAX))  # ascending

    def fault(self, now: float) -> bool:
        """Count one fault; True when the peer is to be disconnected now."""
        self._faults.append(now)
        recent = sum(1 for at in self._faults if at > now - FAULT_WINDOW_SECONDS)
        if recent < FAULTS_MAX or self.is_away(now):
            return False
        self.away_until = now + AWAY_SECONDS
        return True

    def is_away(self, now: float) -> bool:
        """Whether connections with this peer are refused at `now`."""
        return now < self.away_until

    def score(self, now: float) -> int:
        """0 is best; minus one per fault of the last ten minutes."""
        return -sum(1 for at in self._faults if at > now - SCORE_WINDOW_SECONDS)
