"""Messages between members: core types to proto and back. What cannot be understood raises `Malformed`."""

from hansa.v1 import types_pb2, wire_pb2

from .core.types import (
    HASH_BYTES,
    SIGNATURE_BYTES,
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

PREPARED_MAX = 64
"""Prepared blocks of one view change, before the engine's own bound."""


class Malformed(ValueError):
    """A peer's message has a wrong shape; `reason` is a stable snake_case name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _hash(value: bytes) -> bytes:
    if len(value) != HASH_BYTES:
        raise Malformed("bad_hash_length")
    return value


def _phase(value: str) -> Phase:
    try:
        return Phase(value)
    except ValueError as error:
        raise Malformed("bad_phase") from error


def _signature(value: bytes) -> bytes:
    if len(value) != SIGNATURE_BYTES:
        raise Malformed("bad_signature_length")
    return value


def _next_set(value: bytes) -> bytes:
    if len(value) not in (0, HASH_BYTES):
        raise Malformed("bad_hash_length")
    return value


def vote_to_proto(vote: Vote) -> wire_pb2.Vote:
    """Core to wire."""
    return wire_pb2.Vote(
        shard=vote.shard,
        epoch=vote.epoch,
        level=vote.level,
        phase=vote.phase.value,
        from_hash=vote.from_hash,
        from_height=vote.from_height,
        to_hash=vote.to_hash,
        to_height=vote.to_height,
        view=vote.view,
        next_set_hash=vote.next_set_hash,
        signer=vote.signer,
        signature=vote.signature,
    )


def vote_from_proto(vote: wire_pb2.Vote) -> Vote:
    """Wire to core. Raises `Malformed`."""
    return Vote(
        phase=_phase(vote.phase),
        from_hash=_hash(vote.from_hash),
        from_height=vote.from_height,
        to_hash=_hash(vote.to_hash),
        to_height=vote.to_height,
        view=vote.view,
        signer=vote.signer,
        signature=_signature(vote.signature),
        shard=vote.shard,
        epoch=vote.epoch,
        level=vote.level,
        next_set_hash=_next_set(vote.next_set_hash),
    )


def certificate_to_proto(certificate: Certificate | None) -> types_pb2.Certificate | None:
    """Core to wire; None stays None."""
    if certificate is None:
        return None
    return types_pb2.Certificate(
        shard=certificate.shard,
        epoch=certificate.epoch,
        level=certificate.level,
        phase=certificate.phase.value,
        from_hash=certificate.from_hash,
        from_height=certificate.from_height,
        to_hash=certificate.to_hash,
        to_height=certificate.to_height,
        view=certificate.view,
        next_set_hash=certificate.next_set_hash,
        signers=certificate.signers,
        signature=certificate.signature,
    )


def certificate_from_proto(certificate: types_pb2.Certificate) -> Certificate:
    """Wire to core. Raises `Malformed`."""
    return Certificate(
        phase=_phase(certificate.phase),
        from_hash=_hash(certificate.from_hash),
        from_height=certificate.from_height,
        to_hash=_hash(certificate.to_hash),
        to_height=certificate.to_height,
        view=certificate.view,
        signers=certificate.signers,
        signature=_signature(certificate.signature),
        shard=certificate.shard,
        epoch=certificate.epoch,
        level=certificate.level,
        next_set_hash=_next_set(certificate.next_set_hash),
    )


def _prepared_to_proto(prepared: PreparedBlock) -> wire_pb2.PreparedBlock:
    return wire_pb2.PreparedBlock(
        certificate=certificate_to_proto(prepared.certificate),
        header=prepared.header,
        transaction_hashes=prepared.transaction_hashes,
    )


def _prepared_from_proto(prepared: wire_pb2.PreparedBlock) -> PreparedBlock:
    return PreparedBlock(
        certificate=certificate_from_proto(prepared.certificate),
        header=prepared.header,
        transaction_hashes=_hashes(prepared.transaction_hashes),
    )


def _hashes(value: bytes) -> bytes:
    if len(value) % HASH_BYTES:
        raise Malformed("bad_hash_length")
    return value


def view_change_to_proto(view_change: ViewChange) -> wire_pb2.ViewChange:
    """Core to wire."""
    return wire_pb2.ViewChange(
        vote=vote_to_proto(view_change.vote),
        last_commit=certificate_to_proto(view_change.last_commit),
        prepared=[_prepared_to_proto(prepared) for prepared in view_change.prepared],
    )


def view_change_from_proto(view_change: wire_pb2.ViewChange) -> ViewChange:
    """Wire to core. Raises `Malformed`."""
    if len(view_change.prepared) > PREPARED_MAX:
        raise Malformed("too_many_prepared")
    return ViewChange(
        vote=vote_from_proto(view_change.vote),
        last_commit=certificate_from_proto(view_change.last_commit) if view_change.HasField("last_commit") else None,
        prepared=tuple(_prepared_from_proto(prepared) for prepared in view_change.prepared),
    )


def new_view_to_proto(new_view: NewView) -> wire_pb2.NewView:
    """Core to wire."""
    return wire_pb2.NewView(
        view=new_view.view,
        view_changes=[view_change_to_proto(view_change) for view_change in new_view.view_changes],
    )


def new_view_from_proto(new_view: wire_pb2.NewView) -> NewView:
    """Wire to core. Raises `Malformed`."""
    return NewView(
        view=new_view.view,
        view_changes=tuple(view_change_from_proto(view_change) for view_change in new_view.view_changes),
    )


def _proposal_to_proto(proposal: Proposal) -> wire_pb2.Proposal:
    return wire_pb2.Proposal(
        view=proposal.view,
        header=proposal.header,
        transaction_hashes=proposal.transaction_hashes,
        access_list=proposal.access_list,
        prepare=vote_to_proto(proposal.prepare),
        parent_certificate=certificate_to_proto(proposal.parent_certificate),
    )


def _proposal_from_proto(proposal: wire_pb2.Proposal) -> Proposal:
    has_parent = proposal.HasField("parent_certificate")
    return Proposal(
        view=proposal.view,
        header=proposal.header,
        transaction_hashes=_hashes(proposal.transaction_hashes),
        access_list=proposal.access_list,
        prepare=vote_from_proto(proposal.prepare),
        parent_certificate=certificate_from_proto(proposal.parent_certificate) if has_parent else None,
    )


def _status_to_proto(status: PeerStatus) -> wire_pb2.PeerStatus:
    return wire_pb2.PeerStatus(
        head_number=status.head_number,
        head_hash=status.head_hash,
        head_certificate=certificate_to_proto(status.head_certificate),
        view=status.view,
        new_view=new_view_to_proto(status.new_view) if status.new_view is not None else None,
        answer=status.answer,
        your_highest_vote_height=status.your_highest_vote_height,
        your_highest_vote_view=status.your_highest_vote_view,
    )


def _status_from_proto(status: wire_pb2.PeerStatus) -> PeerStatus:
    has_certificate = status.HasField("head_certificate")
    return PeerStatus(
        head_number=status.head_number,
        head_hash=_hash(status.head_hash),
        head_certificate=certificate_from_proto(status.head_certificate) if has_certificate else None,
        view=status.view,
        new_view=new_view_from_proto(status.new_view) if status.HasField("new_view") else None,
        answer=status.answer,
        your_highest_vote_height=status.your_highest_vote_height,
        your_highest_vote_view=status.your_highest_vote_view,
    )


def encode(message: Message) -> bytes:
    """A message of the engine as `WireMessage` bytes."""
    match message:
        case Proposal():
            wire = wire_pb2.WireMessage(proposal=_proposal_to_proto(message))
        case Vote():
            wire = wire_pb2.WireMessage(vote=vote_to_proto(message))
        case ViewChange():
            wire = wire_pb2.WireMessage(view_change=view_change_to_proto(message))
        case NewView():
            wire = wire_pb2.WireMessage(new_view=new_view_to_proto(message))
        case Certificate():
            wire = wire_pb2.WireMessage(certificate=certificate_to_proto(message))
        case PeerStatus():
            wire = wire_pb2.WireMessage(status=_status_to_proto(message))
    return wire.SerializeToString()


def decode(wire: wire_pb2.WireMessage) -> Message | None:
    """The engine's message in `wire`; None when it is one of the shell's. Raises `Malformed`."""
    match wire.WhichOneof("message"):
        case "proposal":
            return _proposal_from_proto(wire.proposal)
        case "vote":
            return vote_from_proto(wire.vote)
        case "view_change":
            return view_change_from_proto(wire.view_change)
        case "new_view":
            return new_view_from_proto(wire.new_view)
        case "certificate":
            return certificate_from_proto(wire.certificate)
        case "status":
            return _status_from_proto(wire.status)
    return None
