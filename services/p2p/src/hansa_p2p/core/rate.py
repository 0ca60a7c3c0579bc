"""How fast one peer may send: a token bucket that answers with a pause instead of a refusal."""

from dataclasses import dataclass

from hansa_p2p.limits import RECEIVE_BURST_BYTES, RECEIVE_BYTES_PER_SECOND


@dataclass(slots=True)
class ReceiveRate:
    """Bytes of one peer. Reading later makes gRPC's flow control hold the sender, whose own queues then drop."""

    per_second: int = RECEIVE_BYTES_PER_SECOND
    burst: int = RECEIVE_BURST_BYTES
    _owed: float = 0.0  # bytes above the long-run rate, >= 0
    _at: float = 0.0

    def pause_seconds(self, size: int, now: float) -> float:
        """Account for `size` bytes read at `now` (seconds); how long to wait before the next read."""
        self._owed = max(0.0, self._owed - (now - self._at) * self.per_second) + size
        self._at = now
        return max(0.0, (self._owed - self.burst) / self.per_second)
