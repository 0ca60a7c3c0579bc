"""Records of the vote log as values; their bytes are made and read by `encode` and `decode` (reliability, section
5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import google_crc32c

from .codec import (
    Item,
    Malformed,
    installed_item,
    prepared_item,
    rlp_decode,
    rlp_encode,
    to_installed,
    to_prepared,
    to_uint,
    to_view_change,
    to_vote,
    uint,
    view_change_item,
    vote_item,
)
from .types import HASH_BYTES, InstalledView, PreparedBlock, ViewChange, Vote


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """A prepare or commit vote of ours, with its signature: it can be sent again byte for byte."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """A locked block: prepared certificate (`poa`: commit certificate), header, hashes and bodies."""

    prepared: PreparedBlock
    bodies: bytes  # packed list of raw transactions, in order


@dataclass(frozen=True, slots=True)
class ViewChangeRecord:
    """A view change of ours, whole."""

    view_change: ViewChange


@dataclass(frozen=True, slots=True)
class InstalledViewRecord:
    """A view entered, with its proof."""

    installed: InstalledView


@dataclass(frozen=True, slots=True)
class ReleasedRecord:
    """Observe mode ended at this height."""

    height: int


@dataclass(frozen=True, slots=True)
class PrunedRecord:
    """Blocks up to this height are committed: prepared blocks up to it are of no use any more."""

    height: int


Record = VoteRecord | PreparedRecord | ViewChangeRecord | InstalledViewRecord | ReleasedRecord | PrunedRecord

# One frame is what one sync makes durable: all of its records or, torn, none of them. Were records framed one by one, a
# power cut could keep a later one of a group and lose an earlier one, which would look like damage in the middle.
#
#   u32 length of what follows the checksum | u32 CRC32C of length and of what follows
#   | u64 sequence | 8 bytes key id | RLP list of records, each [kind, ...]

FRAME_HEAD_BYTES: Final = 8
FRAME_FIXED_BYTES: Final = 16  # sequence and key id
KEY_ID_BYTES: Final = 8
MAGIC: Final = b"HANSAVL1"
FILE_HEAD_BYTES: Final = len(MAGIC) + HASH_BYTES + KEY_ID_BYTES + 4


class VoteLogDamaged(Exception):
    """The log is damaged elsewhere than in a torn tail: starting would mean to vote without knowing own votes.

    `offset` is where reading stopped making sense. Remedy: restore the file, or remove it; the member then observes
    first, as with a lost log (rule K4).
    """

    def __init__(self, offset: int, reason: str, path: str = "") -> None:
        super().__init__(
            f"vote log {path} is damaged at offset {offset}: {reason}. Votes by this key may be missing from it. "
            "Move the file away to start as a member whose log is lost: it watches some blocks before it votes again."
        )
        self.offset = offset
        self.reason = reason
        self.path = path


class VoteLogForeign(Exception):
    """The file belongs to another chain or another vote key."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A checked frame."""

    sequence: int
    records: tuple[Record, ...]


def _record_item(record: Record) -> Item:
    match record:
        case VoteRecord(vote):
            return [b"\x01", vote_item(vote)]
        case PreparedRecord(prepared, bodies):
            return [b"\x02", prepared_item(prepared), bodies]
        case ViewChangeRecord(view_change):
            return [b"\x03", view_change_item(view_change)]
        case InstalledViewRecord(installed):
            return [b"\x04", installed_item(installed)]
        case ReleasedRecord(height):
            return [b"\x05", uint(height)]
        case PrunedRecord(height):
            return [b"\x06", uint(height)]


def _to_record(item: Item) -> Record:
    match item:
        case [b"\x01", vote]:
            return VoteRecord(to_vote(vote))
        case [b"\x02", prepared, bytes(bodies)]:
            return PreparedRecord(to_prepared(prepared), bodies)
        case [b"\x03", view_change]:
            return ViewChangeRecord(to_view_change(view_change))
        case [b"\x04", installed]:
            return InstalledViewRecord(to_installed(installed))
        case [b"\x05", height]:
            return ReleasedRecord(to_uint(height))
        case [b"\x06", height]:
            return PrunedRecord(to_uint(height))
    raise Malformed("unknown kind of record")


