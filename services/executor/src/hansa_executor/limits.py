"""Every bound of the executor, with its reason."""

BLOCKS_WAITING_MAX = 16
"""Blocks that wait for the block worker: consensus has at most a pipeline of a few, sync one; more is a fault."""

CALLS_WAITING_MAX = 256
"""Calls that wait for a call worker; with 2 workers and 1 ms a call that is 128 ms, beyond it refusing is kinder."""

OVERLAYS_MAX = 64
"""Staged blocks in the cache, as many as statedb keeps."""

READ_KEYS_MAX = 100_000
"""Accounts, and slots, of one message to statedb; larger needs go in several, of 11 MB at most."""

READ_CODES_MAX = 256
"""Codes asked for by hash in one message: 6 MB of usual contracts, and 33 MB where the chain allows 128 KiB each."""

READ_ATTEMPTS_MAX = 8
"""How often one round of reads is tried on a fresh stream before the job fails: statedb may be restarting."""

READ_TIMEOUT_SECONDS = 10.0
"""Longest wait for one round of reads."""

READS_PENDING_MAX = 64
"""Rounds that wait for an answer on one stream: a job has one at a time, so this is above the call workers' number."""

BACKOFF_SECONDS_MIN = 0.05
"""First pause before something is tried again."""

BACKOFF_SECONDS_MAX = 1.0
"""Longest pause before something is tried again."""

STAGE_TIMEOUT_SECONDS = 30.0
"""Longest time of one Stage: root of a full block on a slow disk, with a restart of statedb in between."""

STAGE_ATTEMPTS_MAX = 8
"""How often Stage is sent again while statedb is away; the same block gives the same answer."""

WRITE_SETS_BYTES_MAX = 8 << 20
"""Write sets of one GetRoots: blocks before Byzantium have one per transaction, each with all that came before it."""

HEADER_TIMEOUT_SECONDS = 5.0
"""Longest wait for the header that a call needs."""

HEADERS_MAX = 256
"""Headers of blocks called lately that are kept by hash: 150 KB."""

CALL_DATA_BYTES_MAX = 4 << 20
"""Input of one call: as large as what the API lets in."""

GAS_LIMIT_CHECK_DELAY_SECONDS = 5.0
"""When this machine's speed is measured after the start: once the members have found each other."""

STOP_SECONDS = 5
"""How long running requests may finish when the service stops."""

# Rounds of state reads that a block may take when it is built or comes with hints: a stranger's block must not hold a
# member in a loop.
ROUNDS_MAX = 64
# The same for a block without hints: it is certified already (sync, or run again after a restart), so refusing it would
# shut this member out for good; gas bounds what it can read (60 M / 2,100).
ROUNDS_UNHINTED_MAX = 30_000

CALL_NICENESS = 19
"""Priority of the call workers, the lowest of ordinary ones (Linux keeps one per thread). Calls are many and their gas is
free, blocks are awaited by everybody. Measured on two cores with four members while 300 endless calls ran at one of them,
median commit latency over the one without calls: 2.3 to 5.1 times at 0, 1.1 to 1.9 at 10, 1.0 to 1.3 at 19."""

WITNESSES_WAITING_MAX = 8
"""Witnesses that wait: each takes as long as its block, and nobody but auditors asks for them."""

READ_NODES_MAX = 50_000
"""Trie nodes of one message: 20 MB of usual ones."""

WITNESS_READ_TIMEOUT_SECONDS = 20.0
"""Longest wait for headers or trie nodes of a witness: old nodes are looked up block by block."""

TRACE_WORKERS = 1
"""Traces and simulations that run at once: a heavy one takes a processor for seconds, calls must not wait for it."""

TRACES_WAITING_MAX = 16
"""Traces that wait for the worker."""

TRACE_TIMEOUT_MS = 20_000
"""Longest time of one trace or simulation: a full block of struct logs up to the kernel's bound of bytes, twice."""

TRACE_BYTES_MAX = 48 << 20
"""Bytes of all traces of one answer, below what a message between services holds."""

TRACE_CALLS_BYTES_MAX = 5 << 20
"""Calls and overrides of one trace, as large as what the API lets in."""
