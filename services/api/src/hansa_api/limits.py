"""Every bound of the api with its reason.

Each field may be overridden with `api.limits.<name>` in the settings; `hansa_getNodeStatus` shows what applies. What
happens at the bound: HTTP 413 for bodies, 431 for headers, 429 for rates, JSON-RPC -32005 naming limit and value else.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


class LimitInvalid(ValueError):
    """A limit in the settings is unknown or contradicts another one; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one api process (spec reliability 6.1). Sizes in bytes, times in milliseconds, others are counts."""

    # --- HTTP: a stranger's request may cost this much memory before it is understood -------------------------------
    body_bytes: int = 5 << 20  # a batch of 1,000 usual transactions is 0.4 MB; counts inflated bytes
    header_bytes: int = 16 << 10  # browsers stay below 8 KiB
    inflate_ratio: int = 100  # JSON compresses 5 to 20 times; more is a bomb
    json_depth: int = 64  # the deepest honest request (nested overrides) has 8
    read_timeout_ms: int = 30_000  # whole request must have arrived (slow senders hold a connection)
    idle_timeout_ms: int = 120_000  # longer than the keep-alive of usual client libraries
    write_timeout_ms: int = 30_000  # a client that does not read holds the answer's memory
    connections: int = 2_000  # about 30 KiB each
    connections_per_address: int = 64  # one address must not take all; loopback may in local profiles
    websockets: int = 512  # each holds a queue of notices
    gzip_from_bytes: int = (
        16 << 10
    )  # smaller answers (br, too) fit into few packets: compressing costs more than it saves

    # --- JSON-RPC batches -------------------------------------------------------------------------------------------
    batch_items: int = 1_000
    batch_response_bytes: int = 25 << 20  # as geth; past it, the remaining items are refused
    batch_time_ms: int = 30_000
    batch_concurrency: int = 16  # reads of one batch in flight: hides latency, keeps others served
    response_bytes: int = 32 << 20

    # --- rates (token bucket per address, when switched on) ----------------------------------------------------------
    rate_per_second: int = 200  # cost units: read 1, send 2, call 10, logs 10 + 1 per 1,000 blocks, proof 5 per key
    rate_burst: int = 1_000
    rate_addresses: int = 10_000  # buckets kept; the least recently used goes, which refills it

    # --- calls: they share the member's processors with its blocks ------------------------------------------------
    call_gas: int = 50_000_000
    call_timeout_ms: int = 5_000
    call_concurrency: int = 16  # calls handed to executors at once; they run fewer, and queue the rest
    call_waiting: int = 256  # past it -32005: waiting longer than the timeout helps nobody
    call_return_bytes: int = 1 << 20
    state_override_bytes: int = 1 << 20

    # --- traces: each may run a whole block again ------------------------------------------------------------------
    trace_timeout_ms: int = 20_000  # the executor's own bound
    trace_concurrency: int = 2  # handed to executors at once; one runs
    trace_waiting: int = 16
    trace_filter_blocks: int = 100  # blocks of one trace_filter that are run again
    trace_filter_results: int = 1_000
    trace_calls: int = 100  # calls of one trace_callMany
    simulate_bytes: int = 4 << 20  # the parameter of eth_simulateV1

    # --- queries ----------------------------------------------------------------------------------------------------
    logs_blocks: int = 100_000
    logs_results: int = 10_000
    logs_addresses: int = 1_000
    logs_topics: int = 1_000  # alternatives per place
    logs_timeout_ms: int = 10_000
    proof_keys: int = 1_024
    storage_values: int = 1_024
    fee_history_blocks: int = 1_024
    fee_history_percentiles: int = 100
    read_timeout_backend_ms: int = 5_000  # a read that statedb has not answered by then fails with -32002
    page_items: int = 100  # REST pages

    # --- filters and subscriptions -----------------------------------------------------------------------------------
    filters_per_address: int = 100
    filters: int = 10_000
    filter_idle_ms: int = 300_000
    filter_items: int = 10_000  # hashes or logs waiting for one filter; past it the filter ends
    subscriptions_per_connection: int = 100
    subscription_queue: int = 1_000  # notices waiting for one connection; past it close code 1013
    websocket_requests: int = 32  # requests of one connection in work at once; the next one waits unread
    websocket_message_bytes: int = 5 << 20

    # --- transactions -----------------------------------------------------------------------------------------------
    transaction_bytes: int = 128 << 10  # geth's bound; checked before anything is decoded
    submit_gather_ms: int = 5  # single sends wait this long for company: one call to consensus for all
    submit_flush_items: int = 64  # this many go at once
    submit_items: int = 2_000  # transactions in one Submit
    submit_concurrency: int = 8  # Submits under way
    submit_waiting: int = 50_000  # transactions waiting for a free Submit: 25 s at 2,000 per second
    submit_timeout_ms: int = 10_000
    sync_wait_ms: int = 2_000  # eth_sendRawTransactionSync and its twins when the client names no time
    sync_wait_max_ms: int = 30_000
    sync_probe_ms: int = 400  # two default block times: by then a ready transaction is committed, so look for a gap
    waiters: int = 10_000

    # --- what is kept in memory ---------------------------------------------------------------------------------------
    head_blocks: int = 64  # newest blocks kept whole: receipts of recent transactions cost no call
    head_bytes: int = 32 << 20
    cached_blocks: int = 256  # older blocks that somebody asked for
    cached_bytes: int = 16 << 20
    cached_code_bytes: int = 8 << 20
    head_wait_ms: int = 200  # how long a read waits for a block that its client may know already

    # --- public gRPC ---------------------------------------------------------------------------------------------------
    grpc_message_bytes: int = 16 << 20
    grpc_streams: int = 128  # per connection
    grpc_unary_max_ms: int = 60_000
    grpc_stream_idle_ms: int = 120_000
    grpc_concurrent: int = 512

    @classmethod
    def from_settings(cls, overrides: Mapping[str, int]) -> "Limits":
        """The defaults with `overrides`. Raises `LimitInvalid`."""
        known = [field.name for field in fields(cls)]
        for name, value in overrides.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise LimitInvalid(
                    f"unknown limit api.limits.{name}" + (f"; did you mean {close[0]!r}?" if close else "")
                )
            if value < 1:
                raise LimitInvalid(f"api.limits.{name} is {value}, expected at least 1")
        limits = cls(**overrides)
        for small, large in _ORDERED:
            if getattr(limits, small) > getattr(limits, large):
                raise LimitInvalid(
                    f"api.limits.{small} is {getattr(limits, small)}, more than api.limits.{large}"
                    f" ({getattr(limits, large)})"
                )
        return limits

    def as_dict(self) -> dict[str, int]:
        """Name and value of each bound."""
        return asdict(self)


# Relations that must hold between limits: the first is at most the second.
_ORDERED = (
    ("batch_items", "submit_items"),  # a batch of sends is one Submit
    ("transaction_bytes", "body_bytes"),
    ("batch_response_bytes", "response_bytes"),
    ("connections_per_address", "connections"),
    ("websockets", "connections"),
    ("sync_wait_ms", "sync_wait_max_ms"),
    ("filters_per_address", "filters"),
    ("rate_per_second", "rate_burst"),
    ("call_timeout_ms", "batch_time_ms"),
    ("trace_timeout_ms", "batch_time_ms"),
)
