"""Everything that a method, a REST route or a gRPC call needs, in one place."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hansa.chainspec import ChainSpec
from hansa.config import Settings

from hansa_api.backend import Backend
from hansa_api.filters import Filters
from hansa_api.heads import Heads
from hansa_api.limits import Limits
from hansa_api.pending import PendingBlocks
from hansa_api.pool_feed import PoolFeed
from hansa_api.rates import Rates
from hansa_api.registry import Registry
from hansa_api.state import StateReader
from hansa_api.submit import Submitter
from hansa_api.subscriptions import Subscriptions

if TYPE_CHECKING:
    from hansa_api.fees import Fees
    from hansa_api.redis_bus import RedisBus


@dataclass(slots=True)
class Api:
    """The parts of one api process."""

    settings: Settings
    chain: ChainSpec
    limits: Limits
    backend: Backend
    heads: Heads
    state: StateReader
    submitter: Submitter
    feed: PoolFeed
    filters: Filters
    subscriptions: Subscriptions
    pending: PendingBlocks
    fees: "Fees"
    rates: Rates | None
    bus: "RedisBus | None"
    registry: Registry = field(default_factory=lambda: Registry(()))
