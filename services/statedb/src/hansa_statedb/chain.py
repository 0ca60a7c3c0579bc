"""The chain of one shard: genesis, stage, commit, and what is read of blocks. Methods block: call from worker threads.

One lock guards the tree of staged blocks; it is never held while RocksDB or the kernel works. Commits come one at a
time (the shell sees to it).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hansa.packing import chunks, pack, unpack
from hansa_kernel import EMPTY_ROOT, CorruptState, Header, Spec, TrieCache, attach_senders, keccak_batch, seal_header

from hansa_statedb import limits, metrics
from hansa_statedb.core.layout import (
    ADDRESS_BYTES,
    ANY_LOG_TERM,
    HASH_BYTES,
    SCHEMA_VERSION,
    TERM_BYTES,
    history_key,
    place,
    read_place,
    read_u64,
    shrink_account,
    shrink_word,
    u64,
)
from hansa_statedb.core.overlays import Overlay, Overlays, StoredBlock, View
from hansa_statedb.errors import (
    BlockUnknown,
    HashMismatch,
    HeadMoved,
    ParentUnknown,
    RequestInvalid,
    StoreDamaged,
    StoreFailed,
    StoreOtherChain,
)
from hansa_statedb.node_history import ArchiveHistory, NodeHistory, WindowHistory
from hansa_statedb.reader import Reader
from hansa_statedb.staging import ExecutedBlock, check_executed_block, stage_block, state_roots
from hansa_statedb.store import SCHEMA_KEY, Batch, Store, check_schema

GENESIS_KEY = b"genesis"
HEAD_KEY = b"head"
NODE_HISTORY_KEY = b"node_history"


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What statedb needs of the chain spec."""

    kernel: Spec
    genesis_hash: bytes
    proof_window: int | None  # blocks; None keeps all


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of a block to read beside hash and header."""

    transactions: bool = False  # with senders, hashes, ommers and withdrawals
    hashes: bool = False
    receipts: bool = False
    certificate: bool = False


ALL_PARTS = Parts(transactions=True, hashes=True, receipts=True, certificate=True)


class Chain:
    """An open chain. Thread-safe except `commit`, which one caller at a time may run."""

    def __init__(self, store: Store, rules: ChainRules) -> None:
        """Check that the store holds this chain, or write genesis. Raises `StoreRefused`, `StoreFailed`."""
        self.store = store
        self.rules = rules
        self._lock = threading.Lock()
        self._overlays = Overlays(limits.STAGED_BLOCKS_MAX, limits.STAGED_BYTES_MAX)
        self._trie_cache = TrieCache()
        self._recent: OrderedDict[int, StoredBlock] = OrderedDict()
        self._recent_bytes = 0
        window = rules.proof_window
        self._node_history: NodeHistory = ArchiveHistory(store) if window is None else WindowHistory(store, window)
        self._check_meta()
        self.reader = Reader(store, self._node_history)
        head = store.get("meta", HEAD_KEY)
        if head is None:
            self._write_genesis()
        else:
            self._resume(head)

    # --- what there is ---

    @property
    def head(self) -> StoredBlock:
        """The committed head: height, hash, header and certificate."""
        return self._head

    def earliest_proof(self) -> int:
        """Lowest height at which proofs can be made."""
        window = self.rules.proof_window
        return 0 if window is None else max(0, self._head.number - window)

    def view(self, block_hash: bytes) -> View:
        """View of a staged or committed block, empty = head. Raises `BlockUnknown`."""
        with self._lock:
            view = self._overlays.view(block_hash or self._overlays.head_hash)
        if view is not None:
            return view
        number = self.store.get("numbers", block_hash)
        if number is None:
            raise BlockUnknown(block_hash.hex())
        return View((), read_u64(number), block_hash)

    def blocks(self, numbers: Sequence[int], parts: Parts) -> list[StoredBlock]:
        """Committed blocks, those above the head left out."""
        head = self._head.number
        asked = [number for number in numbers if 0 <= number <= head]
        with self._lock:
            recent = {number: self._recent[number] for number in asked if number in self._recent}
        missing = [number for number in asked if number not in recent]
        recent.update((block.number, block) for block in self._read_blocks(missing, parts))
        return [_only(recent[number], parts) for number in asked if number in recent]

    def block_by_hash(self, block_hash: bytes, parts: Parts) -> StoredBlock | None:
        """A committed or staged block."""
        with self._lock:
            overlay = self._overlays.staged.get(block_hash)
        if overlay is not None:
            return _only(overlay.block, parts)
        number = self.store.get("numbers", block_hash)
        return None if number is None else next(iter(self.blocks([read_u64(number)], parts)), None)

    def find(self, hashes: Sequence[bytes]) -> list[tuple[int, int] | None]:
        """(block number, index) of committed transactions by hash."""
        rows = self.store.get_many("transactions", hashes)
        return [read_place(row) if row else None for row in rows]

    def find_by_nonce(self, sender: bytes, nonce: int) -> tuple[int, int, bytes] | None:
        """(block number, index, hash) of the committed transaction of a sender with a nonce.

        There is no index for it: the account's history tells the block in about log2(height) seeks.
        """
        number = self.reader.nonce_step(sender, nonce, self._head.number)
        if number is None:
            return None
        (block,) = self.blocks([number], Parts(transactions=True, hashes=True))
        timestamp = Header.decode(block.header).timestamp
        raw = unpack(block.transactions)
        own = [index for index, address in enumerate(chunks(block.senders, ADDRESS_BYTES)) if address == sender]
        batch = attach_senders(
            pack(raw[index] for index in own),
            sender * len(own),
            spec=self.rules.kernel,
            number=number,
            timestamp=timestamp,
        )
        for index, found in zip(own, chunks(batch.nonces(), 8), strict=True):
            if read_u64(found) == nonce:
                return number, index, block.hashes[HASH_BYTES * index : HASH_BYTES * (index + 1)]
        return None

    # --- stage and commit ---

    def stage(self, block: ExecutedBlock) -> tuple[StoredBlock, int]:
        """(finished block, microseconds for the root); the block is kept as an overlay.

        Raises `RequestInvalid`, `ParentUnknown`, `HashMismatch`, `StagedFull`.
        """
        header = check_executed_block(block)
        for _ in range(limits.STAGE_RETRIES_MAX):
            if block.expected_hash and (known := self._known(block)) is not None:
                return known, 0
            view, parent_root = self._parent(block.parent_hash)
            try:
                overlay, root_us = stage_block(self.reader, view, parent_root, block, header, self._trie_cache)
            except HeadMoved:
                continue
            except CorruptState as error:
                raise StoreFailed(f"{self.store.folder}: trie node {error.path.hex()} is damaged: {error}") from error
            with self._lock:
                dropped = self._overlays.add(overlay)
                metrics.STAGED_BLOCKS.set(len(self._overlays.staged))
            metrics.STAGED_DROPPED.labels(reason="full").inc(dropped)
            return overlay.block, root_us
        raise ParentUnknown(block.parent_hash)

    def roots(self, parent_hash: bytes, write_sets: Sequence[bytes]) -> list[bytes]:
        """State roots after each of `write_sets`, all from the same block on. Raises `RequestInvalid`, `ParentUnknown`."""
        check_hash("parent_hash", parent_hash)
        for _ in range(limits.STAGE_RETRIES_MAX):
            view, parent_root = self._parent(parent_hash)
            try:
                return state_roots(self.reader, view, parent_root, write_sets, self._trie_cache)
            except HeadMoved:
                continue
            except CorruptState as error:
                raise StoreFailed(f"{self.store.folder}: trie node {error.path.hex()} is damaged: {error}") from error
        raise ParentUnknown(parent_hash)

    def commit(self, block_hash: bytes, certificate: bytes, *, with_ancestors: bool = False) -> StoredBlock:
        """Make a staged block durable and the head; returns the head. A committed block stays as it is.

        `with_ancestors`: its staged ancestors as well, without certificates, in the same write.

        Raises `NotStaged`, `NotChildOfHead`, and `StoreFailed`, after which the process must end.
        """
        if block_hash == self._head.hash or self.store.get("numbers", block_hash) is not None:
            return self._head
        with self._lock:
            if with_ancestors:
                path = self._overlays.path_to_commit(block_hash)
            else:
                path = [self._overlays.next_to_commit(block_hash)]
        certificates = [b""] * (len(path) - 1) + [certificate]
        self._write(list(zip(path, certificates, strict=True)))
        for overlay, own in zip(path, certificates, strict=True):
            self._advance(overlay, own)
        return self._head

    def _known(self, block: ExecutedBlock) -> StoredBlock | None:
        """The block with the expected hash if it is staged or committed already, and this execution agrees with it."""
        known = self.block_by_hash(block.expected_hash, Parts())
        if known is None:
            return None
        state_root = Header.decode(known.header).state_root
        _, got = seal_header(block.header_template, state_root)
        if got != block.expected_hash:
            raise HashMismatch(block.expected_hash, got, state_root)
        return known

    def _parent(self, parent_hash: bytes) -> tuple[View, bytes]:
        with self._lock:
            view = self._overlays.view(parent_hash)
            if view is None:
                raise ParentUnknown(parent_hash)
            self._overlays.get(parent_hash)
        return view, view.overlays[0].state_root if view.overlays else self._head_root

    def _write(self, path: Sequence[tuple[Overlay, bytes]]) -> None:
        """Write blocks and their certificates together, parents first."""
        batch = self.store.batch()
        accounts: dict[bytes, bytes] = {}
        for overlay, certificate in path:
            changed = {address: shrink_account(record) for address, record in overlay.accounts.items()}
            batch.put_all("accounts", changed.items())
            accounts.update(changed)
            self._put_block(batch, overlay, certificate)
        newest = path[-1][0].block
        batch.put_all("meta", [(HEAD_KEY, u64(newest.number) + newest.hash)])
        if newest.number == 0:
            identity = [(SCHEMA_KEY, u64(SCHEMA_VERSION)), (GENESIS_KEY, newest.hash)]
            batch.put_all("meta", [*identity, (NODE_HISTORY_KEY, self._node_history.kind)])
        self.reader.begin_write(newest.number)
        self.store.write(batch)
        self.reader.end_write(accounts.items())

    def _put_block(self, batch: Batch, overlay: Overlay, certificate: bytes) -> None:
        """Everything of a block but its accounts and the head."""
        block = overlay.block
        number = u64(block.number)
        batch.put_all("storage", ((key, shrink_word(value)) for key, value in overlay.slots.items()))
        batch.put_all("code", overlay.codes.items())
        batch.put_all("nodes", overlay.nodes.items())
        if block.number:
            self._put_history(batch, overlay)
        batch.put_all("headers", [(number, block.hash + block.header)])
        batch.put_all("numbers", [(block.hash, number)])
        if block.transactions or block.ommers or block.withdrawals:
            batch.put_all("bodies", [(number, join_body(block))])
            hashes = chunks(block.hashes, HASH_BYTES)
            batch.put_all("transactions", ((found, place(block.number, i)) for i, found in enumerate(hashes)))
        batch.put_all("receipts", [(number, block.receipts)])
        if overlay.log_terms:
            terms = (*chunks(overlay.log_terms, TERM_BYTES), ANY_LOG_TERM)
            batch.post_all("logs", (term + number for term in terms))
        batch.put_all("certificates", [(number, certificate)])

    def _put_history(self, batch: Batch, overlay: Overlay) -> None:
        """What was there before, an empty value where nothing was."""
        number = overlay.block.number
        accounts, slots = overlay.old_accounts.items(), overlay.old_slots.items()
        batch.keep_all("account_history", ((history_key(key, number), value) for key, value in accounts))
        batch.keep_all("storage_history", ((history_key(key, number), value) for key, value in slots))
        self._node_history.put(batch, number, overlay.old_nodes)

    def _advance(self, overlay: Overlay, certificate: bytes) -> None:
        block = replace(overlay.block, certificate=certificate)
        with self._lock:
            dropped = self._overlays.committed(overlay)
            self._head, self._head_root = block, overlay.state_root
            self._recent[block.number] = block
            self._recent_bytes += block.size_bytes
            while len(self._recent) > limits.RECENT_BLOCKS_MAX or (
                len(self._recent) > 1 and self._recent_bytes > limits.RECENT_BYTES_MAX
            ):
                self._recent_bytes -= self._recent.popitem(last=False)[1].size_bytes
            metrics.STAGED_BLOCKS.set(len(self._overlays.staged))
        metrics.STAGED_DROPPED.labels(reason="sibling").inc(dropped)
        header = Header.decode(block.header)
        metrics.HEAD_BLOCK.set(header.number)
        metrics.HEAD_TIMESTAMP.set(header.timestamp)
        metrics.BLOCKS.inc()
        metrics.GAS_USED.inc(header.gas_used)

    # --- opening ---

    def _check_meta(self) -> None:
        """Refuse another chain, a newer schema, or history of another kind."""
        folder, wanted = self.store.folder, self._node_history.kind
        schema, genesis, kind = (self.store.get("meta", key) for key in (SCHEMA_KEY, GENESIS_KEY, NODE_HISTORY_KEY))
        if schema is None:
            return
        check_schema(folder, read_u64(schema))
        if genesis != self.rules.genesis_hash:
            raise StoreOtherChain(
                f"{folder} holds the chain with genesis {(genesis or b'').hex()}, the chain spec names "
                f"{self.rules.genesis_hash.hex()}: choose another data_dir, or the chain spec that belongs to this one"
            )
        if kind != wanted:
            raise StoreOtherChain(
                f"{folder} keeps trie nodes as {(kind or b'?').decode()}, the chain spec's proofWindow asks for "
                f"{wanted.decode()}: set proofWindow back, or empty the folder and let this member fetch the chain again"
            )

    def _write_genesis(self) -> None:
        """Block 0 from the chain spec, in one write with the folder's identity."""
        kernel = self.rules.kernel
        write_set = kernel.genesis_write_set()
        template = kernel.genesis_header(EMPTY_ROOT)
        header = Header.decode(template)
        self._overlays.head_hash = header.parent_hash
        self._head = StoredBlock(-1, header.parent_hash, b"")
        self._head_root = EMPTY_ROOT
        block = ExecutedBlock(header.parent_hash, template, b"", b"", b"", write_set, b"\xc0", b"")
        overlay, _ = stage_block(
            self.reader, View((), -1, header.parent_hash), EMPTY_ROOT, block, header, self._trie_cache
        )
        if overlay.block.hash != self.rules.genesis_hash:
            raise StoreOtherChain(
                f"the chain spec's genesis hash is {self.rules.genesis_hash.hex()}, its allocations give "
                f"{overlay.block.hash.hex()}: check the chain spec with `hansa genesis check`"
            )
        with self._lock:
            self._overlays.add(overlay)
        self._write([(overlay, b"")])
        self._advance(overlay, b"")

    def _resume(self, head: bytes) -> None:
        number, block_hash = read_u64(head[:8]), head[8:]
        row = self.store.get("headers", u64(number))
        if row is None or row[:HASH_BYTES] != block_hash:
            raise StoreDamaged(str(self.store.folder), f"the head, block {number}, is missing")
        certificate = self.store.get("certificates", u64(number)) or b""
        self._head = StoredBlock(number, block_hash, row[HASH_BYTES:], certificate=certificate)
        header = Header.decode(self._head.header)
        self._head_root = header.state_root
        self._overlays.head_hash, self._overlays.head_number = block_hash, number
        self.reader.newest = number
        metrics.HEAD_BLOCK.set(number)
        metrics.HEAD_TIMESTAMP.set(header.timestamp)

    def _read_blocks(self, numbers: Sequence[int], parts: Parts) -> list[StoredBlock]:
        keys = [u64(number) for number in numbers]
        absent: list[bytes | None] = [None] * len(keys)
        get = self.store.get_many
        bodies = get("bodies", keys) if parts.transactions or parts.hashes else absent
        receipts = get("receipts", keys) if parts.receipts else absent
        certificates = get("certificates", keys) if parts.certificate else absent
        blocks = []
        for number, row, body, receipt, certificate in zip(
            numbers, get("headers", keys), bodies, receipts, certificates, strict=True
        ):
            if row is None:
                raise StoreFailed(f"{self.store.folder}: block {number} is missing below the head")
            transactions, senders, ommers, withdrawals = split_body(body)
            blocks.append(
                StoredBlock(
                    number,
                    row[:HASH_BYTES],
                    row[HASH_BYTES:],
                    transactions,
                    senders,
                    keccak_batch(transactions),
                    receipt or b"",
                    certificate or b"",
                    ommers,
                    withdrawals,
                )
            )
        return blocks


