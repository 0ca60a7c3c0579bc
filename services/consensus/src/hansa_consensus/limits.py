"""Every bound of the consensus shell with its reason. Bounds of the engines stand in `core/limits.py`."""

from typing import Final

from hansa.rpc import MESSAGE_BYTES_MAX

SUBMIT_TRANSACTIONS_MAX: Final = 10_000
"""Transactions of one Submit; the kernel decodes no more at once. Past it: INVALID_ARGUMENT."""

SUBMIT_WAITING_MAX: Final = 256
"""Batches of clients that wait for admission. Past it: RESOURCE_EXHAUSTED, the client tries again."""

SUBMIT_WAITING_BYTES_MAX: Final = 64 << 20
"""Bytes of those batches. Past it: as above."""

ADMISSION_BYTES_MAX: Final = 1 << 20
"""Batches gathered into one round of admission stop at this many bytes (about 8,000 transfers, 0.1 to 0.2 s)."""

JOURNAL_RECORD_TRANSACTIONS_MAX: Final = 5_000
"""Transactions per record of the journal: a replay decodes at least one record at once, and at most 10,000."""

REPLAY_BYTES: Final = 256 << 10
"""Records of the journal replayed together: below the 10,000 transactions that the kernel decodes at once (a
transaction takes 100 bytes or more)."""

JOURNAL_SLICE: Final = 400
"""Transactions per record when the journal is written anew: of the largest, 128 KiB each, they fit into a record."""

GOSSIP_WAITING_MAX: Final = 1_000
"""Batches of other members that wait for admission, per member. Past it the oldest goes: bodies can be asked for."""

GOSSIP_WAITING_BYTES_MAX: Final = 16 << 20
"""Bytes of those batches, per member. Past it as above."""

TRANSACTION_BYTES_MIN: Final = 80
"""No signed transaction is smaller in a packed list; tells how many a number of bytes can hold."""

GOSSIP_BYTES_MAX: Final = 512 << 10
"""Bodies pushed in one message: larger ones would hold up votes on the same connection."""

GOSSIP_ADMISSION_BYTES_MAX: Final = 768 << 10
"""Messages of one member admitted together; the kernel decodes no more than 10,000 transactions at once."""

RESEND_AFTER_BLOCKS: Final = 10
"""A transaction that we accepted and that is not committed by then is pushed again (design, section 3)."""

RESEND_TRANSACTIONS_MAX: Final = 2_000
"""Transactions pushed again at once, oldest first."""

BLOCK_TRANSACTIONS_MAX: Final = 10_000
"""Transactions of one block: more than 60 million gas hold, and what the kernel decodes at once."""

BLOCK_BYTES_MAX: Final = 8 << 20
"""Bytes of transactions in one block: a block must fit into a sync answer and, with its write set, into a message."""

SENDER_GAS_PERCENT: Final = 50
"""Share of a block's gas limit that one sender gets where gas costs nothing (spec reliability 6.3)."""

TRANSACTION_GAS_MAX: Final = 1 << 24
"""Gas of one transaction (EIP-7825); a sender's share of a block is never below it."""

BODIES_QUERY_HASHES_MAX: Final = BLOCK_TRANSACTIONS_MAX
"""Bodies asked for at once: those of one block."""

BODIES_SECONDS_MAX: Final = 3
"""How long one member may take to answer a query for bodies."""

BODIES_SETTLE_SECONDS: Final = 0.15
"""Proposals overtake bodies that were pushed before them: this long is waited for our own admission before we ask."""

QUERIES_SERVED_MAX: Final = 4
"""Queries of one member that are answered at once; more are dropped, the member asks somebody else."""

SYNC_ANSWER_BYTES_MAX: Final = 12 << 20
"""Blocks sent in one answer, at least one: above a full block, below p2p's message bound."""

SYNC_BLOCKS_SERVED_MAX: Final = 64
"""Blocks sent in one answer."""

EVENTS_WAITING_MAX: Final = 20_000
"""Events that wait for the engine. Messages of members past it are dropped (the protocol repeats them)."""

EVENTS_PER_STEP_MAX: Final = 64
"""Events fed to the engine before their effects are performed under one sync of the vote log."""

CANDIDATES_MAX: Final = 32
"""Executed blocks whose bodies are held until one is committed. Past it the oldest goes; it can be executed again."""

RECENT_BLOCKS_MAX: Final = 8
"""Committed blocks whose bodies are still handed out to members that are about to vote on them."""

OUTBOX_MESSAGES_MAX: Final = 4_000
"""Messages on their way to our own p2p, per class. Past it the oldest of the class goes."""

OUTBOX_BYTES_MAX: Final = 64 << 20
"""Bytes of those, per class. Past it as above."""

EXECUTE_SECONDS_MAX: Final = 10.0
"""How long one executor may take for a block; a full block takes about one second on the reference machine."""

CALL_SECONDS_MAX: Final = 10.0
"""How long statedb may take for one call."""

READ_SECONDS_MAX: Final = 5.0
"""How long statedb may take to read accounts for admission; then the batch is answered with UNAVAILABLE."""

RETRY_SECONDS_MIN: Final = 0.05
"""First pause before another service of this member is tried again; it doubles."""

RETRY_SECONDS_MAX: Final = 1.0
"""Longest such pause: a service that is back is found within a second."""

STREAM_POOL_BATCHES_MAX: Final = 1_000
"""Batches that wait for a slow reader of StreamPool; the oldest goes, and the reader is told."""

STREAM_POOL_READERS_MAX: Final = 64
"""Readers of StreamPool. Past it: RESOURCE_EXHAUSTED."""

POOL_CONTENT_MAX: Final = 10_000
"""Transactions in one view of the pool's content."""

ADDRESSES_MAX: Final = 10_000
"""Addresses of one GetPendingNonces, and hashes of one GetPool."""

JOURNAL_ROTATE_BYTES: Final = 8 << 20
"""A pool journal that has grown past this, and to twice what it began with, is written anew with what still waits."""

JOURNAL_RECORD_BYTES_MAX: Final = MESSAGE_BYTES_MAX
"""Largest record of the pool journal; a longer length in a file is damage."""

LATENCY_SAMPLES_MAX: Final = 256
"""Transactions that are followed from submission to certificate, one per batch, for the latency histogram."""

POOL_EXPIRY_SECONDS: Final = 60
"""How often transactions past their life are looked for."""

assert JOURNAL_RECORD_TRANSACTIONS_MAX + REPLAY_BYTES // TRANSACTION_BYTES_MIN < SUBMIT_TRANSACTIONS_MAX, (
    "what is replayed together"
)
assert JOURNAL_SLICE * (128 * 1024 + 4) <= JOURNAL_RECORD_BYTES_MAX
assert SYNC_ANSWER_BYTES_MAX >= BLOCK_BYTES_MAX + (1 << 20), "a full block must fit into an answer"
assert GOSSIP_WAITING_BYTES_MAX >= GOSSIP_ADMISSION_BYTES_MAX >= GOSSIP_BYTES_MAX
assert GOSSIP_ADMISSION_BYTES_MAX // TRANSACTION_BYTES_MIN < SUBMIT_TRANSACTIONS_MAX, "what is decoded together"
