"""Every metric of the consensus service: engine, pool and chain."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)

# The chain, as this member has committed it; head, blocks and gas are statedb's to publish.
FINALIZED = Gauge("hansa_chain_finalized_block", "Height of the newest final block (instant finality: the head).")
TRANSACTIONS = Counter("hansa_chain_transactions", "Transactions committed since start.", ["shard", "status"])
BLOCK_INTERVAL = Histogram("hansa_block_interval_seconds", "Time between commits.", ["shard"], buckets=_SECONDS)
BLOCK_TRANSACTIONS = Histogram(
    "hansa_block_transactions",
    "Transactions per block.",
    ["shard"],
    buckets=(0, 1, 10, 50, 100, 500, 1_000, 2_000, 5_000),
)
COMMIT_LATENCY = Histogram(
    "hansa_commit_latency_seconds",
    "From submission at this member to the durable certificate; one sample per batch.",
    ["shard"],
    buckets=_SECONDS,
)
ETHEREUM_HEIGHT = Gauge("ethereum_blockchain_height", "Alias of hansa_chain_head_block, for published dashboards.")
ETHEREUM_BEST = Gauge("ethereum_best_known_block_number", "Highest certified block heard of.")

# The engine.
VIEW = Gauge("hansa_consensus_view", "View that this member is in.")
HEIGHT = Gauge("hansa_consensus_height", "Height being agreed on.")
VALIDATORS = Gauge("hansa_consensus_validators", "Members of the validator set.")
ONLINE = Gauge("hansa_consensus_validators_online", "Members that can be reached, this one counted.")
QUORUM_MARGIN = Gauge(
    "hansa_consensus_quorum_margin", "Members online beyond the quorum; below 0 nothing is committed."
)
SYNCING = Gauge("hansa_consensus_syncing", "1 while blocks are fetched from other members.")
VOTING = Gauge("hansa_consensus_voting", "1 while this member votes.")
VIEW_CHANGES = Counter("hansa_consensus_view_changes", "View changes that this member voted for.", ["reason"])
PHASE = Histogram(
    "hansa_consensus_phase_seconds", "Time of steps: build, execute, commit.", ["phase"], buckets=_SECONDS
)
VOTES = Counter("hansa_consensus_votes", "Votes sent and received.", ["kind", "result"])
EQUIVOCATIONS = Counter("hansa_consensus_equivocations", "Pairs of contradicting signed votes seen.")
MISSED = Counter("hansa_consensus_missed_proposals", "Views given up while this member led.", ["validator"])
FAULTS = Counter("hansa_consensus_peer_faults", "Faults of members reported to p2p.", ["reason"])
HALTED = Gauge("hansa_consensus_halted", "1 when voting stopped for good: see the log, act now.")
DROPPED = Counter("hansa_consensus_dropped", "Messages dropped because a queue was full.", ["queue"])
BODIES_ASKED = Counter("hansa_consensus_bodies_asked", "Bodies that a proposal needed and the pool lacked.")
STAGE = Counter("hansa_consensus_stage_seconds", "Time of stages of the work, wall clock.", ["stage"])

# The pool.
POOL = Gauge("hansa_pool_transactions", "Transactions in the pool: executable, gapped.", ["state"])
POOL_LOCAL = Gauge("hansa_pool_local_transactions", "Those of the pool that this member promised to a client.")
POOL_BYTES = Gauge("hansa_pool_bytes", "Bytes of transactions in the pool.")
POOL_ADMITTED = Counter("hansa_pool_admitted", "Transactions admitted.", ["source"])
POOL_REJECTED = Counter("hansa_pool_rejected", "Transactions refused.", ["reason"])
JOURNAL_BYTES = Gauge("hansa_pool_journal_bytes", "Size of the pool journal.")
JOURNAL_SYNC = Histogram("hansa_pool_journal_sync_seconds", "Time of one sync of the pool journal.", buckets=_SECONDS)
