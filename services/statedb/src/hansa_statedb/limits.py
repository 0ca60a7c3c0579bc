"""Every bound of statedb, with its reason."""

READ_KEYS_CHUNK = 10_000
"""Keys of one multi-get: the interpreter lock is held while its result list is built (about 1 ms)."""

READ_KEYS_MAX = 300_000
"""Keys of one Read: a block of 60 million gas can touch about 28,000; ten times that for calls without gas limits."""

ACCOUNT_CODES_BYTES_MAX = 8 << 20
"""Codes sent along with the accounts of one Read; what is left out the reader asks for by hash."""

CODES_BYTES_MAX = 48 << 20
"""Codes of one Read that were asked for by hash: below the largest message, with room for the other values."""

READ_STREAMS_MAX = 64
"""Read streams at once: two per executor, and consensus' and api's; more is a client that forgets to close."""

READ_THREADS = 4
"""Threads for Read alone: RocksDB's multi-get releases the interpreter lock, and more only wait for the disk."""

BLOCK_THREADS = 2
"""Threads for blocks and places of transactions, apart from Read, so that a syncing member delays no block."""

QUERY_THREADS = 2
"""Threads for log filters and proofs, apart from the others, since one filter may take seconds."""

REQUESTS_WAITING_MAX = 256
"""Requests that wait for the threads of one kind; beyond it refusing is kinder."""

STAGE_THREADS = 2
"""Threads that compute roots: the kernel spreads one root over its own pool, so a second only fills gaps."""

STAGED_BLOCKS_MAX = 64
"""Staged blocks in memory. Beyond it the leaf that was not used longest is dropped (it can be executed again); a chain
of that many is refused. The executor's cache has as many overlays."""

STAGED_BYTES_MAX = 512 << 20
"""Bytes of all staged blocks, as `STAGED_BLOCKS_MAX`: some twenty full blocks of contract code."""

STAGE_RETRIES_MAX = 8
"""How often staging begins anew because blocks were committed below it; each commit can disturb it only once."""

RECENT_BLOCKS_MAX = 16
"""Newest blocks kept in memory, so that streams and sync of members at the head read no disk."""

RECENT_BYTES_MAX = 32 << 20
"""Bytes of the newest blocks kept in memory."""

HOT_ACCOUNTS_MAX = 50_000
"""Committed account records kept in memory (about 300 bytes each): senders of one block mostly send again."""

BLOCKS_MAX = 1_024
"""Blocks of one GetBlocks answer: keeps a request without `bytes_max` short."""

BLOCKS_BYTES_MAX = 16 << 20
"""Bytes of one GetBlocks answer: a quarter of the largest message."""

HASHES_MAX = 10_000
"""Hashes of one FindTransactions or GetBlocks request: a block's worth."""

LOG_RESULTS_MAX = 20_000
"""Logs of one GetLogs answer when the caller sets no limit (spec/reliability 6.1 lets the API ask for less)."""

LOG_BLOCKS_MAX = 10_000
"""Blocks that one filter may read: those in which all its terms stand, though perhaps in different logs. About 5 s."""

LOG_TERMS_MAX = 5_000
"""Addresses plus topics of one filter: each costs one iterator position."""

LOG_TOPICS_MAX = 4
"""The EVM has LOG0 to LOG4."""

PROOF_SLOTS_MAX = 1_024
"""Slots of one proof, as geth limits it."""

NODES_MAX = 100_000
"""Trie nodes of one GetNodes: at 4 microseconds each less than a second of one thread."""

NODES_BYTES_MAX = 32 << 20
"""Bytes of one GetNodes answer: half of the largest message."""

RANGE_KEYS_MAX = 200_000
"""Keys that are looked through for one GetRange, old ones included: about a second of one thread. The state is stored by key
and listed by hash, so that all keys must be seen to know which come first."""

RANGE_ENTRIES_MAX = 10_000
"""Entries of one GetRange answer: 1.6 MB of accounts."""

HEAD_STREAMS_MAX = 256
"""StreamHeads subscribers: api replicas, executors, consensus. Each holds at most one block at a time."""

PRUNE_PARTS = 16
"""Node history is dropped every sixteenth of `proofWindow`: fewer range deletes for at most that much more of disk."""

METRICS_SECONDS = 15
"""How often sizes of column families are read from RocksDB."""

STOP_SECONDS = 5
"""How long running requests may finish when the service stops."""

WAL_BYTES_MAX = 64 << 20
"""Bytes of write-ahead log before old column families are flushed: bounds the time of a restart."""

INFO_LOG_BYTES_MAX = 4 << 20
"""RocksDB's own text log, per file."""

INFO_LOG_FILES_MAX = 3
"""RocksDB's own text logs that are kept."""

BLOB_BYTES_MIN = 4_096
"""Bodies and receipts from this size on go to blob files, which compaction does not rewrite."""
