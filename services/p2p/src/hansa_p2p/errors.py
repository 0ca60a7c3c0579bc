"""What can be wrong with the p2p service's configuration, and why a peer is turned away."""

from hansa.service import StartRefused


class P2pError(Exception):
    """Root of this package's errors."""


class CertificateInvalid(P2pError, StartRefused):
    """A member's certificate in the chain spec cannot be used."""

    def __init__(self, member: str, problem: str) -> None:
        super().__init__(f"certificate of member {member} in the chain spec: {problem}; write the chain spec anew")
        self.member = member
        self.problem = problem


class OwnKeyMismatch(P2pError, StartRefused):
    """Our TLS key is not the one that the chain spec pins for us: every other member would refuse us."""

    def __init__(self, member: str) -> None:
        super().__init__(
            f"the TLS certificate in the keys folder is not that of member {member} in the chain spec;"
            " check the settings `member` and `keys_dir`, or put the member's own keys there"
        )
        self.member = member


class PeerRefused(P2pError):
    """A peer is turned away; `reason` is a stable snake_case name and a metric label."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"peer refused: {reason}")
        self.reason = reason


class LinkEnded(P2pError):
    """A link is over; `reason` as above."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"link ended: {reason}")
        self.reason = reason