def _crc32c(data: bytes) -> bytes:
    checksum: int = google_crc32c.value(data)
    return checksum.to_bytes(4, "big")


def encode_file_head(genesis_hash: bytes, key_id: bytes) -> bytes:
    """First bytes of a log: magic, chain, key, checksum."""
    assert len(genesis_hash) == HASH_BYTES
    assert len(key_id) == KEY_ID_BYTES
    head = MAGIC + genesis_hash + key_id
    return head + _crc32c(head)


def encode_frame(sequence: int, key_id: bytes, records: Sequence[Record]) -> bytes:
    """Bytes of one group of records."""
    body = sequence.to_bytes(8, "big") + key_id + rlp_encode([_record_item(record) for record in records])
    length = len(body).to_bytes(4, "big")
    return length + _crc32c(length + body) + body


def decode_log(data: bytes, genesis_hash: bytes, key_id: bytes) -> tuple[list[Frame], int]:
    """All frames, and the offset behind the last whole one; what follows it is a torn tail to be cut off.

    Raises `VoteLogDamaged` when a whole frame stands behind a broken one, when the file's head is broken, or when
    sequence numbers leave a gap; `VoteLogForeign` for another chain or key.
    """
    if len(data) < FILE_HEAD_BYTES:
        # The head was synced before the file got its name, so a short one is damage.
        raise VoteLogDamaged(0, "the file is shorter than its head")
    head = encode_file_head(genesis_hash, key_id)
    if data[:FILE_HEAD_BYTES] != head:
        checksum = data[FILE_HEAD_BYTES - 4 : FILE_HEAD_BYTES]
        if data[: len(MAGIC)] != MAGIC or _crc32c(data[: FILE_HEAD_BYTES - 4]) != checksum:
            raise VoteLogDamaged(0, "the file's head is broken")
        raise VoteLogForeign("the vote log belongs to another chain or another vote key")
    frames: list[Frame] = []
    at = FILE_HEAD_BYTES
    while at < len(data):
        frame, end = _frame_at(data, at, key_id)
        if frame is None:
            if not frames:
                raise VoteLogDamaged(at, "the first frame is broken, which was durable before the file got its name")
            _refuse_if_more_follows(data, at, key_id)
            break
        if frames and frame.sequence != frames[-1].sequence + 1:
            raise VoteLogDamaged(at, f"sequence {frame.sequence} follows {frames[-1].sequence}")
        frames.append(frame)
        at = end
    if not frames:
        raise VoteLogDamaged(at, "the first frame is missing, which was durable before the file got its name")
    return frames, at


def _frame_at(data: bytes, at: int, key_id: bytes) -> tuple[Frame | None, int]:
    start = at + FRAME_HEAD_BYTES
    length = int.from_bytes(data[at : at + 4], "big")
    end = start + length
    if length < FRAME_FIXED_BYTES or end > len(data):
        return None, at
    if _crc32c(data[at : at + 4] + data[start:end]) != data[at + 4 : start]:
        return None, at
    if data[start + 8 : start + FRAME_FIXED_BYTES] != key_id:
        raise VoteLogForeign(f"the frame at offset {at} was written with another vote key")
    try:
        items = rlp_decode(data[start + FRAME_FIXED_BYTES : end])
        if not isinstance(items, list):
            raise Malformed("no list of records")
        records = tuple(_to_record(item) for item in items)
    except Malformed as error:
        # The checksum holds, so these bytes were meant: a newer version wrote them, or a bug.
        raise VoteLogDamaged(at, f"a record of a whole frame cannot be read: {error}") from error
    return Frame(int.from_bytes(data[start : start + 8], "big"), records), end


def _refuse_if_more_follows(data: bytes, broken: int, key_id: bytes) -> None:
    """A torn tail is the last thing in a file: each frame is synced before the next is written. So a whole frame
    behind a broken one proves that what broke was durable once. Frames are found by the key id that each carries."""
    found = data.find(key_id, broken)
    while found >= 0:
        at = found - FRAME_HEAD_BYTES - 8
        if at > broken and _frame_at(data, at, key_id)[0] is not None:
            raise VoteLogDamaged(broken, f"a broken frame is followed by a whole one at offset {at}")
        found = data.find(key_id, found + 1)
