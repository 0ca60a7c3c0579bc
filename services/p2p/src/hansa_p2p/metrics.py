"""Every metric of the p2p service. `kind` is the message class, `peer` a member's name."""

from prometheus_client import Counter, Gauge

PEERS = Gauge("hansa_p2p_peers", "Members that a link stands with.")
BYTES = Counter("hansa_p2p_bytes", "Payload bytes of frames between members.", ["direction", "kind"])
MESSAGES = Counter("hansa_p2p_messages", "Messages between members.", ["direction", "kind"])
RTT = Gauge("hansa_p2p_rtt_seconds", "Last measured round trip to a member.", ["peer"])
DROPPED = Counter(
    "hansa_p2p_dropped",
    "Messages dropped: queue_full, peer_away, not_attached, too_large, unknown_class, unknown_member.",
    ["reason"],
)
HANDSHAKES = Counter("hansa_p2p_handshakes", "TLS handshakes begun on the members' port.")
REFUSED = Counter(
    "hansa_p2p_refused",
    "Connections turned away: handshake (no member's certificate, or not TLS), tls_version, wrong_key, wrong_genesis, ...",
    ["reason"],
)
FAULTS = Counter("hansa_p2p_faults", "Faults of members reported by consensus or found here.", ["peer"])
DISCONNECTS = Counter("hansa_p2p_disconnects", "Links that ended.", ["reason"])
CERTIFICATE_EXPIRY = Gauge("hansa_p2p_certificate_expiry_seconds", "Time until our own TLS certificate expires.")
ETHEREUM_PEER_COUNT = Gauge("ethereum_peer_count", "Alias of hansa_p2p_peers, for published dashboards.")
