"""How long to wait for a leader (rules P11, P14): pure arithmetic on monotonic milliseconds."""

from dataclasses import dataclass

from hansa_consensus.core.limits import REQUEST_TIMEOUT_MS_MAX

_DOUBLINGS_MAX = 32


def request_timeout_ms(base_ms: int, failed_views: int) -> int:
    """`base_ms`, doubled for each failed view, at most `REQUEST_TIMEOUT_MS_MAX` (a larger base stays as it is)."""
    doubled = base_ms << min(max(failed_views, 0), _DOUBLINGS_MAX)
    return max(base_ms, min(doubled, REQUEST_TIMEOUT_MS_MAX))


@dataclass(frozen=True, slots=True)
class Work:
    """Why the timer runs, at one height in one entered view."""

    idle_since_ms: int  # when head or view changed last
    accepted_ms: int | None  # when this view's proposal came
    bound: bool  # a block must be decided: locked, or named by the new-view
    pending_since_ms: int | None  # transactions have been waiting since
    last_proposal_ms: int  # of the head's block
    block_time_ms: int
    empty_block_time_ms: int  # 0: never

    def since_ms(self) -> int | None:
        """When the leader began to owe us something; None: nothing to do, no timer (rule P14).

        The proposal starts the time anew, once per view: executing it is our work, not the leader's.
        """
        if self.accepted_ms is not None:
            return self.accepted_ms
        if self.bound:
            return self.idle_since_ms
        if self.pending_since_ms is not None:
            return max(self.idle_since_ms, self.pending_since_ms, self.last_proposal_ms + self.block_time_ms)
        if self.empty_block_time_ms:
            return max(self.idle_since_ms, self.last_proposal_ms + self.empty_block_time_ms)
        return None
