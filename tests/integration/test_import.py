"""Blocks of a public chain on this member's services: every root right, exported again byte for byte, and what is cut,
changed or foreign is refused by name."""

import asyncio
import gzip
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hansa.chainfiles import rlp
from hansa.chainspec import load_chain_spec
from hansa.config import Settings
from hansa.replay import open_ledger
from hansa.service import ServiceContext, find_services
from support.chains import ETHTEST, EXECUTION_APIS, Outcome, hansa, header_of, split_blocks
from support.vectors import VECTORS, needs_vectors

BOUND_SECONDS = 60

pytestmark = [needs_vectors, pytest.mark.vectors]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(genesis, block file) of the 54 blocks that the execution-apis tests run on: every fork from Homestead on."""
    return EXECUTION_APIS.unpacked(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def imported(chain: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with that chain."""
    folder = tmp_path_factory.mktemp("imported") / "data"
    genesis, blocks = chain
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", folder)
    assert done.status == 0, done.error
    assert "seals not checked" in done.out
    assert f"head {EXECUTION_APIS.head} 0x{header_of(split_blocks(blocks.read_bytes())[-1]).hash.hex()}" in done.out
    return folder


def export(folder: Path, genesis: Path, file: Path, *options: str) -> Outcome:
    return hansa("export", file, "--chain-spec", genesis, "--data-dir", folder, *options)


def test_exported_blocks_are_the_bytes_that_were_imported(
    chain: tuple[Path, Path], imported: Path, tmp_path: Path
) -> None:
    genesis, blocks = chain
    assert export(imported, genesis, tmp_path / "all.rlp", "--first", "1").status == 0
    assert (tmp_path / "all.rlp").read_bytes() == blocks.read_bytes()
    assert export(imported, genesis, tmp_path / "part.rlp.gz", "--first", "10", "--last", "12").status == 0
    part = gzip.decompress((tmp_path / "part.rlp.gz").read_bytes())
    assert split_blocks(part) == split_blocks(blocks.read_bytes())[9:12]


def test_exports_of_what_is_not_there_or_would_overwrite_are_refused(
    chain: tuple[Path, Path], imported: Path, tmp_path: Path
) -> None:
    genesis, _ = chain
    (tmp_path / "there.rlp").write_bytes(b"kept")
    refused = {
        "exists already": export(imported, genesis, tmp_path / "there.rlp"),
        "there are blocks 0 to 54": export(imported, genesis, tmp_path / "new", "--last", "55"),
        "blocks 9 to 8 were asked for": export(imported, genesis, tmp_path / "new", "--first", "9", "--last", "8"),
        "begins at a multiple of 8192": export(imported, genesis, tmp_path / "new", "--first", "1", "--format", "era1"),
        "comes after the merge": export(imported, genesis, tmp_path / "new", "--format", "era1"),
        "is no data folder": export(tmp_path, genesis, tmp_path / "new"),
    }
    for text, outcome in refused.items():
        assert (outcome.status != 0, text in outcome.error) == (True, True), outcome.error
    assert [path.name for path in tmp_path.iterdir()] == ["there.rlp"]
    assert (tmp_path / "there.rlp").read_bytes() == b"kept"


def test_importing_again_finds_everything_there(chain: tuple[Path, Path], imported: Path) -> None:
    genesis, blocks = chain
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", imported, "--json").json
    assert (done["blocks"], done["skipped"]) == (0, EXECUTION_APIS.head)


