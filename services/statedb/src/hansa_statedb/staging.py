"""Turns an executed block into an overlay: state root, header, hash, and what history needs of the state before."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hansa.packing import PackedListInvalid, chunks, pack, unpack
from hansa.stages import charge, charged_kernel_call
from hansa_kernel import (
    EMPTY_ROOT,
    Header,
    KernelInputError,
    TrieCache,
    TrieJob,
    TrieResult,
    keccak_batch,
    log_terms,
    seal_header,
)

from hansa_statedb.core.layout import (
    ABSENT_ACCOUNT,
    ADDRESS_BYTES,
    HASH_BYTES,
    ZERO_WORD,
    shrink_account,
    shrink_word,
)
from hansa_statedb.core.overlays import Overlay, StoredBlock, View
from hansa_statedb.core.write_set import WriteSet, parse_write_set
from hansa_statedb.errors import HashMismatch, RequestInvalid
from hansa_statedb.reader import Reader

_EXISTS = b"\x01"
_ENTRY_BYTES = 150  # objects of one entry of a dict, beside its key and value


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """What Stage is given, checked for its shape."""

    parent_hash: bytes
    header_template: bytes
    transactions: bytes
    senders: bytes
    hashes: bytes
    write_set: bytes
    receipts: bytes
    expected_hash: bytes  # empty when building
    ommers: bytes = b""  # packed list of headers
    withdrawals: bytes = b""  # RLP list, empty where there are none


def check_executed_block(block: ExecutedBlock) -> Header:
    """Raises `RequestInvalid` unless all parts fit together; returns the decoded template."""
    if len(block.parent_hash) != HASH_BYTES:
        raise RequestInvalid("parent_hash", "32 bytes", f"{len(block.parent_hash)} bytes")
    if len(block.expected_hash) not in (0, HASH_BYTES):
        raise RequestInvalid("expected_hash", "32 bytes or none", f"{len(block.expected_hash)} bytes")
    try:
        header = Header.decode(block.header_template)
        hashes = keccak_batch(block.transactions)
    except KernelInputError as error:
        raise RequestInvalid(error.field, error.expected, error.got) from error
    if header.parent_hash != block.parent_hash:
        raise RequestInvalid("header_template", f"parent {block.parent_hash.hex()}", header.parent_hash.hex())
    if hashes != block.hashes:
        raise RequestInvalid(
            "hashes", f"those of {len(hashes) // HASH_BYTES} transactions", f"{len(block.hashes)} bytes"
        )
    if len(block.senders) * HASH_BYTES != len(hashes) * ADDRESS_BYTES:
        raise RequestInvalid("senders", f"{len(hashes) // HASH_BYTES} addresses", f"{len(block.senders)} bytes")
    return header


def stage_block(
    reader: Reader, view: View, parent_root: bytes, block: ExecutedBlock, header: Header, cache: TrieCache
) -> tuple[Overlay, int]:
    """(overlay, microseconds for the root). `view` and `parent_root` are the parent's.

    Raises `RequestInvalid`, `HashMismatch`, `HeadMoved` (take a new view) and the kernel's `CorruptState`.
    """
    if header.number != view.number + 1:
        raise RequestInvalid("header_template", f"height {view.number + 1}", str(header.number))
    writes = parse_write_set(block.write_set)
    addresses = [account.address for account in writes.accounts]
    before = reader.accounts(view, addresses)
    wiped, slots = _with_wiped_slots(reader, view, writes, before)

    started = time.perf_counter_ns()
    with charge("root"):
        result = state_root(reader, view, parent_root, block.write_set, before, cache)
    root_us = (time.perf_counter_ns() - started) // 1_000

    sealed, block_hash = seal_header(block.header_template, result.root)
    if block.expected_hash and block_hash != block.expected_hash:
        raise HashMismatch(block.expected_hash, block_hash, result.root)
    overlay = _overlay(block, header, sealed, block_hash, writes, wiped, slots, before, result)
    old_slots = reader.slots(view, list(overlay.slots))
    overlay.old_slots.update(zip(overlay.slots, map(shrink_word, old_slots), strict=True))
    return overlay, root_us


def state_root(
    reader: Reader, view: View, parent_root: bytes, write_set: bytes, before: Sequence[bytes], cache: TrieCache
) -> TrieResult:
    """Run the kernel's trie job with reads at `view`; `before`: 105-byte records of the write set's accounts."""
    try:
        job = charged_kernel_call("root", TrieJob, parent_root, write_set, b"".join(before), cache=cache)
        step = charged_kernel_call("root", job.step)
        while not isinstance(step, TrieResult):
            nodes = reader.nodes(view, unpack(step.paths))
            listings = [
                pack(part for path, node in reader.nodes_of(view, owner) for part in (path, node))
                for owner in chunks(step.wiped, HASH_BYTES)
            ]
            step = charged_kernel_call("root", job.step, nodes, listings)
    except KernelInputError as error:
        raise RequestInvalid(error.field, error.expected, error.got) from error
    return step


def state_roots(
    reader: Reader, view: View, parent_root: bytes, write_sets: Sequence[bytes], cache: TrieCache
) -> list[bytes]:
    """Roots after each of `write_sets`, all from the block of `view` on.

    Raises `RequestInvalid`, `HeadMoved` (take a new view) and the kernel's `CorruptState`.
    """
    before: dict[bytes, bytes] = {}
    roots = []
    for write_set in write_sets:
        addresses = [account.address for account in parse_write_set(write_set).accounts]
        unread = [address for address in addresses if address not in before]
        before.update(zip(unread, reader.accounts(view, unread), strict=True))
        records = [before[address] for address in addresses]
        roots.append(state_root(reader, view, parent_root, write_set, records, cache).root)
    return roots


def _with_wiped_slots(
    reader: Reader, view: View, writes: WriteSet, before: Sequence[bytes]
) -> tuple[frozenset[bytes], dict[bytes, bytes]]:
    """Addresses whose storage is emptied, and the slots to write with those that the wipe deletes.

    Since Cancun only contracts made in the same transaction are wiped, which have nothing stored; older chains wipe
    whatever was there, so that has to be listed for history.
    """
    slots = dict(writes.slots)
    wiped: set[bytes] = set()
    for account, record in zip(writes.accounts, before, strict=True):
        if not account.wiped or record[41:73] == EMPTY_ROOT or record == ABSENT_ACCOUNT:
            continue
        wiped.add(account.address)
        for key in reader.slots_of(view, account.address):
            slots.setdefault(key, ZERO_WORD)
    return frozenset(wiped), slots


def _overlay(
    block: ExecutedBlock,
    header: Header,
    sealed: bytes,
    block_hash: bytes,
    writes: WriteSet,
    wiped: frozenset[bytes],
    slots: dict[bytes, bytes],
    before: Sequence[bytes],
    result: TrieResult,
) -> Overlay:
    roots = result.storage_roots
    accounts = {
        account.address: ABSENT_ACCOUNT
        if account.deleted
        else _EXISTS + account.nonce_and_balance + roots[32 * index : 32 * index + 32] + account.code_hash
        for index, account in enumerate(writes.accounts)
    }
    codes = {account.code_hash: account.code for account in writes.accounts if account.code}
    written = unpack(result.node_writes)
    nodes = dict.fromkeys(unpack(result.node_deletes), b"")
    nodes.update(zip(written[::2], written[1::2], strict=True))
    stored = StoredBlock(
        header.number,
        block_hash,
        sealed,
        block.transactions,
        block.senders,
        block.hashes,
        block.receipts,
        ommers=block.ommers,
        withdrawals=block.withdrawals,
    )
    return Overlay(
        block=stored,
        parent_hash=block.parent_hash,
        state_root=result.root,
        accounts=accounts,
        slots=slots,
        wiped=wiped,
        codes=codes,
        nodes=nodes,
        old_accounts={
            account.address: shrink_account(record) for account, record in zip(writes.accounts, before, strict=True)
        },
        old_slots={},
        old_nodes=result.node_old,
        log_terms=_log_terms(block.receipts) if any(header.logs_bloom) else b"",
        size_bytes=_ENTRY_BYTES * (2 * len(accounts) + 2 * len(slots) + len(nodes))
        + sum(map(len, (block.write_set, block.write_set, result.node_writes, result.node_old)))
        + stored.size_bytes,
    )


def _log_terms(receipts: bytes) -> bytes:
    try:
        return log_terms(receipts)
    except (KernelInputError, PackedListInvalid) as error:
        raise RequestInvalid("receipts", "the kernel's layout", str(error)) from error
