"""What members pushed while no consensus is attached: transactions wait, bounded per member, for the next attachment.

Bodies are pushed once after admission, so what is dropped here comes again only after blocks without it. Other classes
do not wait: votes and proposals are repeated, and the queries of a moment ago have timed out.
"""

from dataclasses import dataclass, field

from hansa_p2p.core.queues import ClassQueues, Kind, Message
from hansa_p2p.limits import HELD_BYTES_MAX, HELD_MESSAGES_MAX


@dataclass(slots=True)
class Held:
    """One queue per sender, so that a loud one drops only its own."""

    messages_max: int = HELD_MESSAGES_MAX  # per sender
    bytes_max: int = HELD_BYTES_MAX  # per sender; one larger message waits alone
    _queues: dict[int, ClassQueues] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def push(self, sender: int, message: Message) -> list[Message]:
        """Append; returns what is dropped for it: the sender's oldest, or `message` itself when its class never waits."""
        if message.kind is not Kind.TRANSACTION:
            return [message]
        queue = self._queues.get(sender)
        if queue is None:
            queue = self._queues[sender] = ClassQueues(messages_max=self.messages_max, bytes_max=self.bytes_max)
        return queue.push(message)

    def take(self) -> list[tuple[int, Message]]:
        """(sender, message) of all that waits, in order per sender; nothing waits afterwards."""
        found = [(sender, message) for sender in sorted(self._queues) for message in self._queues[sender].clear()]
        self._queues.clear()
        return found