def test_an_import_goes_on_where_an_earlier_one_ended(chain: tuple[Path, Path], tmp_path: Path) -> None:
    genesis, blocks = chain
    raw = split_blocks(blocks.read_bytes())
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "2.rlp").write_bytes(b"".join(raw[20:]))
    late = hansa("import", parts, "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (late.status, "import the files before it first" in late.error) == (1, True)
    (parts / "1.rlp.gz").write_bytes(gzip.compress(b"".join(raw[:25])))
    for file, expected in (("1.rlp.gz", (25, 0)), ("", (29, 30))):
        done = hansa("import", parts / file, "--chain-spec", genesis, "--data-dir", tmp_path / "data", "--json").json
        assert (done["blocks"], done["skipped"]) == expected


def test_a_truncated_file_is_refused_before_anything_is_written(chain: tuple[Path, Path], tmp_path: Path) -> None:
    genesis, blocks = chain
    (tmp_path / "cut.rlp").write_bytes(blocks.read_bytes()[:-1])
    done = hansa("import", tmp_path / "cut.rlp", "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (done.status, "is truncated" in done.error) == (1, True)
    assert not (tmp_path / "data").exists()


def test_a_file_of_another_network_is_refused_before_anything_is_written(
    chain: tuple[Path, Path], imported: Path, tmp_path: Path
) -> None:
    genesis, _ = chain
    _, other = ETHTEST.unpacked(tmp_path)
    done = hansa("import", other, "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (done.status, "holds another chain" in done.error) == (1, True)
    assert not (tmp_path / "data").exists()
    (tmp_path / "late.rlp").write_bytes(b"".join(split_blocks(other.read_bytes())[54:60]))
    done = hansa("import", tmp_path / "late.rlp", "--chain-spec", genesis, "--data-dir", imported)
    assert (done.status, "holds another chain" in done.error) == (1, True)


def test_a_folder_of_another_chain_is_refused(imported: Path, tmp_path: Path) -> None:
    genesis, blocks = ETHTEST.unpacked(tmp_path)
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", imported)
    assert (done.status, "holds data of another chain" in done.error) == (1, True)


def _changed(block: bytes, field: int) -> bytes:
    """The block with one byte of a header field changed."""
    parts = [item for _, item, _ in rlp.items_of(block)]
    fields = [payload for _, _, payload in rlp.items_of(parts[0])]
    fields[field] = bytes((fields[field][0] ^ 1,)) + fields[field][1:]
    return rlp.list_of([rlp.list_of(map(rlp.string_of, fields)), *parts[1:]])


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (1, "ommers_hash"),
        (3, "state_root"),
        (4, "transactions_root"),
        (5, "receipts_root"),
        (6, "logs_bloom"),
        (10, "gas_used"),
    ],
)
def test_a_block_with_a_wrong_root_is_refused_and_those_before_it_stay(
    chain: tuple[Path, Path], tmp_path: Path, field: int, name: str
) -> None:
    genesis, blocks = chain
    raw = split_blocks(blocks.read_bytes())
    bad = next(at for at in range(8, 40) if header_of(raw[at]).gas_used)
    (tmp_path / "bad.rlp").write_bytes(b"".join([*raw[:bad], _changed(raw[bad], field)]))
    done = hansa("import", tmp_path / "bad.rlp", "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (done.status, f"block {bad + 1} is refused" in done.error) == (1, True), done.error
    assert name in done.error or name == "ommers_hash", done.error
    rest = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", tmp_path / "data", "--json").json
    assert (rest["skipped"], rest["blocks"]) == (bad, EXECUTION_APIS.head - bad)


# --- what clients see ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    archive = VECTORS / "jsonrpc.tar.xz"
    subprocess.run(["tar", "-xJf", archive, "-C", folder, "jsonrpc/execution-apis/tests"], check=True)
    return folder / "jsonrpc" / "execution-apis" / "tests"


def _pairs(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    for file in sorted(folder.glob("*.io")):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("//")]
        for asked, answered in zip(lines[::2], lines[1::2], strict=True):
            yield file.name, orjson.loads(asked.removeprefix(">> ")), orjson.loads(answered.removeprefix("<< "))


METHODS = (
    "eth_getBlockByNumber", "eth_getBlockTransactionCountByNumber", "eth_getBalance", "eth_getCode",
    "eth_getTransactionByBlockNumberAndIndex", "eth_getTransactionByHash", "eth_getTransactionCount",
)  # fmt: skip


def test_the_api_shows_an_imported_chain_as_other_clients_do(
    chain: tuple[Path, Path], imported: Path, cases: Path
) -> None:
    genesis, _ = chain
    spec = load_chain_spec(genesis)

    async def ask() -> list[tuple[str, Any, Any]]:
        async with open_ledger(spec, imported, genesis) as ledger, AsyncExitStack() as stack:
            values = ledger.settings.model_dump() | {"api": {"port": 0, "ws_port": 0, "grpc_port": 0}}
            context = ServiceContext(Settings(**values), spec, asyncio.get_running_loop().create_future())
            api = find_services(["api"])[0](context)
            stack.push_async_callback(api.stop)
            await api.start()
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", timeout=BOUND_SECONDS)
            )
            async with asyncio.timeout(BOUND_SECONDS):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - a service's state
                    await asyncio.sleep(0.05)
            for number, block in enumerate(split_blocks(chain[1].read_bytes()), 1):
                request = {"jsonrpc": "2.0", "id": 1, "method": "debug_getRawBlock", "params": [hex(number)]}
                assert (await client.post("/", json=request)).json()["result"] == "0x" + block.hex()
            return [
                (f"{method}/{name}", (await client.post("/", json=request)).json(), expected)
                for method in METHODS
                for name, request, expected in _pairs(cases / method)
            ]

    answers = asyncio.run(ask())
    assert len(answers) > len(METHODS)
    wrong = [name for name, got, expected in answers if got.get("result") != expected.get("result")]
    assert not wrong
