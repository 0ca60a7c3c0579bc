"""What a request knows about its caller."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hansa_api.subscriptions import Subscriber


@dataclass(slots=True)
class Connection:
    """One HTTP request's or one WebSocket's caller. `subscriber` is there on WebSockets only."""

    address: str
    subscriber: "Subscriber | None" = None
    rate_limited: int = field(default=0)  # seconds to wait, when a request of this connection was refused
    items: int = field(default=0)  # requests answered, refused ones included
    items_limited: int = field(default=0)
