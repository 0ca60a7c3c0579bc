"""Metrics of the executor, each declared once."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

BLOCK_SECONDS = Histogram("hansa_executor_block_seconds", "Time to execute and stage a block.", ["kind"], buckets=_FAST)
STAGE_OF_BLOCK_SECONDS = Counter(
    "hansa_executor_block_stage_seconds_total", "Time of blocks by stage: decode, execute, read, stage.", ["stage"]
)
GAS_PER_SECOND = Gauge("hansa_executor_gas_per_second", "Gas of the last block over the time it took.")
SLOWEST_MIX = Gauge(
    "hansa_executor_slowest_mix_gas_per_second", "Gas per second of the slowest opcodes on this machine, once measured."
)
TRANSACTIONS = Counter("hansa_executor_transactions_total", "Transactions executed in blocks.")
DROPPED = Counter("hansa_executor_transactions_dropped_total", "Transactions left out of blocks that were built.")
CONFLICTS = Counter("hansa_executor_parallel_conflicts_total", "Conflicts of transactions that ran in parallel.")
REEXECUTIONS = Counter("hansa_executor_reexecutions_total", "Transactions that ran again after a conflict.")
ACCESS_LISTS_WRONG = Counter(
    "hansa_executor_access_lists_wrong_total", "Proposals whose access list is not the one that execution gives."
)
MISSES = Counter("hansa_executor_state_misses_total", "Keys that had to be asked of statedb.")
ROUNDS = Counter("hansa_executor_read_rounds_total", "Rounds of reads from statedb.")
CALL_SECONDS = Histogram("hansa_executor_call_seconds", "Time of one call or estimate.", ["kind"], buckets=_FAST)
WAITING = Gauge("hansa_executor_waiting", "Requests that wait for a worker.", ["queue"])
REFUSED = Counter("hansa_executor_requests_refused_total", "Requests refused, by reason.", ["reason"])
RECONNECTS = Counter("hansa_executor_statedb_reconnects_total", "Streams to statedb that had to be opened again.")
WITNESS_SECONDS = Histogram("hansa_executor_witness_seconds", "Time to make one block witness.", buckets=_FAST)
WITNESS_BYTES = Counter("hansa_executor_witness_bytes_total", "Bytes of block witnesses made.")