def join_body(block: StoredBlock) -> bytes:
    """What the family `bodies` holds of a block: two parts, or four where something is attached to it."""
    attached = (block.ommers, block.withdrawals) if block.ommers or block.withdrawals else ()
    return pack((block.transactions, block.senders, *attached))


def split_body(body: bytes | None) -> tuple[bytes, bytes, bytes, bytes]:
    """(transactions, senders, ommers, withdrawals) of an entry, which may be absent."""
    parts = unpack(body) if body else []
    transactions, senders, ommers, withdrawals = (*parts, *[b""] * (4 - len(parts)))
    return transactions, senders, ommers, withdrawals


def _only(block: StoredBlock, parts: Parts) -> StoredBlock:
    """The block without parts that were not asked for."""
    return StoredBlock(
        block.number,
        block.hash,
        block.header,
        block.transactions if parts.transactions else b"",
        block.senders if parts.transactions else b"",
        block.hashes if parts.transactions or parts.hashes else b"",
        block.receipts if parts.receipts else b"",
        block.certificate if parts.certificate else b"",
        block.ommers if parts.transactions else b"",
        block.withdrawals if parts.transactions else b"",
    )


def check_hash(field: str, value: bytes) -> bytes:
    """Raises `RequestInvalid` unless `value` is 32 bytes."""
    if len(value) != HASH_BYTES:
        raise RequestInvalid(field, "32 bytes", f"{len(value)} bytes")
    return value
