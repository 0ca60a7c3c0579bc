"""Every bound of the p2p service, with its reason."""

from hansa.rpc import MESSAGE_BYTES_MAX

MEMBER_MESSAGE_BYTES_MAX = 32 << 20
"""Largest frame between members (spec reliability 6.1); larger ones end the stream."""

FRAME_OVERHEAD_BYTES = 1 << 10
"""What a frame may add to its payload."""

PAYLOAD_BYTES_MAX = MEMBER_MESSAGE_BYTES_MAX - FRAME_OVERHEAD_BYTES
"""Largest payload that consensus may hand over; larger ones are dropped and counted."""

QUEUE_MESSAGES_MAX = 1_000
"""Messages that wait for one peer in one class (spec reliability 6.2); past it the oldest of the class goes."""

QUEUE_BYTES_MAX = 8 << 20
"""Bytes that wait for one peer in one class; one larger message waits alone. Past it the oldest of the class goes."""

PEER_BYTES_MAX = 40 << 20
"""Bytes that wait for one peer in all classes; past it the lowest class loses its oldest first."""

HELD_MESSAGES_MAX = 1_000
"""Pushed transactions of one member, in messages, that wait until our consensus attaches; past it the oldest goes."""

HELD_BYTES_MAX = 8 << 20
"""The same in bytes: some 60,000 transfers, a minute and a half of a busy member. Its origin pushes what is dropped
again after ten blocks without it."""

RECEIVE_BYTES_PER_SECOND = 10 << 20
"""What one peer may send in the long run (spec reliability 6.2); past it we read its stream later."""

RECEIVE_BURST_BYTES = 40 << 20
"""What one peer may send at once before the rate holds: more than the largest message."""

HELLO_SECONDS_MAX = 5
"""Time from the opened stream to the peer's hello."""

HANDSHAKE_SECONDS_MAX = 5
"""Time for a TLS handshake (spec reliability 6.2); gRPC closes slower ones."""

HANDSHAKES_COUNTED_MAX = 10_000
"""Unfinished handshakes that are remembered to count refusals; older ones count at once. grpcio has no cap of its own
on pending handshakes: what bounds them is their time and the process's file descriptors."""

CONNECTIONS_PER_MEMBER = 4
"""Streams of one member whose hello is awaited: one that reconnects may have older ones. Past it: refused."""

PING_SECONDS = 2
"""Pause between pings; each also measures the round trip."""

SILENCE_SECONDS_MAX = 10
"""A link that brought nothing for this long is closed; five pings are lost by then."""

CONNECT_SECONDS_MAX = 5
"""Time for name resolution, connection and handshake of one attempt."""

DIAL_PAUSE_MS_MIN = 100
"""First pause after a failed attempt; doubles up to the setting `p2p.reconnect_ms_max`."""

FAULT_WINDOW_SECONDS = 60
"""Faults are counted over this time (spec reliability 6.2)."""

FAULTS_MAX = 3
"""Faults within the window that cost a peer its connection for a while."""

AWAY_SECONDS = 600
"""How long such a peer stays away. Never for good: a banned validator is a lost vote."""

SCORE_WINDOW_SECONDS = 600
"""The published score counts faults of this time."""

FAULTS_KEPT_MAX = 1_000
"""Faults remembered per peer."""

REASON_CHARACTERS_MAX = 64
"""Longest reason of a fault; it goes into logs only."""

ATTACHMENTS_MAX = 8
"""Streams of consensus that may exist at once; a newer one ends the older ones."""

assert RECEIVE_BURST_BYTES >= MEMBER_MESSAGE_BYTES_MAX, "a peer's largest message must fit into its burst"
assert PEER_BYTES_MAX >= MEMBER_MESSAGE_BYTES_MAX, "the largest message must fit into a peer's queues"
assert HELD_MESSAGES_MAX <= QUEUE_MESSAGES_MAX, "what was held must fit into the queues of the new attachment"
assert HELD_BYTES_MAX <= QUEUE_BYTES_MAX, "what was held must fit into the queues of the new attachment"
assert MESSAGE_BYTES_MAX >= MEMBER_MESSAGE_BYTES_MAX + FRAME_OVERHEAD_BYTES, "consensus must be able to hand over any"
assert SILENCE_SECONDS_MAX > 2 * PING_SECONDS, "one lost ping must not end a link"
