"""Log filters and Merkle proofs over committed blocks. Functions block: call from worker threads."""

from dataclasses import dataclass
from itertools import accumulate

from hansa.packing import PackedListInvalid, chunks, pack, unpack
from hansa_kernel import (
    CorruptState,
    Header,
    KernelInputError,
    ProofJob,
    ProofResult,
    TrieCache,
    keccak_batch,
    logs_json,
)

from hansa_statedb import limits, metrics
from hansa_statedb.chain import Chain, Parts, check_hash
from hansa_statedb.core.layout import ABSENT_ACCOUNT, ADDRESS_BYTES, HASH_BYTES, ZERO_WORD, u64
from hansa_statedb.core.overlays import View
from hansa_statedb.core.postings import candidate_blocks, filter_groups
from hansa_statedb.core.write_set import parse_write_set
from hansa_statedb.errors import BlockUnknown, Pruned, RequestInvalid, StoreFailed
from hansa_statedb.staging import state_root

_LOG_PARTS = Parts(hashes=True, receipts=True)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Heights are inclusive."""

    start: int
    end: int
    addresses: bytes  # 20 bytes each
    topics: tuple[bytes, ...]  # each 32-byte alternatives, empty = any
    results_max: int

    def check(self) -> None:
        """Raises `RequestInvalid`."""
        if self.start > self.end:
            raise RequestInvalid("from", f"at most to ({self.end})", str(self.start))
        if len(self.topics) > limits.LOG_TOPICS_MAX:
            raise RequestInvalid("topics", f"at most {limits.LOG_TOPICS_MAX} positions", str(len(self.topics)))
        for field, array, width in (
            ("addresses", self.addresses, ADDRESS_BYTES),
            *(("topics", topic, HASH_BYTES) for topic in self.topics),
        ):
            if len(array) % width:
                raise RequestInvalid(field, f"{width} bytes each", f"{len(array)} bytes")
        terms = len(self.addresses) // ADDRESS_BYTES + sum(len(topic) // HASH_BYTES for topic in self.topics)
        if terms > limits.LOG_TERMS_MAX:
            raise RequestInvalid("filter", f"at most {limits.LOG_TERMS_MAX} addresses and topics", str(terms))


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """Logs as a JSON array, or how far they would fit."""

    json: bytes
    count: int
    fits_to: int | None = None  # set: more match than wanted


def find_logs(chain: Chain, wanted: LogFilter) -> LogAnswer:
    """Logs of committed blocks that match; reads the receipts of blocks in which every condition has a posting."""
    wanted.check()
    limit = min(wanted.results_max or limits.LOG_RESULTS_MAX, limits.LOG_RESULTS_MAX)
    end = min(wanted.end, chain.head.number)
    groups = filter_groups(
        chunks(wanted.addresses, ADDRESS_BYTES), [chunks(position, HASH_BYTES) for position in wanted.topics]
    )

    def seek(term: bytes, height: int) -> int | None:
        (entry,) = chain.store.first_from("logs", [(term, u64(height))])
        return None if entry is None else int.from_bytes(entry[0][-8:], "big")

    found: list[bytes] = []
    count = 0
    for read, number in enumerate(candidate_blocks(groups, wanted.start, end, seek)):
        if read >= limits.LOG_BLOCKS_MAX:
            return LogAnswer(b"", 0, number - 1)
        (block,) = chain.blocks([number], _LOG_PARTS)
        metrics.LOG_BLOCKS_READ.inc()
        here, array = logs_json(
            block.header,
            block.hashes,
            block.receipts,
            addresses=wanted.addresses,
            topics=wanted.topics,
            limit=limit - count + 1,
        )
        if count + here > limit:
            return LogAnswer(b"", 0, number - 1)
        if here:
            found.append(array[1:-1])
            count += here
    return LogAnswer(b"[" + b",".join(found) + b"]", count)


def nodes_at(chain: Chain, block_hash: bytes, paths: bytes) -> bytes:
    """Packed list of trie nodes of a block's state, empty where there is none; ends early when it becomes too large.

    Raises `RequestInvalid`, `BlockUnknown`, `Pruned`.
    """
    try:
        wanted = unpack(paths)
    except PackedListInvalid as error:
        raise RequestInvalid("paths", "a packed list", str(error)) from error
    if len(wanted) > limits.NODES_MAX:
        raise RequestInvalid("paths", f"at most {limits.NODES_MAX}", str(len(wanted)))
    view = chain.view(check_hash("block_hash", block_hash))
    if view.base_number < chain.earliest_proof():
        raise Pruned(view.base_number, chain.earliest_proof())
    nodes = [node or b"" for node in chain.reader.nodes(view, wanted)]
    if view.base_number < chain.earliest_proof():  # pruned while we read
        raise Pruned(view.base_number, chain.earliest_proof())
    sizes = accumulate(len(node) for node in nodes)
    fits = sum(1 for size in sizes if size <= limits.NODES_BYTES_MAX)
    return pack(nodes[: max(1, fits)])


@dataclass(frozen=True, slots=True)
class Proof:
    """An account with proofs."""

    block_hash: bytes
    state_root: bytes
    account: bytes  # 105-byte record
    account_proof: list[bytes]
    slots: list[tuple[bytes, bytes, list[bytes]]]  # slot, 32-byte value, proof


def prove(chain: Chain, number: int, address: bytes, slots: bytes) -> Proof:
    """Proof at a committed height. Raises `RequestInvalid`, `Pruned`."""
    if len(address) != ADDRESS_BYTES:
        raise RequestInvalid("address", "20 bytes", f"{len(address)} bytes")
    if len(slots) % HASH_BYTES or len(slots) // HASH_BYTES > limits.PROOF_SLOTS_MAX:
        raise RequestInvalid("slots", f"at most {limits.PROOF_SLOTS_MAX} of 32 bytes", f"{len(slots)} bytes")
    if number < chain.earliest_proof():
        raise Pruned(number, chain.earliest_proof())
    (block,) = chain.blocks([number], Parts())
    state_root = Header.decode(block.header).state_root
    view = View((), number, block.hash)
    (account,) = chain.reader.accounts(view, [address])
    keys = chunks(slots, HASH_BYTES)
    values = chain.reader.slots(view, [address + key for key in keys])
    try:
        job = ProofJob(state_root, address, slots, storage_root=account[41:73])
        step = job.step()
        while not isinstance(step, ProofResult):
            step = job.step(chain.reader.nodes(view, unpack(step.paths)))
    except KernelInputError as error:
        raise RequestInvalid(error.field, error.expected, error.got) from error
    except CorruptState as error:
        if number < chain.earliest_proof():  # pruned while we read
            raise Pruned(number, chain.earliest_proof()) from error
        raise StoreFailed(f"{chain.store.folder}: trie node {error.path.hex()} is damaged: {error}") from error
    return Proof(
        block.hash, state_root, account, step.account_proof, list(zip(keys, values, step.storage_proofs, strict=True))
    )


def root_with(chain: Chain, block_hash: bytes, write_set: bytes) -> bytes:
    """State root of a block's state with a write set on top. Raises `BlockUnknown`, `Pruned`, `RequestInvalid`."""
    view = chain.view(block_hash)
    block = chain.block_by_hash(block_hash, Parts())
    if block is None:
        raise BlockUnknown(block_hash.hex())
    if not view.overlays and view.number < chain.earliest_proof():
        raise Pruned(view.number, chain.earliest_proof())
    addresses = [account.address for account in parse_write_set(write_set).accounts]
    before = chain.reader.accounts(view, addresses)
    parent_root = Header.decode(block.header).state_root
    try:
        # Nothing of this state will be committed: it must not teach the cache of those that will.
        return state_root(chain.reader, view, parent_root, write_set, before, TrieCache(nodes_max=0)).root
    except CorruptState as error:
        if not view.overlays and view.number < chain.earliest_proof():  # pruned while we read
            raise Pruned(view.number, chain.earliest_proof()) from error
        raise StoreFailed(f"{chain.store.folder}: trie node {error.path.hex()} is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class Range:
    """Accounts or slots of a block, ascending by the hash of their keys."""

    block_hash: bytes
    state_root: bytes
    entries: list[tuple[bytes, bytes, bytes]]  # hash, key, record or value
    next: bytes  # hash of the entry behind them; empty: none


def list_range(chain: Chain, number: int, address: bytes, start: bytes, count: int) -> Range:
    """At most `count` accounts (no `address`) or slots from a hash on, at a committed height. Raises `RequestInvalid`,
    `RangeTooLarge`."""
    if len(address) not in (0, ADDRESS_BYTES):
        raise RequestInvalid("address", "20 bytes", f"{len(address)} bytes")
    if len(start) not in (0, HASH_BYTES):
        raise RequestInvalid("start", "32 bytes", f"{len(start)} bytes")
    if not 1 <= count <= limits.RANGE_ENTRIES_MAX:
        raise RequestInvalid("count", f"1 to {limits.RANGE_ENTRIES_MAX}", str(count))
    (block,) = chain.blocks([number], Parts())
    view = View((), number, block.hash)
    keys = chain.reader.keys_below(view, address, limits.RANGE_KEYS_MAX)
    if address:
        values, absent = chain.reader.slots(view, keys), ZERO_WORD
        keys = [key[ADDRESS_BYTES:] for key in keys]
    else:
        values, absent = chain.reader.accounts(view, keys), ABSENT_ACCOUNT
    hashes = chunks(keccak_batch(pack(keys)), HASH_BYTES)
    there = sorted(
        (key_hash, key, value)
        for key_hash, key, value in zip(hashes, keys, values, strict=True)
        if value != absent and key_hash >= start
    )
    rest = there[count : count + 1]
    return Range(block.hash, Header.decode(block.header).state_root, there[:count], rest[0][0] if rest else b"")
