"""Files of blocks of public chains: what they hold, and writing them. Nothing here runs a block."""

from pathlib import Path

from hansa.chainfiles import era1
from hansa.chainfiles.blockfile import BlockFile
from hansa.chainfiles.era1 import Era1File
from hansa.chainfiles.errors import (
    ChainFileError,
    FileGap,
    FileMalformed,
    FileOtherChain,
    FileTruncated,
    FileUnreadable,
)
from hansa.chainfiles.source import ChainFile, FileBlock, unreadable

SUFFIXES = (".era1", ".rlp", ".blocks", ".bin", ".gz")
"""Names of files that are taken from a folder."""


def open_chain_file(path: Path) -> ChainFile:
    """A file of either kind, told by its first bytes and looked through. Raises `ChainFileError`."""
    try:
        with path.open("rb") as file:
            start = file.read(len(era1.MAGIC))
    except OSError as error:
        raise unreadable(path, error) from error
    return Era1File(path) if start == era1.MAGIC else BlockFile(path)


def open_chain_files(path: Path) -> list[ChainFile]:
    """A file, or all of a folder, in the order of their first blocks. Raises `ChainFileError`."""
    if not path.is_dir():
        return [open_chain_file(path)]
    try:
        found = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise FileUnreadable(path, f"holds no file of blocks (a name that ends in {', '.join(SUFFIXES)})")
    return sorted((open_chain_file(entry) for entry in found), key=lambda file: file.first.number)


__all__ = [
    "SUFFIXES",
    "BlockFile",
    "ChainFile",
    "ChainFileError",
    "Era1File",
    "FileBlock",
    "FileGap",
    "FileMalformed",
    "FileOtherChain",
    "FileTruncated",
    "FileUnreadable",
    "open_chain_file",
    "open_chain_files",
]
