"""Finds the blocks that can match a log filter, by seeking in sorted postings: cost follows hits, not the range.

A filter is a list of groups (address, topic 0, ...); each group is a list of index terms of which one must stand in the
block. Blocks are found by leapfrogging: every group seeks to the largest height that any group has reached.
"""

from collections.abc import Callable, Iterator, Sequence

from hansa_statedb.core.layout import ANY_LOG_TERM

Seek = Callable[[bytes, int], int | None]
"""(term, height) -> the first height >= `height` at which the term is posted, or None."""


class _Group:
    """The union of some terms' postings."""

    def __init__(self, terms: Sequence[bytes], seek: Seek, end: int) -> None:
        self._positions: dict[bytes, int] = dict.fromkeys(terms, -1)  # term -> first posting not below the last seek
        self._seek = seek
        self._end = end

    def advance(self, height: int) -> int | None:
        """The first height >= `height`, at most the end, at which one of the terms is posted."""
        for term, position in list(self._positions.items()):
            if position >= height:
                continue
            found = self._seek(term, height)
            if found is None or found > self._end:
                del self._positions[term]
            else:
                self._positions[term] = found
        return min(self._positions.values(), default=None)


def candidate_blocks(groups: Sequence[Sequence[bytes]], start: int, end: int, seek: Seek) -> Iterator[int]:
    """Heights from `start` to `end` (inclusive), ascending, at which every group has a posting.

    No groups at all means every block with a log. The caller still has to match the logs themselves.
    """
    members = [_Group(terms, seek, end) for terms in groups or ((ANY_LOG_TERM,),)]
    height = start
    while height <= end:
        reached = height
        for group in members:
            found = group.advance(reached)
            if found is None:
                return
            reached = found
        if reached == height:
            yield height
            height += 1
        else:
            height = reached


def filter_groups(addresses: Sequence[bytes], topics: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """Index terms of a filter: `u8 place (0 address, 1..4 topic), 32 bytes`; empty positions match anything."""
    groups = [[b"\x00" + address.rjust(32, b"\x00") for address in addresses]] if addresses else []
    groups += [[bytes((place + 1,)) + topic for topic in position] for place, position in enumerate(topics) if position]
    return groups
