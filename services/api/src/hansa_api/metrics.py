"""Every metric of the api."""

from prometheus_client import Counter, Gauge, Histogram

RPC_REQUESTS = Counter("hansa_rpc_requests", "JSON-RPC requests answered; code 0 is success.", ["method", "code"])
RPC_SECONDS = Histogram(
    "hansa_rpc_request_seconds",
    "Time from a parsed JSON-RPC request to its answer, seconds.",
    ["method"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
REST_REQUESTS = Counter("hansa_api_rest_requests", "REST requests answered.", ["status"])
CONNECTIONS = Gauge("hansa_api_connections", "Open HTTP and WebSocket connections.")
CONNECTIONS_REFUSED = Counter("hansa_api_connections_refused", "Connections refused.", ["reason"])
WS_CONNECTIONS = Gauge("hansa_ws_connections", "Open WebSocket connections.")
SUBSCRIPTIONS = Gauge("hansa_api_subscriptions", "Live subscriptions.", ["kind"])
FILTERS = Gauge("hansa_api_filters", "Installed filters.")
WAITERS = Gauge("hansa_api_waiters", "Requests that wait for a committed transaction.")
EVENTS_DROPPED = Counter("hansa_events_dropped", "Notices lost because a reader was slow.", ["kind"])
SUBMIT_TRANSACTIONS = Counter("hansa_api_submit_transactions", "Transactions handed to consensus.", ["result"])
SUBMIT_BATCH = Histogram(
    "hansa_api_submit_batch_transactions",
    "Transactions per Submit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
SUBMIT_SECONDS = Histogram(
    "hansa_api_submit_seconds",
    "Time of one Submit to consensus, seconds.",
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
RATE_LIMITED = Counter("hansa_api_rate_limited", "Requests refused by the rate limit.")
HEAD_BLOCK = Gauge("hansa_api_head_block", "Height of the newest committed block that clients of this api see.")
REDIS_UP = Gauge("hansa_api_redis_up", "1 while Redis answers, 0 while the api makes do with its memory.")
