"""Which public test files make up which suite, and who runs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hansa.conformance import Job, Setting, find_test_files

from support.vectors import unpacked

PARALLEL_RUNNERS = ("window", "stm", "access-list")


@dataclass(frozen=True, slots=True)
class Suite:
    """Files of one kind."""

    name: str
    kind: str  # as `hansa_kernel.run_conformance` takes it
    archive: str
    below: str = ""  # folder in the archive
    pattern: str = ""  # of file names; empty: all
    blocks: bool = False  # blocks of two or more transactions run with every runner

    def files(self) -> list[Path]:
        """Its files, in a fixed order."""
        folder = unpacked(self.archive) / self.below
        if self.pattern:
            return sorted(folder.rglob(self.pattern))
        return find_test_files([folder])

    def jobs(self) -> Iterator[Job]:
        """Its files with the sequential runner."""
        return (Job(self.kind, path, Setting()) for path in self.files())

    def parallel_jobs(self, runner: str) -> Iterator[Job]:
        """Its blocks of two or more transactions with another runner."""
        setting = Setting(runner=runner, transactions_min=2)
        return (Job(self.kind, path, setting) for path in self.files() if self.blocks)


SUITES = (
    Suite("state tests", "state", "state-tests-eest"),
    Suite("state tests, fills of Cancun", "state", "state-tests-legacy", "Cancun"),
    Suite("state tests, fills of Constantinople", "state", "state-tests-legacy", "Constantinople"),
    Suite("blocks", "block", "blockchain-tests", "eest", blocks=True),
    Suite("blocks, fills of Cancun", "block", "blockchain-tests", "legacy/Cancun", blocks=True),
    Suite("blocks, fills of Constantinople", "block", "blockchain-tests", "legacy/Constantinople", blocks=True),
    Suite("state tests as blocks", "block", "blockchain-tests-static", blocks=True),
    Suite("heavy blocks", "block", "benchmark-blocks", blocks=True),
    Suite("transactions", "transaction", "ethereum-basics", "TransactionTests"),
    Suite("RLP", "rlp", "ethereum-basics", "RLPTests"),
    Suite("tries", "trie", "ethereum-basics", "TrieTests"),
    Suite("difficulty", "difficulty", "ethereum-basics", "DifficultyTests"),
    Suite("difficulty of chains", "difficulty", "ethereum-basics", "BasicTests", pattern="difficulty*.json"),
    Suite("base fee", "base-fee", "chains", "blocks", pattern="basefee-test.json"),
    Suite("precompiles", "precompile", "crypto", "precompiles"),
    Suite("instructions", "precompile", "crypto", "evm-opcodes"),
)
