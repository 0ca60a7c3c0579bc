"""Counts connections that never became a member's stream: strangers, wrong keys, random bytes.

grpcio tells nobody about a failed handshake. But it asks for the server's certificate at the beginning of each
connection, and that is where they are counted; one that brings no stream in time was refused.
"""

import time
from collections import deque

import grpc

from hansa_p2p import metrics
from hansa_p2p.limits import HANDSHAKE_SECONDS_MAX, HANDSHAKES_COUNTED_MAX

GRACE_SECONDS = 1
"""A stream follows its handshake after a round trip, not at once."""


class Handshakes:
    """Begun ones by time; `begun` is called on gRPC's threads, the rest on the event loop's."""

    def __init__(self) -> None:
        self._begun: deque[float] = deque()

    def begun(self) -> None:
        """A connection asks for our certificate."""
        metrics.HANDSHAKES.inc()
        self._begun.append(time.monotonic())

    def ended(self) -> None:
        """One of them opened a stream; which one does not matter to the count."""
        if self._begun:
            self._begun.popleft()

    def sweep(self) -> None:
        """Count those that are overdue as refused."""
        overdue = time.monotonic() - HANDSHAKE_SECONDS_MAX - GRACE_SECONDS
        while self._begun and (self._begun[0] < overdue or len(self._begun) > HANDSHAKES_COUNTED_MAX):
            self._begun.popleft()
            metrics.REFUSED.labels(reason="handshake").inc()

    def credentials(self, key_pem: bytes, certificate_pem: bytes, trusted_pem: bytes) -> grpc.ServerCredentials:
        """Mutual TLS: only certificates that chain to `trusted_pem` (several PEM certificates) pass the handshake."""
        configuration = grpc.ssl_server_certificate_configuration([(key_pem, certificate_pem)], trusted_pem)

        def unchanged() -> grpc.ServerCertificateConfiguration:
            self.begun()
            return configuration

        return grpc.dynamic_ssl_server_credentials(configuration, unchanged, require_client_authentication=True)
