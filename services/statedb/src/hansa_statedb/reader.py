"""Reads state as of one block: overlays first, then RocksDB, then history where blocks were committed meanwhile.

RocksDB's families hold the values at the newest committed block; a history family holds, under (key, block), the value
before that block. A value at height h is the first history entry with a block above h, else the newest value. The
newest value is read *first* and the history after it, so a commit in between changes nothing: either the value was read
before it, or its history entry is there.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from hansa_statedb import limits
from hansa_statedb.core.layout import (
    ADDRESS_BYTES,
    HASH_BYTES,
    SLOT_KEY_BYTES,
    ZERO_WORD,
    after_prefix,
    expand_account,
    expand_word,
    u64,
)
from hansa_statedb.core.overlays import (
    View,
    overlay_account,
    overlay_code,
    overlay_hashes,
    overlay_node,
    overlay_slot,
)
from hansa_statedb.errors import HeadMoved, RangeTooLarge
from hansa_statedb.node_history import NodeHistory
from hansa_statedb.store import Store

EMPTY = b""


@dataclass(slots=True)
class HotAccounts:
    """Newest committed records, in stored form; least recently used first. Thread-safe."""

    entries_max: int
    entries: "OrderedDict[bytes, bytes]" = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)

    def get_all(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        """Stored forms, None = not held (absent accounts are held as empty bytes)."""
        with self.lock:
            get = self.entries.get
            return [get(address) for address in addresses]

    def put_all(self, changed: Iterable[tuple[bytes, bytes]]) -> None:
        """Called with what was written, before any block of it is the head: readers of older blocks consult history."""
        with self.lock:
            entries = self.entries
            for address, stored in changed:
                entries[address] = stored
                entries.move_to_end(address)
            while len(entries) > self.entries_max:
                entries.popitem(last=False)


class Reader:
    """Values at a view. Thread-safe; methods block."""

    def __init__(self, store: Store, node_history: NodeHistory) -> None:
        self.newest = -1  # height of the newest block whose write has *begun*; set before the write
        self._store = store
        self._node_history = node_history
        self._hot = HotAccounts(limits.HOT_ACCOUNTS_MAX)

    def begin_write(self, number: int) -> None:
        """Tell readers that blocks up to `number` are about to be written."""
        self.newest = number

    def end_write(self, accounts: Iterable[tuple[bytes, bytes]]) -> None:
        """These accounts (stored forms) were written. Not sooner: who finds one here must find its history, too."""
        self._hot.put_all(accounts)

    def accounts(self, view: View, addresses: Sequence[bytes]) -> list[bytes]:
        """105-byte records in the order of `addresses`."""
        if view.overlays:
            values = [overlay_account(view, address) for address in addresses]
            missing = [address for address, value in zip(addresses, values, strict=True) if value is None]
        else:
            values, missing = [None] * len(addresses), list(addresses)
        stored = self._stored_accounts(view, missing)
        return [
            expand_account(stored[address]) if value is None else value
            for address, value in zip(addresses, values, strict=True)
        ]

    def slots(self, view: View, keys: Sequence[bytes]) -> list[bytes]:
        """32-byte values in the order of `keys`."""
        values = [overlay_slot(view, key) for key in keys] if view.overlays else [None] * len(keys)
        missing = [key for key, value in zip(keys, values, strict=True) if value is None]
        stored = dict(zip(missing, self._at_base(view, "storage", "storage_history", missing), strict=True))
        return [expand_word(stored[key]) if value is None else value for key, value in zip(keys, values, strict=True)]

    def nodes(self, view: View, paths: Sequence[bytes]) -> list[bytes | None]:
        """Trie nodes in the order of `paths`, None = absent."""
        values = [overlay_node(view, path) for path in paths] if view.overlays else [None] * len(paths)
        missing = [path for path, value in zip(paths, values, strict=True) if value is None]
        found = self._store.get_many("nodes", missing)
        if self.newest > view.base_number:
            for index, old in self._node_history.at(view.base_number, self.newest, missing):
                found[index] = old
        stored = iter(found)
        return [(next(stored) if value is None else value) or None for value in values]

    def codes(self, view: View, hashes: Sequence[bytes]) -> list[bytes]:
        """Codes in the order of `hashes`, empty where unknown."""
        values = [overlay_code(view, code_hash) for code_hash in hashes]
        missing = [code_hash for code_hash, value in zip(hashes, values, strict=True) if value is None]
        stored = dict(zip(missing, self._store.get_many("code", missing), strict=True)) if missing else {}
        return [
            stored[code_hash] or EMPTY if value is None else value
            for code_hash, value in zip(hashes, values, strict=True)
        ]

    def block_hashes(self, view: View, numbers: Sequence[int]) -> list[bytes]:
        """Hashes of ancestors (the block itself included), zero where there is none."""
        staged = dict(overlay_hashes(view))
        committed = [number for number in numbers if number <= view.base_number]
        rows = self._store.get_many("headers", [u64(number) for number in committed]) if committed else []
        known = {number: row[:HASH_BYTES] for number, row in zip(committed, rows, strict=True) if row}
        return [staged.get(number) or known.get(number, ZERO_WORD) for number in numbers]

    def slots_of(self, view: View, address: bytes) -> list[bytes]:
        """52-byte keys of all slots of an account that are not zero. Raises `HeadMoved` when the base is not the newest
        committed block any more."""
        keys = {key for key, _ in self._store.with_prefix("storage", address)}
        for overlay in view.overlays:
            keys.update(key for key in overlay.slots if key.startswith(address))
        if self.newest > view.base_number:
            raise HeadMoved
        listed = sorted(keys)
        return [key for key, value in zip(listed, self.slots(view, listed), strict=True) if value != ZERO_WORD]

    def keys_below(self, view: View, prefix: bytes, most: int) -> list[bytes]:
        """Accounts (`prefix` is empty) or slots of an account that are there at a committed view or were there since,
        without an order. Raises `RangeTooLarge` for more than `most`, those of history counted by their changes."""
        family, history, width = (
            ("storage", "storage_history", SLOT_KEY_BYTES) if prefix else ("accounts", "account_history", ADDRESS_BYTES)
        )
        end = after_prefix(prefix) if prefix else b"\xff" * (width + 9)
        keys: set[bytes] = set()
        seen = 0
        for name in (family, history):
            if name == history and self.newest <= view.base_number:
                break
            for key, _ in self._store.between(name, prefix, end):
                seen += 1
                if seen > most:
                    raise RangeTooLarge(most)
                keys.add(key[:width])
        return list(keys)

    def nodes_of(self, view: View, owner: bytes) -> list[tuple[bytes, bytes]]:
        """(path, RLP) of all nodes of an account's storage trie, ascending. Raises `HeadMoved` as `slots_of`."""
        paths = {path for path, _ in self._store.with_prefix("nodes", owner) if len(path) > HASH_BYTES}
        for overlay in view.overlays:
            paths.update(path for path in overlay.nodes if len(path) > HASH_BYTES and path.startswith(owner))
        if self.newest > view.base_number:
            raise HeadMoved
        listed = sorted(paths)
        return [(path, node) for path, node in zip(listed, self.nodes(view, listed), strict=True) if node]

    def nonce_step(self, address: bytes, nonce: int, head: int) -> int | None:
        """Height of the block that raised the account's nonce above `nonce`, by bisection over its history."""
        prefix = address
        low, high = 0, head + 1  # the nonce before block `low` is at most `nonce`; `high` is beyond the answer
        answer: int | None = None
        while low < high:
            middle = (low + high) // 2
            (entry,) = self._store.first_from("account_history", [(prefix, u64(middle))])
            if entry is None or _nonce(entry[1]) > nonce:
                high = middle
                continue
            number = int.from_bytes(entry[0][-8:], "big")
            answer = number  # nonce before this block was low enough; a later one may be, too
            low = number + 1
        return answer

    def _stored_accounts(self, view: View, addresses: Sequence[bytes]) -> dict[bytes, bytes | None]:
        stored = dict(zip(addresses, self._hot.get_all(addresses), strict=True))
        cold = sorted(address for address, value in stored.items() if value is None)
        if cold:
            stored.update(zip(cold, self._store.get_many("accounts", cold), strict=True))
        if self.newest > view.base_number:
            keys = list(stored)
            for index, old in self._old(view.base_number, "account_history", keys):
                stored[keys[index]] = old
        return stored

    def _at_base(self, view: View, family: str, history: str, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._store.get_many(family, keys)
        if self.newest > view.base_number:
            for index, old in self._old(view.base_number, history, keys):
                found[index] = old
        return found

    def _old(self, height: int, history: str, keys: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """(index, stored value at `height`) of the keys that changed after it."""
        suffix = u64(height + 1)
        entries = self._store.first_from(history, [(key, suffix) for key in keys])
        return [(index, entry[1]) for index, entry in enumerate(entries) if entry is not None]


def _nonce(stored: bytes) -> int:
    return int.from_bytes(stored[:8], "big")  # absent accounts are empty: 0
