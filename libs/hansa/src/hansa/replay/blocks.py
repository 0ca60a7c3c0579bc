"""From blocks of files to requests: what can be checked before a block runs."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hansa_kernel import (
    BlockInvalid,
    Header,
    KernelInputError,
    RawBlock,
    Spec,
    check_block_body,
    check_header,
    decode_transactions,
    keccak_batch,
    ordered_root,
)

from hansa.chainfiles import ChainFile, FileBlock, FileGap, FileOtherChain
from hansa.chainfiles.errors import FileMalformed
from hansa.packing import count_packed
from hansa.replay import limits
from hansa.replay.errors import BlockRefused
from hansa.v1 import executor_pb2


@dataclass(frozen=True, slots=True)
class Ready:
    """A block to run."""

    path: Path
    number: int
    hash: bytes
    transactions: int
    request: executor_pb2.ExecuteRequest


@dataclass(slots=True)
class Preparer:
    """Checks blocks in order against their ancestors and makes requests of them. Not thread-safe."""

    spec: Spec
    head: Header  # the newest block that is there, or was prepared
    total_difficulty: int  # up to and with `head`
    known: dict[int, bytes]  # number -> hash, of the last blocks of files as far as they are there already
    ancestors: "deque[tuple[bytes, bytes]]" = field(  # (header, hashes of its ommers), newest first
        default_factory=lambda: deque(maxlen=limits.OMMER_DEPTH + 1)
    )
    skipped: int = 0

    def prepare(self, file: ChainFile) -> Iterator[Ready]:
        """Blocks of a file that are not there yet. Raises `ChainFileError`, `BlockRefused`.

        Of blocks that are there, the file's last one is compared: it names all before it.
        """
        for block in file.blocks():
            try:
                raw = RawBlock.decode(block.rlp)
            except KernelInputError as error:
                raise FileMalformed(
                    file.path, block.offset, f"a block ({error.field}: {error.expected})", error.got
                ) from error
            header = Header.decode(raw.header)
            if header.number <= self.head.number:
                self._skip(file.path, header)
                continue
            try:
                yield self._prepare(file.path, block, raw, header)
            except BlockInvalid as error:
                raise BlockRefused(file.path, header.number, error.code, error.message) from error
            except KernelInputError as error:
                raise BlockRefused(
                    file.path, header.number, "malformed", f"{error.field}: expected {error.expected}, got {error.got}"
                ) from error
        self.known[self.head.number] = self.head.hash

    def _skip(self, path: Path, header: Header) -> None:
        mine = self.known.get(header.number)
        if mine is not None and mine != header.hash:
            raise FileOtherChain(path, header.number, mine, header.hash)
        self.skipped += 1

    def _prepare(self, path: Path, block: FileBlock, raw: RawBlock, header: Header) -> Ready:
        if header.number != self.head.number + 1:
            raise FileGap(path, header.number, self.head.number + 1)
        if header.parent_hash != self.head.hash:
            raise FileOtherChain(path, header.number - 1, self.head.hash, header.parent_hash)
        check_header(self.spec, raw.header, self.head.rlp, parent_total_difficulty=self.total_difficulty)
        check_block_body(self.spec, raw, list(self.ancestors))
        total = self.total_difficulty + header.difficulty
        self._check_file_parts(path, block, header, total)
        if (count := count_packed(raw.transactions)) > header.gas_limit // limits.TX_GAS_MIN:
            raise BlockRefused(
                path, header.number, "gas_limit", f"{count} transactions need more gas than the block has"
            )
        batch = decode_transactions(raw.transactions, spec=self.spec, number=header.number, timestamp=header.timestamp)
        if not batch.all_valid():
            index, error = next((i, found) for i, found in enumerate(batch.errors()) if found is not None)
            raise BlockRefused(path, header.number, error.code, f"transaction {index}: {error.message}")
        self.head, self.total_difficulty = header, total
        self.ancestors.appendleft((raw.header, keccak_batch(raw.ommers)))
        request = executor_pb2.ExecuteRequest(
            parent_hash=header.parent_hash,
            header=raw.header,
            transactions=raw.transactions,
            senders=batch.senders(),
            hashes=batch.hashes(),
            ommers=raw.ommers,
            withdrawals=stored_withdrawals(raw.withdrawals),
        )
        return Ready(path, header.number, header.hash, len(batch), request)

    def _check_file_parts(self, path: Path, block: FileBlock, header: Header, total: int) -> None:
        """What a file says beside the block itself."""
        if block.total_difficulty is not None and block.total_difficulty != total:
            raise BlockRefused(
                path, header.number, "total_difficulty", f"the file says {block.total_difficulty}, it is {total}"
            )
        if block.receipts is not None and ordered_root(block.receipts) != header.receipts_root:
            raise BlockRefused(
                path, header.number, "receipts", "the file's receipts are not those that the header names"
            )


def stored_withdrawals(rlp_list: bytes | None) -> bytes:
    """How contracts carry a list of withdrawals: nothing for an empty one, since the header tells whether there is one."""
    return b"" if rlp_list is None or rlp_list == b"\xc0" else rlp_list


def check_first(file: ChainFile, genesis_hash: bytes) -> None:
    """That a file's first block is this chain's, as far as genesis tells. Raises `FileOtherChain`."""
    number, got = file.first.number, file.first.hash
    if number == 1:
        number, got = 0, file.first.parent_hash
    if number == 0 and got != genesis_hash:
        raise FileOtherChain(file.path, 0, genesis_hash, got)
