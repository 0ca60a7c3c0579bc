"""Catching up: which peer to ask for which committed blocks, and what becomes of its answer (rule P24).

Blocks are only fetched here. Their certificates are checked, they are executed and committed by `Chain`, like all
others.
"""

from dataclasses import dataclass, field

from .buggify import buggify
from .chain import Chain
from .effects import Effect, ReportPeer, RequestBlocks
from .engine import Crypto
from .limits import RETRY_MS, SYNC_BLOCKS_MAX, SYNC_DEADLINE_MS, SYNC_PAUSE_MS
from .types import Candidate, SyncBlock


@dataclass(frozen=True, slots=True)
class _Request:
    request_id: int
    member: int
    from_height: int
    count: int
    deadline_ms: int


@dataclass(slots=True)
class CatchUp:
    """One request at a time; its answer is queued and worked off block by block."""

    chain: Chain
    crypto: Crypto
    members: int
    out: list[Effect]
    peer_heads: dict[int, int] = field(default_factory=dict)  # member -> highest certified height it has claimed
    up: dict[int, bool] = field(default_factory=dict)
    queue: dict[int, tuple[int, SyncBlock]] = field(default_factory=dict)  # height -> (member, block); SYNC_BLOCKS_MAX
    request: _Request | None = None
    wanted_since_ms: int | None = None
    not_before_ms: int = 0
    requests: int = 0
    attempts: int = 0

    def claim(self, member: int, height: int) -> None:
        """A member has shown a valid certificate of `height`; claims never sink (rule P24)."""
        self.peer_heads[member] = max(height, self.peer_heads.get(member, 0))

    @property
    def is_behind(self) -> bool:
        """Blocks above our head are certified and not all of them are here."""
        return self.chain.highest_known > self.chain.head.number

    def step(self, now_ms: int) -> int | None:
        """Work off the queue, ask for more; returns when to be called again (monotonic ms), None: no need."""
        chain = self.chain
        if chain.halted:
            return None
        if self.queue:
            self.queue = {height: item for height, item in self.queue.items() if height > chain.head.number}
        if chain.advance(now_ms) and chain.certificates.get(chain.height) is not None:
            self.wanted_since_ms = None
            return self._prefetch(now_ms)
        if chain.height in self.queue:
            self._take(now_ms)
            if chain.height in chain.certificates:
                return self._prefetch(now_ms)
        if not self.is_behind:
            self.wanted_since_ms = None
            self.request = None
            return None
        if self.request is not None and now_ms < self.request.deadline_ms:
            return self.request.deadline_ms
        if self.request is not None:
            if self.up.get(self.request.member, True):
                self.out.append(ReportPeer(self.request.member, "blocks_not_sent"))
            self.request = None
        if self.wanted_since_ms is None:
            self.wanted_since_ms = now_ms
        due = max(self.wanted_since_ms + SYNC_PAUSE_MS, self.not_before_ms)
        if now_ms < due:
            return due
        return self._ask(chain.height, now_ms)

    def _prefetch(self, now_ms: int) -> int | None:
        """The next block is being executed or committed: have the ones after it fetched meanwhile."""
        if self.request is not None:
            if now_ms < self.request.deadline_ms:
                return self.request.deadline_ms
            self.request = None
        after = max([self.chain.height, *self.queue]) + 1
        if len(self.queue) <= SYNC_BLOCKS_MAX // 4 and self.chain.highest_known >= after + SYNC_BLOCKS_MAX // 4:
            return self._ask(after, now_ms)
        return None

    def _ask(self, from_height: int, now_ms: int) -> int | None:
        me = self.chain.config.self_index
        others = [member for member in range(self.members) if member != me]
        able = [member for member in others if self.peer_heads.get(member, 0) >= from_height]
        able = [member for member in able if self.up.get(member, True)] or able
        if not able:
            certificate = self.chain.highest_certificate
            signers = self.crypto.signers_of(certificate.signers, self.members) if certificate is not None else None
            able = [member for member in signers or [] if member != me] or others
        if not able:
            return None
        member = able[self.attempts % len(able)]
        self.attempts += 1
        self.requests += 1
        count = min(
            1 if buggify("fetch_one_block") else SYNC_BLOCKS_MAX, max(1, self.chain.highest_known - from_height + 1)
        )
        self.request = _Request(self.requests, member, from_height, count, now_ms + SYNC_DEADLINE_MS)
        self.out.append(RequestBlocks(self.requests, member, from_height, count))
        return self.request.deadline_ms

    def received(self, member: int, request_id: int, blocks: tuple[SyncBlock, ...], now_ms: int) -> None:
        """An answer: numbers and links are checked here, certificates when a block's turn comes."""
        request = self.request
        if request is None or request.request_id != request_id or request.member != member:
            return  # late, or never asked for
        self.request = None
        if not blocks:
            self.not_before_ms = now_ms + RETRY_MS
            return
        parent: bytes | None = self.chain.head.hash if request.from_height == self.chain.height else None
        for offset, block in enumerate(blocks[: request.count]):
            fields = self.crypto.header(block.header)
            if (
                fields is None
                or fields.number != request.from_height + offset
                or (parent is not None and fields.parent_hash != parent)
                or block.certificate.to_hash != fields.hash
                or block.certificate.from_hash != fields.parent_hash
                or block.certificate.to_height != fields.number
            ):
                self._blame(member, now_ms, "invalid_sync_block")
                return
            parent = fields.hash
            self.queue[fields.number] = (member, block)

    def _take(self, now_ms: int) -> None:
        chain = self.chain
        member, block = self.queue.pop(chain.height)
        if block.certificate.from_hash != chain.head.hash or not chain.learn(block.certificate, sender=None):
            self._blame(member, now_ms, "invalid_sync_block")
            return
        self.claim(member, block.certificate.to_height)
        if chain.certificates.get(chain.height) is None:
            return  # halted
        candidate = Candidate(
            hash=block.certificate.to_hash,
            number=chain.height,
            parent_hash=chain.head.hash,
            header=block.header,
            transaction_hashes=b"",
        )
        chain.add(candidate, member, block.transactions)
        chain.advance(now_ms)

    def bodies_refused(self, member: int | None, now_ms: int) -> None:
        """The bodies of a block of the queue are not those of its header."""
        if member is not None:
            self._blame(member, now_ms, "invalid_sync_bodies")

    def _blame(self, member: int, now_ms: int, reason: str) -> None:
        self.out.append(ReportPeer(member, reason))
        self.queue = {height: item for height, item in self.queue.items() if item[0] != member}
        self.not_before_ms = now_ms + RETRY_MS
