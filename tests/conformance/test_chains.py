"""Whole public chains: imported with every root right, exported again byte for byte. Minutes; `make conformance`."""

import os
from pathlib import Path

import orjson
import pytest
from support.chains import BESU_SNAP, ETHTEST, MAINNET, SEPOLIA, PublicChain, hansa, header_of, split_blocks
from support.vectors import needs_vectors

pytestmark = [
    needs_vectors,
    pytest.mark.vectors,
    pytest.mark.skipif(not os.environ.get("HANSA_CONFORMANCE"), reason="takes minutes: `make conformance` runs it"),
]


@pytest.mark.parametrize("chain", [ETHTEST, BESU_SNAP], ids=["ethtest", "besu-snap"])
def test_a_block_file_is_imported_and_exported_again(chain: PublicChain, tmp_path: Path) -> None:
    genesis, blocks = chain.unpacked(tmp_path)
    data = tmp_path / "data"
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", data, "--json").json
    raw = split_blocks(blocks.read_bytes())
    first = header_of(raw[0]).number
    assert done["head"] == {"number": chain.head, "hash": "0x" + header_of(raw[-1]).hash.hex()}
    assert (
        hansa("export", tmp_path / "out.rlp", "--chain-spec", genesis, "--data-dir", data, "--first", str(first)).status
        == 0
    )
    assert (tmp_path / "out.rlp").read_bytes() == blocks.read_bytes()


@pytest.mark.parametrize("chain", [MAINNET, SEPOLIA], ids=["mainnet", "sepolia"])
def test_the_first_era_of_a_public_network_is_imported_and_exported_again(chain: PublicChain, tmp_path: Path) -> None:
    genesis, blocks = chain.unpacked(tmp_path)
    data = tmp_path / "data"
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", data, "--json").json
    assert (done["blocks"], done["head"]["number"]) == (chain.head, chain.head)  # type: ignore[index]
    options = ("--chain-spec", genesis, "--data-dir", data, "--format", "era1", "--json")
    assert hansa("export", tmp_path / "out.era1", *options).json["blocks"] == chain.head + 1
    assert (tmp_path / "out.era1").read_bytes() == blocks.read_bytes()
    assert orjson.loads((data / "chain.json").read_bytes())["member"] == "import"


def test_a_truncated_era_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    genesis, blocks = SEPOLIA.unpacked(tmp_path)
    (tmp_path / "cut.era1").write_bytes(blocks.read_bytes()[:-9])
    done = hansa("import", tmp_path / "cut.era1", "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (done.status, "is truncated" in done.error) == (1, True)
    assert not (tmp_path / "data").exists()


def test_an_era_of_another_network_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    genesis, _ = MAINNET.unpacked(tmp_path)
    _, blocks = SEPOLIA.unpacked(tmp_path)
    done = hansa("import", blocks, "--chain-spec", genesis, "--data-dir", tmp_path / "data")
    assert (done.status, "holds another chain" in done.error) == (1, True)
    assert not (tmp_path / "data").exists()
