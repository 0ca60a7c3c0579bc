"""Blocks made by hand for statedb: any write set and any logs, under headers that fit the chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hansa_kernel
import rlp
from hansa.chainspec import ChainSpec
from hansa_statedb.chain import Chain, ChainRules
from hansa_statedb.staging import ExecutedBlock
from hansa_statedb.store import Store

EMPTY_CODE_HASH = hansa_kernel.EMPTY_CODE_HASH


@dataclass(frozen=True, slots=True)
class Change:
    """An account after a block."""

    nonce: int = 0
    balance: int = 0
    code: bytes | None = None
    code_hash: bytes = EMPTY_CODE_HASH  # when `code` is None
    slots: Mapping[bytes, int] = field(default_factory=dict)
    deleted: bool = False
    wiped: bool = False


def write_set(changes: Mapping[bytes, Change]) -> bytes:
    """The kernel's layout."""
    parts = [len(changes).to_bytes(4, "big")]
    for address, change in sorted(changes.items()):
        if change.deleted:
            parts.append(address + b"\x03" + bytes(8 + 32 + 32) + bytes(4))
            continue
        code_hash = change.code_hash if change.code is None else hansa_kernel.keccak(change.code)
        flags = (2 if change.wiped else 0) | (4 if change.code is not None else 0)
        parts.append(address + bytes((flags,)) + change.nonce.to_bytes(8, "big") + change.balance.to_bytes(32, "big"))
        parts.append(code_hash)
        if change.code is not None:
            parts.append(len(change.code).to_bytes(4, "big") + change.code)
        parts.append(len(change.slots).to_bytes(4, "big"))
        parts += [slot + value.to_bytes(32, "big") for slot, value in sorted(change.slots.items())]
    return b"".join(parts)


def receipts_of(logs: Sequence[tuple[bytes, Sequence[bytes], bytes]]) -> bytes:
    """One successful transaction with these (address, topics, data) logs; the kernel's layout."""
    return bytes(rlp.encode([[b"\x02", b"\x01", b"\x52\x08", [[a, list(topics), data] for a, topics, data in logs]]]))


def header_after(parent: bytes, *, extra: bytes = b"", has_logs: bool = False) -> bytes:
    """A header on `parent` (RLP); `extra` makes siblings differ."""
    fields = list(rlp.decode(parent))
    fields[0] = hansa_kernel.keccak(parent)
    fields[6] = (b"\xff" if has_logs else b"\x00") * 256
    fields[8] = rlp.sedes.big_endian_int.serialize(int.from_bytes(fields[8], "big") + 1)
    fields[11] = rlp.sedes.big_endian_int.serialize(int.from_bytes(fields[11], "big") + 1)
    fields[12] = extra
    return bytes(rlp.encode(fields))


def executed(
    parent: bytes,
    changes: Mapping[bytes, Change],
    *,
    extra: bytes = b"",
    logs: Sequence[tuple[bytes, Sequence[bytes], bytes]] = (),
    batch: hansa_kernel.TxBatch | None = None,
    expected_hash: bytes = b"",
) -> ExecutedBlock:
    """A block as an executor would stage it on the header `parent`."""
    return ExecutedBlock(
        parent_hash=hansa_kernel.keccak(parent),
        header_template=header_after(parent, extra=extra, has_logs=bool(logs)),
        transactions=batch.packed() if batch else b"",
        senders=batch.senders() if batch else b"",
        hashes=batch.hashes() if batch else b"",
        write_set=write_set(changes),
        receipts=receipts_of(logs) if logs else b"\xc0",
        expected_hash=expected_hash,
    )


def open_chain(folder: Path, chain: ChainSpec) -> Chain:
    """A chain in `folder`; close its `store` afterwards."""
    store = Store(folder, block_cache_bytes=8 << 20, write_buffer_bytes=1 << 20)
    try:
        return Chain(store, ChainRules(chain.kernel, chain.genesis_hash, chain.proof_window))
    except BaseException:
        store.close()
        raise
