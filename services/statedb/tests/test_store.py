"""What the data folder survives, and what it refuses with what to do."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import hansa_kernel
import pytest
from hansa_statedb import wal
from hansa_statedb.chain import Chain, Parts
from hansa_statedb.core.layout import SCHEMA_VERSION, u64
from hansa_statedb.errors import (
    StoreDamaged,
    StoreFailed,
    StoreForeign,
    StoreLocked,
    StoreOtherChain,
    StoreRefused,
    StoreSchemaNewer,
)
from hansa_statedb.queries import prove
from support.blocks import Change, executed, open_chain
from support.execution import chain_of, secret_keys

KEYS = secret_keys(2)
WRITER = Path(__file__).parent / "commit_until_killed.py"


def account(number: int) -> bytes:
    return hansa_kernel.keccak(b"account%d" % number)[:20]


def extend(chain: Chain, blocks: int) -> None:
    for _ in range(blocks):
        number = chain.head.number + 1
        changes = {account(number % 50): Change(number, number), account(number): Change(1, number)}
        block, _ = chain.stage(executed(chain.head.header, changes))
        chain.commit(block.hash, b"")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder as a kill leaves it: 40 blocks, some flushed to files, the rest in the write-ahead log."""
    chain = open_chain(tmp_path / "running", chain_of(KEYS))
    extend(chain, 20)
    chain.store.flush()
    extend(chain, 20)
    folder = tmp_path / "statedb"
    shutil.copytree(tmp_path / "running", folder)
    chain.store.close()
    return folder


def reopened_head(folder: Path) -> int:
    chain = open_chain(folder, chain_of(KEYS))
    try:
        check_consistent(chain)
        return chain.head.number
    finally:
        chain.store.close()


def check_consistent(chain: Chain) -> None:
    """The head's root proves the flat state, and every block below is there."""
    number = chain.head.number
    for address in (account(number), account(number % 50), account(10**6)):
        proof = prove(chain, number, address, b"")
        assert proof.state_root == hansa_kernel.Header.decode(chain.head.header).state_root
        assert (proof.account[0] == 1) == bool(number and address != account(10**6))
    blocks = chain.blocks(range(number + 1), Parts())
    assert [block.number for block in blocks] == list(range(number + 1))
    for parent, child in pairwise(blocks):
        assert hansa_kernel.Header.decode(child.header).parent_hash == parent.hash


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(bytes(data))


def newest_log(folder: Path) -> Path:
    return max((path for path in folder.glob("*.log") if path.stat().st_size), key=lambda path: int(path.stem))


def test_clean_restart_resumes_at_the_head(written: Path) -> None:
    assert reopened_head(written) == 40


def test_torn_tail_of_the_log_is_cut_off(written: Path) -> None:
    log = newest_log(written)
    os.truncate(log, log.stat().st_size - 20)
    assert reopened_head(written) == 39


def test_flipped_bit_in_the_last_record_is_cut_off(written: Path) -> None:
    flip(newest_log(written), -20)
    assert reopened_head(written) == 39


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_flipped_bit_in_the_middle_of_the_log_refuses_to_start(written: Path, share: float) -> None:
    log = newest_log(written)
    flip(log, int(log.stat().st_size * share) + 9)
    with pytest.raises(StoreDamaged, match=log.name):
        reopened_head(written)


def test_every_truncation_of_the_last_records_is_a_torn_tail(written: Path) -> None:
    data = newest_log(written).read_bytes()
    for size in range(len(data) - 300, len(data)):
        bad = wal.first_bad_record(data[:size])
        assert bad is None or not bad[1]


def _current_missing(folder: Path) -> str:
    (folder / "CURRENT").unlink()
    return "CURRENT"


def _current_garbled(folder: Path) -> str:
    flip(folder / "CURRENT", 3)
    return "CURRENT"


