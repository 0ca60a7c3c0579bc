"""Core types as bytes: RLP lists in the order of the dataclasses' fields, for the vote log and for hashes that are
signed.

This is no wire format (that is `hansa/v1/wire.proto`); only `prepared_hash` is seen by others. Decoding checks
types and lengths and raises `Malformed`, never anything else.
"""

from collections.abc import Callable
from typing import TypeVar

from .types import (
    HASH_BYTES,
    SIGNATURE_BYTES,
    UINT64_MAX,
    Certificate,
    InstalledView,
    NewView,
    Phase,
    PreparedBlock,
    ViewChange,
    Vote,
)

Item = bytes | list["Item"]
T = TypeVar("T")


class Malformed(ValueError):
    """The bytes are not what they should be."""


_SHORT_BYTES = [bytes([0x80 + length]) for length in range(56)]


def rlp_encode(item: Item) -> bytes:
    """Ethereum's RLP (yellow paper, appendix B)."""
    if isinstance(item, bytes):
        length = len(item)
        if length == 1 and item[0] < 0x80:
            return item
        return (_SHORT_BYTES[length] if length < 56 else _prefix(0x80, length)) + item
    body = b"".join([rlp_encode(part) for part in item])
    return _prefix(0xC0, len(body)) + body


def _prefix(base: int, length: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(digits)]) + digits


def rlp_decode(data: bytes) -> Item:
    """The one item that `data` is; strict (no spare bytes, shortest forms only up to the length prefix)."""
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise Malformed("bytes after the item")
    return item


def _decode(data: bytes, at: int, end: int, depth: int) -> tuple[Item, int]:
    if at >= end:
        raise Malformed("item is cut short")
    if depth > 12:  # our deepest type, a logged new-view, has eight levels
        raise Malformed("nested too deeply")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    base = 0x80 if first < 0xC0 else 0xC0
    length, start = first - base, at + 1
    if length > 55:
        digits = length - 55
        if start + digits > end:
            raise Malformed("length is cut short")
        length = int.from_bytes(data[start : start + digits], "big")
        start += digits
    stop = start + length
    if stop > end:
        raise Malformed("item is cut short")
    if base == 0x80:
        return data[start:stop], stop
    items: list[Item] = []
    while start < stop:
        item, start = _decode(data, start, stop, depth + 1)
        items.append(item)
    return items, stop


