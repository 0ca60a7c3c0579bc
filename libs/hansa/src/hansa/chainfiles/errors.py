"""What can be wrong with a file of blocks.

ChainFileError
├── FileUnreadable     the system says so
├── FileTruncated      it ends in the middle of something
├── FileMalformed      its bytes are not of the format
├── FileOtherChain     its blocks are another network's
└── FileGap            its blocks do not follow what is there
"""

from pathlib import Path

from hansa.errors import Explained


class ChainFileError(Explained):
    """Base: `path` is the file."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(f"{path}: {text}")
        self.path = path


class FileUnreadable(ChainFileError):
    """The system refuses to read or write it."""


class FileTruncated(ChainFileError):
    """It ends too early: `offset` is where what was cut begins (in the uncompressed bytes)."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(path, f"is truncated: it ends inside {what} that begins at byte {offset}; get the file again")
        self.offset = offset


class FileMalformed(ChainFileError):
    """At byte `offset` stands something else than `expected`."""

    def __init__(self, path: Path, offset: int, expected: str, got: str) -> None:
        super().__init__(path, f"at byte {offset}: expected {expected}, got {got[:200]}")
        self.offset = offset


class FileOtherChain(ChainFileError):
    """Block `number` is not of the chain that the chain spec names."""

    def __init__(self, path: Path, number: int, expected: bytes, got: bytes) -> None:
        super().__init__(
            path,
            f"holds another chain: block {number} is 0x{got.hex()}, here it is 0x{expected.hex()}; "
            "give the chain spec that belongs to the file",
        )
        self.number = number


class FileGap(ChainFileError):
    """The file begins behind the next block that is wanted."""

    def __init__(self, path: Path, first: int, wanted: int) -> None:
        super().__init__(path, f"begins at block {first}, block {wanted} comes next: import the files before it first")
        self.first = first
        self.wanted = wanted
