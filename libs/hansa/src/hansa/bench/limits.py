"""Bounds of the load generator."""

from typing import Final

CONNECTIONS_PER_URL: Final = 2
"""Each has one request under way; two keep a node busy when requests hold many transactions."""

CONNECTIONS_PER_URL_MAX: Final = 32
"""With small requests, whose answers wait for the node's disk, more are needed; nodes take at least 64 from one host."""

LARGE_REQUEST: Final = 50
"""Transactions from which on a request counts as large."""

SIGN_CHUNK: Final = 10_000
"""Transactions per signing call: the kernel takes no more items in one list."""

PREPARED_PER_SECOND_MAX: Final = 6_000
"""With `--rate max`, so many transactions per second of load are signed in advance."""

REQUEST_SECONDS: Final = 0.1
"""With a rate, each connection sends at least this often, so that load does not come in bursts."""

POLL_SECONDS: Final = 0.025
"""How often the newest block is asked for; the resolution of latencies."""

DRAIN_SECONDS_MAX: Final = 30.0
"""After the last transaction, without any further commit: what is still open then counts as lost."""

RETRIES_MAX: Final = 60
"""Attempts for a transaction that the node refuses for now (a full pool); each later one of its sender waits."""

RETRY_SECONDS: Final = 0.1

FUND_IN_FLIGHT_MAX: Final = 500
"""Funding transfers from one account under way: pools bound what one sender may have waiting."""

SETUP_SECONDS_MAX: Final = 180.0
"""For funding and token; a node that needs longer is not worth measuring."""

CALLS_PER_BATCH: Final = 200
"""Reading calls in one request, below every node's limit."""

ANSWER_BYTES_MAX: Final = 64 << 20

WARM_UP_SHARE: Final = 0.15
"""Share of the load time that is left out at the beginning of the steady part."""

SAMPLE_SECONDS: Final = 0.5
"""How often processes are looked at."""
