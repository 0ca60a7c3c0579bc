"""Metrics of statedb, each declared once."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

COMMIT_SECONDS = Histogram("hansa_statedb_commit_seconds", "Time of one synced commit of a block.", buckets=_FAST)
STAGE_SECONDS = Histogram("hansa_statedb_stage_seconds", "Time to stage a block, root included.", buckets=_FAST)
ROOT_SECONDS = Histogram("hansa_statedb_root_seconds", "Time to compute a state root.", buckets=_FAST)
READ_BATCH_SECONDS = Histogram("hansa_statedb_read_batch_seconds", "Time of one batch of reads.", buckets=_FAST)
READ_KEYS = Counter("hansa_statedb_read_keys_total", "Keys asked for by Read.")
SIZE_BYTES = Gauge("hansa_statedb_size_bytes", "Bytes on disk of a column family.", ["cf"])
MEMORY_BYTES = Gauge("hansa_statedb_memory_bytes", "RocksDB's memory: memtables, block_cache.", ["part"])
COMPACTION_PENDING_BYTES = Gauge("hansa_statedb_compaction_pending_bytes", "Bytes that compaction has yet to rewrite.")
STAGED_BLOCKS = Gauge("hansa_statedb_staged_blocks", "Blocks staged in memory.")
STAGED_DROPPED = Counter("hansa_statedb_staged_dropped_total", "Staged blocks dropped: sibling, or full.", ["reason"])
HEAD_STREAMS = Gauge("hansa_statedb_head_streams", "Subscribers of StreamHeads.")
LOG_BLOCKS_READ = Counter("hansa_statedb_log_blocks_read_total", "Blocks whose receipts a log filter had to read.")
REFUSED = Counter("hansa_statedb_requests_refused_total", "Requests refused, by reason.", ["reason"])
HEAD_BLOCK = Gauge("hansa_chain_head_block", "Height of the committed head.")
HEAD_TIMESTAMP = Gauge("hansa_chain_head_timestamp_seconds", "Timestamp of the committed head, Unix seconds.")
BLOCKS = Counter("hansa_chain_blocks_total", "Blocks committed since the start.")
GAS_USED = Counter("hansa_chain_gas_used_total", "Gas of blocks committed since the start.")
