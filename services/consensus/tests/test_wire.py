"""Core messages survive the wire, and malformed ones are told apart."""

import contextlib

import pytest
from google.protobuf.message import DecodeError
from hansa.v1 import wire_pb2
from hansa_consensus.core.types import (
    Certificate,
    Message,
    NewView,
    PeerStatus,
    Phase,
    PreparedBlock,
    Proposal,
    ViewChange,
    Vote,
)
from hansa_consensus.wire import Malformed, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

VOTE = Vote(Phase.PREPARE, b"f" * 32, 6, b"t" * 32, 7, 3, 2, b"s" * 48)
CERTIFICATE = Certificate(Phase.COMMIT, b"f" * 32, 6, b"t" * 32, 7, 3, b"\x07", b"s" * 48)
PREPARED = PreparedBlock(CERTIFICATE, b"header", b"h" * 64)
VIEW_CHANGE = ViewChange(VOTE, CERTIFICATE, (PREPARED,))
FIRST = ViewChange(VOTE, None, ())
NEW_VIEW = NewView(9, (VIEW_CHANGE, FIRST))
MESSAGES: list[Message] = [
    VOTE,
    CERTIFICATE,
    VIEW_CHANGE,
    FIRST,
    NEW_VIEW,
    Proposal(3, b"header", b"h" * 32, b"list", VOTE, CERTIFICATE),
    Proposal(0, b"header", b"", b"", VOTE, None),
    PeerStatus(7, b"t" * 32, CERTIFICATE, 3, NEW_VIEW, True, 5, 2),
    PeerStatus(0, b"t" * 32, None, 0, None, False),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_survives_the_wire(message: Message) -> None:
    assert decode(wire_pb2.WireMessage.FromString(encode(message))) == message


def test_messages_of_the_shell_are_not_the_engines() -> None:
    assert decode(wire_pb2.WireMessage(transactions=b"")) is None
    assert decode(wire_pb2.WireMessage()) is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("from_hash", b"short", "bad_hash_length"),
        ("to_hash", b"", "bad_hash_length"),
        ("phase", "nonsense", "bad_phase"),
        ("signature", b"s" * 96, "bad_signature_length"),
        ("next_set_hash", b"n", "bad_hash_length"),
    ],
)
def test_malformed_vote_is_refused_with_a_reason(field: str, value: object, reason: str) -> None:
    wire = wire_pb2.WireMessage.FromString(encode(VOTE))
    setattr(wire.vote, field, value)
    with pytest.raises(Malformed) as caught:
        decode(wire)
    assert caught.value.reason == reason


Changes = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6)


@given(st.sampled_from(MESSAGES), Changes, st.integers(0, 10**6), st.binary(max_size=60))
@settings(max_examples=400, deadline=None)
def test_whatever_a_member_sends_is_a_message_or_malformed(
    message: Message, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    payload = bytearray(encode(message))
    for place, value in changes:
        payload[place % len(payload)] = value
    sent = bytes(payload[: cut % (2 * len(payload))]) + tail
    with contextlib.suppress(DecodeError, Malformed):
        decoded = decode(wire_pb2.WireMessage.FromString(sent))
        assert decoded is None or decode(wire_pb2.WireMessage.FromString(encode(decoded))) == decoded
