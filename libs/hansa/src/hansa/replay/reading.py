"""What importing and exporting ask a ledger for."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

from hansa_kernel import Header, keccak_batch

from hansa.replay import limits
from hansa.replay.ledger import Ledger
from hansa.v1 import statedb_pb2, types_pb2


async def blocks_between(
    ledger: Ledger, first: int, last: int, parts: statedb_pb2.BlockParts, at_once: int = limits.BLOCKS_AT_ONCE
) -> AsyncIterator[types_pb2.Block]:
    """Committed blocks `first` to `last`, in order; fewer when there are fewer."""
    number = first
    while number <= last:
        request = statedb_pb2.GetBlocksRequest(count=min(at_once, last - number + 1), parts=parts)
        setattr(request, "from", number)  # a word of Python's own
        answer = await ledger.statedb.GetBlocks(request, timeout=limits.RPC_TIMEOUT_SECONDS)
        if not answer.blocks:
            return
        for block in answer.blocks:
            yield block
        number += len(answer.blocks)


async def hashes_of(ledger: Ledger, numbers: Sequence[int]) -> dict[int, bytes]:
    """Hashes of committed blocks by number."""
    return {
        number: block.hash
        for number in numbers
        async for block in blocks_between(ledger, number, number, statedb_pb2.BlockParts())
    }


async def total_difficulty_of(ledger: Ledger, number: int) -> int:
    """Sum of the difficulties from genesis to block `number`. Reads all headers: about a second for 100,000."""
    total = 0
    async for block in blocks_between(ledger, 0, number, statedb_pb2.BlockParts(), limits.HEADERS_AT_ONCE):
        total += Header.decode(block.header).difficulty
    return total


async def ancestors_of(ledger: Ledger, number: int) -> "deque[tuple[bytes, bytes]]":
    """(header, hashes of its ommers) of block `number` and those before it, newest first, as far as ommers reach."""
    found: deque[tuple[bytes, bytes]] = deque(maxlen=limits.OMMER_DEPTH + 1)
    parts = statedb_pb2.BlockParts(transactions=True)
    async for block in blocks_between(ledger, max(0, number - limits.OMMER_DEPTH), number, parts):
        found.appendleft((block.header, keccak_batch(block.ommers)))
    return found
