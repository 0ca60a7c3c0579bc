"""What members sent and consensus has not taken yet: bounded per member, votes of all before anything else of any."""

from dataclasses import dataclass, field

from hansa_p2p.core.queues import ClassQueues, Kind, Message


@dataclass(slots=True)
class Inbox:
    """Queues per sender, so that a loud one drops only its own messages; senders take turns within a class."""

    _queues: dict[int, ClassQueues] = field(default_factory=dict)
    _turn: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, -1))  # last sender served
    _changes: dict[int, bool] = field(default_factory=dict)

    def push(self, sender: int, message: Message) -> list[Message]:
        """Append; returns what was dropped for it."""
        return self._queues.setdefault(sender, ClassQueues()).push(message)

    def change(self, member: int, *, up: bool) -> None:
        """Note that a member came or went; only its newest state waits. Two times up means a new connection."""
        self._changes.pop(member, None)
        self._changes[member] = up

    def pop_change(self) -> tuple[int, bool] | None:
        """(member, up), oldest first; these go before messages."""
        for member, up in self._changes.items():
            del self._changes[member]
            return member, up
        return None

    def take_transactions(self) -> list[tuple[int, Message]]:
        """(sender, message) of all transactions that wait, in order per sender, out of their turn."""
        found: list[tuple[int, Message]] = []
        for sender in sorted(self._queues):
            while self._queues[sender].has(Kind.TRANSACTION):
                found.append((sender, self._queues[sender].take(Kind.TRANSACTION)))
        return found

    def pop(self) -> tuple[int, Message] | None:
        """(sender, message) of the most important class that waits."""
        for kind in Kind:
            waiting = sorted(sender for sender, queue in self._queues.items() if queue.has(kind))
            if waiting:
                sender = next((one for one in waiting if one > self._turn[kind]), waiting[0])
                self._turn[kind] = sender
                return sender, self._queues[sender].take(kind)
        return None
