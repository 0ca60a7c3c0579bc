"""The first frame of each side: both must mean the same chain."""

from dataclasses import dataclass

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a hello says."""

    genesis_hash: bytes
    transitions_digest: bytes
    member: int  # index in the chain spec
    client_version: str
    protocol_version: int = PROTOCOL_VERSION


def hello_refusal(own: Greeting, theirs: Greeting, member: int) -> str | None:
    """Why the peer is refused, as a stable snake_case reason, or None. `member`: whom its key belongs to."""
    if theirs.protocol_version != own.protocol_version:
        return "wrong_protocol_version"
    if theirs.genesis_hash != own.genesis_hash:
        return "wrong_genesis"
    if theirs.transitions_digest != own.transitions_digest:
        return "wrong_transitions"
    if theirs.member != member:
        return "wrong_member"
    return None
