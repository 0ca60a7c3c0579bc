"""What waits on its way to or from one peer, by class: bounded, votes first, order kept within a class."""

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from hansa_p2p.limits import PEER_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX


class Kind(IntEnum):
    """Class of a message, in order of importance; the numbers are those of `MessageClass` in p2p.proto."""

    VOTE = 1
    PROPOSAL = 2
    CERTIFICATE = 3
    TRANSACTION = 4
    SYNC = 5


@dataclass(frozen=True, slots=True)
class Message:
    """A payload and its class."""

    kind: Kind
    payload: bytes


@dataclass(slots=True)
class ClassQueues:
    """One queue per class of one peer and direction."""

    messages_max: int = QUEUE_MESSAGES_MAX  # per class
    bytes_max: int = QUEUE_BYTES_MAX  # per class; one larger message may wait alone
    total_bytes_max: int = PEER_BYTES_MAX
    total_bytes: int = 0  # == sum of `_bytes`, always
    _queues: dict[Kind, deque[bytes]] = field(default_factory=lambda: {kind: deque() for kind in Kind})
    _bytes: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def push(self, message: Message) -> list[Message]:
        """Append; returns what was dropped for it, which is `message` itself when all else is more important."""
        kind, size = message.kind, len(message.payload)
        queue, dropped = self._queues[kind], list[Message]()
        while queue and (len(queue) >= self.messages_max or self._bytes[kind] + size > self.bytes_max):
            dropped.append(self.take(kind))
        queue.append(message.payload)
        self._bytes[kind] += size
        self.total_bytes += size
        while self.total_bytes > self.total_bytes_max:
            dropped.append(self.take(max(other for other in Kind if self._queues[other])))
        return dropped

    def pop(self) -> Message | None:
        """The oldest message of the most important class that has one."""
        for kind, queue in self._queues.items():
            if queue:
                return self.take(kind)
        return None

    def clear(self) -> list[Message]:
        """Empty all queues; returns what was in them."""
        return [self.take(kind) for kind, queue in self._queues.items() for _ in range(len(queue))]

    def has(self, kind: Kind) -> bool:
        """Whether a message of this class waits."""
        return bool(self._queues[kind])

    def take(self, kind: Kind) -> Message:
        """The oldest of a class that has one."""
        payload = self._queues[kind].popleft()
        self._bytes[kind] -= len(payload)
        self.total_bytes -= len(payload)
        return Message(kind, payload)
