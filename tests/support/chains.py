"""Public chains: unpacked from the test data, imported and exported as the command line does it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
from hansa.chainfiles import rlp
from hansa_kernel import Header

from support.vectors import VECTORS

HANSA = Path(sys.executable).with_name("hansa")


@dataclass(frozen=True, slots=True)
class PublicChain:
    """A chain of the public test data."""

    archive: str
    genesis: str
    blocks: str
    head: int

    def unpacked(self, folder: Path) -> tuple[Path, Path]:
        """(genesis, blocks) in `folder`."""
        archive = VECTORS / f"{self.archive}.tar.xz"
        names = [f"{self.archive}/{name}" for name in (self.genesis, self.blocks)]
        subprocess.run(["tar", "-xJf", archive, "-C", folder, *names], check=True)
        return folder / names[0], folder / names[1]


EXECUTION_APIS = PublicChain("jsonrpc", "execution-apis/chain/genesis.json", "execution-apis/chain/chain.rlp", 54)
ETHTEST = PublicChain("chains", "chain/geth-ethtest/genesis.json", "chain/geth-ethtest/chain.rlp", 600)
BESU_SNAP = PublicChain("chains", "chain/besu-snap/snapGenesis.json", "chain/besu-snap/testBlockchain.blocks", 500)
MAINNET = PublicChain("chains", "genesis/eth-clients-mainnet/genesis.json", "era1/mainnet-00000-5ec1ffb8.era1", 8_191)
SEPOLIA = PublicChain("chains", "genesis/eth-clients-sepolia/genesis.json", "era1/sepolia-00000-643a00f7.era1", 8_191)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    error: str

    @property
    def json(self) -> dict[str, object]:
        """What it printed with --json."""
        assert self.status == 0, self.error
        found: dict[str, object] = orjson.loads(self.out)
        return found


def hansa(*arguments: str | Path) -> Outcome:
    """Run the command line as a process of its own."""
    done = subprocess.run([HANSA, *map(str, arguments)], capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def split_blocks(raw: bytes) -> list[bytes]:
    """Blocks of a block file."""
    found, at = [], 0
    while at < len(raw):
        prefix = rlp.prefix_of(raw, at)
        assert prefix is not None
        end = at + prefix[1] + prefix[2]
        found.append(raw[at:end])
        at = end
    return found


def header_of(block: bytes) -> Header:
    """Its decoded header."""
    return Header.decode(rlp.items_of(block)[0][1])
