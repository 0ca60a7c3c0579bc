"""RocksDB: families, options, batches, and its errors in our words. The only module that imports rocksdict.

A handle keeps the database open even after `close`, so none leaves this module.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from hansa_statedb import limits
from hansa_statedb.core.layout import SCHEMA_VERSION, after_prefix, read_u64
from hansa_statedb.errors import (
    StoreDamaged,
    StoreFailed,
    StoreForeign,
    StoreLocked,
    StoreRefused,
    StoreSchemaNewer,
)
from hansa_statedb.wal import check_wal

SCHEMA_KEY = b"schema"

_KNOWN_FILE = re.compile(
    r"(?:\d+\.(?:sst|log|blob|dbtmp)|MANIFEST-\d+|OPTIONS-\d+(?:\.dbtmp)?|CURRENT|IDENTITY|LOCK|LOG(?:\.old\.\d+)?|"
    r"rocksdict-config\.json)$"
)
_CHAIN_FILE = re.compile(r"\d+\.(?:sst|log|blob)$")
_NAMED_FILE = re.compile(r"[^\s']*(?:\d{6}\.(?:sst|log|blob)|MANIFEST-\d+|OPTIONS-\d+|CURRENT)")


@dataclass(frozen=True, slots=True)
class _Family:
    busy: bool = True  # gets the configured write buffer
    bloom: bool = True  # read by whole keys, often absent ones
    compressed: bool = True
    blobs: bool = False


FAMILIES: dict[str, _Family] = {
    "accounts": _Family(),
    "storage": _Family(),
    "code": _Family(busy=False, blobs=True),
    "nodes": _Family(compressed=False),  # hashes do not compress
    "headers": _Family(busy=False, bloom=False),
    "numbers": _Family(busy=False, compressed=False),
    "bodies": _Family(bloom=False, blobs=True),
    "receipts": _Family(bloom=False, blobs=True),
    "certificates": _Family(busy=False, bloom=False),
    "transactions": _Family(compressed=False),
    "logs": _Family(bloom=False),
    "account_history": _Family(bloom=False),
    "storage_history": _Family(bloom=False),
    "node_history": _Family(bloom=False, blobs=True),
    "node_history_paths": _Family(busy=False, bloom=False, compressed=False),
    "meta": _Family(busy=False, bloom=False),
}


class Batch:
    """Writes that happen together or not at all."""

    def __init__(self, handles: dict[str, ColumnFamily]) -> None:
        self._handles = handles
        self.raw = WriteBatch(raw_mode=True)

    def put_all(self, family: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write `pairs`; an empty value deletes its key: absent is how empty is stored."""
        handle = self._handles[family]
        put, delete = self.raw.put, self.raw.delete
        for key, value in pairs:
            if value:
                put(key, value, handle)
            else:
                delete(key, handle)

    def keep_all(self, family: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write `pairs`, empty values too: in a history they say that nothing was there."""
        handle = self._handles[family]
        put = self.raw.put
        for key, value in pairs:
            put(key, value, handle)

    def post_all(self, family: str, keys: Iterable[bytes]) -> None:
        """Write `keys` without values."""
        handle = self._handles[family]
        put = self.raw.put
        for key in keys:
            put(key, b"", handle)

    def delete_range(self, family: str, start: bytes, end: bytes) -> None:
        """Delete all keys from `start` up to, without, `end`."""
        self.raw.delete_range(start, end, self._handles[family])


class Store:
    """An open data folder. Methods block: call them from worker threads. Reads may run beside each other and a write."""

    def __init__(self, folder: Path, *, block_cache_bytes: int, write_buffer_bytes: int) -> None:
        """Open or create. Raises a `StoreRefused` that says what to do."""
        self.folder = folder
        self._check_folder()
        self.torn_tail = check_wal(folder)
        cache = Cache(block_cache_bytes)
        options = {name: _family_options(family, cache, write_buffer_bytes) for name, family in FAMILIES.items()}
        try:
            self._db = Rdict(str(folder), _database_options(write_buffer_bytes), column_families=options)
        except Exception as error:  # rocksdict raises plain Exception
            raise _refusal(folder, error) from error
        self._families = {name: self._db.get_column_family(name) for name in FAMILIES}
        self._handles = {name: self._db.get_column_family_handle(name) for name in FAMILIES}
        self._options = WriteOptions()
        self._options.memtable_insert_hint_per_batch = True  # a block's keys are sorted per family
        self._closed = threading.Event()

    def get_many(self, family: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None = absent."""
        rows = self._families[family]
        values: list[bytes | None] = []
        try:
            for start in range(0, len(keys), limits.READ_KEYS_CHUNK):
                values += rows.get(list(keys[start : start + limits.READ_KEYS_CHUNK])) or []
        except Exception as error:
            raise self._failure(error) from error
        return values

    def get(self, family: str, key: bytes) -> bytes | None:
        """One value, None = absent."""
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            raise self._failure(error) from error
        return value

    def first_from(self, family: str, keys: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes] | None]:
        """For each (prefix, suffix): the first entry at or after `prefix + suffix` that begins with `prefix`."""
        found: list[tuple[bytes, bytes] | None] = []
        try:
            rows = self._families[family].iter(ReadOptions())
            for prefix, suffix in keys:
                rows.seek(prefix + suffix)
                if rows.valid() and (key := bytes(rows.key())).startswith(prefix):
                    found.append((key, bytes(rows.value())))
                else:
                    found.append(None)
                    rows.status()
        except Exception as error:
            raise self._failure(error) from error
        return found

    def last_before(self, family: str, prefix: bytes, suffix: bytes) -> tuple[bytes, bytes] | None:
        """The last entry at or before `prefix + suffix` that begins with `prefix`."""
        try:
            rows = self._families[family].iter(ReadOptions())
            rows.seek_for_prev(prefix + suffix)
            if rows.valid() and (key := bytes(rows.key())).startswith(prefix):
                return key, bytes(rows.value())
            rows.status()
        except Exception as error:
            raise self._failure(error) from error
        return None

    def with_prefix(self, family: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries that begin with `prefix`, ascending; not all bytes of `prefix` may be 0xff."""
        yield from self.between(family, prefix, after_prefix(prefix))

    def between(self, family: str, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries from `start` up to, without, `end`, ascending."""
        try:
            options = ReadOptions()
            options.set_iterate_upper_bound(end)
            rows = self._families[family].iter(options)
            rows.seek(start)
            while rows.valid():
                yield bytes(rows.key()), bytes(rows.value())
                rows.next()
            rows.status()
        except Exception as error:
            raise self._failure(error) from error

    def batch(self) -> Batch:
        """An empty batch."""
        return Batch(self._handles)

    def write(self, batch: Batch) -> None:
        """Apply and sync. Raises `StoreFailed`: then nothing may be assumed about the batch, and the process ends.

        The log is synced in a second step because rocksdict holds the interpreter lock while it writes and not while it
        syncs (1 ms here, 10 ms on a slow disk). Readers may see the batch a moment before it is durable; nobody is told
        of it before.
        """
        try:
            self._db.write(batch.raw, self._options)
            self._db.flush_wal(True)
        except Exception as error:
            raise self._failure(error) from error

    def sizes(self) -> dict[str, int]:
        """Bytes on disk by family, blob files included; write-ahead log not."""
        return {
            name: sum(
                int(rows.property_int_value(key) or 0)
                for key in ("rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size")
            )
            for name, rows in self._families.items()
        }

    def compaction_pending_bytes(self) -> int:
        """Bytes that compaction has yet to rewrite, over all families."""
        key = "rocksdb.estimate-pending-compaction-bytes"
        return sum(int(rows.property_int_value(key) or 0) for rows in self._families.values())

    def memory_bytes(self) -> dict[str, int]:
        """Bytes of memory tables of all families, and of the block cache that they share."""
        tables = sum(
            int(rows.property_int_value("rocksdb.size-all-mem-tables") or 0) for rows in self._families.values()
        )
        cached = self._families["accounts"].property_int_value("rocksdb.block-cache-usage")
        return {"memtables": tables, "block_cache": int(cached or 0)}

    def flush(self) -> None:
        """Write memory tables to files (for tests and measurements)."""
        for rows in self._families.values():
            rows.flush()

    def close(self) -> None:
        """Release the folder. Nothing may be running."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._handles.clear()
        for rows in self._families.values():
            rows.close()
        self._families.clear()
        self._db.close()

    def _check_folder(self) -> None:
        """Refuse what is not ours before anything is written."""
        folder = self.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            raise StoreRefused(
                f"{folder} cannot be used: {error.strerror}; check the path and its permissions"
            ) from error
        strange = [name for name in names if not _KNOWN_FILE.match(name)]
        if strange and "CURRENT" not in names:
            raise StoreForeign(f"{folder} holds something else ({strange[0]}): choose another data_dir or empty it")
        if "CURRENT" not in names:
            if chain := [name for name in names if _CHAIN_FILE.match(name) and (folder / name).stat().st_size]:
                raise StoreDamaged(str(folder / "CURRENT"), f"missing, but {chain[0]} is there")
            return
        try:
            families = Rdict.list_cf(str(folder), Options(raw_mode=True))
        except Exception as error:
            raise _refusal(folder, error) from error
        unknown = [name for name in families if name not in FAMILIES and name != "default"]
        if unknown or "meta" not in families:
            self._refuse_strange_families(families, unknown)

    def _refuse_strange_families(self, families: Sequence[str], unknown: Sequence[str]) -> None:
        """Tell a newer schema, a foreign database and one whose creation was cut short apart."""
        options = {name: Options(raw_mode=True) for name in families}
        try:
            rows = Rdict(str(self.folder), Options(raw_mode=True), options, AccessType.read_only())
            schema = rows.get_column_family("meta").get(SCHEMA_KEY) if "meta" in families else None
            empty = all(next(iter(rows.get_column_family(name).keys()), None) is None for name in families)
            rows.close()
        except Exception as error:
            raise _refusal(self.folder, error) from error
        if schema is not None and len(schema) == 8:
            check_schema(self.folder, read_u64(schema))
        if unknown or not empty:
            raise StoreForeign(f"{self.folder} holds another RocksDB database: choose another data_dir or empty it")

    def _failure(self, error: Exception) -> StoreFailed:
        named = _NAMED_FILE.search(str(error))
        return StoreFailed(f"{named[0] if named else self.folder}: {error}")


def check_schema(folder: Path, found: int) -> None:
    """Raises `StoreSchemaNewer`."""
    if found > SCHEMA_VERSION:
        raise StoreSchemaNewer(
            f"{folder} has schema {found}, this version knows {SCHEMA_VERSION}: run the newer version of Hansa, or empty "
            "the folder and let this member fetch the chain again"
        )


def _refusal(folder: Path, error: Exception) -> StoreRefused:
    text = str(error)
    if "lock" in text.lower() and "LOCK" in text:
        return StoreLocked(f"{folder} is open in another process: stop that one, or choose another data_dir")
    if "comparator" in text:
        return StoreForeign(f"{folder} holds another RocksDB database: choose another data_dir or empty it")
    named = _NAMED_FILE.search(text)
    if "Corruption" in text or "No such file" in text:
        return StoreDamaged(named[0] if named else str(folder), text)
    return StoreRefused(f"{folder} cannot be opened: {text}")


def _database_options(write_buffer_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_max_total_wal_size(limits.WAL_BYTES_MAX)
    options.set_db_write_buffer_size(4 * write_buffer_bytes)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(limits.INFO_LOG_FILES_MAX)
    options.set_max_log_file_size(limits.INFO_LOG_BYTES_MAX)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _family_options(family: _Family, cache: Cache, write_buffer_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(write_buffer_bytes if family.busy else min(write_buffer_bytes, 4 << 20))
    options.set_compression_type(DBCompressionType.lz4() if family.compressed else DBCompressionType.none())
    options.set_level_compaction_dynamic_level_bytes(True)
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_format_version(5)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    if family.bloom:
        table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    if family.blobs:
        options.set_enable_blob_files(True)
        options.set_min_blob_size(limits.BLOB_BYTES_MIN)
        options.set_blob_compression_type(DBCompressionType.lz4())
        options.set_enable_blob_gc(True)
    return options