def _manifest_flipped(folder: Path) -> str:
    manifest = max(folder.glob("MANIFEST-*"))
    flip(manifest, manifest.stat().st_size // 3)
    return manifest.name


def _table_missing(folder: Path) -> str:
    table = max(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    table.unlink()
    return table.name


def _table_cut_short(folder: Path) -> str:
    table = max(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    os.truncate(table, table.stat().st_size - 5)
    return table.name


@pytest.mark.parametrize(
    "damage", [_current_missing, _current_garbled, _manifest_flipped, _table_missing, _table_cut_short]
)
def test_damaged_file_refuses_to_start_and_is_named(written: Path, damage: Callable[[Path], str]) -> None:
    named = damage(written)
    with pytest.raises(StoreDamaged, match=named):
        reopened_head(written)


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreForeign, match="thesis"):
        reopened_head(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_rocksdb_database_is_refused(tmp_path: Path) -> None:
    code = f"from rocksdict import Rdict\ndb = Rdict({str(tmp_path)!r})\ndb['key'] = 1\ndb.close()"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(StoreForeign, match="another RocksDB"):
        reopened_head(tmp_path)


def test_another_chain_is_refused(written: Path) -> None:
    with pytest.raises(StoreOtherChain, match="choose another data_dir"):
        open_chain(written, chain_of(secret_keys(3)))


def test_newer_schema_is_refused(written: Path) -> None:
    chain = open_chain(written, chain_of(KEYS))
    batch = chain.store.batch()
    batch.put_all("meta", [(b"schema", u64(SCHEMA_VERSION + 1))])
    chain.store.write(batch)
    chain.store.close()
    with pytest.raises(StoreSchemaNewer, match="newer version"):
        reopened_head(written)


def test_folder_open_in_another_process_is_refused(written: Path) -> None:
    writer = start_writer(written)
    try:
        with pytest.raises(StoreLocked, match="another process"):
            reopened_head(written)
    finally:
        writer.kill()
        writer.wait()


def test_unwritable_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match="cannot be used"):
        reopened_head(tmp_path / "file" / "statedb")


def start_writer(folder: Path) -> "subprocess.Popen[str]":
    """A process that commits blocks and prints the height of each after it is durable."""
    roots = os.pathsep.join((str(Path(__file__).parents[3] / "tests"),))
    writer = subprocess.Popen(
        [sys.executable, str(WRITER), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": roots},
    )
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == "ready"
    return writer


@pytest.mark.parametrize("blocks", [0, 1, 7, 40])
def test_kill_between_stage_and_commit_or_during_commits_resumes_at_a_committed_head(
    tmp_path: Path, blocks: int
) -> None:
    folder = tmp_path / "statedb"
    writer = start_writer(folder)
    assert writer.stdout is not None
    answered = [int(writer.stdout.readline()) for _ in range(blocks)]
    time.sleep(random.random() / 500)  # a block takes about 2 ms here: the kill is to fall anywhere
    writer.send_signal(signal.SIGKILL)
    answered += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    head = reopened_head(folder)
    assert head in ((answered or [0])[-1], (answered or [0])[-1] + 1)  # the last may be durable and unanswered


def test_kill_while_the_folder_is_made_leaves_one_that_opens(tmp_path: Path) -> None:
    folder = tmp_path / "statedb"
    open_chain(folder, chain_of(KEYS)).store.close()
    for name in ("CURRENT", "MANIFEST", "log", "sst", "OPTIONS"):
        for path in [path for path in folder.iterdir() if name in path.name]:
            path.unlink()
    assert reopened_head(folder) == 0
    shutil.rmtree(folder)


def test_flipped_bit_in_a_table_is_found_when_it_is_read_and_the_file_is_named(written: Path) -> None:
    tables = list(written.glob("*.sst"))
    for table in tables:
        flip(table, 20)
    with pytest.raises((StoreFailed, StoreDamaged), match=r"\d+\.sst"):
        reopened_head(written)