def uint(value: int) -> bytes:
    """RLP's integers: big-endian, no leading zeros."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def to_uint(item: Item) -> int:
    if not isinstance(item, bytes) or len(item) > 8:
        raise Malformed("no u64")
    return int.from_bytes(item, "big")


def _bytes(item: Item, lengths: tuple[int, ...] | None = None) -> bytes:
    if not isinstance(item, bytes):
        raise Malformed("a list stands where bytes belong")
    if lengths is not None and len(item) not in lengths:
        raise Malformed(f"{len(item)} bytes, expected {lengths}")
    return item


def _list(item: Item, length: int | None = None) -> list[Item]:
    if not isinstance(item, list):
        raise Malformed("bytes stand where a list belongs")
    if length is not None and len(item) != length:
        raise Malformed(f"{len(item)} items, expected {length}")
    return item


def _optional(value: T | None, encode: Callable[[T], Item]) -> Item:
    return [] if value is None else [encode(value)]


def _to_optional(item: Item, decode: Callable[[Item], T]) -> T | None:
    parts = _list(item)
    if len(parts) > 1:
        raise Malformed("more than one item in an optional place")
    return decode(parts[0]) if parts else None


def vote_item(vote: Vote) -> Item:
    return [
        str(vote.phase).encode(),
        vote.from_hash,
        uint(vote.from_height),
        vote.to_hash,
        uint(vote.to_height),
        uint(vote.view),
        uint(vote.signer),
        vote.signature,
        uint(vote.shard),
        uint(vote.epoch),
        uint(vote.level),
        vote.next_set_hash,
    ]


def to_vote(item: Item) -> Vote:
    part = _list(item, 12)
    return Vote(
        phase=_to_phase(part[0]),
        from_hash=_bytes(part[1], (HASH_BYTES,)),
        from_height=to_uint(part[2]),
        to_hash=_bytes(part[3], (HASH_BYTES,)),
        to_height=to_uint(part[4]),
        view=to_uint(part[5]),
        signer=to_uint(part[6]),
        signature=_bytes(part[7], (0, SIGNATURE_BYTES)),
        shard=to_uint(part[8]),
        epoch=to_uint(part[9]),
        level=to_uint(part[10]),
        next_set_hash=_bytes(part[11], (0, HASH_BYTES)),
    )


def _to_phase(item: Item) -> Phase:
    try:
        return Phase(_bytes(item).decode())
    except ValueError as error:
        raise Malformed("unknown phase") from error


def certificate_item(certificate: Certificate) -> Item:
    return [
        str(certificate.phase).encode(),
        certificate.from_hash,
        uint(certificate.from_height),
        certificate.to_hash,
        uint(certificate.to_height),
        uint(certificate.view),
        certificate.signers,
        certificate.signature,
        uint(certificate.shard),
        uint(certificate.epoch),
        uint(certificate.level),
        certificate.next_set_hash,
    ]


def to_certificate(item: Item) -> Certificate:
    part = _list(item, 12)
    return Certificate(
        phase=_to_phase(part[0]),
        from_hash=_bytes(part[1], (HASH_BYTES,)),
        from_height=to_uint(part[2]),
        to_hash=_bytes(part[3], (HASH_BYTES,)),
        to_height=to_uint(part[4]),
        view=to_uint(part[5]),
        signers=_bytes(part[6]),
        signature=_bytes(part[7], (SIGNATURE_BYTES,)),
        shard=to_uint(part[8]),
        epoch=to_uint(part[9]),
        level=to_uint(part[10]),
        next_set_hash=_bytes(part[11], (0, HASH_BYTES)),
    )


def prepared_item(prepared: PreparedBlock) -> Item:
    return [certificate_item(prepared.certificate), prepared.header, prepared.transaction_hashes]


def to_prepared(item: Item) -> PreparedBlock:
    part = _list(item, 3)
    return PreparedBlock(to_certificate(part[0]), _bytes(part[1]), _bytes(part[2]))


def view_change_item(view_change: ViewChange) -> Item:
    return [
        vote_item(view_change.vote),
        _optional(view_change.last_commit, certificate_item),
        [prepared_item(prepared) for prepared in view_change.prepared],
    ]


def to_view_change(item: Item) -> ViewChange:
    part = _list(item, 3)
    return ViewChange(
        vote=to_vote(part[0]),
        last_commit=_to_optional(part[1], to_certificate),
        prepared=tuple(to_prepared(prepared) for prepared in _list(part[2])),
    )


def new_view_item(new_view: NewView) -> Item:
    return [uint(new_view.view), [view_change_item(view_change) for view_change in new_view.view_changes]]


def to_new_view(item: Item) -> NewView:
    part = _list(item, 2)
    return NewView(to_uint(part[0]), tuple(to_view_change(view_change) for view_change in _list(part[1])))


def installed_item(installed: InstalledView) -> Item:
    return [
        uint(installed.view),
        _optional(installed.new_view, new_view_item),
        _optional(installed.certificate, certificate_item),
    ]


def to_installed(item: Item) -> InstalledView:
    part = _list(item, 3)
    return InstalledView(to_uint(part[0]), _to_optional(part[1], to_new_view), _to_optional(part[2], to_certificate))


def prepared_certificates_bytes(prepared: tuple[PreparedBlock, ...]) -> bytes:
    """RLP of the prepared certificates that a view change carries; its Keccak is the vote's `to_hash`.

    Headers and hashes are left out: the certificate names the header by its hash, and that the header's
    transactions root.
    """
    return rlp_encode([certificate_item(block.certificate) for block in prepared])


def certificate_is_well_formed(certificate: Certificate) -> bool:
    """Lengths and ranges of a certificate that came from a peer."""
    return (
        len(certificate.from_hash) == HASH_BYTES
        and len(certificate.to_hash) == HASH_BYTES
        and len(certificate.signature) == SIGNATURE_BYTES
        and len(certificate.next_set_hash) in (0, HASH_BYTES)
        and 0 <= certificate.from_height < certificate.to_height <= UINT64_MAX
        and 0 <= certificate.view <= UINT64_MAX
    )


def vote_is_well_formed(vote: Vote) -> bool:
    """Lengths and ranges of a vote that came from a peer."""
    return (
        len(vote.from_hash) == HASH_BYTES
        and len(vote.to_hash) == HASH_BYTES
        and len(vote.signature) == SIGNATURE_BYTES
        and len(vote.next_set_hash) in (0, HASH_BYTES)
        and 0 <= vote.from_height < vote.to_height <= UINT64_MAX
        and 0 <= vote.view <= UINT64_MAX
    )
