"""Who dials whom, and when again.

A pair of members uses one stream: the one with the lower index in the chain spec dials, the other listens. So there
is no race between two connections to settle, and each side knows whose task a lost connection is.
"""

from dataclasses import dataclass

from hansa_p2p.limits import DIAL_PAUSE_MS_MIN


def dials(own: int, other: int) -> bool:
    """Whether member `own` is the one that dials `other`."""
    return own < other


@dataclass(slots=True)
class DialSchedule:
    """Pauses between attempts to reach one member: doubling, capped, spread by up to a quarter.

    The spread comes from the members' indices and the attempt, not from chance: members that lost the same peer at
    once do not return in step, and a replay gives the same times.
    """

    own: int
    other: int
    pause_ms_max: int
    attempts: int = 0  # failed ones since the last connection

    def connected(self) -> None:
        """The link stood: begin again with short pauses."""
        self.attempts = 0

    def failed(self) -> int:
        """Milliseconds to wait before the next attempt."""
        pause = min(DIAL_PAUSE_MS_MIN << min(self.attempts, 16), self.pause_ms_max)
        spread = (self.own * 31 + self.other * 17 + self.attempts * 7) % 8
        self.attempts += 1
        return pause - pause * spread // 32
