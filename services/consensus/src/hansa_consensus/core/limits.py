"""Every bound of the consensus core with its reason. Relations between bounds are asserted below."""

from typing import Final

HEIGHTS_AHEAD_MAX: Final = 4
"""Votes are kept for the heights last+1 .. last+4 (rule P17); whoever votes beyond shows that this member must sync."""

CANDIDATES_PER_HEIGHT_MAX: Final = 8
"""Blocks known (proposed or prepared) but not committed, of the height being agreed on. One per view is normal; the
oldest that is neither certified nor our lock goes."""

CERTIFICATES_AHEAD_MAX: Final = 64
"""Verified commit certificates kept above the head, while their blocks are fetched. Beyond it only the highest counts:
sync brings the others along with the blocks."""

PROPOSALS_STASHED_MAX: Final = 16
"""Proposals kept whose height or view has not come yet; those furthest from our view go first."""

RESEND_AFTER_MS: Final = 1_000
"""A block that has been in agreement for longer is repeated to whoever tells us its status: something was lost."""

PREPARED_IN_VIEW_CHANGE_MAX: Final = 4
"""Prepared blocks in one view change: heights follow each other one by one today (at most one), and pipelining will
not be deeper than the heights for which votes are kept."""

VIEW_AHEAD_MAX: Final = 1 << 20
"""A view change for a view further ahead than this is refused as spam. With the time-out capped at 60 s, 2^20 views
take two years; a member that was away for longer enters by certificate or new-view, which have no such bound."""

REQUEST_TIMEOUT_MS_MAX: Final = 60_000
"""Cap of the doubling request time-out (rule P11)."""

VIEW_CHANGE_RESEND_MS: Final = 2_000
"""A member that waits for a new view repeats its view change this often (rule P12)."""

STATUS_INTERVAL_MS: Final = 2_000
"""How often each peer is told where we are. It bounds how long a lost message can stay unnoticed."""

RETRY_MS: Final = 500
"""Pause before a step that failed through nobody's fault (executor away, parent not yet there) is tried again."""

SYNC_DEADLINE_MS: Final = 5_000
"""A request for blocks that is not answered by then goes to another member (rule P24)."""

SYNC_BLOCKS_MAX: Final = 64
"""Blocks asked for in one request; p2p's message size cuts answers shorter."""

SYNC_PAUSE_MS: Final = 50
"""Pause before missing blocks are asked for: a certificate often overtakes the proposal that it belongs to."""

OBSERVE_HEIGHTS: Final = 5
"""A member with an empty or restored vote log watches this many heights go by before it votes again (rule K4)."""

REPLY_INTERVAL_MS: Final = 500
"""At least this long between two answers of the same kind to one member: old votes cannot make us an amplifier."""

TIMESTAMP_AHEAD_MS_MAX: Final = 2_000
"""A freely chosen block's timestamp is at most this far ahead of our clock (rule P19)."""

assert PREPARED_IN_VIEW_CHANGE_MAX <= HEIGHTS_AHEAD_MAX
assert STATUS_INTERVAL_MS < SYNC_DEADLINE_MS
assert RESEND_AFTER_MS < STATUS_INTERVAL_MS
assert REPLY_INTERVAL_MS < VIEW_CHANGE_RESEND_MS
