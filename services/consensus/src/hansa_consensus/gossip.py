"""The pool's side towards the other members: queues what they push, has it admitted in turns, pushes ours to them.

What is admitted is `pool.py`'s affair; nothing here waits for a member or makes a Python object per transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog
from hansa.stages import charged
from hansa.v1 import wire_pb2
from hansa_kernel import TxBatch, TxError, TxPool

from . import metrics
from .core.types import MessageClass
from .errors import BadBatch, ServiceAway
from .limits import (
    GOSSIP_ADMISSION_BYTES_MAX,
    GOSSIP_BYTES_MAX,
    GOSSIP_WAITING_BYTES_MAX,
    GOSSIP_WAITING_MAX,
    RESEND_TRANSACTIONS_MAX,
)
from .network import Network

_log = structlog.get_logger()
_T = TypeVar("_T")

ALL_BLOCKS = (1 << 63) - 1
"""A height above any block's."""

NEVER_VALID = frozenset({"invalid_signature", "malformed_transaction", "invalid_chain_id", "oversized_data"})
"""Refusals of what no honest member pushes, at whatever height and time it is. Others may come from a fork's edge."""


@dataclass(slots=True)
class _FromPeer:
    batches: deque[bytes] = field(default_factory=deque)
    size: int = 0  # bytes


class Admission(Protocol):
    """What gossip needs of the pool's keeper."""

    pool: TxPool
    gas_limit: int  # of the next block
    base_fee: int  # of the next block, in wei per gas

    async def in_thread(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """Run a kernel call beside the event loop."""

    async def decode(self, packed: bytes) -> TxBatch:
        """Decode and recover senders. Raises `BadBatch`."""

    async def admit(self, batch: TxBatch, *, local: bool) -> tuple[TxBatch, list[TxError | None]]:
        """The accepted ones, and all verdicts. Raises `ServiceAway`."""

    def announce(self, accepted: TxBatch, packed: bytes) -> None:
        """Show newly admitted ones to the readers of StreamPool."""


class Gossip:
    """Bodies from members and to members."""

    def __init__(self, admission: Admission, network: Network) -> None:
        self._pool = admission
        self._network = network
        self._peers: dict[int, _FromPeer] = {}
        self._pushed = asyncio.Event()
        self._admissions = 0  # batches of members taken from their queues and not yet admitted
        self._settled = asyncio.Event()  # set whenever a batch of a member was admitted

    def receive(self, sender: int, packed: bytes) -> None:
        """Queue bodies that a member pushed; the oldest of the member go when there are too many."""
        queue = self._peers.setdefault(sender, _FromPeer())
        while queue.batches and (
            len(queue.batches) >= GOSSIP_WAITING_MAX or queue.size + len(packed) > GOSSIP_WAITING_BYTES_MAX
        ):
            queue.size -= len(queue.batches.popleft())
            metrics.DROPPED.labels(queue="gossip").inc()
        queue.batches.append(packed)
        queue.size += len(packed)
        self._pushed.set()

    @charged("gossip")
    async def run(self) -> None:
        """Admit what members push, one batch of each in turn."""
        while True:
            taken = False
            for sender, queue in list(self._peers.items()):
                if queue.batches:
                    taken = True
                    await self._admit_from(sender, queue)
            if not taken:
                self._pushed.clear()
                await self._pushed.wait()

    async def _admit_from(self, sender: int, queue: _FromPeer) -> None:
        gathered: list[bytes] = []
        size = 0
        while queue.batches and (not gathered or size + len(queue.batches[0]) <= GOSSIP_ADMISSION_BYTES_MAX):
            gathered.append(queue.batches.popleft())
            size += len(gathered[-1])
            queue.size -= len(gathered[-1])
        self._admissions += 1
        try:
            batch = await self._pool.decode(b"".join(gathered))
            if not batch.all_valid() and any(error and error.code in NEVER_VALID for error in batch.errors()):
                self._network.score(sender, "invalid_transaction")
            accepted, _ = await self._pool.admit(batch, local=False)
            if len(accepted):
                self._pool.announce(accepted, await self._pool.in_thread(accepted.packed))
        except BadBatch:
            self._network.score(sender, "malformed_transactions")
        except ServiceAway as error:
            # Not lost: its origin pushes it again, and a proposal's bodies can be asked for.
            _log.warning("gossip_not_admitted", problem=str(error))
        finally:
            self._admissions -= 1
            self._settled.set()
            self._settled = asyncio.Event()

    async def settle(self, seconds: float) -> None:
        """Wait until what members have pushed so far is admitted, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._admissions or any(queue.batches for queue in self._peers.values()):
                    await self._settled.wait()
        except TimeoutError:
            return

    async def push_local(self, *, before: int = ALL_BLOCKS, to: Sequence[int] = ()) -> None:
        """Push again what this member accepted before block `before` and no block holds; to all others by default."""
        batch = await self._pool.in_thread(self._pool.pool.local_older_than, before, RESEND_TRANSACTIONS_MAX)
        if len(batch):
            self.push(batch, await self._pool.in_thread(batch.packed), to)

    async def forward(self, to: Sequence[int]) -> None:
        """Send what our next block would hold to the leader (or, when empty, to all), who seems not to know it."""
        batch = await self._pool.in_thread(
            self._pool.pool.payload,
            gas_limit=self._pool.gas_limit,
            base_fee=self._pool.base_fee,
            bytes_max=GOSSIP_BYTES_MAX,
            count_max=RESEND_TRANSACTIONS_MAX,
        )
        if len(batch):
            self.push(batch, await self._pool.in_thread(batch.packed), to)

    def push(self, batch: TxBatch, packed: bytes, to: Sequence[int] = ()) -> None:
        """Send bodies to members `to`, all others by default; `packed` is `batch`'s."""
        if len(packed) > GOSSIP_BYTES_MAX and len(batch) > 1:
            half = len(batch) // 2
            for part in (batch.slice(0, half), batch.slice(half, len(batch))):
                self.push(part, part.packed(), to)
            return
        self._network.send_wire(to, MessageClass.TRANSACTION, wire_pb2.WireMessage(transactions=packed))
